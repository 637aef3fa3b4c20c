"""PASCAL VOC 2012's masks, and sets of one's own in the form of VOC.

M. Everingham et al., "The PASCAL Visual Object Classes Challenge: A
Retrospective", IJCV 2015. The augmented masks are those of B. Hariharan et
al., "Semantic Contours from Inverse Detectors", ICCV 2011, as DeepLab has
them.
"""

import dataclasses
import os
import pathlib

import numpy as np

from datasets.class_names import PASCAL_VOC as NAMES
from datasets.convert.masks import classes
from datasets.convert.masks.pairs import Pair, plan_pairs, stems
from datasets.files import read_bytes
from datasets.images import colour_table, mask_files, overlays
from datasets.images.colour_table import Table
from datasets.images.image_files import BadImage
from datasets.limits import MOST_IDS
from datasets.sources import listing
from datasets.text import check_name, few
from datasets.writing.plan import Options, Plan

LISTS = 'ImageSets/Segmentation'
_IMAGES, _MASKS = 'JPEGImages', 'SegmentationClass'
# The lists of each split, one of which may be there, and its masks. trainval
# is left out, for it is train and val again, and test, for it has no masks.
_SPLITS = {
  'train': (('train.txt',), _MASKS),
  'val': (('val.txt',), _MASKS),
  'train_aug': (('train_aug.txt', 'trainaug.txt'), 'SegmentationClassAug'),
}
_ALL = ('trainval.txt', 'default.txt')  # lists of a set without splits
_LABELMAP = 'labelmap.txt'
_TAKEN = (
  "The masks have PASCAL VOC's palette and no class above 20, so that its 21 "
  'names are taken. If the classes are others, name them by --labels_file.'
)
_NOT_TAKEN = (
  "The masks do not have PASCAL VOC's palette, or have classes above 20, so "
  'that its names are not taken.'
)
_BORDER = (224, 224, 192)  # the colour of ignored pixels


def _find(source):
  """Returns the folder of the set: `source`, or the one below it."""
  folder = listing.existing_folder(source)
  found = []
  for path, inside, _ in os.walk(folder):
    if _MASKS in inside and pathlib.Path(path, LISTS).is_dir():
      found.append(path)
      inside.clear()
    inside[:] = sorted(name for name in inside if name != _IMAGES)
  if not found:
    raise ValueError(
      f'{source} has no {_MASKS} beside {LISTS}, in no folder '
      'below it either. Is it the folder VOCdevkit/VOC2012?'
    )
  if len(found) > 1:
    raise ValueError(
      f'{source} holds several sets: {few(found)}. Give one of '
      'them as --source.'
    )
  return pathlib.Path(found[0])


def _names(path):
  """Returns the names that a list of images holds."""
  try:
    lines = read_bytes(path).decode().split('\n')
  except UnicodeDecodeError:
    raise ValueError(f'{path} is not UTF-8 text: save it as UTF-8.') from None
  found = [line.strip() for line in lines if line.strip()]
  for name in found:
    check_name(name, f'{path}: the image')
  # Lists of the augmented set have lines /JPEGImages/a.jpg /.../a.png.
  return list(
    dict.fromkeys(
      pathlib.PurePath(name.split()[0]).stem if name.startswith('/') else name
      for name in found
    )
  )


def _pairs(root, path, folder):
  """Returns the pairs that a list names, with masks from a folder."""
  names = _names(path)
  there = [stems(root / place, root) for place in (_IMAGES, folder)]
  for place, files in zip((_IMAGES, folder), there, strict=True):
    missing = [name for name in names if name not in files]
    if missing:
      raise ValueError(
        f'{path} names {len(missing):,} images that {root / place} does '
        f'not have: {few(missing)}. Add them, or take their lines away.'
      )
  return [Pair(*(files[name] for files in there)) for name in names]


def _splits(root):
  """Returns the pairs of each split that has a list and masks."""
  found = {}
  for split, (lists, folder) in _SPLITS.items():
    path = next(
      filter(pathlib.Path.is_file, (root / LISTS / name for name in lists)),
      None,
    )
    if path and (root / folder).is_dir():
      found[split] = _pairs(root, path, folder)
  for path in (root / LISTS / name for name in _ALL):
    if path.is_file() and not found:
      found = {'train': _pairs(root, path, _MASKS)}
  if found.get('train'):
    return {split: pairs for split, pairs in found.items() if pairs}
  if 'train' in found:
    raise ValueError(
      f'The list of train in {root / LISTS} names no image. Write one name a '
      'line to it.'
    )
  raise ValueError(
    f'{root / LISTS} has no train.txt. Add that list of '
    'images, one name a line.'
  )


def _has_palette(pair):
  """Whether a mask has VOC's colours, as far as its palette goes."""
  try:
    found = mask_files.read_palette(pair.mask[1])
  except (BadImage, OSError):  # the writing names it
    return True
  known = overlays.palette(MOST_IDS)
  named = slice(len(NAMES))
  return found is not None and np.array_equal(
    found[named], known[: len(found)][named]
  )


def _is_voc(pairs, options):
  """Whether nothing in masks contradicts that they are VOC's."""
  return all(map(_has_palette, pairs)) and classes.found_ids(pairs, options)[
    -1:
  ] < [len(NAMES)]


def _classes(root, splits, options):
  """Returns the classes and how masks are read, and the dataset's name."""
  told = options.color_table or options.mask_values or options.labels_file
  if (root / _LABELMAP).is_file():
    if told:
      raise ValueError(
        f'{root / _LABELMAP} tells the classes: leave out --color_table, '
        '--mask_values and --labels_file.'
      )
    return _by_labelmap(root, options), 'tfrecord'
  pairs = [pair for found in splits.values() for pair in found]
  if told:
    return classes.find(pairs, options, str(root)), 'tfrecord'
  # DeepLab's masks of train_aug have no palette.
  own = [
    pair for name in splits if name != 'train_aug' for pair in splits[name]
  ]
  if _is_voc(own, options):
    rule = mask_files.Rule(options.ignore_label)
    return Table(NAMES, rule, notes=[_TAKEN]), 'pascal_voc_seg'
  table = classes.find(pairs, options, str(root))
  return table._replace(notes=[_NOT_TAKEN, *table.notes]), 'tfrecord'


def _by_labelmap(root, options):
  """Returns the classes and colours of labelmap.txt."""
  table = colour_table.read(str(root / _LABELMAP), options.ignore_label)
  if options.ignore_label is None:
    return table
  colours = {_BORDER: options.ignore_label, **table.rule.colours}
  return table._replace(rule=dataclasses.replace(table.rule, colours=colours))


def plan(source: str, options: Options) -> Plan:
  """Plans the lists of ImageSets/Segmentation: train, val and perhaps more.

  train_aug is there where SegmentationClassAug and its list are; it holds
  train again. A set with labelmap.txt, as CVAT exports it, has the classes
  and colours of that file. Another set has those that the options tell; or
  VOC's, if its masks have VOC's palette and values; or numbers.

  Args:
    source: the folder VOC2012, or one that holds it somewhere.
    options: for a set with one list, which part is validation; the ignore
      label; and, unless there is labelmap.txt, what tells the classes.

  Returns:
    The splits train, val and train_aug, or those of them that there are.

  Raises:
    ValueError: no such folder, a list that names a file that is missing, or
      classes that are told twice or not at all.
  """
  root = _find(source)
  splits = _splits(root)
  table, name = _classes(root, splits, options)
  return plan_pairs(str(source), table, splits, options, name)
