"""TFRecord files read at any record: where each begins, and its bytes.

A TFRecord is, for each record, the length (uint64), the masked CRC-32C of the
length (uint32), the bytes, and the masked CRC-32C of the bytes (uint32), all
little-endian. Knowing every offset, the order of reading is a matter of
arithmetic, and a damaged record costs one record instead of the file's rest.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from datasets import arrays, files

_HEADER, _FOOTER = 12, 4  # bytes around a record
_SAMPLE = 10_000  # records whose CRCs tell files apart


def masked_crc(data: bytes) -> int:
  """Returns the CRC-32C of `data` as TFRecords store it."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Written(NamedTuple):
  """A TFRecord file that has been written.

  Fields:
    records: how many it has.
    size: in bytes.
    crc32c: of the whole file.
  """

  records: int
  size: int
  crc32c: int


def write(path: str | os.PathLike, records: Iterable[bytes]) -> Written:
  """Writes the records to the file `path`."""
  count, size, crc = 0, 0, google_crc32c.Checksum()
  with open(path, 'wb') as file:
    for data in records:
      length = struct.pack('<Q', len(data))
      for part in (
        length,
        struct.pack('<I', masked_crc(length)),
        data,
        struct.pack('<I', masked_crc(data)),
      ):
        file.write(part)
        crc.update(part)
      count += 1
      size += len(data) + _HEADER + _FOOTER
  return Written(count, size, int.from_bytes(crc.digest(), 'big'))


def _is_local(path: str) -> bool:
  return '://' not in path


class Missing(ValueError):
  """A file is not there."""


@contextlib.contextmanager
def reading(path: str) -> Iterator[BinaryIO]:
  """Opens a file to read its bytes, in any file system that TensorFlow reads.

  Raises:
    Missing: it is not there.
    ValueError: it is no regular file, or cannot be read.
  """
  path = os.fspath(path)
  try:
    with (
      files.open_regular(path)
      if _is_local(path)
      else tf.io.gfile.GFile(path, 'rb')
    ) as file:
      yield file
  except (FileNotFoundError, tf.errors.NotFoundError):
    raise Missing(f'There is no file {path}.') from None
  except OSError as error:
    raise ValueError(f'{path} cannot be read: {error.strerror}.') from None
  except tf.errors.OpError as error:
    raise ValueError(f'{path} cannot be read: {error.message}.') from None


class Scan(NamedTuple):
  """Where the records of a file are.

  Fields:
    records: int64 [records, 2], their offsets and lengths.
    damage: what is wrong behind the last of them, '' if nothing is.
  """

  records: np.ndarray
  damage: str = ''


def _scan(path: str) -> Scan:
  found, offset, damage = [], 0, ''
  with reading(path) as file:
    size = tf.io.gfile.stat(path).length
    while offset < size and not damage:
      file.seek(offset)
      header = file.read(_HEADER)
      length = (
        struct.unpack('<Q', header[:8])[0] if len(header) == _HEADER else 0
      )
      end = offset + _HEADER + length + _FOOTER
      if (
        len(header) < _HEADER
        or masked_crc(header[:8]) != struct.unpack('<I', header[8:])[0]
      ):
        damage = (
          f'{path} is not a TFRecord file, or is damaged: at byte {offset} '
          f'of {size}, after {len(found)} records, there is no record. '
          'Convert or copy it again.'
        )
      elif end > size:
        damage = (
          f'{path} is cut short: record {len(found)} ends at byte {end}, '
          f'the file at {size}. Convert or copy it again.'
        )
      else:
        found.append((offset + _HEADER, length))
        offset = end
  return Scan(np.array(found, np.int64).reshape(-1, 2), damage)


def _key(paths: Iterable[str]) -> str:
  """Returns a name for these files with their sizes and times of change."""
  facts = []
  for path in paths:
    files.check_regular(path)
    if _is_local(path):  # TensorFlow's stat knows the time by the second
      stat = os.stat(path)
      facts.append(
        f'{os.path.abspath(path)}\n{stat.st_size} {stat.st_mtime_ns}'
      )
    else:
      stat = tf.io.gfile.stat(path)
      facts.append(f'{path}\n{stat.length} {stat.mtime_nsec}')
  return hashlib.sha256('\n'.join(facts).encode()).hexdigest()


def find_records(path: str, cache_dir: str | None = None) -> Scan:
  """Returns where the records of a file are.

  Args:
    path: a TFRecord file, in any file system that TensorFlow reads.
    cache_dir: a folder that keeps the answer for the file's size and time of
      change; None scans it again.
  """
  if cache_dir is None:
    return _scan(path)
  cached = pathlib.Path(cache_dir, _key([path]) + '.npy')
  with contextlib.suppress(OSError, ValueError):  # none is kept, or damaged
    records = arrays.read(cached)
    if _fill(records, tf.io.gfile.stat(path).length):
      return Scan(records)
  scan = _scan(path)
  if not scan.damage:
    with contextlib.suppress(OSError):  # a cache that cannot be written is none
      _keep(cached, scan.records)
  return scan


def _fill(records, size):
  """Whether these are places of records that fill a file without a gap."""
  if records.dtype != np.int64 or records.shape[1:] != (2,):
    return False
  # The first begins behind the end of none.
  ends = np.r_[-_FOOTER, records.sum(1)] + _FOOTER
  return (
    bool((records >= 0).all())
    and ends[-1] == size
    and np.array_equal(records[:, 0], ends[:-1] + _HEADER)
  )


def _keep(path, records):
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.atomic(path, 'wb') as file:
    np.save(file, records)


class Reader:
  """The records of several files as one sequence, read by number.

  Safe to call from many threads.

  Attributes:
    damages: a sentence for each file that is damaged; the records before the
      damage can be read.
  """

  def __init__(self, paths: Sequence[str], cache_dir: str | None = None):
    """Scans `paths`; see `find_records` for the arguments."""
    self._paths = list(paths)
    scans = [find_records(path, cache_dir) for path in self._paths]
    self._records = [scan.records for scan in scans]
    self._whole = [not scan.damage for scan in scans]
    self.damages = [scan.damage for scan in scans if scan.damage]
    self._starts = np.cumsum([0, *map(len, self._records)])
    self._open = functools.lru_cache(64)(self._open_file)

  def __len__(self) -> int:
    return int(self._starts[-1])

  @property
  def counts(self) -> dict[str, int]:
    """The number of records in each file that is whole, by its name."""
    return {
      os.path.basename(path): len(records)
      for path, records, whole in zip(
        self._paths, self._records, self._whole, strict=True
      )
      if whole
    }

  def key(self) -> str:
    """Returns a name for the files with their sizes and times of change."""
    return _key(self._paths)

  def checksum(self) -> str:
    """Returns what tells these records from others, wherever their files are.

    It is of the length of each, and of the CRCs of as many as can be read in no
    time, spread evenly; of files that are not local, of the lengths alone.
    """
    digest = hashlib.sha256()
    for records in self._records:
      digest.update(records[:, 1].astype('<i8').tobytes())
    step = max(1, -(-len(self) // _SAMPLE))
    for index in range(0, len(self), step):
      shard, number = self._locate(index)
      if _is_local(self._paths[shard]):
        offset, length = map(int, self._records[shard][number])
        digest.update(self._pread(self._paths[shard], _FOOTER, offset + length))
    return digest.hexdigest()

  def _open_file(self, path):
    # Unbuffered, so that a thread's read touches just the bytes it asks for.
    return files.open_regular(path, buffering=0)

  def _pread(self, path, length, offset):
    if _is_local(path) and hasattr(os, 'pread'):
      file = self._open(path)  # held, lest the cache closes it meanwhile
      return os.pread(file.fileno(), length, offset)
    with tf.io.gfile.GFile(path, 'rb') as file:
      file.seek(offset)
      return file.read(length)

  def _locate(self, index):
    """Returns the number of the file, and of the record in it."""
    shard = int(np.searchsorted(self._starts, index, side='right')) - 1
    return shard, index - self._starts[shard]

  def name(self, index: int) -> str:
    """Returns 'record 3 of FILE' for the `index`-th record of all files."""
    shard, number = self._locate(index)
    return f'record {number} of {self._paths[shard]}'

  def read(self, index: int) -> bytes:
    """Returns the bytes of record `index`, in [0, len(self)).

    Raises:
      ValueError: they are not the bytes that were written.
    """
    shard, number = self._locate(index)
    offset, length = self._records[shard][number]
    # Apart, rather than cut apart, which would copy the record.
    data, footer = (
      self._pread(self._paths[shard], size, at)
      for size, at in ((length, offset), (_FOOTER, offset + length))
    )
    if struct.pack('<I', masked_crc(data)) != footer:
      raise ValueError(
        f'{self.name(index)} is damaged: its checksum does not fit. '
        'Convert or copy the file again.'
      )
    return data
