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

from datasets import dataset_utils, tfrecord
from datasets.convert import digits

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('data') / 'some' / 'digits'
  digits.ensure(path)
  return path


def _features(folder, split):
  reader = tfrecord.Reader([str(folder / f'digits_{split}.tfrecord')])
  return [tf.train.Example.FromString(data).features.feature
          for data in reader.read_many(range(len(reader)))]


def _images(features):
  return np.array([Image.open(io.BytesIO(f['image/encoded'].bytes_list.value[0])
                              ) for f in features])


def _labels(features):
  return np.array([f['image/class/label'].int64_list.value[0]
                   for f in features])


def test_files(folder):
  assert sorted(os.listdir(folder)) == [
      'digits_test.tfrecord', 'digits_train.tfrecord', 'labels.txt']
  assert os.listdir(folder.parent) == ['digits']
  assert folder.stat().st_mode & 0o777 == 0o755
  names = dataset_utils.read_label_file(folder)
  assert names[0] == 'zero' and names[9] == 'nine' and len(names) == 10


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
  expected = sorted((int(label), image.astype(int).tobytes()) for label, image
                    in zip(source.target, source.images, strict=True))
  found = []
  for split in ('train', 'test'):
    features = _features(folder, split)
    # The inverse of 0..16 -> 0..255.
    ink = np.round(_images(features) * (16 / 255)).astype(int)
    found.append([(int(label), image.tobytes()) for label, image in
                  zip(_labels(features), ink, strict=True)])
  assert sorted(found[0] + found[1]) == expected
  assert not set(found[0]) & set(found[1])


def test_pixels(folder):
  images = _images(_features(folder, 'train') + _features(folder, 'test'))
  assert images.dtype == np.uint8 and images.shape == (1797, 8, 8)
  # Rounded to the nearest, half to even.
  assert np.unique(images).tolist() == [
      0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239,
      255]


def test_features(folder):
  features = _features(folder, 'test')[0]
  assert features['image/format'].bytes_list.value[:] == [b'png']
  assert features['image/height'].int64_list.value[:] == [8]
  assert features['image/width'].int64_list.value[:] == [8]


def test_same_bytes_again(folder, tmp_path):
  digits.ensure(str(tmp_path / 'again'))
  for name in os.listdir(folder):
    assert (tmp_path / 'again' / name).read_bytes() == (
        folder / name).read_bytes()


def test_what_is_there_stays(tmp_path):
  (tmp_path / 'digits').mkdir()
  digits.ensure(tmp_path / 'digits')
  assert os.listdir(tmp_path / 'digits') == []


@pytest.mark.parametrize('failure', [OSError(28, 'No space left on device'),
                                     KeyboardInterrupt()])
def test_whole_or_not_at_all(monkeypatch, tmp_path, failure):
  def fail(*args):
    raise failure
  with monkeypatch.context() as patch:
    patch.setattr(dataset_utils, 'write_label_file', fail)
    with pytest.raises(type(failure)):
      digits.ensure(tmp_path / 'digits')
    assert os.listdir(tmp_path) == []
  digits.ensure(tmp_path / 'digits')
  assert len(os.listdir(tmp_path / 'digits')) == 3


def test_left_by_a_killed_process(tmp_path):
  """What a killed process leaves is not taken for the data set."""
  (tmp_path / 'digits-abc123').mkdir()
  (tmp_path / 'digits-abc123' / 'digits_train.tfrecord').write_bytes(b'half')
  digits.ensure(tmp_path / 'digits')
  assert len(os.listdir(tmp_path / 'digits')) == 3


def test_threads_at_once(monkeypatch, folder, tmp_path):
  barrier = threading.Barrier(2, timeout=60)
  write = digits._write

  def together(path):
    write(path)
    barrier.wait()  # both are finished before either renames
  monkeypatch.setattr(digits, '_write', together)
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for future in [pool.submit(digits.ensure, tmp_path / 'digits')
                   for _ in range(2)]:
      future.result()
  assert os.listdir(tmp_path) == ['digits']
  for name in os.listdir(folder):
    assert (tmp_path / 'digits' / name).read_bytes() == (
        folder / name).read_bytes()


def test_processes_at_once(tmp_path):
  code = ('import sys; from datasets.convert import digits; '
          'digits.ensure(sys.argv[1])')
  processes = [subprocess.Popen(
      [sys.executable, '-c', code, str(tmp_path / 'digits')], cwd=ROOT,
      stderr=subprocess.PIPE) for _ in range(2)]
  assert [process.communicate(timeout=120) and process.returncode
          for process in processes] == [0, 0]
  assert os.listdir(tmp_path) == ['digits']
  assert len(os.listdir(tmp_path / 'digits')) == 3
