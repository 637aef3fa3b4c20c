"""Examples with masks: what is checked and counted as they are written."""

from collections.abc import Mapping

import numpy as np

from datasets import dataset_utils
from datasets.images import mask_files
from datasets.images.image_files import BadImage, EncodedImage
from datasets.limits import MOST_IDS
from datasets.records.description import Split
from datasets.text import few
from datasets.writing.plan import Item, Labelled, Plan


def _check_size(mask, image):
  height, width = mask.shape
  if (height, width) == (image.height, image.width):
    return
  orientation = (
    ' (the image stands on its side in its file, by EXIF: draw the '
    'mask for the image as people see it)'
    if (width, height) == (image.height, image.width)
    else ''
  )
  raise BadImage(
    f'has a mask of {width}x{height} pixels for an image of '
    f'{image.width}x{image.height}{orientation}: export both in one size, '
    'enlarging masks by nearest neighbour only'
  )


def _check_values(found, plan):
  """Refuses values that are neither classes nor the ignore label."""
  classes = len(plan.class_names)
  wrong = [
    value
    for value in np.flatnonzero(found)
    if value >= classes and value != plan.ignore_label
  ]
  if not wrong:
    return
  ignored = (
    'none is ignored'
    if plan.ignore_label is None
    else f'{plan.ignore_label} is ignored'
  )
  raise BadImage(
    f'has {few(map(str, wrong))} in its mask; the classes are 0 to '
    f'{classes - 1}, and {ignored}: set --ignore_label={wrong[-1]} if that '
    'is not a class, name all classes in --labels_file, or give the values '
    'of the classes in their order by --mask_values'
  )


def _classes(found, plan):
  there = np.flatnonzero(found)
  return there[
    there != (-1 if plan.ignore_label is None else plan.ignore_label)
  ]


def make_example(item: Item, image: EncodedImage, plan: Plan) -> Labelled:
  """Returns what is written of an item, and what its mask holds.

  Args:
    item: has a mask, which is read.
    image: as it is written.
    plan: that of the item.

  Raises:
    BadImage: a mask of another size than the image, or with values that
      are neither classes nor the ignore label.
  """
  mask = item.read_mask()
  _check_size(mask, image)
  found = np.bincount(mask.ravel(), minlength=MOST_IDS)
  _check_values(found, plan)
  return Labelled(
    dataset_utils.image_seg_to_tfexample(
      image.data,
      image.format,
      item.name.encode(),
      image.height,
      image.width,
      image.channels,
      mask_files.encode(mask),
      item.features,
    ),
    _classes(found, plan),
    found,
  )


def check_splits(splits: Mapping[str, Split], plan: Plan) -> None:
  """Refuses masks of train from which nothing can be learnt.

  Args:
    splits: what is written, by name.
    plan: that of the splits.

  Raises:
    ValueError: less than two classes occur.
  """
  found = splits.get('train')
  if not found:
    return
  there = np.flatnonzero(found.pixels_per_class)
  if len(there) > 1:
    return
  what = (
    f'one class only, {there[0]} {plan.class_names[there[0]]!r}'
    if len(there)
    else 'no class at all'
  )
  beside, cure = '', 'Add masks with another class'
  if found.ignored_pixels:
    value = plan.ignore_label
    beside = f', and pixels of {value}, which is ignored'
    cure += f'; or, if {value} stands for one, ' + (
      f'give the values in the order of the classes: --mask_values=0,{value}'
      if value
      else 'set another --ignore_label, or -1 for none'
    )
  raise ValueError(
    f'The masks of train of {plan.source} have {what}{beside}, so that '
    f'there is nothing to tell apart, and nothing to learn. {cure}.'
  )
