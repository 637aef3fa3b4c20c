"""MNIST and its like: images and labels in IDX files."""

import functools
import gzip
import math
import os
import pathlib
import struct
import zlib

import numpy as np

from datasets import files
from datasets.convert import digits
from datasets.images import image_files
from datasets.sources import listing
from datasets.writing.plan import Item, Options, Plan

FASHION_NAMES = (
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
)
PREFIXES = {'train': 'train', 'test': 't10k'}

_MOST_BYTES = 1 << 30  # of a file, unpacked; MNIST has 47 million


def _find(folder: pathlib.Path, stem: str, dimensions: int) -> pathlib.Path:
  """Finds e.g. train-images-idx3-ubyte, under one of its names."""
  names = [
    f'{stem}{separator}idx{dimensions}-ubyte{suffix}'
    for separator in '-.'
    for suffix in ('', '.gz')
  ]
  for name in names:
    if (folder / name).is_file():
      return folder / name
  raise ValueError(
    f'{folder} has no {names[0]} nor {names[1]}. Is it the '
    'folder of the four IDX files?'
  )


def read_idx(path: str | os.PathLike, dimensions: int) -> np.ndarray:
  """Reads an IDX file of bytes.

  Args:
    path: the file; if it ends in .gz, it is unpacked.
    dimensions: how many it should have.

  Returns:
    uint8 of that many dimensions.

  Raises:
    ValueError: it is damaged, or not such a file.
  """
  path = pathlib.Path(path)
  try:
    with files.open_regular(path) as file:
      source = gzip.open(file) if path.suffix == '.gz' else file
      data = source.read(_MOST_BYTES + 1)
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise ValueError(
      f'{path} is cut off or damaged ({error}). Download it again.'
    ) from error
  if len(data) > _MOST_BYTES:
    raise ValueError(
      f'{path} has more than {_MOST_BYTES:,} bytes (unpacked). Is it the right '
      'file?'
    )
  magic, expected = data[:4], bytes([0, 0, 8, dimensions])
  if magic != expected:
    raise ValueError(
      f'{path} starts with the bytes {magic.hex() or "(none)"}; an IDX file '
      f'of {dimensions} dimensions starts with {expected.hex()}. Is it the '
      'right file, and unpacked?'
    )
  start = 4 + 4 * dimensions
  if len(data) < start:
    raise ValueError(
      f'{path} has {len(data)} bytes, less than its header of '
      f'{start}. Download it again.'
    )
  shape = struct.unpack(f'>{dimensions}I', data[4:start])
  size = start + math.prod(shape)
  if len(data) != size:
    raise ValueError(
      f'{path} has {len(data):,} bytes (unpacked); by its header of '
      f'{" x ".join(map(str, shape))} it should have {size:,}. Download it '
      'again.'
    )
  return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _split(folder: pathlib.Path, prefix: str, num_classes: int) -> list[Item]:
  paths = [
    _find(folder, f'{prefix}-images', 3),
    _find(folder, f'{prefix}-labels', 1),
  ]
  images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
  if len(images) != len(labels):
    raise ValueError(
      f'{paths[0]} has {len(images):,} images and {paths[1].name} has '
      f'{len(labels):,} labels. Download both again.'
    )
  if not images.size:
    raise ValueError(f'{paths[0]} has no images. Download it again.')
  wrong = np.flatnonzero(labels >= num_classes)
  if wrong.size:
    raise ValueError(
      f'{paths[1]}: label {wrong[0]} is {labels[wrong[0]]}; it should be '
      f'below {num_classes}. Download it again.'
    )
  return [
    Item(
      f'image {i} of {paths[0].name}',
      label,
      functools.partial(image_files.encode_png, images[i]),
    )
    for i, label in enumerate(labels.tolist())
  ]


def _plan(source: str, class_names: tuple[str, ...], name: str) -> Plan:
  folder = listing.existing_folder(source)
  return Plan(
    str(source),
    list(class_names),
    {
      split: _split(folder, prefix, len(class_names))
      for split, prefix in PREFIXES.items()
    },
    name,
  )


def plan_mnist(source: str, options: Options) -> Plan:
  """Plans MNIST as grey PNGs, named by their index from 0.

  Args:
    source: the folder of train-images-idx3-ubyte, train-labels-idx1-ubyte,
      t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte; each may end in .gz,
      and have a dot before idx.
    options: none has a meaning here.

  Returns:
    The splits train and test.

  Raises:
    ValueError: a file is missing, damaged, or does not fit the others.
  """
  del options
  return _plan(source, digits.NAMES, 'mnist')


def plan_fashion_mnist(source: str, options: Options) -> Plan:
  """Plans Fashion-MNIST, whose files are called as MNIST's; see there."""
  del options
  return _plan(source, FASHION_NAMES, 'fashion_mnist')
