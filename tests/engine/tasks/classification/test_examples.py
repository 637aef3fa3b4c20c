"""The examples of a training: what is wrong with one is said in a line."""

import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets import dataset_utils
from engine.common import console
from engine.config.scripts import TrainConfig
from engine.resolve.training import training
from engine.tasks.classification import examples
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
DATA = 'data/flowers_train_0.tfrecord'


def batches(count, **flags):
  """The first batches of a training: (images, labels, records) each."""
  config, dataset = training(TrainConfig(**flags))
  with tf.Graph().as_default(), tf.Session() as session:
    source = examples.open_training(config, dataset, False)
    stream = source.training(config.batch_size, config.seed, 0)
    session.run(stream.initializer)
    return [stream.run(session, stream.batch) for _ in range(count)]


def complaint(count=1, **flags):
  """What is said to data that are refused."""
  with pytest.raises((ValueError, tf.errors.OpError)) as error:
    batches(count, **flags)
  said = console.explain(error.value)
  assert '\n' not in said
  return said


def write_records(*examples):
  pathlib.Path('data').mkdir()
  dataset_utils.write_tfrecord(DATA, examples)


def image(data, label=2):
  return dataset_utils.image_to_tfexample(data, b'png', 40, 40, label)


@pytest.mark.parametrize(
  'records, words',
  [
    (
      [
        builders.colour_example(0, 0),
        builders.colour_example(1, 2),
        image(b'no image'),
      ],
      (f'record 2 of {DATA}', 'image'),
    ),
    ([tf.train.Example()], (f'record 0 of {DATA}', 'image/')),
    (
      [
        builders.colour_example(0, 0),
        image(builders.encode(builders.colour_image(0, 0), 'png'), 7),
      ],
      (f'record 1 of {DATA}', 'label 7', '0 to 4', '--labels_offset'),
    ),
  ],
  ids=['no image', 'another kind', 'label'],
)
def test_bad_records(records, words):
  write_records(*records)
  flags = {**builders.fast('data'), 'batch_size': len(records)}
  said = complaint(**flags)
  for word in words:
    assert word in said


def test_a_flipped_bit():
  write_records(builders.colour_example(0, 0))
  data = bytearray(pathlib.Path(DATA).read_bytes())
  data[len(data) // 2] ^= 1
  pathlib.Path(DATA).write_bytes(data)
  said = complaint(**{**builders.fast('data'), 'batch_size': 1})
  for word in (f'record 0 of {DATA}', 'damaged', 'again'):
    assert word in said


def test_a_label_below_the_offset(colours):
  """The first colour has the label 0, which becomes -1."""
  said = complaint(3, **builders.fast(colours), labels_offset=1)
  for word in ('flowers_train_0000', 'label 0', '1 to 4', '--labels_offset=1'):
    assert word in said


def test_too_many_pixels(workplace):
  folder = builders.write_colours(workplace / 'data', 16, 12)
  said = complaint(**builders.fast(folder), max_image_pixels=1599)
  for word in (
    ' of ' + folder,
    '40x40 = 1,600 pixels',
    '--max_image_pixels=1599',
  ):
    assert word in said


@pytest.mark.parametrize('kind', ['memory', 'file'])
def test_caches(kind, monkeypatch, workplace, capsys):
  """Decoded at the start, where a bad record is found; the file but once."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(workplace / 'cache'))
  folder = builders.write_colours(workplace / 'data', 16, 12)
  named = builders.damage_colours(folder)
  flags = {**builders.fast(folder), 'cache': kind, 'batch_size': 4}
  said = complaint(**flags)
  assert named in said and '--skip_bad_examples=1' in said
  assert 'left out' not in capsys.readouterr().out
  printed, found = [], []
  for _ in range(2):
    capsys.readouterr()
    found.append(batches(4, **flags, skip_bad_examples=1))
    printed.append(capsys.readouterr().out)
    assert printed[-1].count('left out') == 1 and named in printed[-1]
  assert 'Decoding 16 images for --cache.' in printed[0]
  assert ('Decoding' in printed[1]) == (kind == 'memory')
  for first, again in zip(*found, strict=True):
    for one, other in zip(first, again, strict=True):
      np.testing.assert_array_equal(one, other)
