"""A NumPy array in a file, written row by row.

Nothing here imports TensorFlow.
"""

import struct
from typing import IO

import numpy as np

_HEADER = 192  # bytes: a multiple of 64, with room for any shape


class RowWriter:
  """Writes a .npy file whose number of rows is known at the end.

  The format is NumPy's, version 1.0, so `numpy.load` reads it, and maps it
  into memory.

  Attributes:
    shape: that of the array so far, () before the first rows.
  """

  def __init__(self, file: IO):
    """Begins an array.

    Args:
      file: open to write, at its beginning.
    """
    self._file, self._dtype = file, np.dtype(np.float32)
    self.shape: tuple[int, ...] = ()
    file.write(bytes(_HEADER))

  def append(self, rows: np.ndarray) -> None:
    """Appends rows, all of one shape and type.

    Raises:
      ValueError: they differ from those before.
    """
    if not self.shape:
      self.shape, self._dtype = (0, *rows.shape[1:]), rows.dtype
    if (rows.shape[1:], rows.dtype) != (self.shape[1:], self._dtype):
      raise ValueError(
        f'The rows are {rows.dtype} {[*rows.shape[1:]]}, and those before '
        f'{self._dtype} {[*self.shape[1:]]}: one array holds one kind.'
      )
    self._file.write(np.ascontiguousarray(rows).tobytes())
    self.shape = (self.shape[0] + len(rows), *self.shape[1:])

  def finish(self) -> None:
    """Writes what the array is in front of it."""
    told = {
      'descr': np.lib.format.dtype_to_descr(self._dtype),
      'fortran_order': False,
      'shape': self.shape,
    }
    magic = np.lib.format.magic(1, 0)
    room = _HEADER - len(magic) - 2
    text = f'{told!r}'.encode().ljust(room - 1) + b'\n'
    self._file.seek(0)
    self._file.write(magic + struct.pack('<H', room) + text)
