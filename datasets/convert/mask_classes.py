"""Which classes masks have: as they are named, or as many as are found."""

import concurrent.futures
import os
from collections.abc import Sequence

import numpy as np

from datasets import dataset_utils
from datasets.convert.mask_pairs import Pair
from datasets.images import colour_table, image_files, mask_files
from datasets.images.colour_table import Table
from datasets.limits import MOST_IDS
from datasets.text import few
from datasets.writing.plan import Options

_SPARSE = 16  # classes of which most may be absent


def found_ids(pairs: Sequence[Pair], options: Options) -> list[int]:
  """Reads all masks, and returns the values in them, but the ignored one.

  Raises:
    ValueError: none can be read; the sentence tells of the first.
  """
  rule = mask_files.Rule(options.ignore_label)

  def look(pair):
    try:
      mask = mask_files.read(*pair.mask[::-1], rule, options.max_pixels)
      return np.flatnonzero(np.bincount(mask.ravel()))
    except image_files.BadImage as bad:  # the writing names each of them
      return bad

  values, bad = set(), []
  with (
    options.progress(len(pairs), 0, 'reading masks') as bar,
    concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
  ):
    for pair, found in zip(pairs, pool.map(look, pairs), strict=True):
      if isinstance(found, image_files.BadImage):
        bad.append(f'{pair.image[0]} {found}')
      else:
        values |= {*found.tolist()}
      bar.update(1)
  if len(bad) == len(pairs):
    raise ValueError(f'No mask can be taken: {bad[0]}.')
  return sorted(values - {options.ignore_label})


def _highest(pairs, options, source):
  """Returns the number of classes, 0 to the largest value of the masks."""
  ids = found_ids(pairs, options)
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
  return classes


def _numbered(classes, rule):
  """Returns classes that have no names."""
  names = [f'class {label}' for label in range(classes)]
  note = (
    f'Nothing names the {classes} classes, which are called {names[0]} to '
    f'{names[-1]}: give --labels_file, with lines such as 0:background.'
  )
  return Table(names, rule, notes=[note])


def _read_labels(path):
  if not os.path.isfile(path):
    raise ValueError(f'The labels file {path} does not exist.')
  names = [*dataset_utils.read_label_file(*os.path.split(path)).values()]
  if len(names) > MOST_IDS:
    raise ValueError(
      f'{path} names {len(names)} classes; masks have room for {MOST_IDS}.'
    )
  return names


def find(pairs: Sequence[Pair], options: Options, source: str) -> Table:
  """Returns the classes, and how masks are read.

  Without names they are numbers up to the largest value, and a note says so.

  Args:
    pairs: all images with their masks.
    options: what tells the classes.
    source: where they are from, for errors.

  Raises:
    ValueError: a file of names or colours that is not as it should be, or
      classes that cannot be told.
  """
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
  return _numbered(len(values) or _highest(pairs, options, source), rule)
