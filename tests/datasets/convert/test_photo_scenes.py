"""Digits on photographs: disjoint splits, visible ink, the same every time."""

import importlib.resources
import io

import numpy as np
import pytest
from PIL import Image

from datasets import dataset_factory
from datasets.convert import photo_scenes, scenes
from datasets.records import description


@pytest.fixture(autouse=True)
def unread():
  """No photograph is known from another test."""
  photo_scenes._photograph.cache_clear()


def opened(item):
  return np.asarray(Image.open(io.BytesIO(item.read()))), item.read_mask()


def test_plan():
  plan = photo_scenes.plan()
  assert {split: len(items) for split, items in plan.splits.items()} == {
    'train': 600,
    'test': 150,
  }
  assert (plan.name, plan.task, plan.ignore_label) == (
    'photo_scenes',
    'segmentation',
    255,
  )
  assert tuple(plan.class_names) == scenes.NAMES


def test_photographs_are_of_one_split():
  train, test = (
    set(photo_scenes.PHOTOGRAPHS[each]) for each in ('train', 'test')
  )
  assert train and test and not train & test


def test_scenes():
  """Digits of the sizes named, whose ink can be told from the ground."""
  classes, counts = set(), []
  for item in photo_scenes.plan().splits['train'][:40]:
    image, mask = opened(item)
    assert image.shape == (97, 97, 3) and mask.shape == (97, 97)
    classes.update(np.unique(mask).tolist())
    counts.append((mask > 0).mean())
    for label in np.unique(mask[mask > 0]):
      ink = image[mask == label].astype(float)
      assert len(ink) > 40
  assert classes == set(range(11)) and 0.1 < np.mean(counts) < 0.3


@pytest.mark.parametrize('split', ['train', 'test'])
def test_the_ground_is_of_the_splits_photographs(monkeypatch, split):
  """Each of one colour: the grounds have these, and no other split's."""
  colours = {
    name: np.full((150, 140, 3), 16 * i + 5, np.uint8)
    for i, (_, name) in enumerate(
      [*photo_scenes.PHOTOGRAPHS['train'], *photo_scenes.PHOTOGRAPHS['test']]
    )
  }
  monkeypatch.setattr(
    photo_scenes, '_photograph', lambda library, name: colours[name]
  )
  found = {
    tuple(np.median(image[mask == 0], 0).astype(int).tolist())
    for image, mask in map(opened, photo_scenes.plan().splits[split][:60])
  }
  assert found == {
    (int(colours[name][0, 0, 0]),) * 3
    for _, name in photo_scenes.PHOTOGRAPHS[split]
  }


def test_they_are_the_same_in_any_order():
  first, second = (photo_scenes.plan().splits['test'] for _ in range(2))
  late = opened(second[5])
  for item, wanted in ((first[5], late), (first[2], opened(second[2]))):
    for found, expected in zip(opened(item), wanted, strict=True):
      np.testing.assert_array_equal(found, expected)


def test_ensure(tmp_path, monkeypatch):
  monkeypatch.setattr(photo_scenes, 'SCENES', {'train': 3, 'test': 2})
  photo_scenes.ensure(tmp_path / 'photo_scenes')
  found = description.read(str(tmp_path / 'photo_scenes'))
  assert {name: split.examples for name, split in found.splits.items()} == {
    'train': 3,
    'test': 2,
  }
  assert (
    dataset_factory.get_specification('photo_scenes').ensure
    is photo_scenes.ensure
  )


@pytest.mark.parametrize('missing', ['library', 'file'])
def test_without_the_photographs(monkeypatch, tmp_path, missing):
  def files(library):
    if missing == 'library':
      raise ModuleNotFoundError(f'No module named {library!r}')
    return tmp_path

  item = photo_scenes.plan().splits['train'][0]
  monkeypatch.setattr(importlib.resources, 'files', files)
  with pytest.raises(ValueError, match="pip install 'scikit-image>=0.20'"):
    item.read()
