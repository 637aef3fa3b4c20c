"""The pixels of each class, counted and read."""

import concurrent.futures

import numpy as np
import pytest

from datasets import dataset_factory
from datasets.records import pixel_counts
from tests import builders

NAMES = ('background', 'a', 'b', 'c')


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def counts(labels, classes, ignore_label):
  """By a plain loop."""
  pixels, images, ignored = [0] * classes, [0] * classes, 0
  for label in labels:
    ignored += int((label == ignore_label).sum())
    for value in range(classes):
      if value != ignore_label:
        pixels[value] += int((label == value).sum())
        images[value] += int((label == value).any())
  return pixels, images, ignored


def equal(found, expected):
  assert found.pixels.dtype == found.images.dtype == np.int64
  assert (
    found.pixels.tolist(),
    found.images.tolist(),
    found.ignored,
  ) == expected
  assert type(found.ignored) is int


@pytest.mark.parametrize('described', [True, False])
@pytest.mark.parametrize(
  'ignore_label, values',
  [(255, [0, 2, 255]), (0, [0, 1, 3]), (None, [1, 3]), (255, [3])],
)
def test_counts(tmp_path, described, ignore_label, values):
  labels = [
    builders.noise_mask(i, 9, 5 + i, values[: 1 + i % 3]) for i in range(7)
  ]
  builders.write_masks(
    tmp_path,
    NAMES,
    ignore_label,
    described=True,
    train=[builders.mask_record(i, label) for i, label in enumerate(labels)],
  )
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  if not described:
    (tmp_path / 'dataset.json').unlink()
  expected = counts(labels, len(NAMES), ignore_label)
  for threads in (None, 1):
    equal(pixel_counts.count(dataset, threads), expected)


def test_a_description_is_believed_for_its_own_files_only(tmp_path):
  label = np.full((4, 4), 2, np.uint8)
  builders.write_masks(
    tmp_path,
    NAMES,
    train=[builders.mask_record(0, label)],
    val=[builders.mask_record(1, label)] * 2,
  )
  path = tmp_path / 'dataset.json'
  path.write_text(path.read_text().replace('16', '1600'))
  train = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  assert pixel_counts.count(train).pixels.tolist() == [0, 0, 1600, 0]
  train.data_sources = [str(next(tmp_path.glob('val-*')))]
  assert pixel_counts.count(train).pixels.tolist() == [0, 0, 32, 0]
  train.split_name = 'other'
  assert pixel_counts.count(train).pixels.tolist() == [0, 0, 32, 0]


def test_bad_masks_are_passed_over(tmp_path):
  good = builders.noise_mask(1, 6, 6, [0, 1])
  builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[
      builders.mask_record(0, np.full((6, 6), 99, np.uint8)),
      builders.mask_record(1, good),
      builders.mask_record(2, good, seg=None),
      builders.mask_record(3, good, seg=builders.png(good, 'P')),
    ],
  )
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  equal(pixel_counts.count(dataset), counts([good], 4, 255))


def test_a_damaged_record_is_passed_over(tmp_path):
  good = builders.noise_mask(1, 6, 6, [0, 1])
  builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[builders.mask_record(i, good) for i in range(2)],
  )
  path = next(tmp_path.glob('train-*'))
  data = bytearray(path.read_bytes())
  data[-20] ^= 1
  path.write_bytes(data)
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  equal(pixel_counts.count(dataset), counts([good], 4, 255))


def test_a_mask_that_is_too_large(tmp_path):
  mask = builders.noise_mask(1, 6, 6, [0, 1])
  builders.write_masks(
    tmp_path, NAMES, described=False, train=[builders.mask_record(0, mask)]
  )
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  pixel_counts.count(dataset, max_pixels=36)
  with pytest.raises(ValueError, match='6x6 = 36 .* --max_image_pixels=35'):
    pixel_counts.count(dataset, max_pixels=35)


def test_no_good_mask(tmp_path):
  builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[
      builders.mask_record(i, np.full((6, 6), 90 + i, np.uint8))
      for i in range(3)
    ],
  )
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path))
  path = next(tmp_path.glob('train-*'))
  with pytest.raises(ValueError) as error:
    pixel_counts.count(dataset)
  assert str(error.value) == (
    'The train split of tfrecord has no good mask: record 0 of '
    f'{path} has the value 90 in its mask (100.0% of it), which is neither a '
    'class (0 to 3) nor the ignore label 255: name every class, or convert '
    'the data again with --ignore_label=90 if such pixels are not to count.'
  )


def test_progress(tmp_path):
  seen = []

  class Bar:
    def __init__(self, *arguments):
      seen.append(arguments)

    def __enter__(self):
      return self

    def __exit__(self, *unused):
      pass

    def update(self, n):
      seen.append(n)

  builders.write_masks(
    tmp_path,
    NAMES,
    described=False,
    train=[
      builders.mask_record(i, np.zeros((2, 2), np.uint8)) for i in range(3)
    ],
  )
  pixel_counts.count(
    dataset_factory.get_dataset('tfrecord', 'train', str(tmp_path)),
    progress=Bar,
  )
  assert seen == [(3, 0, 'counting pixels'), 1, 1, 1]


def test_a_tally_of_many_threads():
  labels = [builders.noise_mask(i, 30, 40, [0, 1, 2, 255]) for i in range(60)]
  tally = pixel_counts.Tally()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    each = list(pool.map(tally.add, labels))
  assert tally.examples == 60 and tally.pixels.sum() == 60 * 30 * 40
  np.testing.assert_array_equal(np.sum(each, 0), tally.pixels)
  np.testing.assert_array_equal(
    each[3], [(labels[3] == value).sum() for value in range(256)]
  )
  equal(tally.counts(3, 255), counts(labels, 3, 255))
