"""Reads files of weights of any library, known by how they begin."""

import hashlib
import os
import zipfile
from typing import IO

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import arrays as numpy_arrays
from datasets import files
from engine.checkpoints import contents, locate
from engine.checkpoints.convert import (
  keras_files,
  safetensors_files,
  torch_files,
)
from engine.checkpoints.convert.arrays import (
  DAMAGED,
  MOST_ARRAYS,
  MOST_BYTES,
  Arrays,
)

SLIM = 'a checkpoint of TensorFlow'
_ZIP = b'PK'
_ENDINGS = '.h5', '.hdf5', '.keras', '.safetensors', '.npz', '.pth', '.pt'
_CHUNK = 1 << 22


def _read_npz(path: str) -> Arrays:
  found: dict[str, np.ndarray] = {}
  total = 0
  try:
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
      for entry in archive.infolist():
        total += entry.file_size
        if total > MOST_BYTES or len(found) >= MOST_ARRAYS:
          raise ValueError(
            f'has more than {MOST_ARRAYS:,} arrays, or {MOST_BYTES:,} bytes'
          )
        name = entry.filename.removesuffix('.npy')
        if name in found:
          raise ValueError(f'has {ascii(name)[:60]} twice')
        with archive.open(entry) as member:
          try:
            found[name] = numpy_arrays.parse(member, entry.file_size)
          except ValueError as error:
            raise ValueError(f'has {ascii(name)[:60]}: {error}') from None
  except (ValueError, *DAMAGED) as error:
    raise ValueError(
      f'{path} {error}. It should be .npz: get it again from where it was made.'
    ) from error
  return Arrays(path, '.npz', found)


def _members(path):
  """Returns the names in a zip, None if it is none."""
  try:
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
      return archive.namelist()
  except (ValueError, *DAMAGED):
    return None


def _read_zip(path):
  names = _members(path)
  if names is None:
    raise ValueError(
      f'{path} is a zip that is cut off or damaged: get it again from where it '
      'was made.'
    )
  if keras_files.WEIGHTS in names:
    return keras_files.read(path, is_archive=True)
  if any(name.endswith(torch_files.MEMBER) for name in names):
    return torch_files.read(path)
  if names and all(name.endswith('.npy') for name in names):
    return _read_npz(path)
  raise _unknown(path)


def _unknown(path):
  return ValueError(
    f'{path} is no file of weights that is known here: .h5, .weights.h5 or '
    '.keras of Keras, .safetensors, .pth of PyTorch, .npz, or a checkpoint of '
    'TensorFlow.'
  )


def _read_slim(path: str) -> Arrays:
  """Reads a checkpoint's model variables, moving averages where alone."""
  sources = contents.read(path).sources()
  values = contents.read_values(path, names=list(sources.values()))
  shadows = {name: source for name, source in sources.items() if source != name}
  if shadows:
    values |= {
      name: value
      for name, value in contents.read_values(path, True).items()
      if name in shadows
    }
  return Arrays(path, SLIM, values)


def read(source: str) -> Arrays:
  """Returns what a file of weights holds.

  Args:
    source: a file; or a checkpoint of TensorFlow, or a folder of them.

  Raises:
    ValueError: it is not there, of no known format, damaged, cut off or
      crafted; the sentence says what is wrong.
    OSError: it cannot be read.
  """
  is_file = os.path.lexists(source) and not os.path.isdir(source)
  ending = next(filter(source.endswith, _ENDINGS), None)
  if ending and not os.path.lexists(source):
    raise ValueError(f'There is no file {source}, which --source names.')
  if not is_file or locate.without_ending(source) != source:
    return _read_slim(locate.find(source, '--source'))
  with files.open_regular(source) as file:
    start = file.read(16)
  if start.startswith(keras_files.MAGIC):
    return keras_files.read(source)
  if start.startswith(_ZIP):
    return _read_zip(source)
  if start.startswith(torch_files.LEGACY_MAGIC):
    return torch_files.read(source)
  if safetensors_files.is_meant(start):
    return safetensors_files.read(source)
  if ending:
    raise ValueError(
      f'{source} is empty, cut off, or no {ending}: get it again from where it '
      'was made.'
    )
  if locate.is_readable(source):  # of TensorFlow's first format
    return _read_slim(source)
  raise _unknown(source)


def _sha256(file: IO[bytes]) -> str:
  found = hashlib.sha256()
  while chunk := file.read(_CHUNK):
    found.update(chunk)
  return found.hexdigest()


def digests(arrays: Arrays) -> dict[str, str]:
  """Returns {the name of a file: its SHA-256} of what was read."""
  paths = [arrays.path]
  if arrays.format == SLIM:
    paths = sorted(
      path
      for path in [
        f'{arrays.path}.index',
        *tf.io.gfile.glob(f'{arrays.path}.data-*'),
        arrays.path,
      ]
      if os.path.isfile(path)
    )
  found = {}
  for path in paths:
    with files.open_regular(path) as file:
      found[os.path.basename(path)] = _sha256(file)
  return found
