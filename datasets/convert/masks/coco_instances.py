"""COCO's instances, objects as polygons and run lengths, as masks of classes.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
arXiv:1405.0312. Many programs export this form.
"""

import functools
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from datasets import json_files
from datasets.convert.masks import classes, coco_files, regions
from datasets.convert.masks.pairs import plan_items
from datasets.images.colour_table import Table
from datasets.images.image_files import BadImage, TooLarge
from datasets.images.mask_files import Rule
from datasets.limits import MOST_IDS
from datasets.text import few
from datasets.writing.plan import Options, Plan

_BACKGROUND = 'background'


class _Object(TypedDict):
  category_id: int
  iscrowd: int | bool | None


class _Runs(TypedDict):
  size: list[int]


def _table(categories, options):
  """Returns the classes: the background, and all other categories."""
  others = {
    key: name for key, name in categories.items() if name != _BACKGROUND
  }
  names = [_BACKGROUND, *others.values()]
  classes.check_ignore_label('coco_instances', options, len(names))
  values = (0, *others)
  fit = len({*values}) == len(values) and {*values} <= {*range(MOST_IDS)}
  return Table(
    names, Rule(options.ignore_label), source_values=values if fit else ()
  )


def _labels(categories: Mapping[int, str], names: list[str]) -> dict[int, int]:
  return {key: names.index(name) for key, name in categories.items()}


def _region(annotation, image):
  """Returns the pixels of an annotation, bool [height, width]."""
  found = annotation.get('segmentation')
  if isinstance(found, dict):
    json_files.check(found, _Runs, 'its segmentation')
    if found['size'] != [image.height, image.width]:
      raise regions.BadRegion(
        f'run lengths for a size of {found["size"]}, height and width, and '
        f'the image has {[image.height, image.width]}'
      )
    return regions.decode_runs(found.get('counts'), image.height, image.width)
  if not isinstance(found, list) or not found:
    raise regions.BadRegion('no segmentation, at most a box')
  return regions.fill(found, image.height, image.width)


def _drawn(annotation, image, labels, path):
  """Returns what an annotation is drawn by: whether a crowd, pixels, label."""
  try:
    json_files.check(annotation, _Object, 'it')
    category = annotation['category_id']
    if category not in labels:
      raise ValueError(f'the category {category}, which has no name')
    pixels = np.count_nonzero(_region(annotation, image))
  except ValueError as error:
    raise BadImage(
      f'has an annotation in {path}, id {annotation.get("id")}, with {error}: '
      'repair it there, or remove it'
    ) from None
  return bool(annotation.get('iscrowd')), pixels, labels[category]


def _read_mask(labels, options, source, annotations, number):
  """Returns the mask of an image.

  Crowds are below all objects, and of two objects the smaller one is above,
  or, where they are equal, the later.
  """
  image = annotations.images[number]
  pixels = image.height * image.width
  if pixels > options.max_pixels:
    raise TooLarge(
      f'has {image.width}x{image.height} = {pixels:,} pixels by {source.path}, '
      f'more than --max_image_pixels={options.max_pixels}: shrink it, or raise '
      'the limit'
    )
  found = [
    (_drawn(annotation, image, labels, source.path), annotation)
    for annotation in annotations.of(number)
  ]
  mask = np.zeros((image.height, image.width), np.uint8)
  # Crowds first, then from large to small.
  for (crowd, _, label), annotation in sorted(
    found, key=lambda each: (not each[0][0], -each[0][1])
  ):
    ignored = crowd and options.ignore_label is not None
    # Filled again rather than kept, since there may be hundreds.
    mask[_region(annotation, image)] = (
      options.ignore_label if ignored else label
    )
  return mask


def plan(source: str, options: Options) -> Plan:
  """Plans images with the objects of annotations/instances_*.json.

  Class 0 is the background, and the others are the categories, in the order of
  their ids. Crowds are ignored, or, with no ignore label, of their category.

  Args:
    source: a folder as `coco_files.find` takes it.
    options: the ignore label, which part is validation where there is train
      alone, and the largest image.

  Returns:
    The splits train, val and test, or those of them that there are.

  Raises:
    ValueError: no such folder, a file of annotations that is damaged, an image
      that is missing, or flags that do not go with it.
  """
  classes.check_untold('coco_instances', options)
  sources, notes = coco_files.find(source, coco_files.INSTANCES)
  annotations = coco_files.index(sources, options.progress)
  categories = annotations['train'].categories
  table = _table(categories, options)
  items, odd = coco_files.plan_images(
    source,
    sources,
    annotations,
    functools.partial(
      _read_mask, _labels(categories, table.class_names), options
    ),
  )
  for split, found in annotations.items():
    empty = [
      image.name
      for image, count in zip(found.images, found.counts, strict=True)
      if not count
    ]
    if empty:
      odd.append(
        f'{len(empty):,} images of {split} have no object, and are background '
        f'throughout: {few(empty)}.'
      )
  return plan_items(source, table._replace(notes=notes + odd), items, options)
