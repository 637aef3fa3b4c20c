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
import tempfile
from collections.abc import Iterable, Sequence

import google_crc32c
import numpy as np
import tensorflow as tf

_HEADER, _FOOTER = 12, 4  # bytes around a record


def masked_crc(data: bytes) -> int:
  """Returns the CRC-32C of `data` as TFRecords store it."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xa282ead8) & 0xffffffff


def _is_local(path: str) -> bool:
  return '://' not in path


def _scan(path: str) -> np.ndarray:
  """Returns int64 [records, 2], the offset and length of every record."""
  found, offset = [], 0
  with tf.io.gfile.GFile(path, 'rb') as file:
    size = file.size()
    while offset < size:
      file.seek(offset)
      header = file.read(_HEADER)
      length = (struct.unpack('<Q', header[:8])[0]
                if len(header) == _HEADER else 0)
      if (len(header) < _HEADER or masked_crc(header[:8])
          != struct.unpack('<I', header[8:])[0]):
        raise ValueError(
            f'{path} is not a TFRecord file, or is damaged: at byte {offset} '
            f'of {size}, after {len(found)} records, there is no record. '
            'Convert or copy it again.')
      end = offset + _HEADER + length + _FOOTER
      if end > size:
        raise ValueError(
            f'{path} is cut short: record {len(found)} ends at byte {end}, '
            f'the file at {size}. Convert or copy it again.')
      found.append((offset + _HEADER, length))
      offset = end
  return np.array(found, np.int64).reshape(-1, 2)


def find_records(path: str, cache_dir: str | None = None) -> np.ndarray:
  """Returns the offset and length of every record in a file.

  Args:
    path: a TFRecord file, in any file system that TensorFlow reads.
    cache_dir: a folder that keeps the answer for the file's size and time of
      change; None scans it again.

  Returns:
    int64 [records, 2].

  Raises:
    ValueError: the file is cut short or no TFRecord file.
  """
  if cache_dir is None:
    return _scan(path)
  if _is_local(path):  # TensorFlow's stat knows the time by the second
    stat = os.stat(path)
    key = f'{os.path.abspath(path)}\n{stat.st_size} {stat.st_mtime_ns}'
  else:
    stat = tf.io.gfile.stat(path)
    key = f'{path}\n{stat.length} {stat.mtime_nsec}'
  cached = pathlib.Path(cache_dir, hashlib.sha256(key.encode()).hexdigest())
  cached = cached.with_suffix('.npy')
  try:
    return np.load(cached)
  except (OSError, ValueError, EOFError):  # not there, or cut short
    records = _scan(path)
  with contextlib.suppress(OSError):  # a cache that cannot be written is none
    _keep(cached, records)
  return records


def _keep(path, records):
  path.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=path.parent) as folder:
    unfinished = pathlib.Path(folder, path.name)
    np.save(unfinished, records)
    unfinished.replace(path)


class Reader:
  """The records of several files as one sequence, read by number.

  Safe to call from many threads.
  """

  def __init__(self, paths: Sequence[str], cache_dir: str | None = None):
    """Scans `paths`; see `find_records` for the arguments and errors."""
    self._paths = list(paths)
    self._records = [find_records(path, cache_dir) for path in self._paths]
    self._starts = np.cumsum([0, *map(len, self._records)])
    self._open = functools.lru_cache(64)(self._open_file)

  def __len__(self) -> int:
    return int(self._starts[-1])

  def _open_file(self, path):
    # Unbuffered, so that a thread's read touches just the bytes it asks for.
    return open(path, 'rb', buffering=0)

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
    data = self._pread(self._paths[shard], length + _FOOTER, offset)
    if (len(data) != length + _FOOTER or masked_crc(data[:length])
        != struct.unpack('<I', data[length:])[0]):
      raise ValueError(
          f'{self.name(index)} is damaged: its checksum does not fit. '
          'Convert or copy the file again.')
    return data[:length]

  def read_many(self, indices: Iterable[int]) -> np.ndarray:
    """Returns the bytes of several records, object [n]."""
    return np.array([self.read(index) for index in indices], object)
