"""Images in folders, one folder a class."""

import functools
import os
import pathlib
from collections.abc import Iterator

from datasets.text import check_name, few
from datasets.writing import splitting
from datasets.writing.plan import Item, Options, Plan
from datasets.writing.splitting import SPLITS

# What file managers leave behind.
LITTER = {'thumbs.db', 'desktop.ini', '__macosx'}


def read_file(path: str | os.PathLike) -> bytes:
  """Returns the bytes of a file."""
  return pathlib.Path(path).read_bytes()


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
      f'{folder} cannot be listed: {error.strerror}. May you read it?'
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


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the folder of each split; {'train': root} if there are none."""
  folders = folders_in(root)
  if not folders:
    raise ValueError(
      f'{root} has no sub-folders; it should have one for each '
      'class, with the images of the class.'
    )
  named = [name for name in folders if name in SPLITS]
  others = [name for name in folders if name not in SPLITS]
  if not others and 'train' not in named:
    raise ValueError(
      f'{root} has {few(named)} but no train. Add the folder '
      'train, with one sub-folder for each class.'
    )
  # A class may be called 'train', beside 'bus' and 'plane'.
  if others and (
    len(named) > 1 or 'train' in named and folders_in(root / 'train')
  ):
    raise ValueError(
      f'{root} has folders of splits ({few(named)}) and others '
      f'({few(others)}). Move the others away.'
    )
  if others:
    return {'train': root}
  if {'val', 'validation'} <= set(named):
    raise ValueError(f'{root} has both val and validation. Keep one of them.')
  return {
    SPLITS[name]: root / name for name in sorted(named, key=list(SPLITS).index)
  }


def _class_files(
  folder: pathlib.Path, source: pathlib.Path
) -> dict[str, list[tuple[str, str]]]:
  """Returns the files of each class in the folder of a split."""
  names = folders_in(folder)
  if not names:
    raise ValueError(
      f'{folder} has no sub-folders; it should have one for each class.'
    )
  for name in names:  # before the files, whose names have it too
    check_name(name, f'{source}: the class')
  files = {name: files_under(folder / name, source) for name in names}
  empty = [str(folder / name) for name in names if not files[name]]
  if empty:
    raise ValueError(
      f'No images in {few(empty)}. Add some, or take the folder away.'
    )
  return files


def _plan(
  source: pathlib.Path, root: pathlib.Path, options: Options, name: str
) -> Plan:
  files = {
    split: _class_files(folder, source)
    for split, folder in _split_folders(root).items()
  }
  splitting.check_classes(files, str(root))
  labels = {folder: label for label, folder in enumerate(files['train'])}
  splits = {
    split: [
      Item(name, labels[folder], functools.partial(read_file, path))
      for folder, found in classes.items()
      for name, path in found
    ]
    for split, classes in files.items()
  }
  return Plan(
    str(source),
    [folder.strip() for folder in labels],
    splitting.complete(splits, options),
    name,
  )


def plan(source: str, options: Options) -> Plan:
  """Plans a folder with one sub-folder for each class.

  Either the class folders lie in train/ and in test/, val/ or validation/, or
  directly in `source`, and then a part of each class becomes the validation
  split; so too if train/ is alone. Files beside the class folders are passed
  over.

  Args:
    source: the folder.
    options: what part is validation, and the seed of that choice.

  Returns:
    The splits train and validation, or those there are. The class names are
    those of train, sorted.

  Raises:
    ValueError: a source that is not as described; see `splitting` too.
  """
  folder = existing_folder(source)
  return _plan(folder, folder, options, 'tfrecord')


def plan_named(source: str, options: Options, name: str) -> Plan:
  """Plans the unpacked archive of a dataset that has a name.

  Args:
    source: a folder as `plan` takes it, or one that holds nothing but that.
    options: as in `plan`.
    name: the dataset's, for `Plan.name`.

  Returns:
    See `plan`.

  Raises:
    ValueError: see `plan`.
  """
  folder = existing_folder(source)
  inner = folders_in(folder)
  single = len(inner) == 1 and inner[0] not in SPLITS
  return _plan(folder, folder / inner[0] if single else folder, options, name)
