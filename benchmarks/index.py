"""Looking for the records of files: by their headers, beside a plain loop.

  python -m benchmarks.index

Writes TFRecord files in which a record is its header and a hole, and finds
their records. --files=1024 are as many as ImageNet's, 140 GB; they take 5 GB of
the disk, and minutes to write and to remove.

- By this project: the header of each alone, of many files at once.
- By this project again, from its cache.
- By TensorFlow's GFile, whose buffer of 512 KB is filled behind every seek, of
  one file after the other; of some of the files, since it takes long.

The files are put out of the system's memory before each. All take turns in
processes of their own; the table gives medians.
"""

import argparse
import functools
import os
import pathlib
import statistics
import struct
import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import turns
from datasets.records import tfrecord

_FRAME = 16  # bytes around a record


class Found(NamedTuple):
  """What a look for records took.

  Fields:
    records: their number.
    seconds: as the clock has it.
    asked: megabytes that the process read.
    fetched: megabytes that came from the disk for it.
    before: megabytes of memory in use before, with TensorFlow imported.
    peak: megabytes of memory that were in use at most.
  """

  records: int
  seconds: float
  asked: float
  fetched: float
  before: float
  peak: float


def make_files(
  folder: pathlib.Path, files: int, records: int, size: int
) -> list[str]:
  """Writes files of records of around `size` bytes, which are holes.

  Returns:
    Their paths.
  """
  random = np.random.RandomState(0)
  paths = [str(folder / f'train-{i:05}-of-{files:05}') for i in range(files)]
  for path in paths:
    with open(path, 'wb', buffering=0) as file:
      for length in random.randint(size * 3 // 4, size * 5 // 4, records):
        packed = struct.pack('<Q', length)
        file.write(packed + struct.pack('<I', tfrecord.masked_crc(packed)))
        file.seek(length + _FRAME - 12, os.SEEK_CUR)
      file.truncate(file.tell())
      os.fsync(file.fileno())  # what is not on the disk stays in memory
  return paths


def forget(paths: list[str]) -> None:
  """Puts files out of the system's memory."""
  for path in paths:
    with open(path, 'rb') as file:
      os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def ours(paths: list[str], cache_dir: str) -> int:
  """Returns the number of records, found by this project."""
  return len(tfrecord.Reader(paths, cache_dir))


def buffered(paths: list[str]) -> int:
  """Returns the number of records, found in GFile's buffer, file by file."""
  count = 0
  for path in paths:
    size, offset = os.path.getsize(path), 0
    with tf.io.gfile.GFile(path, 'rb') as file:
      while offset < size:
        file.seek(offset)
        length, crc = struct.unpack('<QI', file.read(12))
        if crc != tfrecord.masked_crc(struct.pack('<Q', length)):
          raise ValueError(f'{path} is damaged.')
        offset += length + _FRAME
        count += 1
  return count


def _read():
  """Returns megabytes that this process asked for, and that were fetched."""
  lines = pathlib.Path('/proc/self/io').read_text().splitlines()
  found = dict(line.split(': ') for line in lines)
  return tuple(int(found[name]) / 1e6 for name in ('rchar', 'read_bytes'))


def measure(look: functools.partial) -> Found:
  """Returns what a look for records takes; of a process of its own."""
  before, (asked, fetched) = turns.peak(), _read()
  begin = time.perf_counter()
  records = look()
  seconds = time.perf_counter() - begin
  now_asked, now_fetched = _read()
  return Found(
    records,
    seconds,
    now_asked - asked,
    now_fetched - fetched,
    before,
    turns.peak(),
  )


def compare(given: argparse.Namespace, folder: pathlib.Path) -> None:
  """Prints the table."""
  begin = time.perf_counter()
  paths = make_files(folder, given.files, given.records, given.size)
  size = sum(map(os.path.getsize, paths))
  print(
    f'{given.files:,} files of {given.records:,} records, '
    f'{size / 1e9:,.1f} GB with holes, written in '
    f'{time.perf_counter() - begin:.0f} s, {os.cpu_count()} cores',
    flush=True,
  )
  part = paths[: given.part]
  found: dict[str, list[Found]] = {}

  def take(name, look):
    found.setdefault(name, []).append(turns.alone(measure, look))

  for turn in range(given.turns):
    cache = str(folder / f'cache-{turn}')
    forget(paths)
    take('headers', functools.partial(ours, paths, cache))
    take('from the cache', functools.partial(ours, paths, cache))
    forget(part)
    take(f'GFile, {len(part)} files', functools.partial(buffered, part))
  print(
    f'{"":28}{"records":>11}{"seconds":>9}{"a second":>11}{"MB read":>10}'
    f'{"from disk":>11}{"MB before":>11}{"more":>6}'
  )
  for name, each in found.items():
    one = Found(
      *(statistics.median(values) for values in zip(*each, strict=True))
    )
    print(
      f'{name:28}{one.records:11,.0f}{one.seconds:9.2f}'
      f'{one.records / one.seconds:11,.0f}{one.asked:10,.1f}'
      f'{one.fetched:11,.0f}{one.before:11,.0f}{one.peak - one.before:6,.0f}'
    )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--files', type=int, default=128)
  parser.add_argument('--records', type=int, default=1250, help='of a file')
  parser.add_argument('--size', type=int, default=110_000, help='of a record')
  parser.add_argument('--part', type=int, default=16, help='files for GFile')
  parser.add_argument('--turns', type=int, default=3)
  parser.add_argument('--folder', help='for temporary files')
  given = parser.parse_args()
  with tempfile.TemporaryDirectory(dir=given.folder) as folder:
    compare(given, pathlib.Path(folder))


if __name__ == '__main__':
  main()
