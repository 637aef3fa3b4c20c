"""How many pixels each class has: what balances classes by their weights."""

import concurrent.futures
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from tf_slim.data.dataset import Dataset

from datasets import dataset_utils, label_kinds
from datasets.limits import MAX_PIXELS, MOST_IDS
from datasets.progress import no_progress
from datasets.records import description
from datasets.records.examples import features_of
from datasets.records.label_readers import BadExample, MaskReader
from datasets.records.tfrecord import Reader

_FEATURE = label_kinds.get(label_kinds.SEGMENTATION).feature


class PixelCounts(NamedTuple):
  """The pixels of a split.

  Fields:
    pixels: int64 [classes], of each class, ignored ones left out.
    images: int64 [classes], the number of images in which it has any.
    ignored: the number of pixels that are ignored.
  """

  pixels: np.ndarray
  images: np.ndarray
  ignored: int


class Tally:
  """Counts the values of masks; safe in many threads.

  Attributes:
    pixels: int64 [256], those of each value.
    masks: int64 [256], the masks that have each value.
    examples: the number of masks.
  """

  def __init__(self):
    self.pixels, self.masks = np.zeros([2, MOST_IDS], np.int64)
    self.examples = 0
    self._lock = threading.Lock()

  def add(self, mask: np.ndarray) -> np.ndarray:
    """Counts a mask, uint8 [height, width]; returns its own [256] counts."""
    found = np.bincount(mask.ravel(), minlength=MOST_IDS)
    with self._lock:
      self.pixels += found
      self.masks += found > 0
      self.examples += 1
    return found

  def counts(self, classes: int, ignore_label: int | None) -> PixelCounts:
    """Returns what is known of the classes 0 to `classes` - 1."""
    counted = np.arange(classes) != ignore_label
    return PixelCounts(
      self.pixels[:classes] * counted,
      self.masks[:classes] * counted,
      0 if ignore_label is None else int(self.pixels[ignore_label]),
    )


def _described(dataset):
  """Returns what dataset.json says of just these files, None if nothing."""
  folder = os.path.dirname(dataset.data_sources[0])
  if not description.exists(folder):
    return None
  described = description.read(folder)
  split = described.splits.get(dataset.split_name)
  if (
    not split
    or not split.pixels_per_class
    or described.ignore_label != dataset.ignore_label
    or dataset.data_sources
    != [os.path.join(folder, file) for file in split.files]
  ):
    return None
  return PixelCounts(
    np.array(split.pixels_per_class, np.int64),
    np.array(split.examples_per_class, np.int64),
    split.ignored_pixels,
  )


def count(
  dataset: Dataset,
  threads: int | None = None,
  progress: Callable = no_progress,
  most: int | None = None,
  max_pixels: int = MAX_PIXELS,
) -> PixelCounts:
  """Returns how many pixels each class of a split has.

  A folder that describes itself says it; else every mask is decoded. Bad
  records are passed over: whoever trains on them is told.

  Args:
    dataset: a split for segmentation.
    most: how many masks are decoded, evenly over the split, if not all.
    max_pixels: the largest height x width of a mask.
    threads: that decode; None for one a processor.
    progress: called with the number of records, 0 and a title; returns a
      context manager with update().

  Raises:
    ValueError: no record is good.
  """
  known = _described(dataset)
  if known:
    return known
  records = Reader(dataset.data_sources, dataset_utils.offsets_dir())
  read_mask = MaskReader(
    range(dataset.num_classes), dataset.ignore_label, max_pixels
  )
  tally, wrong = Tally(), {}
  indices = (
    range(len(records))
    if most is None or most >= len(records)
    else np.linspace(0, len(records) - 1, most).round().astype(int)
  )

  def look(index):
    try:
      values = features_of(records.read(index))[_FEATURE].bytes_list.value
      tally.add(read_mask(values[0] if values else b''))
    except BadExample as bad:
      wrong[index] = f'{records.name(index)} {bad}'
    except ValueError as damage:
      wrong[index] = str(damage)
    bar.update(1)

  with (
    progress(len(indices), 0, 'counting pixels') as bar,
    concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool,
  ):
    for _ in pool.map(look, indices):
      pass
  if not tally.examples:
    reason = wrong[min(wrong)] if wrong else 'there are no records'
    raise ValueError(
      f'The {dataset.split_name} split of {dataset.name} has no good mask: '
      f'{reason.rstrip(".")}.'
    )
  return tally.counts(dataset.num_classes, dataset.ignore_label)
