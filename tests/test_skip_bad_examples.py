"""Bad records, caches and augmentation, through the scripts' flags."""

import json
import math
import pathlib
import shutil

import pytest
import tensorflow.compat.v1 as tf

import eval_image_classifier
from datasets.records import tfrecord
from engine.training import metrics_log as recorded
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
BAD = 4


def records(path):
  return list(tf.io.tf_record_iterator(str(path)))


def damage(folder, split='train_00000-of-00002', number=BAD):
  """Cuts the image of a record short; returns the record's name."""
  path = pathlib.Path(folder, f'flowers_{split}.tfrecord')
  found = records(path)
  example = tf.train.Example.FromString(found[number])
  (data,) = example.features.feature['image/encoded'].bytes_list.value
  example.features.feature['image/encoded'].bytes_list.value[:] = [
    data[: len(data) // 2]
  ]
  found[number] = example.SerializeToString()
  tfrecord.write(path, found)
  return f'record {number} of {path}'


@pytest.fixture
def folder(workplace):
  """A small dataset, for each test to damage."""
  return builders.write_colours(workplace / 'data', 16, 12)


@pytest.fixture
def flags(folder):
  return builders.fast(folder)


def losses(folder='run'):
  return [row['total_loss'] for row in recorded.read_metrics(folder)]


def test_a_bad_record_is_refused(flags, folder, unevaluated):
  named = damage(folder)
  printed = builders.train(**flags)
  builders.refused(printed, named, '--skip_bad_examples=1')
  assert 'left out' not in printed.out


def test_a_bad_record_is_left_out(flags, folder):
  """In training, and then in the evaluation, which counts it."""
  named = damage(folder)
  printed = builders.train(**flags, skip_bad_examples=1)
  assert printed.status == 0 and printed.err == '', printed.err
  (line,) = [line for line in printed.out.splitlines() if 'left out' in line]
  assert line.startswith(f'note: left out: {named} ')
  assert '--skip_bad_examples' not in line
  assert len(losses()) == 2
  metrics = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['left_out']) == (12, 0)

  named = damage(folder, 'validation_00000-of-00001', 7)

  def evaluate(**flags):
    return builders.call(
      eval_image_classifier, checkpoint_path='run', batch_size=5, **flags
    )

  builders.refused(evaluate(), named, '--skip_bad_examples=1')
  printed = evaluate(skip_bad_examples=1)
  assert printed.status == 0, printed.err
  assert printed.out.count('left out') == 1 and named in printed.out
  metrics = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['left_out']) == (11, 1)
  assert metrics['batch_statistics']['examples'] == 11


def test_the_evaluation_of_a_training_has_its_flags(flags, folder):
  named = damage(folder, 'validation_00000-of-00001', 7)
  printed = builders.train(**flags, skip_bad_examples=1)
  assert printed.status == 0, printed.err
  assert f'note: left out: {named} ' in printed.out
  metrics = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['left_out']) == (11, 1)


def test_recalibration_passes_over_bad_records(flags, folder, unevaluated):
  """With the same bits as for data with the next record in its place."""
  flags = {
    **flags,
    'batch_size': 2,
    'max_number_of_steps': 1,
    'recalibrate_batch_norm_batches': 8,
  }
  shutil.copytree(folder, 'mended')
  path = pathlib.Path('mended/flowers_train_00000-of-00002.tfrecord')
  found = records(path)
  found[BAD] = found[BAD + 1]
  tfrecord.write(path, found)
  named = damage(folder)
  printed = builders.train(**flags, skip_bad_examples=1)
  assert printed.status == 0, printed.err
  assert named in printed.out.split('Recalibrating')[1]  # not in the step
  printed = builders.train(
    **{**flags, 'dataset_dir': 'mended', 'train_dir': 'whole'}
  )
  assert printed.status == 0, printed.err
  assert builders.differing('run', 'whole') == []


@pytest.mark.parametrize('kind', ['memory', 'file'])
def test_caches(flags, folder, unevaluated, kind, monkeypatch, workplace):
  """Decoded at the start, where a bad record is found; the file but once."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(workplace / 'cache'))
  named = damage(folder)
  flags = {**flags, 'cache': kind}
  refused = builders.train(**flags)
  builders.refused(refused, named, '--skip_bad_examples=1')
  assert 'step 1' not in refused.out
  first = builders.train(**flags, skip_bad_examples=1)
  assert first.status == 0, first.err
  again = builders.train(**{**flags, 'train_dir': 'again'}, skip_bad_examples=1)
  assert again.status == 0, again.err
  for printed in first, again:
    assert printed.out.count('left out') == 1 and named in printed.out
  assert 'Decoding 16 images for --cache.' in first.out
  assert ('Decoding' in again.out) == (kind == 'memory')
  assert builders.differing('run', 'again') == []


def test_augmentation_and_mixing(flags, unevaluated):
  printed = builders.train(
    **flags,
    rand_augment_layers=2,
    random_erasing=0.25,
    mixup_alpha=0.2,
    cutmix_alpha=1,
  )
  assert printed.status == 0, printed.err
  assert len(losses()) == 2 and all(map(math.isfinite, losses()))
  config = json.loads(pathlib.Path('run/config.json').read_text())
  assert (config['rand_augment_layers'], config['mixup_alpha']) == (2, 0.2)


@pytest.mark.parametrize(
  'flag,value,word',
  [
    ('skip_bad_examples', -1, 'at least 0'),
    ('cache', 'disk', 'memory, file'),
    ('max_image_pixels', 0, 'at least 1'),
    ('max_image_pixels', 10**9, 'at most 178956970'),
    ('num_preprocessing_threads', 0, 'at least 1'),
    ('rand_augment_layers', -1, 'at least 0'),
    ('rand_augment_magnitude', 31, 'at most 30'),
    ('random_erasing', 1.5, 'at most 1'),
    ('mixup_alpha', -1, 'at least 0'),
    ('cutmix_alpha', 'nan', 'finite'),
    ('mixup_alpha', 'inf', 'finite'),
  ],
)
def test_wrong_values(colours, flag, value, word):
  builders.refused(
    builders.train(**builders.fast(colours), **{flag: value}),
    f'--{flag}={value}',
    word,
  )


def test_too_many_pixels(flags, folder):
  builders.refused(
    builders.train(**flags, max_image_pixels=1599),
    ' of ' + folder,
    '40x40 = 1,600 pixels',
    '--max_image_pixels=1599',
  )
