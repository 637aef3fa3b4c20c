"""SIGNS, the hand signs of deeplearning.ai's course, from its HDF5 files."""

import functools
import os
import pathlib

import numpy as np

from datasets.images.image_files import encode_png
from datasets.sources import hdf5, listing
from datasets.writing.plan import Item, Options, Plan

FILES = {'train': 'train_signs.h5', 'test': 'test_signs.h5'}
NAMES = tuple('012345')  # the number that the fingers show
SIDE = 64


def _find_folder(source: str) -> pathlib.Path:
  """Returns the folder that has both files: `source` or one in it."""
  folder = listing.existing_folder(source)
  for inner in ('', *listing.folders_in(folder)):
    if all((folder / inner / name).is_file() for name in FILES.values()):
      return folder / inner
  raise ValueError(
    f'{source} has no {" and ".join(FILES.values())}. Is it '
    'the folder of these two files?'
  )


def read_split(
  path: str | os.PathLike, split: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the images and the labels of a file.

  Args:
    path: the file.
    split: 'train' or 'test', which its keys begin with.

  Returns:
    uint8 [n, 64, 64, 3], and integers [n] in [0, 5].

  Raises:
    ValueError: it is damaged, or not such a file; see `hdf5.read_arrays`.
  """
  path = pathlib.Path(path)
  keys = f'{split}_set_x', f'{split}_set_y', 'list_classes'
  images, labels, classes = hdf5.read_arrays(path, keys)
  if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 3):
    raise ValueError(
      f'{path}: {keys[0]} is {images.dtype} of the shape {images.shape}; it '
      f'should be uint8 of the shape (n, {SIDE}, {SIDE}, 3). Is it another '
      'file of that name?'
    )
  if classes.size != len(NAMES) or labels.shape != (len(images),):
    raise ValueError(
      f'{path} has {len(images):,} images, {labels.size:,} labels and '
      f'{classes.size} classes; it should have a label for each image, '
      f'and {len(NAMES)} classes. Is it another file of that name?'
    )
  wrong = np.flatnonzero(~np.isin(labels, range(len(NAMES))))
  if wrong.size:
    raise ValueError(
      f'{path}: label {wrong[0]} is {labels[wrong[0]]}; it should be 0 to '
      f'{len(NAMES) - 1}. Copy the file again.'
    )
  return images, labels


def _items(path: pathlib.Path, split: str) -> list[Item]:
  images, labels = read_split(path, split)
  return [
    Item(
      f'image {i} of {path.name}',
      int(label),
      functools.partial(encode_png, images[i]),
    )
    for i, label in enumerate(labels)
  ]


def plan(source: str, options: Options) -> Plan:
  """Plans SIGNS as PNGs, named by file and index from 0.

  Args:
    source: the folder of train_signs.h5 and test_signs.h5, or the one around
      it.
    options: none has a meaning here.

  Returns:
    The splits train and test.

  Raises:
    ValueError: a file is missing or damaged, or another one.
  """
  del options
  folder = _find_folder(source)
  return Plan(
    str(source),
    list(NAMES),
    {split: _items(folder / name, split) for split, name in FILES.items()},
    'signs',
  )
