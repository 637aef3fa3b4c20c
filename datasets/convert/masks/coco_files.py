"""COCO's folders: files of annotations, and the images that they are of."""

import functools
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from datasets.convert.masks.coco_annotations import Annotations
from datasets.convert.masks.pairs import find_root
from datasets.images.image_files import SUFFIXES
from datasets.sources import listing
from datasets.text import few
from datasets.writing.plan import Item

INSTANCES, PANOPTIC = 'instances', 'panoptic'
_SPLITS = {'train': 'train', 'val': 'val', 'valid': 'val', 'test': 'test'}
_INSIDE = '_annotations.coco.json'  # beside its images, as Roboflow has it
# Where the images of annotations/KIND_NAME.json are, the first that there is.
_IMAGES = ('images/{}', '{}', 'images')


class Source(NamedTuple):
  """A file of annotations, and where its images are.

  Fields:
    path: of the file.
    images: their folder.
    part: what the file is called behind its kind, such as train2017.
  """

  path: pathlib.Path
  images: pathlib.Path
  part: str


def _annotation_files(folder, kind):
  """Returns the files of annotations below a folder, and what they are of."""
  begin = f'{kind}_'
  found = [
    (path, path.stem.removeprefix(begin))
    for path in sorted((folder / 'annotations').glob(f'{begin}*.json'))
  ]
  if kind != INSTANCES:
    return found
  return found + [
    (folder / name / _INSIDE, name)
    for name in listing.folders_in(folder)
    if (folder / name / _INSIDE).is_file()
  ]


def _images_of(root, path, part):
  """Returns the folder of the images of a file of annotations, or None."""
  if path.name == _INSIDE:
    return path.parent
  for place in _IMAGES:
    folder = root / place.format(part)
    # That of all images has no folder for each part.
    if folder.is_dir() and ('{}' in place or not listing.folders_in(folder)):
      return folder
  return None


def _split_of(path, part, alone):
  """Returns the split that a file of annotations is for."""
  word = re.match('[a-z]*', part.lower())[0]
  if word in _SPLITS or alone:
    return _SPLITS.get(word, 'train')
  raise ValueError(
    f'{path} is not the only one, and does not tell its split: call it train, '
    f'val or test, as in {INSTANCES}_train.json.'
  )


def find(
  source: str | os.PathLike, kind: str
) -> tuple[dict[str, Source], list[str]]:
  """Returns the files of annotations of each split, and notes.

  Args:
    source: a folder with annotations/KIND_PART.json, and with images in
      images/PART, PART or images; or with PART/_annotations.coco.json.
    kind: `INSTANCES` or `PANOPTIC`.

  Raises:
    ValueError: there is none, none for train, or two for one split.
  """
  root = find_root(
    source,
    lambda folder: bool(_annotation_files(folder, kind)),
    f'annotations/{kind}_*.json',
  )
  found, notes = {}, []
  there = _annotation_files(root, kind)
  for path, part in there:
    split = _split_of(path, part, len(there) == 1)
    images = _images_of(root, path, part)
    if split in found:
      raise ValueError(
        f'{found[split].path} and {path} are both for {split}. Keep one.'
      )
    if images:
      found[split] = Source(path, images, part)
    elif split == 'train':
      raise ValueError(
        f'There are no images for {path}: unpack them to {root / part}.'
      )
    else:
      notes.append(f'There are no images for {path}, so {split} is left out.')
  if 'train' not in found:
    raise ValueError(
      f'{root} has {few(path.name for path, _ in there)} but none for train. '
      f'Add annotations/{kind}_train.json.'
    )
  return {
    split: found[split] for split in _SPLITS.values() if split in found
  }, notes


def index(
  sources: Mapping[str, Source], progress: Callable
) -> dict[str, Annotations]:
  """Returns the annotations of each split.

  Args:
    sources: of each split.
    progress: see `Annotations`.

  Raises:
    ValueError: a file that is not as COCO's are, or of other categories than
      that of train.
  """
  found = {
    split: Annotations(each.path, progress) for split, each in sources.items()
  }
  first = found['train']
  for other in found.values():
    if other.categories != first.categories:
      raise ValueError(
        f'{first.path} and {other.path} have other categories. Export both '
        'with the same ones.'
      )
  return found


def plan_images(
  root: str | os.PathLike,
  sources: Mapping[str, Source],
  annotations: Mapping[str, Annotations],
  read_mask: Callable[[Source, Annotations, int], np.ndarray],
) -> tuple[dict[str, list[Item]], list[str]]:
  """Returns the items of each split, and notes.

  Args:
    root: what the images' names are relative to.
    sources: of each split.
    annotations: of each split.
    read_mask: called with those of a split and the number of an image; see
      `Item.read_mask`.

  Raises:
    ValueError: an image is missing.
  """
  items, notes, used = {}, [], {}
  there: dict[pathlib.Path, dict[str, tuple[str, str]]] = {}
  for split, source in sources.items():
    if source.images not in there:
      there[source.images] = _files_in(source.images, pathlib.Path(root))
    known, images = there[source.images], annotations[split].images
    missing = [image.name for image in images if image.name not in known]
    if missing:
      raise ValueError(
        f'{source.path} names {len(missing):,} images that {source.images} '
        f'does not have: {few(missing)}. Add them, or take them out of the '
        'file.'
      )
    used.setdefault(source.images, set()).update(each.name for each in images)
    items[split] = [
      Item(
        known[image.name][0],
        None,
        functools.partial(listing.read_file, known[image.name][1]),
        read_mask=functools.partial(
          read_mask, source, annotations[split], number
        ),
      )
      for number, image in enumerate(images)
    ]
  for folder, known in there.items():
    left = sorted(known.keys() - used[folder])
    if left:
      notes.append(
        f'{len(left):,} images of {folder} are in no file of annotations, and '
        f'are left out: {few(left)}.'
      )
  return items, notes


def _files_in(folder, root):
  """Returns the images of a folder by their names within it."""
  start = folder.relative_to(root).as_posix()
  begin = '' if start == '.' else f'{start}/'
  return {
    name.removeprefix(begin): (name, path)
    for name, path in listing.files_under(folder, root)
    if os.path.splitext(name)[1].lower() in SUFFIXES
  }
