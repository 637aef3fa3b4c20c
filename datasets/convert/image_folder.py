"""Images in folders, one folder a class."""

import functools
import pathlib

from datasets.sources import listing
from datasets.text import check_name, few
from datasets.writing import splitting
from datasets.writing.plan import Item, Options, Plan
from datasets.writing.splitting import SPLITS


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the folder of each split; {'train': root} if there are none."""
  folders = listing.folders_in(root)
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
    len(named) > 1 or 'train' in named and listing.folders_in(root / 'train')
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
  names = listing.folders_in(folder)
  if not names:
    raise ValueError(
      f'{folder} has no sub-folders; it should have one for each class.'
    )
  for name in names:  # before the files, whose names have it too
    check_name(name, f'{source}: the class')
  files = {name: listing.files_under(folder / name, source) for name in names}
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
      Item(name, labels[folder], functools.partial(listing.read_file, path))
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
  folder = listing.existing_folder(source)
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
  folder = listing.existing_folder(source)
  inner = listing.folders_in(folder)
  single = len(inner) == 1 and inner[0] not in SPLITS
  return _plan(folder, folder / inner[0] if single else folder, options, name)
