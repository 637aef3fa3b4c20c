"""ImageNet (ILSVRC2012): folders or tars of JPEGs, synsets, boxes."""

import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from datasets import files
from datasets.sources import listing, tars
from datasets.text import check_name, distinct, few
from datasets.writing.plan import Item, Options, Plan

SYNSETS = ('synsets.txt', 'imagenet_lsvrc_2015_synsets.txt')
METADATA = 'imagenet_metadata.txt'
VALIDATION_LABELS = 'imagenet_2012_validation_synset_labels.txt'
BOXES = 'imagenet_2012_bounding_boxes.csv'
TRAIN_TAR = 'ILSVRC2012_img_train.tar'
VALIDATION_TAR = 'ILSVRC2012_img_val.tar'
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')

Box = tuple[float, float, float, float]


class _FoundImage(NamedTuple):
  """An image that is found, of a class if its folder says so."""

  name: str
  read: Callable[[], bytes]
  synset: str | None = None


class _Knowledge(NamedTuple):
  """What the files beside the images say, by synset or by image."""

  labels_path: pathlib.Path
  labels: dict[str, int]
  names: dict[str, str]
  boxes: dict[str, list[Box]]


def _lines(path: pathlib.Path) -> Iterator[tuple[str, str]]:
  """Yields where a line is, and the line; blank ones are passed over."""
  try:
    lines = files.read_bytes(path).decode('utf-8-sig').splitlines()
  except UnicodeDecodeError as error:
    raise ValueError(f'{path} is not UTF-8. Save it as UTF-8.') from error
  for number, line in enumerate(lines, 1):
    if line.strip():
      yield f'{path}, line {number}', line.strip()


def _synsets_path(
  folder: pathlib.Path, labels_file: str | None
) -> pathlib.Path:
  paths = (
    [pathlib.Path(labels_file)]
    if labels_file
    else [folder / name for name in SYNSETS]
  )
  for path in paths:
    if path.is_file():
      return path
  raise ValueError(
    f'There is no list of synsets, {" or ".join(map(str, paths))}. It has '
    'one synset a line, such as n01440764, in the order of the labels.'
  )


def _read_labels(path: pathlib.Path) -> dict[str, int]:
  """Returns the label of each synset; 0 is the background."""
  labels: dict[str, int] = {}
  for where, synset in _lines(path):
    check_name(synset, f'{where}: the synset')
    if synset in labels:
      raise ValueError(f'{where}: {synset} is there twice. Keep one.')
    labels[synset] = len(labels) + 1
  if len(labels) < 2:
    raise ValueError(
      f'{path} has {len(labels)} synsets; training needs two or more.'
    )
  return labels


def _read_texts(path: pathlib.Path) -> dict[str, str]:
  """Returns the names of each synset; nothing if there is no such file."""
  texts = {}
  for where, line in _lines(path) if path.is_file() else ():
    cells = [cell.strip() for cell in line.split('\t')]
    if len(cells) != 2:
      raise ValueError(
        f'{where}: {line!r} should be a synset, a tab and its names.'
      )
    check_name(cells[1], f'{where}: the class')
    texts[cells[0]] = cells[1]
  return texts


def _box(where: str, cells: list[str]) -> Box:
  try:
    xmin, ymin, xmax, ymax = map(float, cells)
  except ValueError:
    xmin = math.nan
  if not (0 <= xmin <= xmax <= 1 and 0 <= ymin <= ymax <= 1):
    raise ValueError(
      f'{where}: {",".join(cells)!r} should be xmin,ymin,xmax,ymax between 0 '
      'and 1, the minima not above the maxima.'
    )
  return xmin, ymin, xmax, ymax


def _stem(name: str) -> str:
  """n01440764_18 of any path and of either spelling."""
  return name.rpartition('/')[2].partition('.')[0]


def _read_boxes(path: pathlib.Path) -> dict[str, list[Box]]:
  """Returns the boxes of each image; nothing if there is no such file."""
  boxes: dict[str, list[Box]] = {}
  for where, line in _lines(path) if path.is_file() else ():
    name, *cells = line.split(',')
    boxes.setdefault(_stem(name), []).append(_box(where, cells))
  return boxes


def _train_tar(path: pathlib.Path) -> Iterator[_FoundImage]:
  """Finds the images of a tar of tars, one a synset."""
  with files.open_regular(path) as outer, files.open_regular(path) as inner:
    for tar in tars.members(path, outer):
      base = os.path.basename(tar.name)
      if not base.endswith('.tar'):
        raise ValueError(
          f'{path} holds {tar.name}; it should hold nothing but '
          'a tar for each synset.'
        )
      window = tars.Window(inner, tar.offset_data, tar.size)
      members = list(tars.members(path, window, f', {tar.name}'))
      if not members:
        raise ValueError(f'No images in {path}, {tar.name}. Copy it again.')
      for member in members:
        yield _FoundImage(
          f'{path.name}/{base}/{os.path.basename(member.name)}',
          tars.reader(path, member, tar.offset_data),
          base.removesuffix('.tar'),
        )


def _flat_tar(path: pathlib.Path) -> Iterator[_FoundImage]:
  with files.open_regular(path) as file:
    for member in tars.members(path, file):
      yield _FoundImage(
        f'{path.name}/{os.path.basename(member.name)}',
        tars.reader(path, member),
      )


def _folder(
  folder: pathlib.Path, source: pathlib.Path
) -> Iterator[_FoundImage]:
  """Finds images in folders by synset, or all in one."""
  for synset in listing.folders_in(folder) or [None]:
    found = listing.files_under(folder / (synset or ''), source)
    if not found:
      raise ValueError(
        f'No images in {folder / (synset or "")}. Add some, '
        'or take the folder away.'
      )
    for name, path in found:
      yield _FoundImage(
        name, functools.partial(listing.read_file, path), synset
      )


def _with_synsets(
  images: list[_FoundImage],
  path: pathlib.Path,
  labels_path: pathlib.Path,
  labels: dict[str, int],
) -> list[_FoundImage]:
  """Gives flat images, in the order of their names, their synsets."""
  if not labels_path.is_file():
    raise ValueError(
      f'{path} has no folders by synset, so that the file '
      f'{labels_path} is needed: one synset a line, in the '
      "order of the images' names."
    )
  lines = list(_lines(labels_path))
  for where, synset in lines:
    if synset not in labels:
      raise ValueError(
        f'{where}: {synset} is not in the list of synsets. Is '
        'it the right list?'
      )
  if len(lines) != len(images):
    raise ValueError(
      f'{path} has {len(images):,} images and {labels_path} '
      f'has {len(lines):,} lines. They should be as many.'
    )
  return [
    image._replace(synset=synset)
    for image, (_, synset) in zip(
      sorted(images, key=lambda image: image.name), lines, strict=True
    )
  ]


def _box_features(boxes: list[Box], label: int) -> dict[str, Any]:
  sides = zip(SIDES, zip(*boxes, strict=True), strict=True)
  return {
    **{f'image/object/bbox/{side}': list(values) for side, values in sides},
    'image/object/bbox/label': [label] * len(boxes),
  }


def _item(
  image: _FoundImage, known: _Knowledge, of_class: Mapping[str, Any]
) -> Item:
  label = known.labels[image.synset]
  boxes = known.boxes.get(_stem(image.name))
  # Shared by the class where there are no boxes: a million dicts are much.
  features = {**of_class, **_box_features(boxes, label)} if boxes else of_class
  return Item(image.name, label, image.read, features)


def _items(
  images: list[_FoundImage], path: pathlib.Path, known: _Knowledge
) -> list[Item]:
  synsets = {image.synset for image in images}
  unknown = sorted(synsets - known.labels.keys())
  if unknown:
    raise ValueError(
      f'{path} has {few(unknown)}, not in the list of synsets '
      f'{known.labels_path}. Is it the right list?'
    )
  of_class = {
    synset: {
      'image/class/synset': synset.encode(),
      'image/class/text': name.encode(),
    }
    for synset, name in known.names.items()
  }
  return [_item(image, known, of_class[image.synset]) for image in images]


def _find(folder: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
  return next(
    (folder / name for name in names if (folder / name).exists()), None
  )


def _split(
  split: str, path: pathlib.Path, folder: pathlib.Path, known: _Knowledge
) -> list[Item]:
  find = {TRAIN_TAR: _train_tar, VALIDATION_TAR: _flat_tar}.get(path.name)
  images = list(find(path) if find else _folder(path, folder))
  if not images:
    raise ValueError(f'No images in {path}. Copy it again.')
  if images[0].synset is None:
    if split == 'train':
      raise ValueError(
        f'{path} has no sub-folders; it should have one for each synset.'
      )
    images = _with_synsets(
      images, path, folder / VALIDATION_LABELS, known.labels
    )
  if split == 'train' and len({p.synset for p in images}) < 2:
    raise ValueError(
      f'{path} has one class only, {images[0].synset}; '
      'training needs two or more.'
    )
  return _items(images, path, known)


def plan(source: str, options: Options) -> Plan:
  """Plans ImageNet; each image is read where it lies, in a tar too.

  Its items have the features image/class/synset and image/class/text, and,
  where there are boxes, lists image/object/bbox/xmin, ymin, xmax, ymax (in
  [0, 1]) and label.

  Args:
    source: a folder with train/ (folders by synset) or
      ILSVRC2012_img_train.tar; with validation/ or val/ (folders by synset,
      or all in one) or ILSVRC2012_img_val.tar; with synsets.txt or
      imagenet_lsvrc_2015_synsets.txt; and perhaps with
      imagenet_metadata.txt (names of the synsets),
      imagenet_2012_validation_synset_labels.txt (needed unless validation is
      in folders) and imagenet_2012_bounding_boxes.csv.
    options: the labels file, if any, is the list of synsets.

  Returns:
    Those of the splits train and validation that there are; any number of
    synsets. Label 0 is the background.

  Raises:
    ValueError: a file or folder that is missing, or not as described.
  """
  folder = listing.existing_folder(source)
  paths = {
    'train': _find(folder, ('train', TRAIN_TAR)),
    'validation': _find(folder, ('validation', 'val', VALIDATION_TAR)),
  }
  paths = {split: path for split, path in paths.items() if path}
  if not paths:
    raise ValueError(
      f'{folder} has none of train, {TRAIN_TAR}, validation, '
      f'val and {VALIDATION_TAR}. Is it the right folder?'
    )
  labels_path = _synsets_path(folder, options.labels_file)
  labels = _read_labels(labels_path)
  texts = _read_texts(folder / METADATA)
  known = _Knowledge(
    labels_path,
    labels,
    {synset: texts.get(synset, synset) for synset in labels},
    _read_boxes(folder / BOXES),
  )
  splits = {
    split: _split(split, path, folder, known) for split, path in paths.items()
  }
  names = ['background', *known.names.values()]
  told_apart = distinct(names)
  shared = [
    new for old, new in zip(names, told_apart, strict=True) if old != new
  ]
  return Plan(
    str(source),
    told_apart,
    splits,
    'imagenet',
    notes=(
      (f'Classes that share a name are told apart: {few(shared)}.',)
      if shared
      else ()
    ),
  )
