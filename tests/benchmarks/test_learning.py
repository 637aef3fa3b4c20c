"""What the comparison of trainings is made of."""

import argparse

import numpy as np
import pytest

from benchmarks import learning
from datasets import dataset_factory
from tests.test_convert_script import write_mnist


def test_parts():
  """All steps, in ten parts that differ by one at most."""
  assert learning.parts(800) == [80] * 10
  assert sum(learning.parts(27)) == 27
  assert set(learning.parts(27)) == {2, 3}


def test_drawn():
  """Each example once an epoch; the last epoch is cut off."""
  found = learning.drawn(5, 13, seed=1)
  assert len(found) == 13
  for epoch in (found[:5], found[5:10]):
    assert sorted(epoch) == [0, 1, 2, 3, 4]
  assert len({*found[10:]}) == 3
  assert (found != learning.drawn(5, 13, seed=2)).any()


def test_defaults():
  """No flag says how this project learns; without, all of Keras's way do."""
  assert learning.learning(argparse.Namespace(defaults=True)) == {}
  found = learning.learning(argparse.Namespace(defaults=False))
  assert found['optimizer'] == 'adam' and found['weight_decay'] == 2e-4


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist'])
def test_a_source(tmp_path, monkeypatch, name):
  """Records and arrays of IDX files hold the same pixels."""
  monkeypatch.chdir(tmp_path)
  given = argparse.Namespace(
    dataset_name=name,
    source=write_mnist('source'),
    dataset_dir=str(tmp_path / 'records'),
    size=28,
  )
  learning.convert_source(given, given.dataset_dir)
  learning.make_arrays(given, 'arrays.npz')
  assert dataset_factory.name_of(given.dataset_dir) == name
  arrays = np.load('arrays.npz')
  data = (tmp_path / 'source/train-images-idx3-ubyte').read_bytes()[16:]
  pixels = np.frombuffer(data, np.uint8).reshape(6, 28, 28, 1)
  expected = np.broadcast_to(pixels / 127.5 - 1, (6, 28, 28, 3))
  found = arrays['train_images']
  assert found.shape == expected.shape
  for image in found:  # the records are shuffled
    assert min(np.abs(image - one).max() for one in expected) < 1e-6
  assert len(arrays['test_labels']) == 3
