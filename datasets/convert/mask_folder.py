"""Images in one folder and their masks, of the same names, in another."""

import concurrent.futures
import os
from collections.abc import Sequence

import numpy as np

from datasets import dataset_utils
from datasets.convert.mask_pairs import Pair, plan_pairs, stems
from datasets.images import colour_table, image_files, mask_files
from datasets.images.colour_table import Table
from datasets.limits import MOST_IDS
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
_SPARSE = 16  # classes of which most may be absent


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
  pairs = {
    stem: Pair(one[stem], other[stem + ending])
    for stem in one
    if stem + ending in other
  }
  partners = {pair.mask for pair in pairs.values()}
  for folder, lacking, files, alone in (
    (images, ids, one, [one[stem] for stem in one if stem not in pairs]),
    (ids, images, other, [*set(other.values()) - partners]),
  ):
    if alone:
      raise ValueError(
        f'{len(alone):,} of {len(files):,} files of {folder} have no partner '
        f'of the same name in {lacking}: {few(sorted(dict(alone)))}. Add the '
        'partners, or take these away.'
      )
  return [*pairs.values()]


def _found_values(pairs: Sequence[Pair], options: Options) -> np.ndarray:
  """Reads all masks, and returns how often each value is in them: int64 [256].

  Raises:
    ValueError: none can be read; the sentence tells of the first.
  """
  rule = mask_files.Rule(options.ignore_label)

  def look(pair):
    try:
      return np.bincount(
        mask_files.read(*pair.mask[::-1], rule).ravel(), minlength=MOST_IDS
      )
    except image_files.BadImage as bad:  # the writing names each of them
      return bad

  total, bad = np.zeros(MOST_IDS, np.int64), []
  with (
    options.progress(len(pairs), 0, 'reading masks') as bar,
    concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
  ):
    for pair, found in zip(pairs, pool.map(look, pairs), strict=True):
      if isinstance(found, image_files.BadImage):
        bad.append(f'{pair.image[0]} {found}')
      else:
        total += found
      bar.update(1)
  if len(bad) == len(pairs):
    raise ValueError(f'No mask can be taken: {bad[0]}.')
  return total


def _numbers(pairs, options, source):
  """Returns names for the classes 0 to the largest value of the masks."""
  found = np.flatnonzero(_found_values(pairs, options))
  ids = [int(value) for value in found if value != options.ignore_label]
  classes = max(ids, default=0) + 1
  if classes > max(_SPARSE, 2 * len(ids)):
    cure = (
      f'If each value is a class: --mask_values={",".join(map(str, ids))}. '
      if len(ids) <= _SPARSE
      else 'If they come of smooth edges, save the masks without them. '
    )
    raise ValueError(
      f'The masks of {source} have the values {few(map(str, ids))}, which '
      f'leave most of the classes 0 to {ids[-1]} empty. {cure}If they are '
      'ids: name all classes in --labels_file.'
    )
  return [f'class {label}' for label in range(classes)]


def _read_labels(path):
  if not os.path.isfile(path):
    raise ValueError(f'The labels file {path} does not exist.')
  return [*dataset_utils.read_label_file(*os.path.split(path)).values()]


def _classes(pairs, options, source):
  """Returns the classes, and how masks are read."""
  label, values = options.ignore_label, options.mask_values
  if options.color_table:
    if options.labels_file or values:
      raise ValueError(
        '--color_table tells the names and the order of the '
        'classes: leave out --labels_file and --mask_values.'
      )
    return colour_table.read(options.color_table, label)
  rule = mask_files.Rule(label, values)
  if options.labels_file:
    names = _read_labels(options.labels_file)
    if values and len(values) != len(names):
      raise ValueError(
        f'--mask_values has {len(values)} values, and '
        f'{options.labels_file} names {len(names)} classes: '
        'give a value for each.'
      )
    return Table(names, rule)
  if values:
    return Table([f'class {i}' for i in range(len(values))], rule)
  return Table(_numbers(pairs, options, source), rule)


def plan(source: str, options: Options) -> Plan:
  """Plans a folder of images and one of masks, with files of equal names.

  The two are called images and masks (other usual names are known). They
  have sub-folders train and val, validation or test, or lie in such folders;
  else a part becomes the validation split. Suffixes do not count, and masks
  may have '_mask' or the like behind the image's name.

  Args:
    source: the folder.
    options: which part is validation; what the masks' pixels stand for; and
      the names of the classes, without which they are numbers.

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
  table = _classes(every, options, source)
  if len(table.class_names) > MOST_IDS:
    raise ValueError(
      f'{len(table.class_names)} classes are named; masks have '
      f'room for {MOST_IDS}.'
    )
  return plan_pairs(str(source), table, pairs, options)
