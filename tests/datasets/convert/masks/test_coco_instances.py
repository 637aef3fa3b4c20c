"""COCO's instances as masks."""

import re

import numpy as np
import pytest

from datasets.convert.masks import coco_instances
from datasets.images import mask_files
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources
from tests.datasets.convert.masks.sources import (
  BAR,
  CATEGORIES,
  CORNER,
  LEFT,
  RIGHT,
  an_object,
  instances,
)

HEIGHT, WIDTH = sources.SIZE


def plan(root, **options):
  return coco_instances.plan(str(root), Options(**options))


def first_mask(root, **options):
  found = plan(root, **options)
  (item,) = (
    item
    for items in found.splits.values()
    for item in items
    if item.name == 'train2017/1.jpg'
  )
  return item.read_mask()


def expected(*parts):
  mask = np.zeros((HEIGHT, WIDTH), np.uint8)
  for label, rows, columns in parts:
    mask[rows, columns] = label
  return mask


ALL = slice(None)


def test_classes(tmp_path):
  instances(tmp_path, [an_object(18, LEFT), an_object(3, LEFT, 3)])
  instances(tmp_path, [an_object(3, LEFT, 2)], parts=['val'])
  found = plan(tmp_path)
  assert found.class_names == ['background', 'car', 'dog']
  assert found.source_values == (0, 3, 18)
  assert {split: len(items) for split, items in found.splits.items()} == {
    'train': 3,
    'val': 3,
  }
  assert found.notes == (
    '1 images of train have no object, and are background throughout: 2.jpg.',
    '2 images of val have no object, and are background throughout: 1.jpg, '
    '3.jpg.',
  )
  masks = sources.masks(found, 'train')
  assert [*masks] == [f'train2017/{number}.jpg' for number in (1, 2, 3)]
  for label, mask in zip((2, 0, 1), masks.values(), strict=True):
    np.testing.assert_array_equal(mask, expected((label, ALL, slice(4))))
  assert mask_files.to_source(mask, found.source_values).max() == 3
  assert sources.written(found, tmp_path / 'new').splits['val'].examples == 3


@pytest.mark.parametrize('turn', [1, -1])
def test_small_objects_are_above_large_ones(tmp_path, turn):
  instances(tmp_path, [an_object(18, LEFT), an_object(3, CORNER)][::turn])
  np.testing.assert_array_equal(
    first_mask(tmp_path), expected((2, ALL, slice(4)), (1, slice(2), slice(2)))
  )


def test_of_equal_objects_the_later_is_above(tmp_path):
  instances(tmp_path, [an_object(3, CORNER), an_object(18, CORNER)])
  assert first_mask(tmp_path)[0, 0] == 2


@pytest.mark.parametrize('crowd', [1, True])
@pytest.mark.parametrize('ignore_label, label', [(255, 255), (9, 9), (None, 2)])
def test_crowds(tmp_path, crowd, ignore_label, label):
  """They are ignored, below all objects; or of their class, where none is."""
  instances(
    tmp_path,
    [
      an_object(3, LEFT),
      an_object(18, BAR, iscrowd=crowd),
      an_object(18, RIGHT, iscrowd=crowd),
    ],
  )
  np.testing.assert_array_equal(
    first_mask(tmp_path, ignore_label=ignore_label),
    expected(
      (label, 4, slice(2, 9)),
      (label, ALL, slice(WIDTH - 2, WIDTH)),
      (1, ALL, slice(4)),
    ),
  )


def test_a_background_of_its_own(tmp_path):
  """It is class 0, wherever it stands; the others have no values of a mask."""
  instances(
    tmp_path,
    [an_object(1, LEFT), an_object(500, CORNER)],
    categories=[
      {'id': 0, 'name': 'cat'},
      {'id': 1, 'name': 'background'},
      {'id': 500, 'name': 'dog'},
    ],
  )
  found = plan(tmp_path)
  assert found.class_names == ['background', 'cat', 'dog']
  assert found.source_values == ()
  np.testing.assert_array_equal(
    first_mask(tmp_path), expected((2, slice(2), slice(2)))
  )


@pytest.mark.parametrize(
  'values, words',
  [
    ({'segmentation': [[1, 2, 3, 4]]}, 'a polygon of 2 points'),
    ({'segmentation': []}, 'no segmentation, at most a box'),
    ({'segmentation': 'x'}, 'no segmentation, at most a box'),
    ({'segmentation': {'counts': '5'}}, 'its segmentation.size is null'),
    (
      {'segmentation': {**RIGHT, 'size': [WIDTH, HEIGHT]}},
      'run lengths for a size of [11, 8], height and width, and the image has '
      '[8, 11]',
    ),
    ({'segmentation': {**RIGHT, 'counts': [5]}}, 'run lengths of 5 pixels'),
    ({'category_id': 4}, 'the category 4, which has no name'),
    ({'category_id': '4'}, 'it.category_id is "4", and should be'),
    ({'iscrowd': []}, 'it.iscrowd is [], and should be'),
  ],
)
def test_bad_annotations(tmp_path, values, words):
  instances(tmp_path, [an_object(3, LEFT), {**an_object(3, LEFT), **values}])
  path = f'{tmp_path}/annotations/instances_train2017.json'
  found = sources.problems(plan(tmp_path, validation_fraction=0.01))
  assert found.startswith(
    f'train2017/1.jpg has an annotation in {path}, id 73, with {words}'
  )
  assert found.endswith(': repair it there, or remove it')


def remove_image(root):
  (root / 'train2017/2.jpg').unlink()


def other_categories(root):
  instances(root, [], parts=['val'], categories=CATEGORIES[:1])


@pytest.mark.parametrize(
  'damage, options, words',
  [
    (
      remove_image,
      {},
      'instances_train2017.json names 1 images that {}/train2017 does not '
      'have: 2.jpg. Add them',
    ),
    (other_categories, {}, 'val2017.json have other categories. Export both'),
    (lambda root: None, {'ignore_label': 2}, 'is one of the 3 classes of coco'),
    (lambda root: None, {'labels_file': 'a'}, 'knows its classes: leave out'),
  ],
)
def test_bad_sources(tmp_path, damage, options, words):
  instances(tmp_path, [])
  damage(tmp_path)
  with pytest.raises(ValueError, match=re.escape(words.format(tmp_path))):
    plan(tmp_path, **options)


def test_more_categories_than_masks_have_room_for(tmp_path):
  many = [{'id': i, 'name': f'c{i}'} for i in range(255)]
  instances(tmp_path, [], categories=many)
  with pytest.raises(
    ValueError, match='has 256 classes, and masks have room for 255: take'
  ):
    plan(tmp_path)


def test_images_that_are_in_no_file(tmp_path):
  instances(tmp_path, [an_object(3, LEFT, number) for number in (1, 2, 3)])
  sources.image(tmp_path / 'train2017/new.png')
  (tmp_path / 'train2017/readme.txt').write_text('no image')
  assert plan(tmp_path).notes == (
    f'1 images of {tmp_path}/train2017 are in no file of annotations, and are '
    'left out: new.png.',
  )


def test_an_image_of_another_size(tmp_path):
  instances(tmp_path, [an_object(3, LEFT)])
  sources.image(tmp_path / 'train2017/2.jpg', size=(WIDTH, HEIGHT))
  with pytest.raises(
    ValueError,
    match='^train2017/2.jpg of .* has a mask of 11x8 pixels for an image of 8x',
  ):
    sources.written(plan(tmp_path), tmp_path / 'new')


def test_an_image_that_is_too_large(tmp_path):
  """Nothing of its size is held before that is said."""
  instances(tmp_path, [an_object(3, LEFT)])
  assert 'has 11x8 = 88 pixels by ' in sources.problems(
    plan(tmp_path, max_pixels=87)
  )
