"""Reads every record of a dataset, and says what is wrong and what is odd."""

import concurrent.futures
import glob
import hashlib
import itertools
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from datasets import dataset_factory, dataset_utils, label_kinds
from datasets.images import image_files
from datasets.progress import no_progress
from datasets.records import description
from datasets.records.examples import BadExample, Examiner
from datasets.records.tfrecord import Reader
from datasets.text import cut, few
from datasets.verifying import duplicates
from datasets.verifying.report import Report, SplitReport

_SMALL = 8  # pixels of a side
_CHUNK = 1 << 20  # bytes
_ROW = np.dtype(
  [
    ('good', bool),
    ('label', np.int64),
    ('height', np.int64),
    ('width', np.int64),
    ('bytes', np.int64),
    ('digest', np.uint64),
  ]
)


class _Data(NamedTuple):
  """Where a dataset is, and what it says of itself."""

  name: str
  folder: str
  class_names: tuple[str, ...]
  paths: dict[str, list[str]]
  described: description.Description | None
  silent: list[str]  # splits without files
  task: str
  ignore_label: int | None


def _find(name, folder):
  specification = dataset_factory.get_specification(name, folder)
  if folder is None:
    folder = dataset_factory.default_dir(name)
    specification.ensure(folder)
  if description.exists(folder):
    found = description.read(folder)
    return _Data(
      found.name,
      folder,
      found.class_names,
      {
        split: [os.path.join(folder, file) for file in of.files]
        for split, of in found.splits.items()
      },
      found,
      [],
      found.task,
      found.ignore_label,
    )
  splits, base = specification.splits, glob.escape(folder)
  there = [
    split
    for split in splits
    if tf.io.gfile.glob(os.path.join(base, specification.file_pattern % split))
  ]
  # Without any file the first split's error says where they should be.
  found = {
    split: dataset_factory.get_dataset(name, split, folder)
    for split in there or splits[:1]
  }
  names = next(iter(found.values())).labels_to_names or {
    i: f'class {i}' for i in range(specification.num_classes)
  }
  return _Data(
    name,
    folder,
    tuple(names.values()),
    {split: list(of.data_sources) for split, of in found.items()},
    None,
    [split for split in splits if split not in there],
    specification.task,
    specification.ignore_label,
  )


def _check_file(path, written):
  """Returns whether a file can be read, and what is wrong with it, or ''."""
  crc, size = google_crc32c.Checksum(), 0
  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      while (data := file.read(_CHUNK)) and written:
        crc.update(data)
        size += len(data)
  except tf.errors.NotFoundError:
    return False, (
      f'{path} is missing, which {description.FILENAME} names: '
      'copy it again, or convert the data again.'
    )
  except tf.errors.OpError as error:
    return False, f'{path} cannot be read: {error.message}.'
  found = int.from_bytes(crc.digest(), 'big')
  if not written or (size, found) == (written.size, written.crc32c):
    return True, ''
  what = (
    f'{size:,} bytes instead of {written.size:,}'
    if size != written.size
    else f'the checksum {found:08x} instead of {written.crc32c:08x}'
  )
  return True, f'{path} has {what}. Copy it again, or convert the data again.'


class _Split:
  """The records of a split, of which a row of numbers each is kept."""

  def __init__(self, name, data, examiner):
    self.name, self.problems = name, []
    written = data.described.splits[name].files if data.described else {}
    self.paths = []
    for path in data.paths[name]:
      readable, wrong = _check_file(path, written.get(os.path.basename(path)))
      self.problems += [wrong] if wrong else []
      self.paths += [path] if readable else []
    # Without the cache of offsets, which would hide what has rotted since.
    self._reader = Reader(self.paths)
    self._examiner = examiner
    self.rows = np.zeros(len(self._reader), _ROW)
    self._bad = []
    self.statistics = label_kinds.get(data.task).statistics(data)

  def look(self, index: int) -> None:
    """Examines a record; each one once, in any thread."""
    where = self._reader.name(index)
    try:
      example = self._examiner(self._reader.read(index))
    except BadExample as bad:
      self._bad.append((index, f'{where} {bad}.'))
    except ValueError as damage:
      self._bad.append((index, str(damage)))
    except (OSError, tf.errors.OpError) as error:
      self._bad.append((index, f'{where} cannot be read: {error}.'))
    else:
      shape = example.image.shape
      digest = hashlib.blake2b(repr(shape).encode(), digest_size=8)
      digest.update(np.ascontiguousarray(example.image))
      self.rows[index] = (
        True,
        self.statistics.add(index, example.label),
        *shape[:2],
        len(example.data),
        int.from_bytes(digest.digest(), 'big'),
      )

  @property
  def bad(self) -> list[str]:
    """A sentence for each bad record, in their order."""
    return [text for _, text in sorted(self._bad)] + self._reader.damages

  def summary(self, repeated: int) -> SplitReport:
    """Returns what is for the report."""
    rows = self.rows[self.rows['good']]
    heights, widths, sizes = (
      tuple(int(take(rows[name])) for take in (np.min, np.median, np.max))
      if len(rows)
      else (0, 0, 0)
      for name in ('height', 'width', 'bytes')
    )
    return SplitReport(
      tuple(self.paths),
      len(self.rows),
      len(rows),
      tuple(self.bad),
      tuple(self.statistics.counted['examples_per_class']),
      heights,
      widths,
      sizes[1],
      repeated,
      self.statistics.values,
    )

  def call(self, index: int) -> str:
    """Returns what people call a good record."""
    name = self._examiner(self._reader.read(index)).filename
    facts = [cut(name, 60), self.statistics.fact(self.rows['label'][index])]
    facts = ', '.join(filter(None, facts))
    return self._reader.name(index) + (f' ({facts})' if facts else '')


def _read(split, threads, progress):
  """Looks at every record; no more than one a thread is held."""
  indices, lock = iter(range(len(split.rows))), threading.Lock()
  stopped = threading.Event()

  def work(bar):
    while not stopped.is_set():
      with lock:
        index = next(indices, None)
      if index is None:
        return
      split.look(index)
      with lock:
        bar.update(1)

  with (
    progress(len(split.rows), 0, 'verifying') as bar,
    concurrent.futures.ThreadPoolExecutor(threads) as pool,
  ):
    try:
      for future in concurrent.futures.as_completed(
        [pool.submit(work, bar) for _ in range(threads)]
      ):
        future.result()
    finally:
      stopped.set()


def _labels_file(data):
  """Returns the problems of labels.txt, and the notes on it."""
  name = dataset_utils.LABELS_FILENAME
  if not dataset_utils.has_labels(data.folder):
    return [], [
      f'There is no {name}; the names of the classes are '
      + (f'those of {description.FILENAME}.' if data.described else 'unknown.')
    ]
  try:
    found = dataset_utils.read_label_file(data.folder)
  except ValueError as error:
    return [str(error)], []
  different = [
    str(label)
    for label, (one, other) in enumerate(
      itertools.zip_longest(found.values(), data.class_names)
    )
    if one != other
  ]
  return [
    f'{name} and {description.FILENAME} name label {few(different)} '
    'differently: restore the one that was changed.'
  ] if different else [], []


def _counts(split, data):
  """Yields what does not add up, unless bad records or files explain it."""
  if not len(split.rows):
    yield f'The split {split.name} has no records.'
  if split.problems or split.bad or not data.described:
    return
  said = data.described.splits[split.name]
  if said.examples != len(split.rows):
    yield (
      f'The split {split.name} has {len(split.rows):,} records instead '
      f'of {said.examples:,}. Convert the data again.'
    )
  for field, counted in split.statistics.counted.items():
    unit = ' pixels' if field == 'pixels_per_class' else ''
    wrong = [
      f'{cut(name, 40)} has {found:,}{unit} instead of {claimed:,}'
      for name, found, claimed in zip(
        data.class_names, counted, getattr(said, field), strict=True
      )
      if found != claimed
    ]
    if wrong:
      yield (
        f'The split {split.name} is not what {description.FILENAME} says: '
        f'{few(wrong)}. Convert the data again.'
      )


def _small(split):
  sides = np.minimum(split.rows['height'], split.rows['width'])
  small = np.flatnonzero(split.rows['good'] & (sides < _SMALL))
  if len(small):
    yield (
      f'Images of {split.name} with a side below {_SMALL} pixels: '
      f'{len(small):,}, '
      f'{duplicates.named([[(split, int(i))] for i in small])}'
    )


def _report(data, splits):
  same = duplicates.compare(splits)
  problems, notes = _labels_file(data)
  notes += [f'The split {name} has no files.' for name in data.silent]
  for split in splits:
    wrong, odd = split.statistics.judge(split)
    problems += [*split.problems, *_counts(split, data), *wrong]
    notes += [*odd, *_small(split)]
  statistics = splits[0].statistics
  notes += duplicates.notes(splits, same, statistics.alike)
  if same.conflicts:
    # Published data are as they are: nobody can mend them.
    (problems if data.name == dataset_factory.OWN else notes).append(
      f'Images with more than one {statistics.word}: '
      f'{len(same.conflicts):,}. Keep the right one of '
      f'{duplicates.named(same.conflicts)}'
    )
  problems += [text for split in splits for text in split.bad]
  inside = os.path.join(data.folder, '')
  return Report(
    data.name,
    data.folder,
    data.class_names,
    {split.name: split.summary(same.repeated[split.name]) for split in splits},
    dict(same.leaked),
    len(same.conflicts),
    *(
      tuple(text.replace(inside, '') for text in texts)
      for texts in (problems, notes)
    ),
    data.task,
    data.ignore_label,
  )


def verify(
  dataset_name: str,
  dataset_dir: str | None = None,
  max_pixels: int = image_files.MAX_PIXELS,
  threads: int | None = None,
  progress: Callable = no_progress,
) -> Report:
  """Reads every record of a dataset; what is wrong with it does not raise.

  Args:
    dataset_name: a name of the registry.
    dataset_dir: its folder; None where it is made by itself.
    max_pixels: the largest height x width of an image.
    threads: that read; None for one a processor.
    progress: called with the number of records, 0 and a title, once a split;
      returns a context manager with update().

  Raises:
    ValueError: no such dataset, or no files of it.
  """
  data = _find(dataset_name, dataset_dir)
  statistics = label_kinds.get(data.task).statistics(data)
  examiner = Examiner(statistics.examined, max_pixels, data.task)
  splits = [_Split(name, data, examiner) for name in data.paths]
  for split in splits:
    _read(split, threads or os.cpu_count() or 1, progress)
  return _report(data, splits)
