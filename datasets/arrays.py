"""Arrays in NumPy's files: no larger than the file, and of plain numbers.

NumPy takes memory for what a file's header claims, and runs several parsers of
Python on it. Nothing here imports TensorFlow.
"""

import math
import os
import re
from typing import IO

import numpy as np

from datasets import files

_MAGIC = b'\x93NUMPY'
_MOST_HEADER = 1 << 16
_LENGTH = {1: 2, 2: 4, 3: 4}  # bytes of a header's length, by the version
_HEADER = re.compile(
  rb"\{'descr': '([<>|=]?[biuf]\d{1,2})', "
  rb"'fortran_order': (True|False), "
  rb"'shape': \((|\d{1,18},|\d{1,18}(?:, ?\d{1,18}){1,31},?)\),? ?\} *\n"
)


def read(path: str | os.PathLike) -> np.ndarray:
  """Returns the array of numbers in a file that `np.save` wrote.

  Raises:
    ValueError: it is none, or is longer or shorter than its header says. The
      error goes on behind the file's name, but for what is no regular file.
    OSError: it cannot be read.
  """
  with files.open_regular(path) as file:
    return parse(file, os.fstat(file.fileno()).st_size)


def parse(file: IO[bytes], size: int) -> np.ndarray:
  """Returns the array of numbers in an open file; see `read`.

  Args:
    file: at the beginning.
    size: of it, in bytes.
  """
  start = file.read(8)
  width = _LENGTH.get(start[6]) if len(start) == 8 else None
  if not width or not start.startswith(_MAGIC):
    raise ValueError('it does not begin as a file of NumPy does')
  length = int.from_bytes(file.read(width), 'little')
  header = file.read(length) if length < _MOST_HEADER else b''
  found = _HEADER.fullmatch(header)
  if not found:
    raise ValueError('its header is damaged, or is not of plain numbers')
  try:
    dtype = np.dtype(found[1].decode())
  except TypeError:
    raise ValueError(f'its type {found[1].decode()} is unknown') from None
  shape = tuple(int(side) for side in found[3].split(b',') if side.strip())
  expected = math.prod(shape) * dtype.itemsize
  if size - file.tell() != expected:
    raise ValueError(
      f'it has {size - file.tell():,} bytes of values, and its header says '
      f'{expected:,}'
    )
  order = 'F' if found[2] == b'True' else 'C'
  return np.frombuffer(file.read(), dtype).reshape(shape, order=order)
