"""Images and their masks as files, once it is known which belong together."""

import functools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from datasets.images import image_files, mask_files
from datasets.images.colour_table import Table
from datasets.label_kinds import SEGMENTATION
from datasets.sources import listing
from datasets.text import few
from datasets.writing import splitting
from datasets.writing.plan import Item, Options, Plan


class Pair(NamedTuple):
  """An image and its mask: their names within the source, and paths."""

  image: tuple[str, str]
  mask: tuple[str, str]


def stems(
  folder: pathlib.Path, source: pathlib.Path
) -> dict[str, tuple[str, str]]:
  """Finds the image files of a folder and its sub-folders.

  Args:
    folder: within `source`.
    source: what the names are relative to.

  Returns:
    {path within `folder` without suffix: (name, path)}.

  Raises:
    ValueError: two that differ by their suffix, none at all, or no folder.
  """
  if not folder.is_dir():
    raise ValueError(
      f'There is no folder {folder}. Add it, with the files of the dataset.'
    )
  found = {}
  start = len(folder.relative_to(source).as_posix()) + 1
  for name, path in listing.files_under(folder, source):
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in image_files.SUFFIXES:
      other = found.setdefault(stem[start:], (name, path))
      if other[0] != name:
        raise ValueError(
          f'{source} has both {other[0]} and {name}. Keep one of them.'
        )
  if not found:
    raise ValueError(
      f'No images in {folder}. Add some, or take the folder away.'
    )
  return found


def match(
  images: Mapping[str, tuple[str, str]],
  masks: Mapping[str, tuple[str, str]],
  folders: tuple[str | os.PathLike, str | os.PathLike],
) -> list[Pair]:
  """Returns the images with their masks.

  Args:
    images: the (name, path) of each by what its mask has too.
    masks: the same of the masks.
    folders: where both are, for errors.

  Raises:
    ValueError: one has no partner.
  """
  both = (images, masks, folders), (masks, images, folders[::-1])
  for one, other, (folder, lacking) in both:
    alone = sorted(one[stem][0] for stem in one.keys() - other.keys())
    if alone:
      raise ValueError(
        f'{len(alone):,} of {len(one):,} files of {folder} have no partner '
        f'of the same name in {lacking}: {few(alone)}. Add the partners, or '
        'take these away.'
      )
  return [Pair(images[stem], masks[stem]) for stem in images]


def match_folders(
  images: pathlib.Path, masks: pathlib.Path, source: pathlib.Path
) -> list[Pair]:
  """Returns the images of a folder with the masks of another, by their names.

  Args:
    images: within `source`.
    masks: within `source`, with the same sub-folders.
    source: what names are relative to.

  Raises:
    ValueError: see `stems` and `match`.
  """
  both = images, masks
  return match(*(stems(folder, source) for folder in both), both)


_DEEPEST = 2  # folders between a source and its dataset, as archives have them


def find_root(
  source: str | os.PathLike,
  is_root: Callable[[pathlib.Path], bool],
  wanted: str,
) -> pathlib.Path:
  """Returns the folder of a dataset: the source, or one inside of it.

  Args:
    source: a folder.
    is_root: whether a folder is the one.
    wanted: what that has, for errors.

  Raises:
    ValueError: there is none, or several.
  """
  level = [listing.existing_folder(source)]
  for _ in range(_DEEPEST + 1):
    found = [folder for folder in level if is_root(folder)]
    if len(found) > 1:
      raise ValueError(
        f'{source} holds several sets: {few(map(str, found))}. Give one of '
        'them as --source.'
      )
    if found:
      return found[0]
    level = [
      folder / name for folder in level for name in listing.folders_in(folder)
    ]
  raise ValueError(
    f'{source} has no {wanted}, in no folder inside of it either. Unpack the '
    'archives of the dataset into one folder, and give that as --source.'
  )


def _items(pairs, rule, max_pixels):
  return [
    Item(
      pair.image[0],
      None,
      functools.partial(listing.read_file, pair.image[1]),
      read_mask=functools.partial(
        mask_files.read, *pair.mask[::-1], rule, max_pixels
      ),
    )
    for pair in pairs
  ]


def plan_pairs(
  source: str,
  table: Table,
  pairs: Mapping[str, Sequence[Pair]],
  options: Options,
  name: str = 'tfrecord',
) -> Plan:
  """Plans images with masks, named by the images.

  Args:
    source: where they are from.
    table: the classes, and how masks are read.
    pairs: of each split; if there is only train, a part becomes validation.
    options: which part, and the largest mask.
    name: the dataset's, for `Plan.name`.
  """
  items = {
    split: _items(found, table.rule, options.max_pixels)
    for split, found in pairs.items()
  }
  return plan_items(source, table, items, options, name)


def plan_items(
  source: str,
  table: Table,
  items: dict[str, list[Item]],
  options: Options,
  name: str = 'tfrecord',
) -> Plan:
  """Plans items that read their masks; the arguments are as above."""
  label = table.rule.ignore_label
  return Plan(
    source,
    list(table.class_names),
    splitting.complete(items, options),
    name,
    SEGMENTATION,
    label,
    (
      *table.notes,
      *(
        f'{ignored} is no class: its pixels are ignored ({label}).'
        for ignored in table.ignored
      ),
    ),
    tuple(table.source_values or table.rule.values),
  )
