"""What is in the folders of a source."""

import os
import pathlib
from collections.abc import Iterator

from datasets import files
from datasets.text import check_name, one_line

# What file managers leave behind.
LITTER = {'thumbs.db', 'desktop.ini', '__macosx'}


def read_file(path: str | os.PathLike) -> bytes:
  """Returns the bytes of a file."""
  return files.read_bytes(path)


def existing_folder(source: str | os.PathLike) -> pathlib.Path:
  """Returns `source` as a path.

  Raises:
    ValueError: it is not there, or not a folder.
  """
  path = pathlib.Path(source)
  if not path.exists():
    raise ValueError(f'{source} does not exist. Is --source mistyped?')
  if not path.is_dir():
    raise ValueError(f'{source} is a file; --source should be a folder here.')
  return path


def _listed(folder: str | os.PathLike) -> list[os.DirEntry]:
  try:
    with os.scandir(folder) as entries:
      return sorted(
        (
          entry
          for entry in entries
          if not entry.name.startswith('.') and entry.name.lower() not in LITTER
        ),
        key=lambda entry: entry.name,
      )
  except OSError as error:
    raise ValueError(
      f'{one_line(os.fspath(folder))} cannot be listed: {error.strerror}. '
      'May you read it?'
    ) from error


def _is_folder(entry: os.DirEntry) -> bool:
  try:
    return entry.is_dir()
  except OSError:  # a link to itself
    return False


def folders_in(folder: pathlib.Path) -> list[str]:
  """Returns the names of the sub-folders, sorted; hidden ones left out.

  Raises:
    ValueError: the folder cannot be listed.
  """
  return [entry.name for entry in _listed(folder) if _is_folder(entry)]


def _identity(path: str | os.PathLike) -> tuple[int, int]:
  status = os.stat(path)
  return status.st_dev, status.st_ino


def _walk(folder: str | os.PathLike, seen: set) -> Iterator[str]:
  """Yields the paths of the files; `seen` are folders not to be entered."""
  for entry in _listed(folder):
    if _is_folder(entry):
      identity = _identity(entry.path)
      if identity not in seen:
        seen.add(identity)
        yield from _walk(entry.path, seen)
    elif entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path):
      yield entry.path
    else:
      raise ValueError(
        f'{ascii(entry.path)} is neither a file nor a folder; '
        'it may be a broken link. Take it away.'
      )


def files_under(
  folder: pathlib.Path, source: pathlib.Path
) -> list[tuple[str, str]]:
  """Finds all files of a folder and its sub-folders.

  Hidden files and what file managers leave are passed over. Links are
  followed, but no folder is entered twice, nor one that holds `folder`.

  Args:
    folder: within `source`.
    source: what the names are relative to.

  Returns:
    (name, path) of each, in the order of the names of each folder; the names
    have forward slashes.

  Raises:
    ValueError: a name that cannot be written, something that is neither a
      file nor a folder, or a folder that cannot be listed.
  """
  seen = {
    _identity(path)
    for start in (folder.absolute(), folder.resolve())
    for path in (start, *start.parents)
  }
  start, top = folder.relative_to(source).as_posix(), os.fspath(folder)
  found = [
    ((start + path[len(top) :].replace(os.sep, '/')).removeprefix('./'), path)
    for path in _walk(top, seen)
  ]
  for name, _ in found:
    check_name(name, f'{source}: the file')
  return found
