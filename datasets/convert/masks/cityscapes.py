"""Cityscapes: leftImg8bit and gtFine, as their archives have them.

M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene
Understanding", CVPR 2016, arXiv:1604.01685.
"""

import dataclasses

from datasets.class_names import CITYSCAPES, CITYSCAPES_IDS
from datasets.convert.masks import classes
from datasets.convert.masks.pairs import find_root, match, plan_pairs, stems
from datasets.images.colour_table import Table
from datasets.images.mask_files import Rule
from datasets.text import few
from datasets.writing.plan import Options, Plan

_IMAGES, _IMAGE = 'leftImg8bit', '_leftImg8bit'
# Of each split the folder, and that of its masks.
SPLITS = {
  'train': ('train', 'gtFine'),
  'val': ('val', 'gtFine'),
  'test': ('test', 'gtFine'),
  'train_coarse': ('train_extra', 'gtCoarse'),
}
# How masks are read, by how their names end; the first kind that is there is
# taken. Label ids that are no class have the values left over.
FORMS = {
  'labelIds': Rule(
    values=CITYSCAPES_IDS,
    ignored=tuple({*range(34), 255} - {*CITYSCAPES_IDS}),
    form="the list of Cityscapes' label ids",
  ),
  'labelTrainIds': Rule(
    values=tuple(range(len(CITYSCAPES))),
    ignored=(255,),
    form="the list of Cityscapes' train ids",
  ),
}


def _folders(root):
  """Returns the folders of images and masks of each split, and notes."""
  found, notes = {}, []
  for split, (part, truth) in SPLITS.items():
    both = root / _IMAGES / part, root / truth / part
    missing = [folder for folder in both if not folder.is_dir()]
    if not missing:
      found[split] = both
    elif len(missing) == 1:
      notes.append(f'There is no {missing[0]}, so {split} is left out.')
  if 'train' not in found:
    raise ValueError(
      f'{root} has nothing to train on: there should be {_IMAGES}/train and '
      'gtFine/train, the folders of leftImg8bit_trainvaltest.zip and of '
      'gtFine_trainvaltest.zip.'
    )
  return found, notes


def _ending(files, end):
  """Returns the files whose names end so, by what stands before."""
  return {
    stem.removesuffix(end): file
    for stem, file in files.items()
    if stem.endswith(end)
  }


def _masks(folders, root):
  """Returns the masks of each split, all of one form, and its name."""
  there = {split: stems(masks, root) for split, (_, masks) in folders.items()}
  for form in FORMS:
    found = {
      split: _ending(files, f'_{SPLITS[split][1]}_{form}')
      for split, files in there.items()
    }
    if all(found.values()):
      return found, form
  endings = ' or '.join(f'*_{form}.png' for form in FORMS)
  raise ValueError(
    f'{few(str(masks) for _, masks in folders.values())}: not each of them has '
    f'masks named {endings}. They are in gtFine_trainvaltest.zip; unpack it '
    'again.'
  )


def plan(source: str, options: Options) -> Plan:
  """Plans leftImg8bit/*/CITY with gtFine/*/CITY, and gtCoarse's train_extra.

  The classes are the 19 that are evaluated, by their train ids; all else is
  ignored. Their source values are the label ids.

  Args:
    source: the folder of leftImg8bit and gtFine, or one that holds it.
    options: the ignore label, and the largest mask.

  Returns:
    The splits of `SPLITS` that are there.

  Raises:
    ValueError: no such folders, an image or a mask without the other, or flags
      that do not go with it.
  """
  classes.check_known('cityscapes', options, len(CITYSCAPES))
  root = find_root(
    source,
    lambda folder: (
      (folder / _IMAGES).is_dir()
      and any((folder / truth).is_dir() for _, truth in SPLITS.values())
    ),
    f'{_IMAGES} beside gtFine',
  )
  folders, notes = _folders(root)
  masks, form = _masks(folders, root)
  pairs = {
    split: match(
      _ending(stems(images, root), _IMAGE), masks[split], (images, truth)
    )
    for split, (images, truth) in folders.items()
  }
  rule = dataclasses.replace(FORMS[form], ignore_label=options.ignore_label)
  table = Table(
    list(CITYSCAPES),
    rule,
    notes=[f'The masks are those named *_{form}.png.', *notes],
    source_values=CITYSCAPES_IDS,
  )
  return plan_pairs(source, table, pairs, options, 'cityscapes')
