"""CIFAR-10 and CIFAR-100, from their binary version."""

import functools
import os
import pathlib

import numpy as np

from datasets import files
from datasets.images.image_files import encode_png
from datasets.sources import listing
from datasets.text import check_name, few
from datasets.writing.plan import Item, Options, Plan

PIXELS = 3 * 32 * 32
# The files of each split, and those by which the pickled version is known.
FILES_10 = {
  'train': [f'data_batch_{i}.bin' for i in range(1, 6)],
  'test': ['test_batch.bin'],
}
FILES_100 = {'train': ['train.bin'], 'test': ['test.bin']}


def _find_folder(source: str, inner: str, files: list[str]) -> pathlib.Path:
  """Returns the folder that has all the files: `source` or `inner` in it."""
  folder = listing.existing_folder(source)
  if not (folder / files[0]).exists() and (folder / inner).is_dir():
    folder = folder / inner
  missing = [name for name in files if not (folder / name).is_file()]
  if not missing:
    return folder
  pickled = [
    name
    for name in missing
    if name.endswith('.bin') and (folder / name.removesuffix('.bin')).is_file()
  ]
  if pickled:
    raise ValueError(
      f'{folder} has {pickled[0].removesuffix(".bin")}, the pickled version '
      'for Python. The binary version is needed, from '
      'https://www.cs.toronto.edu/~kriz/cifar.html.'
    )
  raise ValueError(
    f'{folder} has no {few(missing)}. Is it the folder of the binary version?'
  )


def _names(path: pathlib.Path, count: int) -> list[str]:
  names = files.read_bytes(path).decode(errors='surrogateescape').split()
  for name in names:
    check_name(name, f'{path}: the class')
  if len(names) != count or len({*names}) != count:
    raise ValueError(
      f'{path} has {len({*names})} class names; it should '
      f'have {count}. Download it again.'
    )
  return names


def read_records(path: str | os.PathLike, label_bytes: int) -> np.ndarray:
  """Maps a file of records of label bytes and planar RGB.

  Args:
    path: the file.
    label_bytes: how many precede the 3,072 bytes of an image.

  Returns:
    uint8 [records, label_bytes + 3072], read as it is used.

  Raises:
    ValueError: its size is not that of whole records.
  """
  size, record = os.path.getsize(path), label_bytes + PIXELS
  if not size or size % record:
    raise ValueError(
      f'{path} has {size:,} bytes; it should have a multiple '
      f'of {record:,}. Download it again.'
    )
  return np.memmap(path, np.uint8, 'r').reshape(-1, record)


def _encode(records: np.ndarray, i: int) -> bytes:
  planes = records[i, -PIXELS:].reshape(3, 32, 32)
  return encode_png(planes.transpose(1, 2, 0))


def _items(path: pathlib.Path, label_bytes: int, count: int) -> list[Item]:
  records = read_records(path, label_bytes)
  # CIFAR-100 has the coarse label before the fine one.
  labels = records[:, :label_bytes].tolist()
  items = []
  for i, (*coarse, label) in enumerate(labels):
    if label >= count:
      raise ValueError(
        f'{path}: the label of image {i} is {label}; it should '
        f'be below {count}. Download it again.'
      )
    features = {'image/class/coarse_label': coarse[0]} if coarse else {}
    items.append(
      Item(
        f'image {i} of {path.name}',
        label,
        functools.partial(_encode, records, i),
        features,
      )
    )
  return items


def _plan(
  source: str,
  inner: str,
  files: dict[str, list[str]],
  names_file: str,
  name: str,
) -> Plan:
  folder = _find_folder(
    source, inner, [*files['train'], *files['test'], names_file]
  )
  label_bytes, count = (1, 10) if name == 'cifar10' else (2, 100)
  names = _names(folder / names_file, count)
  splits = {
    split: [
      item
      for file in paths
      for item in _items(folder / file, label_bytes, count)
    ]
    for split, paths in files.items()
  }
  return Plan(str(source), names, splits, name)


def plan_cifar10(source: str, options: Options) -> Plan:
  """Plans CIFAR-10 as PNGs, named by file and index from 0.

  Args:
    source: the folder of data_batch_1.bin to data_batch_5.bin,
      test_batch.bin and batches.meta.txt, or the one around it.
    options: none has a meaning here.

  Returns:
    The splits train and test.

  Raises:
    ValueError: a file is missing or damaged, or it is the pickled version.
  """
  del options
  return _plan(
    source, 'cifar-10-batches-bin', FILES_10, 'batches.meta.txt', 'cifar10'
  )


def plan_cifar100(source: str, options: Options) -> Plan:
  """Plans CIFAR-100 with its fine labels.

  The coarse ones are stored as the feature image/class/coarse_label.

  Args:
    source: the folder of train.bin, test.bin and fine_label_names.txt, or
      the one around it.
    options: none has a meaning here.

  Returns:
    The splits train and test.

  Raises:
    ValueError: see `plan_cifar10`.
  """
  del options
  return _plan(
    source, 'cifar-100-binary', FILES_100, 'fine_label_names.txt', 'cifar100'
  )
