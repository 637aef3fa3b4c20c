"""Arrays of HDF5 files of anybody: read from that file, and no more of them.

HDF5 lets an array lie in other files: in external storage, behind external
and soft links, in the sources of a virtual dataset. A file that was crafted
so would make images of whatever its reader may read.
"""

import math
import os
import stat
from collections.abc import Sequence

import h5py
import numpy as np

MOST_BYTES = 1 << 30  # of all arrays of a file
_UNSAFE = 'It could do harm: get the file from where it was made.'


class _Refused(ValueError):
  """An array that is not read, whatever is tried."""


def unsafe(group: h5py.Group, key: str) -> str | None:
  """Returns what is wrong with an array, before anything of it is read.

  Args:
    group: that has it.
    key: its name in the group.

  Returns:
    What goes on behind its name, None if it can be read.

  Raises:
    KeyError: there is no such array.
  """
  link = group.get(key, getlink=True)
  if '/' in key or link is None:
    raise KeyError(key)
  if not isinstance(link, h5py.HardLink):
    return 'is a link'
  array = group[key]
  if not isinstance(array, h5py.Dataset):
    raise KeyError(key)
  if array.is_virtual or array.external:
    return 'lies in other files'
  if array.dtype.kind not in 'iuf':
    return f'holds {array.dtype}, not numbers'
  return None


def read_arrays(
  path: str | os.PathLike, keys: Sequence[str], most_bytes: int = MOST_BYTES
) -> list[np.ndarray]:
  """Reads arrays of numbers.

  Args:
    path: the file.
    keys: the names of the arrays, at the top of the file.
    most_bytes: that all of them have.

  Raises:
    ValueError: it is damaged, or no such file; an array is none of numbers,
      is not in the file itself, or is larger than is read.
  """
  path = os.fspath(path)
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise _Refused(f'{path} is no regular file.')
    with h5py.File(path, 'r') as file:
      left = most_bytes
      for key in keys:
        if wrong := unsafe(file, key):
          raise _Refused(f'{path}: {key} {wrong}. {_UNSAFE}')
        shape, itemsize = file[key].shape, file[key].dtype.itemsize
        left -= math.prod(shape or ()) * itemsize
        if left < 0:
          raise _Refused(
            f'{path}: {key} has the shape {shape}, with which its arrays '
            f'have more than {most_bytes:,} bytes. {_UNSAFE}'
          )
      return [np.asarray(file[key][()]) for key in keys]
  except _Refused:
    raise
  except Exception as error:  # h5py's are of many kinds, all of damage
    raise ValueError(
      f'{path} is cut off, damaged, or another file: it should be HDF5 with '
      f'the arrays {", ".join(keys)}. Copy it again.'
    ) from error
