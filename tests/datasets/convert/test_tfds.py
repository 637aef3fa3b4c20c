"""Datasets of tensorflow_datasets, which is faked here."""

import sys
import types

import numpy as np
import pytest

from datasets.convert import tfds
from datasets.writing.plan import Options


class Image:
  """Stands for tfds.features.Image."""


class ClassLabel:
  """Stands for tfds.features.ClassLabel."""

  def __init__(self, *names):
    self.names = names


class Text:
  """Some other feature."""


class SkipDecoding:
  """Stands for tfds.decode.SkipDecoding."""


class Builder:
  """Stands for a builder; its examples are given."""

  def __init__(self, features, **splits):
    self.info = types.SimpleNamespace(features=features, splits=splits)
    self.prepared = False

  def download_and_prepare(self):
    self.prepared = True

  def as_dataset(self, split, decoders):
    assert self.prepared and list(decoders) == ['image']
    assert isinstance(decoders['image'], SkipDecoding)
    return self.info.splits[split]


def examples(*labels):
  return [
    {'image': f'{i}'.encode(), 'label': np.int64(label)}
    for i, label in enumerate(labels)
  ]


@pytest.fixture
def install(monkeypatch):
  """Puts a module with the builder of 'pets' among the modules."""

  def builder(known, name):
    if name != 'pets':
      raise ValueError(f'Dataset {name} not found.\nAvailable: ...')
    return known

  def install(known):
    module = types.SimpleNamespace(
      builder=lambda name: builder(known, name),
      as_numpy=iter,
      features=types.SimpleNamespace(Image=Image, ClassLabel=ClassLabel),
      decode=types.SimpleNamespace(SkipDecoding=SkipDecoding),
    )
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', module)

  return install


FEATURES = {'image': Image(), 'label': ClassLabel('cat', 'dog'), 'id': Text()}


def refused(name='pets'):
  with pytest.raises(ValueError) as caught:
    tfds.plan(name, Options())
  return str(caught.value)


def test_splits(install):
  install(
    Builder(
      FEATURES,
      test=examples(1),
      train=examples(0, 1, 1),
      validation=examples(1, 0),
      unsupervised=examples(-1),
    )
  )
  plan = tfds.plan('pets', Options())
  assert plan.class_names == ['cat', 'dog'] and plan.source == 'tfds:pets'
  assert plan.name == 'tfrecord'
  assert {
    split: [(item.name, item.label, item.read()) for item in items]
    for split, items in plan.splits.items()
  } == {
    'train': [
      ('image 0 of tfds:pets, train', 0, b'0'),
      ('image 1 of tfds:pets, train', 1, b'1'),
      ('image 2 of tfds:pets, train', 1, b'2'),
    ],
    'validation': [
      ('image 0 of tfds:pets, validation', 1, b'0'),
      ('image 1 of tfds:pets, validation', 0, b'1'),
    ],
    'test': [('image 0 of tfds:pets, test', 1, b'0')],
  }


def test_one_split_is_parted(install):
  install(Builder(FEATURES, train=examples(*[0, 1] * 10)))
  plan = tfds.plan('pets', Options(validation_fraction=0.3))
  labels = [item.label for item in plan.splits['validation']]
  assert sorted(labels) == [0] * 3 + [1] * 3
  assert len(plan.splits['train']) == 14


def test_not_installed(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
  assert refused().startswith('tfds:NAME needs tensorflow_datasets (')
  assert refused().endswith('To install it: pip install tensorflow-datasets')


def test_unknown(install):
  install(Builder(FEATURES))
  assert refused('birds') == (
    "tensorflow_datasets has no 'birds': Dataset birds not found. The names "
    'are listed at https://www.tensorflow.org/datasets/catalog.'
  )


@pytest.mark.parametrize(
  'features, words',
  [
    (
      {'label': ClassLabel('a', 'b')},
      "no feature 'image' of the kind Image, "
      'which is needed; it has label (ClassLabel). Choose another dataset.',
    ),
    (
      {'image': Image(), 'caption': Text()},
      "tfds:pets has no feature 'label' "
      'of the kind ClassLabel, which is needed; it has image (Image), caption '
      '(Text).',
    ),
    ({'image': Text(), 'label': ClassLabel()}, "no feature 'image' of the "),
  ],
)
def test_features(install, features, words):
  builder = Builder(features, train=[])
  install(builder)
  assert words in refused()
  assert not builder.prepared  # nothing is downloaded for that


def test_no_train(install):
  install(Builder(FEATURES, test=examples(0), extra=examples(1)))
  assert refused() == (
    'tfds:pets has no split train; it has test, extra. Choose another dataset.'
  )


def test_no_label(install):
  install(Builder(FEATURES, train=examples(0, 1), test=examples(-1)))
  assert refused().startswith('image 0 of tfds:pets, test has the label -1')


def test_class_name(install):
  install(
    Builder(
      {**FEATURES, 'label': ClassLabel('a', 'b\nc')}, train=examples(0, 1)
    )
  )
  assert r"tfds:pets: the class 'b\nc' has a control" in refused()
