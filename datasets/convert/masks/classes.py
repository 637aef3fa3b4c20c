"""Which classes masks have: as they are named, or as many as are found."""

import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from datasets import dataset_utils
from datasets.convert.masks.pairs import Pair
from datasets.files import read_bytes
from datasets.images import colour_table, image_files, mask_files, palettes
from datasets.images.colour_table import Table
from datasets.limits import MOST_IDS
from datasets.text import few
from datasets.writing.plan import Options

_SPARSE = 16  # classes of which most may be absent


def _each(
  pairs: Sequence[Pair], options: Options, look: Callable[[Pair], Any]
) -> Generator[tuple[Pair, Any], None, None]:
  """Yields the pairs in their order with what `look`, in threads, returns.

  Closed before its end, it does not look at the others.
  """
  with (
    options.progress(len(pairs), 0, 'reading masks') as bar,
    concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
  ):
    try:
      for pair, found in zip(pairs, pool.map(look, pairs), strict=True):
        yield pair, found
        bar.update(1)
    finally:
      pool.shutdown(cancel_futures=True)


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
  for pair, found in _each(pairs, options, look):
    if isinstance(found, image_files.BadImage):
      bad.append(f'{pair.image[0]} {found}')
    else:
      values |= {*found.tolist()}
  if len(bad) == len(pairs):
    raise ValueError(f'No mask can be taken: {bad[0]}.')
  return sorted(values - {options.ignore_label})


def _palette(pair):
  """Returns the bytes of a mask's palette, None if it has none."""
  with contextlib.suppress(image_files.BadImage, ValueError, OSError):
    found = mask_files.read_palette(pair.mask[1])
    return None if found is None else found.tobytes()
  return None  # the writing names it


def _check_palettes(pairs, options, source):
  """Refuses palettes in which a number has another colour in another file.

  Pixels are read only if the palettes are not all the same.
  """
  different = {found for _, found in _each(pairs, options, _palette)} - {None}
  if len(different) < 2:
    return

  def look(pair):
    with contextlib.suppress(ValueError, OSError):
      return mask_files.used_colours(
        read_bytes(pair.mask[1]), options.max_pixels
      )
    return {}

  known = palettes.Palettes(options.ignore_label)
  with contextlib.closing(_each(pairs, options, look)) as looked_at:
    for pair, colours in looked_at:
      wrong = known.add(pair.mask[0], colours)
      if wrong:
        raise ValueError(
          f'The palettes of the masks of {source} contradict each other: '
          f'{wrong}. {palettes.CURE}'
        )


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
  if len(names) < 2:
    raise ValueError(
      f'{path} names less than two classes, so there is nothing to tell apart '
      'and nothing to learn: name what surrounds the objects too, as in '
      '0:background.'
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
    ValueError: a file of names or colours that is not as it should be,
      palettes that contradict each other, or classes that cannot be told.
  """
  label, values = options.ignore_label, options.mask_values
  if options.color_table:
    if options.labels_file or values:
      raise ValueError(
        '--color_table tells the names and the order of the '
        'classes: leave out --labels_file and --mask_values.'
      )
    return colour_table.read(options.color_table, label)
  _check_palettes(pairs, options, source)
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


def check_known(name: str, options: Options, classes: int) -> None:
  """Refuses flags that do not go with a dataset that knows its classes.

  Args:
    name: of the converter.
    options: what the flags say.
    classes: the number of classes.

  Raises:
    ValueError: a flag that tells the classes, or an ignore label that leaves
      pixels of no class without a value, or is a class.
  """
  check_untold(name, options)
  if options.ignore_label is None:
    raise ValueError(
      f'{name} has pixels that are of no class, so --ignore_label=-1 leaves '
      'them without a value: leave the flag out.'
    )
  check_ignore_label(name, options, classes)


def check_untold(name: str, options: Options) -> None:
  """Refuses flags that tell the classes of a dataset that knows them."""
  if options.color_table or options.mask_values or options.labels_file:
    raise ValueError(
      f'{name} knows its classes: leave out --color_table, --mask_values and '
      '--labels_file.'
    )


def check_ignore_label(name: str, options: Options, classes: int) -> None:
  """Refuses an ignore label that is one of the classes.

  Raises:
    ValueError: it is, or there are more classes than masks have room for.
  """
  label = options.ignore_label
  if classes > MOST_IDS - (label is not None):
    raise ValueError(
      f'{name} has {classes} classes, and masks have room for '
      f'{MOST_IDS - (label is not None)}: take some away.'
    )
  if label is not None and label < classes:
    raise ValueError(
      f'--ignore_label={label} is one of the {classes} classes of {name}: '
      'leave the flag out, or set it to 255.'
    )
