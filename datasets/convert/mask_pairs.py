"""Images and their masks as files, once it is known which belong together."""

import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datasets.images import image_files, mask_files
from datasets.images.colour_table import Table
from datasets.label_kinds import SEGMENTATION
from datasets.sources import listing
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
    ValueError: two that differ by their suffix, or none at all.
  """
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
  label = table.rule.ignore_label
  return Plan(
    source,
    list(table.class_names),
    splitting.complete(
      {
        split: _items(found, table.rule, options.max_pixels)
        for split, found in pairs.items()
      },
      options,
    ),
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
  )
