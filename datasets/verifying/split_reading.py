"""Reads every record of a split, and keeps a row of numbers of each."""

import concurrent.futures
import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import google_crc32c
import numpy as np
import tensorflow as tf

from datasets import label_kinds
from datasets.records import description, tfrecord
from datasets.records.examples import Examiner
from datasets.records.label_readers import BadExample
from datasets.text import cut
from datasets.verifying.report import SplitReport

_CHUNK = 1 << 20  # bytes
_ROW = np.dtype(
  [
    ('good', bool),
    ('label', np.int64),
    ('height', np.int64),
    ('width', np.int64),
    ('bytes', np.int64),
    ('digest', np.uint64),
    ('record', np.uint64),
  ]
)


def _check_file(path, written):
  """Returns whether a file can be read, and what is wrong with it, or ''."""
  crc, size = google_crc32c.Checksum(), 0
  try:
    with tfrecord.reading(path) as file:
      while (data := file.read(_CHUNK)) and written:
        crc.update(data)
        size += len(data)
  except tfrecord.Missing:
    return False, (
      f'{path} is missing, which {description.FILENAME} names: '
      'copy it again, or convert the data again.'
    )
  except ValueError as error:
    return False, str(error)
  found = int.from_bytes(crc.digest(), 'big')
  if not written or (size, found) == (written.size, written.crc32c):
    return True, ''
  what = (
    f'{size:,} bytes instead of {written.size:,}'
    if size != written.size
    else f'the checksum {found:08x} instead of {written.crc32c:08x}'
  )
  return True, f'{path} has {what}. Copy it again, or convert the data again.'


def _digest(*parts):
  """Returns a number in 64 bits that other bytes hardly have."""
  digest = hashlib.blake2b(digest_size=8)
  for part in parts:
    digest.update(part)
  return int.from_bytes(digest.digest(), 'big')


class Split:
  """The records of a split, of which a row of numbers each is kept.

  Attributes:
    name: of the split.
    paths: its files that can be read.
    problems: a sentence for each file that is not as it was written.
    rows: of each record whether it is good, what tells its label from others,
      the height and width of its image in pixels, its encoded bytes, and a
      digest of its pixels and one of the record.
    statistics: what counts its labels; see `LabelKind.statistics`.
  """

  def __init__(self, name: str, data: Any, examiner: Examiner):
    """Finds the records.

    Args:
      name: of the split.
      data: the dataset: its class_names, paths, task, ignore_label, and what
        describes it.
      examiner: tells good records from bad ones.
    """
    self.name, self.problems = name, []
    written = data.described.splits[name].files if data.described else {}
    self.paths = []
    for path in data.paths[name]:
      readable, wrong = _check_file(path, written.get(os.path.basename(path)))
      self.problems += [wrong] if wrong else []
      self.paths += [path] if readable else []
    # Without the cache of offsets, which would hide what has rotted since.
    self._reader = tfrecord.Reader(self.paths)
    self._examiner = examiner
    self.rows = np.zeros(len(self._reader), _ROW)
    self._bad = []
    self.statistics = label_kinds.get(data.task).statistics(data)

  def look(self, index: int) -> None:
    """Examines a record; each one once, in any thread."""
    where = self._reader.name(index)
    try:
      record = self._reader.read(index)
      example = self._examiner(record)
    except BadExample as bad:
      self._bad.append((index, f'{where} {bad}.'))
    except ValueError as damage:
      self._bad.append((index, str(damage)))
    except (OSError, tf.errors.OpError) as error:
      self._bad.append((index, f'{where} cannot be read: {error}.'))
    else:
      shape = example.image.shape
      self.rows[index] = (
        True,
        self.statistics.add(index, example.label),
        *shape[:2],
        len(example.data),
        _digest(repr(shape).encode(), np.ascontiguousarray(example.image)),
        _digest(record),
      )

  @property
  def bad(self) -> list[str]:
    """A sentence for each bad record, in their order."""
    return [text for _, text in sorted(self._bad)] + self._reader.damages

  def refused(self) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the bytes of each bad record that can be read."""
    for index, _ in sorted(self._bad):
      with contextlib.suppress(ValueError, OSError):
        yield self._reader.name(index), self._reader.read(index)

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


def read(split: Split, threads: int, progress: Callable) -> None:
  """Looks at every record; no more than one a thread is held.

  Args:
    split: the records.
    threads: that read.
    progress: called with their number, 0 and a title; returns a context
      manager with update().
  """
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
