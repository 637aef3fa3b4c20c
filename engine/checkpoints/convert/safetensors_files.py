"""Reads .safetensors: a header of JSON, then the bytes of all arrays.

The format is small enough to be read here, with checks that say what is wrong,
and the package of its name has no bfloat16 for NumPy. Its rules: eight bytes of
the header's length, little-endian; the header, an object of
{name: {dtype, shape, data_offsets}}, maybe padded by spaces; arrays that lie
behind it without gaps and without overlap.

Nothing here imports TensorFlow.
"""

import math
import os
from typing import BinaryIO, TypedDict

import numpy as np

from datasets import files, json_files
from engine.checkpoints.convert.arrays import (
  MOST_ARRAYS,
  MOST_BYTES,
  Arrays,
  alone,
  check_name,
)

_MOST_HEADER = 1 << 24
_LENGTH = 8  # bytes of the header's length
_METADATA = '__metadata__'
# bfloat16 is the upper half of a float32.
_BFLOAT16 = 'BF16'
_TYPES = {
  'F64': '<f8',
  'F32': '<f4',
  'F16': '<f2',
  _BFLOAT16: '<u2',
  'I64': '<i8',
  'I32': '<i4',
  'I16': '<i2',
  'I8': '<i1',
  'U64': '<u8',
  'U32': '<u4',
  'U16': '<u2',
  'U8': '<u1',
  'BOOL': '?',
}


class _Told(TypedDict):
  """What the header tells of an array."""

  dtype: str
  shape: list[int]
  data_offsets: list[int]


def is_meant(start: bytes) -> bool:
  """Whether a file begins like one of these.

  Args:
    start: its first bytes, 9 or more.
  """
  length = int.from_bytes(start[:_LENGTH], 'little')
  return start[_LENGTH : _LENGTH + 1] == b'{' and length < 1 << 40


def _entry(name, told, total):
  """Returns (begin, end, dtype, shape) of an array; raises ValueError."""
  check_name(name)
  try:
    json_files.check(told, _Told, 'it')
  except ValueError as error:
    raise ValueError(f'has a wrong header for {name}: {error}') from None
  dtype, shape, offsets = told['dtype'], told['shape'], told['data_offsets']
  if dtype not in _TYPES:
    raise ValueError(f'has {name} of the unknown type {ascii(dtype)[:40]}')
  if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= total:
    raise ValueError(
      f'has {name} at the bytes {offsets}, and {total:,} bytes of values'
    )
  if len(shape) > 8 or any(side < 0 for side in shape):
    raise ValueError(f'has {name} of the shape {shape}')
  begin, end = offsets
  expected = math.prod(shape) * np.dtype(_TYPES[dtype]).itemsize
  if end - begin != expected:
    raise ValueError(
      f'has {end - begin:,} bytes of {name}, whose shape {shape} of {dtype} '
      f'takes {expected:,}'
    )
  return begin, end, dtype, shape


def _check_layout(entries, total):
  """Refuses arrays that overlap, or bytes that belong to none."""
  before = 0
  for name, (begin, end, _, _) in sorted(
    entries.items(), key=lambda item: item[1][:2]
  ):
    if begin != before:
      what = 'overlaps another array' if begin < before else 'has a gap before'
      raise ValueError(f'has {name} at the byte {begin:,}, where it {what}')
    before = end
  if before != total:
    raise ValueError(
      f'ends with {total - before:,} bytes that belong to no array'
    )


def _header(file, size):
  """Returns {name: entry} and where the values begin; raises ValueError."""
  length = int.from_bytes(file.read(_LENGTH), 'little')
  if size < _LENGTH or length > size - _LENGTH:
    raise ValueError(
      f'is cut off: its header has {length:,} bytes, and the file {size:,}'
    )
  if length > _MOST_HEADER:
    raise ValueError(
      f'has a header of {length:,} bytes; at most {_MOST_HEADER:,} are read'
    )
  try:
    told = json_files.parse(file.read(length))
    if not isinstance(told, dict):
      raise ValueError('it is no object')
  except ValueError as error:
    raise ValueError(f'has a damaged header: {error}') from None
  told.pop(_METADATA, None)
  if len(told) > MOST_ARRAYS:
    raise ValueError(f'has {len(told):,} arrays; {MOST_ARRAYS:,} are read')
  begin = _LENGTH + length
  total = size - begin
  if total > MOST_BYTES:
    raise ValueError(f'has {total:,} bytes; at most {MOST_BYTES:,} are read')
  entries = {name: _entry(name, each, total) for name, each in told.items()}
  _check_layout(entries, total)
  return entries, begin


def _array(file: BinaryIO, start: int, entry: tuple) -> np.ndarray:
  begin, end, dtype, shape = entry
  file.seek(start + begin)
  found = np.frombuffer(file.read(end - begin), _TYPES[dtype])
  if dtype == _BFLOAT16:
    found = (found.astype('<u4') << 16).view('<f4')
  return found.reshape(shape)


def read(path: str) -> Arrays:
  """Reads all arrays of a file.

  Args:
    path: of the file. bfloat16 becomes float32, whose values are the same.

  Raises:
    ValueError: it is damaged, cut off or crafted; the sentence says how.
    OSError: it cannot be read.
  """
  with files.open_regular(path) as file:
    try:
      entries, start = _header(file, os.fstat(file.fileno()).st_size)
      values = {
        name: _array(file, start, entry) for name, entry in entries.items()
      }
    except ValueError as error:
      raise ValueError(
        f'{path} {error}. It should be .safetensors: get it again from where '
        'it was made.'
      ) from None
  return Arrays(path, 'safetensors', alone(values))
