"""Some examples of every split, picked at random and drawn on a sheet."""

import os
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from datasets import dataset_utils
from datasets.images import contact_sheet, overlays
from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from datasets.limits import MAX_PIXELS, MOST_IDS
from datasets.records import tfrecord
from datasets.records.examples import Examiner, features_of
from datasets.records.label_readers import BadExample
from datasets.verifying.report import Report

# With so many images of a class, on average, each class has a heading.
_MANY = contact_sheet.COLUMNS // 2
# Records of a split, among which examples are picked.
_MOST_LABELS_READ, _MOST_MASKS_READ = 2000, 200


def share_out(
  paths: Mapping[str, Sequence[str]],
  count: int,
  seed: int,
  choose: Callable[[str, tfrecord.Reader, np.random.Generator, int], list],
) -> list:
  """Returns what is chosen of every split, as evenly as they allow.

  Args:
    paths: the files of each split.
    count: how many, at most.
    seed: fixes the choice.
    choose: given the name of a split, its records, what to draw lots with,
      and how many, returns no more than that.
  """
  readers = {
    split: tfrecord.Reader(files, dataset_utils.offsets_dir())
    for split, files in paths.items()
  }
  found = {}
  # The smallest first: what it lacks the others make up.
  for split in sorted(readers, key=lambda split: len(readers[split])):
    share = (count - sum(map(len, found.values()))) // (
      len(readers) - len(found)
    )
    random = np.random.default_rng([seed, zlib.crc32(split.encode())])
    found[split] = choose(split, readers[split], random, share)
  return [shown for split in paths for shown in found[split]]


def _label(record):
  """Returns the label of a record, -1 if it has none."""
  label = features_of(record)['image/class/label'].int64_list.value
  return next(iter(label), -1)


def _candidates(reader, random):
  """Yields numbers of records at random, the classes in turn."""
  found = {}
  for index in random.permutation(len(reader))[:_MOST_LABELS_READ]:
    try:
      label = _label(reader.read(int(index)))
    except (ValueError, OSError, tf.errors.OpError):
      continue  # damaged
    found.setdefault(label, []).append(int(index))
  for turn in range(max(map(len, found.values()), default=0)):
    for indices in found.values():
      if turn < len(indices):
        yield indices[turn]


def _images_of_split(split, reader, random, count, examiner, class_names):
  """Returns up to `count` images of a split, by label."""
  found = []
  for index in _candidates(reader, random):
    if len(found) == count:
      break
    try:
      label, _, image, _ = examiner(reader.read(index))
    except BadExample:
      continue
    height, width = image.shape[:2]
    # Only what is drawn is kept.
    found.append(
      (
        label,
        contact_sheet.Shown(
          np.asarray(contact_sheet.fit(image)),
          f'{label} {class_names[label]}',
          f'{split} {width}x{height}',
        ),
      )
    )
  found.sort(key=lambda pair: pair[0])
  labels = {label for label, _ in found}
  by_class = len(found) >= _MANY * len(labels) and len(labels) > 1
  return [
    shown._replace(heading=f'{split}: {shown.title}' if by_class else split)
    for _, shown in found
  ]


def pick_images(
  paths: Mapping[str, Sequence[str]],
  class_names: Sequence[str],
  max_pixels: int = MAX_PIXELS,
  count: int = contact_sheet.COLUMNS * contact_sheet.ROWS,
  seed: int = 0,
) -> list[contact_sheet.Shown]:
  """Returns examples at random, evenly over splits and classes.

  Classes are told apart among 2,000 records of a split; bad records are
  passed over.

  Args:
    paths: the files of each split, as `Report.paths`.
    class_names: the name of each label.
    max_pixels: the largest height x width of an image.
    count: how many, at most.
    seed: fixes the choice.
  """
  examiner = Examiner(range(len(class_names)), max_pixels, CLASSIFICATION)
  return share_out(
    paths,
    count,
    seed,
    lambda *split: _images_of_split(*split, examiner, class_names),
  )


def draw_images(
  path: str | os.PathLike, report: Report, max_pixels: int, seed: int
) -> bool:
  """Draws some images with their labels; returns whether there are any.

  Args:
    path: of the PNG.
    report: on the dataset.
    max_pixels: the largest height x width of an image.
    seed: fixes the choice.
  """
  shown = pick_images(report.paths, report.class_names, max_pixels, seed=seed)
  if shown:
    contact_sheet.draw(path, shown)
  return bool(shown)


def _small(example, caption):
  """Returns the row of an example, no larger than it is drawn."""
  image, mask = example.image, example.label
  if max(mask.shape) > overlays.CELL:
    image = np.asarray(contact_sheet.fit(image, overlays.CELL))
    mask = np.asarray(contact_sheet.fit(mask, overlays.CELL, smooth=False))
  return overlays.Row(image, [mask], caption)


def _rows_of_split(split, reader, random, count, examiner):
  """Returns up to `count` rows in which every class occurs, if it can be."""
  found = []
  for index in random.permutation(len(reader))[:_MOST_MASKS_READ]:
    try:
      example = examiner(reader.read(int(index)))
    except (BadExample, ValueError, OSError):
      continue
    height, width = example.label.shape
    found.append(
      (
        set(np.unique(example.label).tolist()),
        _small(example, f'{split} {width}x{height} {example.filename}'),
      )
    )
  chosen, missing = [], set().union(*(values for values, _ in found))
  while found and len(chosen) < count:
    best = max(range(len(found)), key=lambda i: len(found[i][0] & missing))
    values, row = found.pop(best)  # the first of those that add most
    missing -= values
    chosen.append(row)
  return chosen


def pick_masks(
  paths: Mapping[str, Sequence[str]],
  max_pixels: int = MAX_PIXELS,
  count: int = overlays.EXAMPLES,
  seed: int = 0,
) -> list[overlays.Row]:
  """Returns examples of every split at random, for `overlays.draw`.

  They are picked among 200 records of a split so that as many classes occur
  as may be; bad records are passed over.

  Args:
    paths: the files of each split, as `Report.paths`.
    max_pixels: the largest height x width of an image.
    count: how many, at most.
    seed: fixes the choice.
  """
  # Values that are no class are shown too: they are what one looks for.
  examiner = Examiner(range(MOST_IDS), max_pixels, SEGMENTATION)
  return share_out(
    paths, count, seed, lambda *split: _rows_of_split(*split, examiner)
  )


def draw_masks(
  path: str | os.PathLike, report: Report, max_pixels: int, seed: int
) -> bool:
  """Draws some images beside their masks; see `draw_images`."""
  rows = pick_masks(report.paths, max_pixels, seed=seed)
  if rows:
    overlays.draw(path, rows, report.class_names, report.ignore_label)
  return bool(rows)
