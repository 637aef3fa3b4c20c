"""Writes the examples of a plan as TFRecords that describe themselves."""

import concurrent.futures
import dataclasses
import os
import pathlib
import threading
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from datasets import dataset_utils, label_kinds
from datasets.files import Irregular, disk_errors
from datasets.images import image_files
from datasets.limits import MAX_PIXELS, MOST_IDS
from datasets.progress import no_progress
from datasets.records import description, tfrecord
from datasets.text import few
from datasets.writing import folders
from datasets.writing.plan import Item, Plan

_SHARD = 1000  # examples in a file, if no number of files is given
_MOST_SHARDS = 1024


@dataclasses.dataclass
class _Found:
  """What a shard holds; see `description.Split`.

  `pixels` are those of each value of the masks; `blank` names the examples
  that have no class: all of their pixels are ignored.
  """

  examples: np.ndarray
  pixels: np.ndarray
  sizes: list[tuple[int, int]] = dataclasses.field(default_factory=list)
  channels: int = 1
  blank: list[str] = dataclasses.field(default_factory=list)
  written: tfrecord.Written | None = None

  def add(self, item, image, labelled):
    self.examples[labelled.classes] += 1
    self.pixels += labelled.pixels
    self.sizes.append((image.height, image.width))
    self.channels = max(self.channels, image.channels)
    if not len(labelled.classes):
      self.blank.append(item.name)


class _Stopped(Exception):
  """Another shard has failed."""


class _Writer:
  """Writes shards in threads, and counts the images that are left out."""

  def __init__(self, plan, folder, skip, max_pixels, update):
    self._plan, self._folder = plan, folder
    self._kind = label_kinds.get(plan.task)
    self._skip, self._max_pixels = skip, max_pixels
    self._update = update
    self._decoder = image_files.Decoder()
    self._lock = threading.Lock()
    self.stopped = threading.Event()
    self.left_out = []

  def _leave_out(self, item, reason):
    sentence = f'{item.name} of {self._plan.source} {reason}.'
    with self._lock:
      self.left_out.append(sentence)
      if len(self.left_out) <= self._skip:
        return
    count = self._skip + 1  # there may be more by now, in other threads
    raise ValueError(
      f'{sentence} Repair or remove it; --skip_bad_examples='
      f'{count} leaves {count} such out.'
    )

  def _record(self, item, found):
    """Returns the bytes of an item, counted; None if it is left out."""
    try:
      image = image_files.standard(item.read(), self._decoder, self._max_pixels)
      labelled = self._kind.make_example(item, image, self._plan)
    except image_files.BadImage as bad:
      self._leave_out(item, bad)
    except Irregular as error:
      self._leave_out(item, error.what)
    except OSError as error:
      self._leave_out(item, f'cannot be read: {error.strerror or error}')
    else:
      found.add(item, image, labelled)
      return dataset_utils.serialize(labelled.example)
    return None

  def shard(self, name: str, items: list[Item]) -> _Found:
    """Writes one file."""
    found = _Found(
      np.zeros(len(self._plan.class_names), np.int64),
      np.zeros(MOST_IDS, np.int64),
    )

    def records() -> Iterator[bytes]:
      for item in items:
        if self.stopped.is_set():
          raise _Stopped
        record = self._record(item, found)
        if record is not None:
          yield record
        with self._lock:
          self._update()

    found.written = tfrecord.write(self._folder / name, records())
    return found


def shard_names(file_pattern: str, split: str, shards: int) -> list[str]:
  """Returns the names of a split's files.

  >>> shard_names('%s-*', 'train', 2)
  ['train-00000-of-00002', 'train-00001-of-00002']
  """
  return [
    (file_pattern % split)
    .replace('-*', '*')
    .replace('*', f'-{number:05}-of-{shards:05}')
    for number in range(shards)
  ]


def _shards(plan, file_pattern, seed, num_shards):
  """Yields (split, file name, its items), each split in an order by seed."""
  for split, items in plan.splits.items():
    count = num_shards or min(-(-len(items) // _SHARD) or 1, _MOST_SHARDS)
    names = shard_names(
      file_pattern, split, count if '*' in file_pattern else 1
    )
    order = np.random.default_rng(
      [seed, zlib.crc32(split.encode())]
    ).permutation(len(items))
    for name, part in zip(
      names, np.array_split(order, len(names)), strict=True
    ):
      yield split, name, [items[i] for i in part]


def _pixels(found, plan):
  """Returns the pixels of each class, and those that are ignored.

  Args:
    found: int64 [256], the number of pixels of each value.
    plan: tells the classes and the ignored label.
  """
  per_class = found[: len(plan.class_names)].tolist()
  if plan.ignore_label is None:
    return tuple(per_class), 0
  if plan.ignore_label < len(per_class):
    per_class[plan.ignore_label] = 0
  return tuple(per_class), int(found[plan.ignore_label])


def _describe(plan, found):
  kind = label_kinds.get(plan.task)
  sizes = [size for _, _, shard in found for size in shard.sizes]
  splits = {}
  for split in plan.splits:
    shards = {name: shard for of, name, shard in found if of == split}
    splits[split] = description.Split(
      {name: shard.written for name, shard in shards.items()},
      tuple(sum(shard.examples for shard in shards.values()).tolist()),
      *(
        _pixels(sum(shard.pixels for shard in shards.values()), plan)
        if kind.counts_pixels
        else ()
      ),
    )
    if not splits[split].examples:
      raise ValueError(
        f'The split {split} of {plan.source} has no examples: '
        'none is in the source, or all were left out.'
      )
  kind.check_splits(splits, plan)
  return description.Description(
    plan.name,
    tuple(plan.class_names),
    max(shard.channels for _, _, shard in found),
    tuple(map(min, zip(*sizes, strict=True))),
    tuple(map(max, zip(*sizes, strict=True))),
    splits,
    plan.task,
    plan.ignore_label,
    plan.source_values,
  )


def _blank(found):
  """Yields a sentence on the masks that are wholly ignored."""
  names = [name for _, _, shard in found for name in shard.blank]
  if names:
    yield (
      f'All pixels of {len(names):,} masks are ignored, so nothing is '
      f'learnt from them: {few(sorted(names))}.'
    )


def _run(writer, shards, threads):
  """Writes all shards; the first failure stops the others."""
  found = []
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    try:
      futures = {
        pool.submit(writer.shard, name, items): (split, name)
        for split, name, items in shards
      }
      for future in concurrent.futures.as_completed(futures):
        found.append((*futures[future], future.result()))
    except BaseException:
      writer.stopped.set()
      pool.shutdown(cancel_futures=True)
      raise
  return sorted(found, key=lambda shard: shard[:2])


def write(
  plan: Plan,
  dataset_dir: str | os.PathLike,
  file_pattern: str,
  seed: int = 0,
  num_shards: int | None = None,
  skip: int = 0,
  max_pixels: int = MAX_PIXELS,
  threads: int | None = None,
  progress: Callable = no_progress,
  note: Callable[[str], None] = lambda sentence: None,
) -> tuple[description.Description, list[str]]:
  """Writes TFRecords, labels.txt and dataset.json to a new folder.

  The folder appears whole or not at all.

  Args:
    plan: the examples.
    dataset_dir: the folder; it may exist if it is empty.
    file_pattern: of a split's files, with %s for the split and perhaps * for
      the number of the file; without * there is one file a split.
    seed: fixes the order of the examples.
    num_shards: the number of files of a split; None for one for each
      thousand examples.
    skip: how many bad images may be left out.
    max_pixels: the largest height x width of an image.
    threads: files that are written at once; None for one a processor.
    progress: called with the number of examples, 0 and a title; returns a
      context manager with update().
    note: called with a sentence on what is odd, but no error.

  Returns:
    What dataset.json says, and a sentence for each image left out.

  Raises:
    ValueError: the folder is not empty, more images are bad than may be
      skipped, masks have less than two classes, or the disk is full; the
      sentence says what to do.
  """
  shards = list(_shards(plan, file_pattern, seed, num_shards))
  total = sum(map(len, plan.splits.values()))
  with (
    disk_errors(
      os.path.dirname(os.path.abspath(dataset_dir)),
      'Name another --dataset_dir, or free space.',
    ),
    folders.new_folder(dataset_dir, description.FILENAME) as folder,
  ):
    with progress(total, 0, 'writing') as bar:
      writer = _Writer(plan, folder, skip, max_pixels, lambda: bar.update(1))
      found = _run(writer, shards, threads or os.cpu_count())
    described = _describe(plan, found)
    if label_kinds.get(plan.task).counts_pixels:
      for sentence in _blank(found):
        note(sentence)
    dataset_utils.write_label_file(dict(enumerate(plan.class_names)), folder)
    description.write(described, folder)
  return described, sorted(writer.left_out)


def ensure(
  make: Callable[[], Plan], dataset_dir: str | os.PathLike, file_pattern: str
) -> None:
  """Writes an embedded dataset, unless it is in its folder already.

  Args:
    make: returns the plan.
    dataset_dir: its folder, which appears whole or not at all.
    file_pattern: see `write`.
  """
  finished = pathlib.Path(dataset_dir, dataset_utils.LABELS_FILENAME)
  if finished.exists():
    return
  try:
    write(make(), dataset_dir, file_pattern)
  except (OSError, ValueError):
    if not finished.exists():  # else another process was faster
      raise
