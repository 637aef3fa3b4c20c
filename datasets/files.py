"""Files: only regular ones are read, and they are written whole or not at all.

Nothing here imports TensorFlow.
"""

import contextlib
import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from typing import IO, BinaryIO

_NUMBERS = itertools.count()  # next() is atomic, so that threads differ too
_KINDS = {  # of what is no regular file
  stat.S_IFDIR: 'a folder',
  stat.S_IFIFO: 'a pipe',
  stat.S_IFSOCK: 'a socket',
  stat.S_IFCHR: 'a device',
  stat.S_IFBLK: 'a device',
}


class Irregular(ValueError):
  """Something stands where a file should be: to read it may take forever.

  Attributes:
    what: what it is, to go on behind its name.
  """

  def __init__(self, path: str | os.PathLike, mode: int):
    kind = _KINDS.get(stat.S_IFMT(mode), 'something else')
    self.what = f'is {kind}, and no file: put a file in its place'
    super().__init__(f'{os.fspath(path)} {self.what}, or name another.')


def check_regular(path: str | os.PathLike) -> None:
  """Refuses what is neither a regular file nor a link to one.

  What is not there, or is an address, passes: whoever opens it says so.

  Raises:
    Irregular: it is a folder, a pipe, a socket or a device.
  """
  with contextlib.suppress(OSError):
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
      raise Irregular(path, mode)


def open_regular(path: str | os.PathLike, buffering: int = -1) -> BinaryIO:
  """Opens a regular file, or a link to one, to read its bytes.

  Args:
    path: of the file.
    buffering: as in `open`.

  Raises:
    Irregular: see `check_regular`.
    OSError: it is not there, or cannot be read.
  """
  check_regular(path)  # a device may do something when it is opened
  file = open(path, 'rb', buffering, opener=_without_waiting)
  mode = os.fstat(file.fileno()).st_mode
  if not stat.S_ISREG(mode):  # another one has taken its place meanwhile
    file.close()
    raise Irregular(path, mode)
  return file


def _without_waiting(path, flags):
  return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))


def read_bytes(path: str | os.PathLike) -> bytes:
  """Returns the bytes of a regular file; see `open_regular`."""
  with open_regular(path) as file:
    return file.read()


@contextlib.contextmanager
def atomic(
  path: str | os.PathLike, mode: str = 'w', newline: str | None = None
) -> Iterator[IO]:
  """Opens a file to write that is there in whole or not at all.

  What is written goes to a file beside it, whose name no other process and no
  other thread has, and which takes its name at the end, or disappears if an
  error comes before.

  Args:
    path: of the file; one that is there is replaced.
    mode: 'w' for text, which is UTF-8, or 'wb'.
    newline: as in `open`, for text.

  Raises:
    OSError: it cannot be written.
  """
  unfinished = f'{os.fspath(path)}.{os.getpid()}-{next(_NUMBERS)}.tmp'
  encoding = None if 'b' in mode else 'utf-8'
  try:
    with open(unfinished, mode, encoding=encoding, newline=newline) as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(unfinished, path)
  except BaseException:
    with contextlib.suppress(OSError):
      os.remove(unfinished)
    raise


def copy_into(path: str | os.PathLike, folder: str | os.PathLike) -> None:
  """Copies a file to a folder, where it is there in whole or not at all."""
  with (
    open(path, 'rb') as source,
    atomic(os.path.join(folder, os.path.basename(path)), 'wb') as target,
  ):
    shutil.copyfileobj(source, target)


@contextlib.contextmanager
def disk_errors(folder: str, cure: str) -> Iterator[None]:
  """Raises a ValueError instead of an OSError, while `folder` is written.

  Args:
    folder: where is written.
    cure: what to do when the disk is full.
  """
  try:
    yield
  except OSError as error:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
      raise ValueError(f'The disk of {folder} is full. {cure}') from error
    raise ValueError(f'Writing to {folder} failed: {error}.') from error
