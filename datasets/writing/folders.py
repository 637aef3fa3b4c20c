"""A folder that appears whole or not at all, and what a kill leaves of it."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

_MARK = '.unfinished-'


def _is_work(path, folder):
  return path.name.startswith(f'.{folder.name}{_MARK}')


def check_new(dataset_dir: str | os.PathLike) -> None:
  """Refuses a folder that has something in it.

  Raises:
    ValueError: it has, and that is not what a kill left.
  """
  folder = pathlib.Path(os.path.realpath(dataset_dir))
  if folder.exists() and (
    not folder.is_dir()
    or not all(_is_work(path, folder) for path in folder.iterdir())
  ):
    raise ValueError(
      f'{dataset_dir} exists and is not empty: name another '
      '--dataset_dir, or remove it.'
    )


@contextlib.contextmanager
def work_folder(dataset_dir: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a new folder beside `dataset_dir`, which disappears at the end.

  If `dataset_dir` exists it is within: another disk may be mounted there.
  """
  folder = pathlib.Path(os.path.realpath(dataset_dir))
  folder.parent.mkdir(parents=True, exist_ok=True)
  work = pathlib.Path(
    tempfile.mkdtemp(
      prefix=f'.{folder.name}{_MARK}',
      dir=folder if folder.is_dir() else folder.parent,
    )
  )
  try:
    yield work
  finally:
    shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def new_folder(
  dataset_dir: str | os.PathLike, last: str
) -> Iterator[pathlib.Path]:
  """Yields a folder that becomes `dataset_dir` at the end, or disappears.

  Args:
    dataset_dir: a folder that is new or empty.
    last: the name of the file that appears after all others, where the folder
      was there before.

  Raises:
    ValueError: the folder has something in it.
  """
  check_new(dataset_dir)
  folder = pathlib.Path(os.path.realpath(dataset_dir))
  existed = folder.is_dir()
  with work_folder(folder) as unfinished:
    yield unfinished
    check_new(dataset_dir)  # another conversion may have ended meanwhile
    if existed:
      for path in sorted(
        unfinished.iterdir(), key=lambda path: path.name == last
      ):
        path.rename(folder / path.name)  # what describes the others last
    else:
      unfinished.chmod(0o755)  # mkdtemp makes it private
      unfinished.rename(folder)


def leftovers(dataset_dir: str | os.PathLike) -> list[str]:
  """Returns what killed conversions to this folder have left."""
  folder = pathlib.Path(os.path.realpath(dataset_dir))
  return [
    str(path)
    for place in (folder.parent, folder)
    if place.is_dir()
    for path in sorted(place.iterdir())
    if _is_work(path, folder)
  ]
