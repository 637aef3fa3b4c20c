"""COCO's folders: which files are annotations, and where their images are."""

import re

import pytest

from datasets.convert.masks import coco_files
from tests.datasets.convert.masks import sources


def place(folder, *names):
  for name in names:
    if name.endswith('.json'):
      sources.write_json(folder / name, {})
    else:
      (folder / name).mkdir(parents=True)


@pytest.mark.parametrize(
  'names, expected',
  [
    (
      ['annotations/instances_train2017.json', 'train2017']
      + ['annotations/instances_val2017.json', 'images/val2017'],
      {'train': 'train2017', 'val': 'images/val2017'},
    ),
    (['annotations/instances_default.json', 'images'], {'train': 'images'}),
    (
      ['valid/_annotations.coco.json', 'train/_annotations.coco.json'],
      {'train': 'train', 'val': 'valid'},
    ),
    (['b/annotations/instances_Train.json', 'b/images'], {'train': 'b/images'}),
  ],
)
def test_layouts(tmp_path, names, expected):
  place(tmp_path, *names)
  found, notes = coco_files.find(tmp_path, coco_files.INSTANCES)
  assert {
    split: str(source.images.relative_to(tmp_path))
    for split, source in found.items()
  } == expected
  assert [*found] == [*expected] and not notes


def test_a_split_without_images(tmp_path):
  train, val = (
    f'annotations/instances_{part}.json' for part in ('train', 'val')
  )
  place(tmp_path, train, val, 'train')
  found, notes = coco_files.find(tmp_path, coco_files.INSTANCES)
  assert [*found] == ['train']
  assert notes == [
    f'There are no images for {tmp_path}/{val}, so val is left out.'
  ]


@pytest.mark.parametrize(
  'names, words',
  [
    (['images'], 'has no annotations/instances_*.json, in no folder inside'),
    (
      [
        'annotations/instances_a.json',
        'annotations/instances_b.json',
        'images',
      ],
      'instances_a.json is not the only one, and does not tell its split: ',
    ),
    (
      ['annotations/instances_train.json', 'images']
      + ['annotations/instances_train2.json'],
      'are both for train. Keep one.',
    ),
    (['annotations/instances_val.json', 'val'], 'but none for train. Add'),
    (
      ['annotations/instances_train.json', 'images/other'],
      'There are no images for ',
    ),
    (
      ['a/annotations/instances_train.json']
      + ['b/annotations/instances_train.json'],
      'holds several sets: ',
    ),
  ],
)
def test_files_that_are_not_there(tmp_path, names, words):
  place(tmp_path, *names)
  with pytest.raises(ValueError, match=re.escape(words)):
    coco_files.find(tmp_path, coco_files.INSTANCES)
