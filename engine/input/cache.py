"""Images that are decoded once, and kept in memory or in a file."""

import concurrent.futures
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import dataset_utils, files
from datasets.files import disk_errors
from datasets.progress import no_progress
from datasets.records.examples import Examples

_BLOCK = 64  # images that are held beside the cache


def _free_memory():
  """Returns the bytes of memory that are free, as far as can be told."""
  try:
    with open('/proc/meminfo') as file:
      facts = dict(line.split(':') for line in file)
    # Not MemFree: Linux gives the pages of files away when asked.
    return 1024 * int(facts['MemAvailable'].split()[0])
  except (OSError, KeyError, ValueError):  # not on Linux
    return 1 << 62


class _Memory:
  """Pixels in memory, no more than half of what is free."""

  def __init__(self):
    self._pixels: list[bytes] = []
    self._size, self._most = 0, _free_memory() // 2

  def append(self, pixels: bytes) -> None:
    """Keeps the next image."""
    self._size += len(pixels)
    if self._size > self._most:
      raise ValueError(
        f'--cache=memory: after {len(self._pixels):,} images half of the '
        f'free memory ({self._most / 1e9:.2g} GB) is full. --cache=file '
        'keeps them on disk; without --cache none are kept.'
      )
    self._pixels.append(pixels)

  def __getitem__(self, index):
    return self._pixels[index]


class Cache:
  """The images of a split, decoded; stands where its records would."""

  dtypes, ranks = (tf.string, tf.int32, tf.int64), (0, 1, 0)

  def __init__(
    self,
    examples: Examples,
    kind: str,
    threads: int,
    progress: Callable | None = None,
  ):
    """Decodes every image, or finds the file of an earlier run.

    Args:
      examples: the records.
      kind: 'memory' or 'file', which is kept below `cache_dir()`, for the
        files' sizes and times.
      threads: images that are decoded at once.
      progress: called with the number of examples, 0 and a title; returns a
        context manager with update().

    Raises:
      ValueError: bad examples that may not be left out, no room.
    """
    self._examples = examples
    self._threads = threads
    self._pixels: _Memory | _Mapped
    self._progress = progress or no_progress
    if kind == 'memory':
      self._pixels = memory = _Memory()
      self._shapes, self._labels = self._fill(memory.append)
    else:
      self._open(pathlib.Path(dataset_utils.cache_dir(), 'decoded'))

  def _open(self, folder):
    path = folder / (self._examples.key() + '.npz')
    if not self._find(path):
      self._write(path)
    self._pixels = _Mapped(path.with_suffix('.raw'), self._sizes())

  def _sizes(self):
    return self._shapes.astype(np.int64).prod(1)

  def _find(self, path):
    """Takes what an earlier run wrote; whether it is there, and fits."""
    try:
      with files.open_regular(path) as file, np.load(file) as found:
        self._shapes, self._labels = found['shapes'], found['labels']
      size = path.with_suffix('.raw').stat().st_size
    except Exception:  # not there, or damaged in one of the ways of parsers
      return False
    sizes = self._sizes()
    if (len(sizes), sizes.sum()) != (len(self._examples), size):
      return False
    # What was bad then is named again, and counts again; with other flags it
    # may be good, or the largest too large.
    if any(self._is_good(i) for i in np.flatnonzero(sizes == 0)):
      return False
    return any(self._is_good(i) for i in np.argsort(-sizes, kind='stable'))

  def _is_good(self, index):
    return self._examples.example(int(index)) is not None

  def _write(self, path):
    with disk_errors(
      str(path.parent),
      'Make room there, name another folder '
      'by XDG_CACHE_HOME, or leave --cache out.',
    ):
      path.parent.mkdir(parents=True, exist_ok=True)
      with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = pathlib.Path(folder, 'decoded')
        with open(unfinished.with_suffix('.raw'), 'wb') as file:
          self._shapes, self._labels = self._fill(file.write)
        np.savez(unfinished, shapes=self._shapes, labels=self._labels)
        for suffix in ('.raw', '.npz'):  # the index last
          unfinished.with_suffix(suffix).replace(path.with_suffix(suffix))

  def _fill(self, append):
    """Appends all pixels; returns shapes, int32 [n, 3], and labels [n]."""
    count = len(self._examples)
    shapes, labels = np.zeros((count, 3), np.int32), np.zeros(count, np.int64)
    with (
      concurrent.futures.ThreadPoolExecutor(self._threads) as pool,
      self._progress(count, 0, 'decoding') as bar,
    ):
      for first in range(0, count, _BLOCK):
        block = range(first, min(first + _BLOCK, count))
        for i, example in zip(
          block, pool.map(self._examples.example, block), strict=True
        ):
          if example is None:
            append(b'')
          else:
            append(example.image.tobytes())
            shapes[i], labels[i] = example.image.shape, example.label
        bar.update(len(block))
    return shapes, labels

  def load(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns pixels, shapes, labels, and the number of each record."""
    found = np.array([self._examples.stand_in(int(i)) for i in indices])
    return (
      np.array([self._pixels[i] for i in found], object),
      self._shapes[found],
      self._labels[found],
      found,
    )

  def decode(
    self, pixels: tf.Tensor, shape: tf.Tensor, label: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the image, uint8 [height, width, 3], and the label."""
    image = tf.reshape(tf.io.decode_raw(pixels, tf.uint8), shape)
    image.set_shape([None, None, 3])
    return image, label


class _Mapped:
  """Pixels in a file."""

  def __init__(self, path, sizes):
    # An empty file cannot be mapped.
    self._data = (
      np.memmap(path, np.uint8, 'r') if sizes.any() else np.empty(0, np.uint8)
    )
    self._ends = np.cumsum(sizes)
    self._begins = self._ends - sizes

  def __getitem__(self, index):
    return self._data[self._begins[index] : self._ends[index]].tobytes()
