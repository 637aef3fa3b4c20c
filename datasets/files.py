"""Files that are written whole or not at all, and what is said if not.

Nothing here imports TensorFlow.
"""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from typing import IO

_NUMBERS = itertools.count()  # next() is atomic, so that threads differ too


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
