"""COCO's panoptic segmentation as masks of classes.

A. Kirillov et al., "Panoptic Segmentation", CVPR 2019, arXiv:1801.00868. The
number of a segment is R + 256 G + 65536 B of the colour that it has in a PNG,
and a file of annotations has the category of each.
"""

import functools
import os
from typing import TypedDict

from datasets import json_files
from datasets.convert.masks import classes, coco_annotations, coco_files
from datasets.convert.masks.pairs import plan_items
from datasets.images import mask_files
from datasets.images.colour_table import Table
from datasets.images.image_files import BadImage
from datasets.images.mask_files import Rule
from datasets.limits import MOST_IDS
from datasets.text import few
from datasets.writing.plan import Options, Plan

_VOID = (0, 0, 0)  # the colour of what is no segment


class _Segment(TypedDict):
  id: int
  category_id: int


class _Panoptic(TypedDict):
  file_name: str
  segments_info: list[_Segment]


def _colour(number):
  return number & 255, number >> 8 & 255, number >> 16


def _rule(annotation, labels, ignore_label, path):
  """Returns how the PNG of an annotation is read."""
  json_files.check(annotation, _Panoptic, 'it')
  colours = {_VOID: ignore_label}
  for segment in annotation['segments_info']:
    if not 0 < segment['id'] < 1 << 24:
      raise ValueError(f'the segment {segment["id"]}, which is no colour')
    if segment['category_id'] not in labels:
      raise ValueError(
        f'the category {segment["category_id"]}, which has no name'
      )
    colours[_colour(segment['id'])] = labels[segment['category_id']]
  return Rule(ignore_label, colours=colours, form=path)


def _read_mask(labels, options, source, annotations, number):
  """Returns the mask of an image."""
  (annotation,) = annotations.of(number)
  try:
    rule = _rule(annotation, labels, options.ignore_label, str(source.path))
    name = coco_annotations.check_path(annotation['file_name'])
  except ValueError as error:
    raise BadImage(
      f'has an annotation in {source.path} with {error}: repair it there'
    ) from None
  folder = _masks(source)
  return mask_files.read(
    os.path.join(folder, name), name, rule, options.max_pixels
  )


def _masks(source):
  """Returns the folder of the PNGs of a file of annotations."""
  name = source.path.stem
  folders = source.path.parent / name, source.path.parents[1] / name
  found = next((folder for folder in folders if folder.is_dir()), None)
  if not found:
    raise ValueError(
      f'There is no folder {folders[0]} with the PNGs of {source.path}: unpack '
      f'{name}.zip, which its archive holds, there.'
    )
  return found


def _check_counts(annotations):
  """Refuses images without an annotation, or with several."""
  wrong = [
    image.name
    for image, count in zip(annotations.images, annotations.counts, strict=True)
    if count != 1
  ]
  if wrong:
    raise ValueError(
      f'{annotations.path} does not have one annotation for each of '
      f'{len(wrong):,} images: {few(wrong)}. Put back the file.'
    )


def plan(source: str, options: Options) -> Plan:
  """Plans images with the PNGs and segments of annotations/panoptic_*.json.

  The classes are the categories in the order of their ids, things and stuff
  alike, and crowds are of theirs. What is no segment is ignored.

  Args:
    source: a folder as `coco_files.find` takes it, and with the PNGs in
      annotations/panoptic_PART or panoptic_PART.
    options: the ignore label, and the largest mask.

  Returns:
    The splits train, val and test, or those of them that there are.

  Raises:
    ValueError: no such folder, a file of annotations that is damaged, an image
      that is missing, or flags that do not go with it.
  """
  sources, notes = coco_files.find(source, coco_files.PANOPTIC)
  for each in sources.values():
    _masks(each)
  annotations = coco_files.index(sources, options.progress)
  categories = annotations['train'].categories
  classes.check_known('coco_panoptic', options, len(categories))
  for found in annotations.values():
    _check_counts(found)
  labels = {key: label for label, key in enumerate(categories)}
  items, odd = coco_files.plan_images(
    source, sources, annotations, functools.partial(_read_mask, labels, options)
  )
  fit = {*categories} <= {*range(MOST_IDS)}
  table = Table(
    [*categories.values()],
    Rule(options.ignore_label),
    notes=notes + odd,
    source_values=tuple(categories) if fit else (),
  )
  return plan_items(source, table, items, options)
