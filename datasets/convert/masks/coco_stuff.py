"""COCO-Stuff: COCO's images with the PNGs of stuffthingmaps.

H. Caesar, J. Uijlings, V. Ferrari, "COCO-Stuff: Thing and Stuff Classes in
Context", CVPR 2018, arXiv:1612.03716.
"""

from datasets.class_names import COCO_STUFF, COCO_STUFF_UNUSED
from datasets.convert.masks import classes
from datasets.convert.masks.pairs import find_root, match_folders, plan_pairs
from datasets.images.colour_table import Table
from datasets.images.mask_files import Rule
from datasets.writing.plan import Options, Plan

SPLITS = {'train': 'train2017', 'val': 'val2017'}
_MASKS = ('stuffthingmaps_trainval2017', 'stuffthingmaps', 'annotations')
_IMAGES = ('images', '.')
_UNLABELLED = 255
CLASSES = {
  value: name
  for value, name in enumerate(COCO_STUFF)
  if name not in COCO_STUFF_UNUSED
}


def _folder(root, places, part):
  """Returns the first of the folders that there is; None for none."""
  folders = (root / place / part for place in places)
  return next((folder for folder in folders if folder.is_dir()), None)


def plan(source: str, options: Options) -> Plan:
  """Plans train2017 and val2017 with masks of the same names.

  Of the values 0 to 181, which are COCO's ids less one, 171 are in use, and
  are the classes in their order; 255, unlabelled, is ignored.

  Args:
    source: the folder of train2017 and val2017, or of images that holds them,
      and of stuffthingmaps or annotations, with folders of the same names.
    options: the ignore label, and the largest mask.

  Returns:
    The splits train and val, or those of them that there are.

  Raises:
    ValueError: no such folders, an image or a mask without the other, or flags
      that do not go with it.
  """
  classes.check_known('coco_stuff', options, len(CLASSES))
  root = find_root(
    source,
    lambda folder: _folder(folder, _MASKS, SPLITS['train']) is not None,
    f'{_MASKS[0]}/train2017 with the masks of COCO-Stuff',
  )
  pairs, notes = {}, []
  for split, part in SPLITS.items():
    images, masks = (
      _folder(root, places, part) for places in (_IMAGES, _MASKS)
    )
    if images and masks:
      pairs[split] = match_folders(images, masks, root)
    elif split == 'train':
      raise ValueError(
        f'{root} has no folder of images for {masks}: unpack train2017.zip to '
        f'{root / part}.'
      )
    elif images or masks:
      notes.append(
        f'There are no {"masks" if images else "images"} for '
        f'{images or masks}, so {split} is left out.'
      )
  rule = Rule(
    options.ignore_label,
    tuple(CLASSES),
    ignored=(_UNLABELLED,),
    form="the list of COCO-Stuff's classes",
  )
  table = Table([*CLASSES.values()], rule, notes=notes)
  return plan_pairs(source, table, pairs, options)
