"""Which examples are picked to be drawn."""

import numpy as np
import pytest
from PIL import Image

from datasets import dataset_utils
from datasets.images import overlays
from datasets.verifying import samples
from tests import builders

NAMES = tuple(builders.COLOURS)
MASK_NAMES = ('background', 'a', 'b')


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def plain(colour, height=20, width=20):
  return np.full((height, width, 3), colour, np.uint8)


def ids(value, height=24, width=24):
  return np.full((height, width), value, np.uint8)


def example(label, value=9, height=4, width=6):
  data = builders.encode(Image.fromarray(plain(value, height, width)), 'png')
  return dataset_utils.image_to_tfexample(data, b'png', height, width, label)


def write(folder, **splits):
  """Writes examples; returns the files of each split."""
  for split, examples in splits.items():
    dataset_utils.write_tfrecord(folder / f'{split}.tfrecord', examples)
  return {split: [str(folder / f'{split}.tfrecord')] for split in splits}


def counts(shown):
  """How many images there are of each split and title."""
  found = {}
  for each in shown:
    key = each.detail.split()[0], each.title
    found[key] = found.get(key, 0) + 1
  return found


def test_classes_and_splits_come_evenly(tmp_path):
  """However uneven they are in the data."""
  labels = [0] * 200 + [1] * 20 + [2] * 10
  paths = write(
    tmp_path, train=map(example, labels), test=map(example, labels[100::3])
  )
  shown = samples.pick_images(paths, 'abc')
  assert [p.detail for p in shown] == ['train 6x4'] * 24 + ['test 6x4'] * 24
  of_train = {
    title: n for (split, title), n in counts(shown).items() if split == 'train'
  }
  assert of_train == {'0 a': 8, '1 b': 8, '2 c': 8}


def test_a_small_split_leaves_its_share_to_the_others(tmp_path):
  paths = write(
    tmp_path,
    train=[example(i % 5) for i in range(100)],
    test=[example(0), example(1)],
  )
  shown = samples.pick_images(paths, NAMES, count=20)
  assert len(shown) == 20
  assert [p.detail.split()[0] for p in shown] == ['train'] * 18 + ['test'] * 2


def test_of_more_classes_than_cells_each_comes_once(tmp_path):
  names = [f'c{i}' for i in range(60)]
  paths = write(tmp_path, train=[example(i % 60) for i in range(300)])
  shown = samples.pick_images(paths, names)
  assert len(shown) == len({p.title for p in shown}) == 48


def test_all_of_a_small_data_set(tmp_path):
  paths = write(tmp_path, train=[example(i % 2, 10 * i) for i in range(7)])
  shown = samples.pick_images(paths, 'ab')
  assert sorted(p.image[0, 0, 0] for p in shown) == [*range(0, 70, 10)]
  assert samples.pick_images({}, 'ab') == []


def test_the_seed_fixes_the_choice(tmp_path):
  paths = write(tmp_path, train=[example(i % 2, i) for i in range(200)])

  def values(seed):
    return [
      int(p.image[0, 0, 0])
      for p in samples.pick_images(paths, 'ab', count=10, seed=seed)
    ]

  assert values(1) == values(1) != values(2)
  assert len({*values(1)}) == 10


def test_images_have_the_name_of_their_class(tmp_path):
  """The shade of each is its label."""
  paths = write(tmp_path, train=[example(i % 5, i % 5) for i in range(50)])
  shown = samples.pick_images(paths, NAMES)
  for each in shown:
    label = each.image[0, 0, 0]
    assert each.title == f'{label} {NAMES[label]}'


def test_bad_records_are_passed_over(tmp_path):
  bad = [
    example(7),
    dataset_utils.image_to_tfexample(b'', b'png', 1, 1, 0),
    example(0, height=90, width=90),
  ]
  paths = write(tmp_path, train=[*bad, *(example(i % 2) for i in range(6))])
  with open(paths['train'][0], 'ab') as file:
    file.write(b'rubbish')
  assert len(samples.pick_images(paths, 'ab', max_pixels=1000)) == 6


def test_no_more_is_held_than_is_drawn(tmp_path):
  paths = write(tmp_path, train=[example(0, height=600, width=300)])
  (each,) = samples.pick_images(paths, 'ab')
  assert each.image.shape == (128, 64, 3)
  assert each.detail == 'train 300x600'


def test_a_large_data_set_is_not_read_to_its_end(tmp_path, monkeypatch):
  monkeypatch.setattr(samples, '_MOST_LABELS_READ', 30)
  paths = write(tmp_path, train=[example(i % 2) for i in range(200)])
  read = []
  reader = samples.tfrecord.Reader
  monkeypatch.setattr(
    reader,
    'read',
    lambda self, index, real=reader.read: (
      read.append(index),
      real(self, index),
    )[1],
  )
  assert len(samples.pick_images(paths, 'ab', count=10)) == 10
  assert len(read) == 30 + 10


def test_picked_masks_show_every_class(tmp_path):
  """One mask of 40 has each of three classes: all three are picked."""
  records = [
    builders.mask_record(i, ids({7: 1, 19: 2, 33: 200}.get(i, 0), 9, 8))
    for i in range(40)
  ]
  builders.write_masks(
    tmp_path,
    MASK_NAMES,
    described=False,
    train=records,
    val=[builders.mask_record(90, ids(1, 300, 100))],
  )
  paths = {
    split: [str(tmp_path / f'{split}-00000-of-00001.tfrecord')]
    for split in ('train', 'val')
  }
  rows = samples.pick_masks(paths, count=6)
  assert len(rows) == 6
  assert {
    int(value) for row in rows[:5] for value in np.unique(row.masks[0])
  } == {0, 1, 2, 200}
  for row in rows[:5]:
    split, size, _, number = row.caption.split()
    assert (split, size) == ('train', '8x9')
    np.testing.assert_array_equal(
      row.image, builders.noise_image(int(number), 9, 8)
    )
    assert (row.masks[0] == {7: 1, 19: 2, 33: 200}.get(int(number), 0)).all()
  assert rows[5].caption == 'val 100x300 Bild 90'
  assert rows[5].image.shape == (overlays.CELL, overlays.CELL // 3, 3)
  assert rows[5].masks[0].shape == (overlays.CELL, overlays.CELL // 3)
  again = samples.pick_masks(paths, count=6)
  assert [row.caption for row in again] == [row.caption for row in rows]
  others = samples.pick_masks(paths, count=6, seed=1)
  assert [row.caption for row in others] != [row.caption for row in rows]


def test_bad_masks_are_not_picked(tmp_path):
  path = tmp_path / 'train-00000-of-00001.tfrecord'
  builders.write_masks(
    tmp_path,
    MASK_NAMES,
    described=False,
    train=[
      builders.mask_record(0, ids(1)),
      builders.mask_record(1, ids(1), seg=None),
      builders.mask_record(2, ids(1), data=b''),
      builders.mask_record(3, ids(1), seg=b''),
    ],
  )
  data = bytearray(path.read_bytes())
  rows = samples.pick_masks({'train': [str(path)]})
  assert [row.caption for row in rows] == ['train 24x24 Bild 0']
  data[40] ^= 1
  path.write_bytes(data)
  assert samples.pick_masks({'train': [str(path)]}) == []
  assert samples.pick_masks({}) == []
