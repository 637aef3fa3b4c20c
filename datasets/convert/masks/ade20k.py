"""ADE20K's scene parsing benchmark, and sets of one's own in its form.

B. Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017,
arXiv:1608.05442.
"""

import re

from datasets.class_names import ADE20K
from datasets.convert.masks import classes
from datasets.convert.masks.pairs import find_root, match_folders, plan_pairs
from datasets.files import read_bytes
from datasets.images.colour_table import Table
from datasets.images.mask_files import Rule
from datasets.limits import MOST_IDS
from datasets.text import check_name, distinct
from datasets.writing.plan import Options, Plan

SPLITS = {'train': 'training', 'val': 'validation'}
INFO, _HEADER = 'objectInfo150.txt', 'Idx'
_IMAGES, _MASKS = 'images', 'annotations'
_OTHER = ADE20K[0]  # what 0 is called where it has a label
_DEEPLABS = (
  "The masks keep their values, 0 to {}, as DeepLab's do: 0 is a class in "
  'name, and {}.'
)


def read_names(path: str) -> list[str]:
  """Returns the names in objectInfo150.txt, the first word for each.

  Args:
    path: of a file whose lines have columns between tabs, the first of which
      is the value of a class in masks, from 1, and the last its words.

  Raises:
    ValueError: it has another form.
  """
  try:
    lines = read_bytes(path).decode('utf-8-sig').splitlines()
  except UnicodeDecodeError:
    raise ValueError(f'{path} is not UTF-8 text: save it as UTF-8.') from None
  names = []
  for number, line in enumerate(lines, 1):
    cells = [cell.strip() for cell in line.split('\t')]
    if not any(cells) or cells[0] == _HEADER:
      continue
    name = re.split('[,;]', cells[-1])[0].strip()
    if len(cells) < 2 or cells[0] != str(len(names) + 1) or not name:
      raise ValueError(
        f'{path}, line {number}: {line[:80]!r} should begin with '
        f'{len(names) + 1}, the next number, and end with a tab and a name.'
      )
    check_name(name, f'{path}, line {number}: the class')
    names.append(name)
  if not 1 < len(names) < MOST_IDS:
    raise ValueError(
      f'{path} names {len(names)} classes; it should name 2 to {MOST_IDS - 1}.'
    )
  return distinct(names, 1)


def _table(names, options):
  """Returns the classes: those named, or with 0 before them."""
  label = options.ignore_label
  if label:
    classes.check_known('ade20k', options, len(names))
    rule = Rule(label, tuple(range(1, len(names) + 1)), ignored=(0,), form=INFO)
    note = f'0 is no class in ADE20K: its pixels are ignored ({label}).'
    return Table(names, rule, notes=[note])
  known = Rule(label, tuple(range(len(names) + 1)), form=INFO)
  counts = 'its pixels count' if label is None else 'its pixels are ignored'
  note = _DEEPLABS.format(len(names), counts)
  return Table([_OTHER, *names], known, notes=[note])


def plan(source: str, options: Options) -> Plan:
  """Plans images/training and images/validation with annotations/*.

  The values 1 to 150 of masks are the classes 0 to 149, and 0, what is none of
  them, is ignored. With an ignore label of 0 values stay as they are, as
  DeepLab has them: 151 classes, the first of which is ignored.

  Args:
    source: the folder ADEChallengeData2016, or one that holds it.
    options: the ignore label, and the largest mask.

  Returns:
    The splits train and val, or those of them that there are.

  Raises:
    ValueError: no such folders, an image or a mask without the other, or flags
      that do not go with it.
  """
  root = find_root(
    source,
    lambda folder: all(
      (folder / part / SPLITS['train']).is_dir() for part in (_IMAGES, _MASKS)
    ),
    f'{_IMAGES}/training beside {_MASKS}/training',
  )
  info = root / INFO
  names = read_names(str(info)) if info.is_file() else list(ADE20K[1:])
  classes.check_untold('ade20k', options)
  table = _table(names, options)
  pairs = {}
  for split, folder in SPLITS.items():
    both = root / _IMAGES / folder, root / _MASKS / folder
    if any(part.is_dir() for part in both):
      pairs[split] = match_folders(*both, root)
  return plan_pairs(source, table, pairs, options, 'ade20k')
