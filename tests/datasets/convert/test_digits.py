"""The embedded digits: how many, which, and when a folder is there."""

import concurrent.futures
import io
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from datasets import dataset_utils
from datasets.convert import digits
from datasets.records import description, tfrecord
from datasets.writing import folders

ROOT = pathlib.Path(__file__).parents[3]
FILES = [
  'dataset.json',
  'digits_test.tfrecord',
  'digits_train.tfrecord',
  'labels.txt',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('data') / 'some' / 'digits'
  digits.ensure(path)
  return path


@pytest.fixture
def few(monkeypatch):
  """Just ten digits of each split, which are soon written."""
  plan = digits.plan()
  for items in plan.splits.values():
    del items[10:]
  monkeypatch.setattr(digits, 'plan', lambda: plan)


def _features(folder, split):
  reader = tfrecord.Reader([str(folder / f'digits_{split}.tfrecord')])
  return [
    tf.train.Example.FromString(data).features.feature
    for data in map(reader.read, range(len(reader)))
  ]


def _same(folder, other):
  assert sorted(os.listdir(other)) == FILES
  for name in FILES:
    assert (other / name).read_bytes() == (folder / name).read_bytes(), name


def _images(features):
  return np.array(
    [
      Image.open(io.BytesIO(f['image/encoded'].bytes_list.value[0]))
      for f in features
    ]
  )


def _labels(features):
  return np.array(
    [f['image/class/label'].int64_list.value[0] for f in features]
  )


def test_files(folder):
  assert sorted(os.listdir(folder)) == FILES
  assert os.listdir(folder.parent) == ['digits']
  assert folder.stat().st_mode & 0o777 == 0o755
  names = dataset_utils.read_label_file(folder)
  assert names[0] == 'zero' and names[9] == 'nine' and len(names) == 10


def test_description(folder):
  found = description.read(str(folder))
  assert (found.name, found.class_names) == ('digits', digits.NAMES)
  assert (found.channels, found.smallest, found.largest) == (1, (8, 8), (8, 8))
  assert list(found.splits) == ['train', 'test']
  for split, examples in (('train', 1437), ('test', 360)):
    assert found.splits[split].examples == examples
    assert list(found.splits[split].files) == [f'digits_{split}.tfrecord']
    description.check_files(found.splits[split], str(folder))
    assert found.splits[split].examples_per_class == tuple(
      np.bincount(_labels(_features(folder, split)))
    )


def test_plan():
  """Nothing is encoded before it is asked for."""
  plan = digits.plan()
  assert (plan.name, plan.source) == ('digits', 'scikit-learn')
  item = plan.splits['test'][0]
  number = int(item.name.removeprefix('digit '))
  source = load_digits()
  assert item.label == source.target[number]
  image = np.asarray(Image.open(io.BytesIO(item.read())))
  np.testing.assert_array_equal(
    image, np.round(source.images[number] * (255 / 16))
  )


def test_stratified(folder):
  train, test = (_labels(_features(folder, s)) for s in ('train', 'test'))
  assert len(train) == 1437 and len(test) == 360
  for label in range(10):
    share = np.sum(load_digits().target == label) * 360 / 1797
    assert abs(np.sum(test == label) - share) <= 1
    assert np.sum(train == label) >= 130


def test_every_image_in_one_split(folder):
  """As multisets, since the source might hold an image twice."""
  source = load_digits()
  expected = sorted(
    (int(label), image.astype(int).tobytes())
    for label, image in zip(source.target, source.images, strict=True)
  )
  found = []
  for split in ('train', 'test'):
    features = _features(folder, split)
    # The inverse of 0..16 -> 0..255.
    ink = np.round(_images(features) * (16 / 255)).astype(int)
    found.append(
      [
        (int(label), image.tobytes())
        for label, image in zip(_labels(features), ink, strict=True)
      ]
    )
  assert sorted(found[0] + found[1]) == expected
  assert not set(found[0]) & set(found[1])


def test_pixels(folder):
  images = _images(_features(folder, 'train') + _features(folder, 'test'))
  assert images.dtype == np.uint8 and images.shape == (1797, 8, 8)
  # Rounded to the nearest, half to even.
  assert np.unique(images).tolist() == [
    0,
    16,
    32,
    48,
    64,
    80,
    96,
    112,
    128,
    143,
    159,
    175,
    191,
    207,
    223,
    239,
    255,
  ]


def test_features(folder):
  features = _features(folder, 'test')[0]
  (label,) = features['image/class/label'].int64_list.value
  assert features['image/class/text'].bytes_list.value[:] == [
    digits.NAMES[label].encode()
  ]
  assert features['image/filename'].bytes_list.value[0].startswith(b'digit ')
  assert features['image/format'].bytes_list.value[:] == [b'png']
  assert features['image/height'].int64_list.value[:] == [8]
  assert features['image/width'].int64_list.value[:] == [8]


def test_same_bytes_again(folder, tmp_path):
  digits.ensure(str(tmp_path / 'again'))
  _same(folder, tmp_path / 'again')


def test_an_empty_folder_is_filled(few, tmp_path):
  (tmp_path / 'digits').mkdir()
  digits.ensure(tmp_path / 'digits')
  assert sorted(os.listdir(tmp_path / 'digits')) == FILES


def test_an_old_folder_stays(tmp_path):
  """Written before there was a dataset.json."""
  for name in FILES[1:]:
    (tmp_path / name).write_text('old')
  digits.ensure(tmp_path)
  assert sorted(os.listdir(tmp_path)) == FILES[1:]
  assert {(tmp_path / name).read_text() for name in FILES[1:]} == {'old'}


def test_another_folder_stays(few, tmp_path):
  (tmp_path / 'digits').mkdir()
  (tmp_path / 'digits' / 'mine').write_text('x')
  with pytest.raises(ValueError, match='digits exists and is not empty'):
    digits.ensure(tmp_path / 'digits')
  assert os.listdir(tmp_path / 'digits') == ['mine']


@pytest.mark.parametrize(
  'failure, seen',
  [
    (OSError(28, 'No space left on device'), ValueError),
    (KeyboardInterrupt(), KeyboardInterrupt),
  ],
)
def test_whole_or_not_at_all(few, monkeypatch, tmp_path, failure, seen):
  def fail(*args):
    raise failure

  with monkeypatch.context() as patch:
    patch.setattr(dataset_utils, 'write_label_file', fail)
    with pytest.raises(seen):
      digits.ensure(tmp_path / 'digits')
    assert os.listdir(tmp_path) == []
  digits.ensure(tmp_path / 'digits')
  assert sorted(os.listdir(tmp_path / 'digits')) == FILES


def test_left_by_a_killed_process(few, tmp_path):
  """What a killed process leaves is not taken for the dataset."""
  left = tmp_path / '.digits.unfinished-abc123'
  left.mkdir()
  (left / 'digits_train.tfrecord').write_bytes(b'half')
  assert folders.leftovers(tmp_path / 'digits') == [str(left)]
  digits.ensure(tmp_path / 'digits')
  assert sorted(os.listdir(tmp_path / 'digits')) == FILES


def test_threads_at_once(few, monkeypatch, tmp_path):
  digits.ensure(tmp_path / 'alone')
  barrier = threading.Barrier(2, timeout=60)
  write = description.write

  def together(*arguments):
    write(*arguments)
    barrier.wait()  # both are finished before either renames

  monkeypatch.setattr(description, 'write', together)
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for future in [
      pool.submit(digits.ensure, tmp_path / 'digits') for _ in range(2)
    ]:
      future.result()
  assert sorted(os.listdir(tmp_path)) == ['alone', 'digits']
  _same(tmp_path / 'alone', tmp_path / 'digits')


@pytest.mark.slow
def test_processes_at_once(folder, tmp_path):
  code = (
    'import sys; from datasets.convert import digits; '
    'digits.ensure(sys.argv[1])'
  )
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', code, str(tmp_path / 'digits')],
      cwd=ROOT,
      stderr=subprocess.PIPE,
    )
    for _ in range(2)
  ]
  assert [
    process.communicate(timeout=120) and process.returncode
    for process in processes
  ] == [0, 0]
  assert os.listdir(tmp_path) == ['digits']
  _same(folder, tmp_path / 'digits')
