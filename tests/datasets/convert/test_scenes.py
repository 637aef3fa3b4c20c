"""The embedded scenes: exact masks, contrast, the same ones every time."""

import io
import os

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from datasets import dataset_utils
from datasets.convert import digits, scenes
from datasets.records import description, tfrecord


@pytest.fixture(scope='module')
def plan():
  return scenes.plan()


def opened(item):
  return np.asarray(Image.open(io.BytesIO(item.read()))), item.read_mask()


@pytest.fixture(scope='module')
def drawn(plan):
  """Sixty scenes of train: (image, mask)."""
  return [opened(item) for item in plan.splits['train'][:60]]


def test_plan(plan):
  assert plan.class_names == [
    'background',
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
  ]
  assert {split: len(items) for split, items in plan.splits.items()} == (
    scenes.SCENES
  )
  assert (plan.name, plan.task, plan.ignore_label) == (
    'digit_scenes',
    'segmentation',
    255,
  )
  names = [item.name for items in plan.splits.values() for item in items]
  assert len(set(names)) == len(names)


def test_scenes(drawn):
  """All classes, some digits in each, of the sizes named, none ignored."""
  classes, heights = set(), []
  for image, mask in drawn:
    assert image.shape == (scenes.SIZE, scenes.SIZE, 3)
    assert mask.shape == image.shape[:2] and mask.dtype == np.uint8
    assert mask[mask == 0].size > 0.4 * mask.size
    labels = np.unique(mask)
    assert labels[-1] <= 10 and len(labels) > 1
    classes.update(labels.tolist())
    shapes, count = ndimage.label(mask > 0, np.ones((3, 3)))
    assert count >= 2  # digits do not touch, though one may be in parts
    heights += [
      box[0].stop - box[0].start for box in ndimage.find_objects(shapes)
    ]
    for shape in range(1, count + 1):
      assert len(np.unique(mask[shapes == shape])) == 1
  assert classes == set(range(11))
  low, high = scenes.HEIGHTS
  assert min(heights) < 1.2 * low and 0.9 * high < max(heights) < 1.4 * high


def test_ink_can_be_told_from_the_ground(drawn):
  """By its luminance, on both sides of a digit's edge."""
  for image, mask in drawn:
    light = image @ np.array([0.299, 0.587, 0.114])
    shapes, count = ndimage.label(mask > 0, np.ones((3, 3)))
    for shape in range(1, count + 1):
      inner = shapes == shape
      if inner.sum() < 60:
        continue
      ring = ndimage.binary_dilation(inner, iterations=4) & ~(
        ndimage.binary_dilation(mask > 0, iterations=2)
      )
      assert abs(np.median(light[inner]) - np.median(light[ring])) > 25


def test_masks_follow_the_ink_to_the_pixel(monkeypatch):
  """On a black ground, ink of more than half its colour is in the mask."""
  monkeypatch.setattr(
    scenes,
    '_ground',
    lambda random: np.zeros((scenes.SIZE, scenes.SIZE, 3), np.float32),
  )
  monkeypatch.setattr(
    scenes,
    'lighter',
    lambda random, ground: np.array([240, 240, 240], np.float32),
  )
  for item in scenes.plan().splits['test'][:5]:
    image, mask = opened(item)
    certain = image[..., 0] != 120  # half the ink, rounded
    np.testing.assert_array_equal(
      (image[..., 0] > 120)[certain], (mask > 0)[certain]
    )
    assert certain.mean() > 0.99


def test_ink_is_that_of_its_split_and_label(monkeypatch):
  """With labels of another meaning, the masks have just these."""
  parts = digits.parts()
  assert not set(parts['train'][0]) & set(parts['test'][0])
  monkeypatch.setattr(
    digits,
    'parts',
    lambda: {
      split: (numbers, images, np.full_like(labels, (split == 'test') + 3))
      for split, (numbers, images, labels) in parts.items()
    },
  )
  for split, items in scenes.plan().splits.items():
    for item in items[:3]:
      assert np.unique(item.read_mask()).tolist() == [0, 4 + (split == 'test')]


def test_they_are_the_same_in_any_order(plan, drawn):
  again = scenes.plan().splits['train']
  for index in (7, 3):
    image, mask = opened(again[index])
    np.testing.assert_array_equal(image, drawn[index][0])
    np.testing.assert_array_equal(mask, drawn[index][1])
  other = opened(plan.splits['test'][3])
  assert (other[0] != drawn[3][0]).any()


def test_ensure(tmp_path, monkeypatch):
  monkeypatch.setattr(scenes, 'SCENES', {'train': 12, 'test': 3})
  folder = tmp_path / 'deep' / 'scenes'
  scenes.ensure(folder)
  files = {name: scenes.FILE_PATTERN % name for name in ('train', 'test')}
  assert sorted(os.listdir(folder)) == sorted(
    [*files.values(), 'dataset.json', 'labels.txt']
  )
  found = description.read(str(folder))
  assert (found.task, found.ignore_label) == ('segmentation', 255)
  assert found.splits['train'].examples == 12
  assert len(tfrecord.Reader([str(folder / files['test'])])) == 3
  assert sum(found.splits['test'].pixels_per_class) == 3 * scenes.SIZE**2
  assert tuple(dataset_utils.read_label_file(folder).values()) == scenes.NAMES
  before = (folder / files['train']).stat().st_mtime_ns
  scenes.ensure(folder)
  assert (folder / files['train']).stat().st_mtime_ns == before
