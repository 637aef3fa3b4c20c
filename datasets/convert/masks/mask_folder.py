"""Images in one folder and their masks, of the same names, in another."""

from datasets.convert.masks import classes
from datasets.convert.masks.pairs import match, plan_pairs, stems
from datasets.sources import listing
from datasets.text import few
from datasets.writing import splitting
from datasets.writing.plan import Options, Plan

# What people call the two folders, and those of splits.
IMAGES = ('images', 'image', 'imgs', 'JPEGImages')
MASKS = ('masks', 'mask', 'annotations', 'labels', 'SegmentationClass')
SPLITS = {**splitting.SPLITS, 'training': 'train', 'valid': 'validation'}
# What the names of masks may have behind those of their images.
_ENDINGS = ('', '_mask', '_label', '_L', '_gt')


def _named(folder, names):
  """Returns the sub-folder that has one of the names; None if none has."""
  found = [name for name in listing.folders_in(folder) if name in names]
  if len(found) > 1:
    raise ValueError(f'{folder} has the folders {few(found)}. Keep one.')
  return folder / found[0] if found else None


def _split_folders(folder):
  """Returns {split: folder} of the sub-folders that are splits."""
  found = {}
  for name in listing.folders_in(folder):
    if name.lower() in SPLITS:
      other = found.setdefault(SPLITS[name.lower()], folder / name)
      if other.name != name:
        raise ValueError(
          f'{folder} has both {other.name} and {name}. Keep one of them.'
        )
  return {
    split: found[split]
    for split in dict.fromkeys(SPLITS.values())
    if split in found
  }


def _folders(source):
  """Returns the folders of images and of masks of each split."""
  inside = listing.folders_in(source)
  if len(inside) == 1 and inside[0] not in (*IMAGES, *MASKS, *SPLITS):
    source = source / inside[0]  # as archives have it
  images, ids = _named(source, IMAGES), _named(source, MASKS)
  if images and ids:
    one, other = _split_folders(images), _split_folders(ids)
    alone = sorted(one.keys() ^ other.keys())
    if alone:
      raise ValueError(
        f'Only one of {images} and {ids} has {few(alone)}. Add '
        'it to the other, or take it away.'
      )
    return {split: (one[split], other[split]) for split in one} or {
      'train': (images, ids)
    }
  parts = _split_folders(source)
  found = {
    split: (_named(folder, IMAGES), _named(folder, MASKS))
    for split, folder in parts.items()
  }
  for split, there in (found or {'train': (images, ids)}).items():
    if not all(there):
      raise ValueError(
        f'{parts.get(split, source)} has no folder '
        f'{"masks" if there[0] else "images"}; there should be images and '
        'masks, with files of the same names, or train and val with these '
        'two in each.'
      )
  return found


def _pairs(images, ids, source):
  """Returns the pairs of two folders, whose names must agree."""
  one, other = stems(images, source), stems(ids, source)
  ending = max(
    _ENDINGS, key=lambda ending: sum(stem + ending in other for stem in one)
  )
  by_mask = {stem + ending: file for stem, file in one.items()}
  return match(by_mask, other, (images, ids))


def plan(source: str, options: Options) -> Plan:
  """Plans a folder of images and one of masks, with files of equal names.

  The two are called images and masks (other usual names are known). They
  have sub-folders train and val, validation or test, or lie in such folders;
  else a part becomes the validation split. Suffixes do not count, and masks
  may have '_mask' or the like behind the image's name.

  Args:
    source: the folder.
    options: which part is validation; what the masks' pixels stand for; and
      the names of the classes, without which they are numbers, see
      `classes.find`.

  Returns:
    The splits train and validation, or those there are.

  Raises:
    ValueError: a source that is not as described, a file without partner, or
      classes that cannot be told.
  """
  folder = listing.existing_folder(source)
  pairs = {
    split: _pairs(*both, folder) for split, both in _folders(folder).items()
  }
  if 'train' not in pairs:
    raise ValueError(
      f'{source} has {few(pairs)} but no train. Add the folder train.'
    )
  every = [pair for found in pairs.values() for pair in found]
  table = classes.find(every, options, str(source))
  return plan_pairs(str(source), table, pairs, options)
