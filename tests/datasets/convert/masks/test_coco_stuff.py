"""COCO-Stuff in the layouts of its archives."""

import re
import shutil

import numpy as np
import pytest

from datasets.convert.masks import coco_stuff
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources

VALUES = (0, 10, 12, 181, 255)  # person, hydrant, stop sign, wood, unlabelled


def write(root, images='', masks='stuffthingmaps_trainval2017'):
  for part in ('train2017', 'val2017'):
    for seed in range(2):
      name = f'{part}/00000000000{seed}'
      sources.image(root / images / f'{name}.jpg', seed)
      sources.save(root / masks / f'{name}.png', sources.mask(VALUES, seed))


@pytest.mark.parametrize(
  'folders', [(), ('images', 'annotations'), ('a/images', 'a/stuffthingmaps')]
)
def test_classes(tmp_path, folders):
  write(tmp_path, *folders)
  plan = coco_stuff.plan(str(tmp_path), sources.OPTIONS)
  assert [*plan.splits] == ['train', 'val'] and plan.ignore_label == 255
  assert len(plan.class_names) == len(plan.source_values) == 171
  called = [plan.source_values.index(value) for value in VALUES[:-1]]
  assert [plan.class_names[label] for label in called] == [
    'person',
    'fire hydrant',
    'stop sign',
    'wood',
  ]
  table = np.full(256, 255)
  table[list(VALUES[:-1])] = called
  for seed, mask in enumerate(sources.masks(plan, 'train').values()):
    np.testing.assert_array_equal(mask, table[sources.mask(VALUES, seed)])


def test_a_value_that_is_not_in_use(tmp_path):
  write(tmp_path)
  path = tmp_path / 'stuffthingmaps_trainval2017/train2017/000000000001.png'
  sources.save(path, sources.mask((0, 11, 182)))
  assert sources.problems(
    coco_stuff.plan(str(tmp_path), sources.OPTIONS)
  ).startswith(
    'train2017/000000000001.jpg has a mask, stuffthingmaps_trainval2017/'
    'train2017/000000000001.png, that has the values 11, 182, which the list '
    "of COCO-Stuff's classes does not name: "
  )


def test_val_without_images(tmp_path):
  write(tmp_path)
  shutil.rmtree(tmp_path / 'val2017')
  plan = coco_stuff.plan(str(tmp_path), sources.OPTIONS)
  assert [*plan.splits] == ['train', 'validation']
  assert plan.notes == (
    f'There are no images for {tmp_path}/stuffthingmaps_trainval2017/val2017, '
    'so val is left out.',
  )


@pytest.mark.parametrize(
  'folder, options, words',
  [
    ('train2017', {}, 'has no folder of images for '),
    ('stuffthingmaps_trainval2017', {}, 'has no stuffthingmaps_trainval2017/'),
    (None, {'ignore_label': 170}, '--ignore_label=170 is one of the 171'),
    (None, {'ignore_label': None}, 'has pixels that are of no class'),
  ],
)
def test_bad_sources(tmp_path, folder, options, words):
  write(tmp_path)
  if folder:
    shutil.rmtree(tmp_path / folder)
  with pytest.raises(ValueError, match=re.escape(words)):
    coco_stuff.plan(str(tmp_path), Options(**options))
