"""Files that are read where they lie in a tar, which is not unpacked."""

import functools
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from datasets.text import check_name


def _read_range(path: str, offset: int, size: int) -> bytes:
  with open(path, 'rb') as file:
    file.seek(offset)
    data = file.read(size)
  if len(data) < size:
    raise ValueError(f'{path} is cut off. Copy it again.')
  return data


def members(
  path: pathlib.Path, file: BinaryIO, inner: str = ''
) -> Iterator[tarfile.TarInfo]:
  """Yields the files of a tar, hidden ones left out.

  Args:
    path: what errors name.
    file: the tar, open for reading.
    inner: what errors say behind the path.

  Raises:
    ValueError: it is cut off or no uncompressed tar, or a name cannot be
      written.
  """
  try:
    with tarfile.open(fileobj=file, mode='r:') as tar:
      for member in tar:
        hidden = os.path.basename(member.name).startswith('.')
        if member.isfile() and not hidden:
          check_name(member.name, f'{path}: the file')
          yield member
      # tarfile takes half a header for the end.
      file.seek(tar.offset)
      if file.read(tarfile.BLOCKSIZE).strip(b'\0'):
        raise tarfile.ReadError('bad header')
  except tarfile.TarError as error:
    raise ValueError(
      f'{path}{inner} is cut off, or not an uncompressed tar '
      f'({error}). Copy it again.'
    ) from error


class Window:
  """The part of a file that is a member of a tar, as a file to seek in."""

  def __init__(self, file: BinaryIO, start: int, size: int):
    self._file, self._start, self._size, self._at = file, start, size, 0

  def tell(self) -> int:
    """Returns the place from the beginning of the part, in bytes."""
    return self._at

  def seek(self, position: int) -> int:
    """Goes to a place; returns it."""
    self._at = position
    return position

  def read(self, size: int) -> bytes:
    """Returns up to `size` bytes, none behind the end of the part."""
    self._file.seek(self._start + self._at)
    data = self._file.read(max(0, min(size, self._size - self._at)))
    self._at += len(data)
    return data


def reader(
  path: pathlib.Path, member: tarfile.TarInfo, start: int = 0
) -> Callable[[], bytes]:
  """Returns what reads the bytes of a member.

  Args:
    path: of the tar.
    member: one of `members`.
    start: where the tar begins in the file, if it lies in another one.
  """
  return functools.partial(
    _read_range, str(path), start + member.offset_data, member.size
  )
