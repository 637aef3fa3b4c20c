"""TFRecord files read at any record: where each begins, and its bytes.

A TFRecord is, for each record, the length (uint64), the masked CRC-32C of the
length (uint32), the bytes, and the masked CRC-32C of the bytes (uint32), all
little-endian. Knowing every offset, the order of reading is a matter of
arithmetic, and a damaged record costs one record instead of the file's rest.
"""

import array
import concurrent.futures
import contextlib
import functools
import hashlib
import os
import pathlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from datasets import arrays, files
from datasets.progress import no_progress

_HEADER, _FOOTER = 12, 4  # bytes around a record
_STRUCT = struct.Struct('<QI')  # of a header: the length, and its CRC
_SAMPLE = 10_000  # records whose CRCs tell files apart
_THREADS = 32  # that scan: they wait for the disk, and hardly compute


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
def reading(path: str, buffering: int = -1) -> Iterator[BinaryIO]:
  """Opens a file to read its bytes, in any file system that TensorFlow reads.

  Args:
    path: of the file.
    buffering: as in `open`; TensorFlow always reads 512 KB at once.

  Raises:
    Missing: it is not there.
    ValueError: it is no regular file, or cannot be read.
  """
  path = os.fspath(path)
  try:
    with (
      files.open_regular(path, buffering)
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
  found, offset, damage = array.array('q'), 0, ''
  with reading(path, buffering=0) as file:
    size = tf.io.gfile.stat(path).length
    read = _header_reader(path, file)
    while offset < size and not damage:
      header = read(offset)
      length, crc = (
        _STRUCT.unpack(header) if len(header) == _HEADER else (0, None)
      )
      end = offset + _HEADER + length + _FOOTER
      if masked_crc(header[:8]) != crc:
        damage = (
          f'{path} is not a TFRecord file, or is damaged: at byte {offset} '
          f'of {size}, after {len(found) // 2} records, there is no record. '
          'Convert or copy it again.'
        )
      elif end > size:
        damage = (
          f'{path} is cut short: record {len(found) // 2} ends at byte {end}, '
          f'the file at {size}. Convert or copy it again.'
        )
      else:
        found.extend((offset + _HEADER, length))
        offset = end
  return Scan(np.array(found, np.int64).reshape(-1, 2), damage)


def _header_reader(path, file):
  """Returns what reads the bytes of a header, and no more, at an offset."""
  if _is_local(path) and hasattr(os, 'pread'):
    return functools.partial(os.pread, file.fileno(), _HEADER)

  def read(offset):
    file.seek(offset)
    return file.read(_HEADER)

  return read


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
  return _find(path, cache_dir)[0]


# What could not be kept, by where, and why: at least this process scans it
# only once.
_UNKEPT: dict[pathlib.Path, tuple[Scan, str]] = {}


def _find(path, cache_dir):
  """Returns a file's Scan, and why the cache cannot keep it, '' if it can."""
  if cache_dir is None:
    return _scan(path), ''
  cached = pathlib.Path(cache_dir, _key([path]) + '.npy')
  if cached in _UNKEPT:
    return _UNKEPT[cached]
  with contextlib.suppress(OSError, ValueError):  # none is kept, or damaged
    records = arrays.read(cached)
    if _fill(records, tf.io.gfile.stat(path).length):
      return Scan(records), ''
  scan = _scan(path)
  if scan.damage:
    return scan, ''
  try:
    _keep(cached, scan.records)
  except OSError as error:
    return _UNKEPT.setdefault(cached, (scan, error.strerror))
  return scan, ''


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


def _find_all(paths, cache_dir, progress):
  """Returns of each file what `_find` does."""
  with (
    progress(len(paths), 0, 'indexing') as bar,
    concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
  ):
    found = []
    for each in pool.map(lambda path: _find(path, cache_dir), paths):
      found.append(each)
      bar.update(1)
  return found


class Reader:
  """The records of several files as one sequence, read by number.

  Safe to call from many threads.

  Attributes:
    damages: a sentence for each file that is damaged; the records before the
      damage can be read.
    notes: a sentence on files that will be scanned again by the next process,
      as the cache cannot be written.
  """

  def __init__(
    self,
    paths: Sequence[str],
    cache_dir: str | None = None,
    progress: Callable = no_progress,
  ):
    """Scans `paths`, many at once.

    Args:
      paths: of the files.
      cache_dir: see `find_records`.
      progress: called with the number of files, 0 and a title; returns a
        context manager with update().
    """
    self._paths = list(paths)
    found = _find_all(self._paths, cache_dir, progress)
    scans = [scan for scan, _ in found]
    self._records = [scan.records for scan in scans]
    self._whole = [not scan.damage for scan in scans]
    self.damages = [scan.damage for scan in scans if scan.damage]
    unkept = [reason for _, reason in found if reason]
    self.notes = (
      [
        f'{cache_dir} cannot be written ({unkept[0]}), so that every start '
        f'looks for the records of {len(unkept):,} of {len(scans):,} files '
        'again: free the disk, or name a folder for caches by XDG_CACHE_HOME.'
      ]
      if unkept
      else []
    )
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
