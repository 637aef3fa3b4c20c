"""Bad records and augmentation, through the scripts' flags.

Caches are in engine/tasks/classification/test_examples.py.
"""

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


@pytest.fixture
def folder(workplace):
  """A small dataset, for each test to damage."""
  return builders.write_colours(workplace / 'data', 16, 12)


@pytest.fixture
def flags(folder):
  return builders.fast(folder)


def losses(folder='run'):
  return [row['total_loss'] for row in recorded.read_metrics(folder)]


@pytest.mark.slow
def test_a_bad_record_is_left_out(flags, folder):
  """In training, and in the evaluation, which counts its own."""
  named = [
    builders.damage_colours(folder),
    builders.damage_colours(folder, 'validation_00000-of-00001', 7),
  ]
  printed = builders.train(**flags, skip_bad_examples=1)
  assert printed.status == 0 and printed.err == '', printed.err
  lines = [line for line in printed.out.splitlines() if 'left out' in line]
  for line, name in zip(lines, named, strict=True):
    assert line.startswith(f'note: left out: {name} ')
    assert '--skip_bad_examples' not in line
  assert len(losses()) == 2
  metrics = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['left_out']) == (11, 1)

  def evaluate(**flags):
    return builders.call(
      eval_image_classifier, checkpoint_path='run', batch_size=5, **flags
    )

  builders.refused(evaluate(), named[1], '--skip_bad_examples=1')
  printed = evaluate(skip_bad_examples=1)
  assert printed.status == 0, printed.err
  assert printed.out.count('left out') == 1 and named[1] in printed.out
  metrics = json.loads(pathlib.Path('run/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['left_out']) == (11, 1)
  assert metrics['batch_statistics']['examples'] == 11


@pytest.mark.slow
def test_recalibration_passes_over_bad_records(flags, folder, unevaluated):
  """With the same bits as for data with the next record in its place."""
  flags = {
    **flags,
    'batch_size': 2,
    'max_number_of_steps': 1,
    'recalibrate_batch_norm_batches': 8,
  }
  shutil.copytree(folder, 'repaired')
  path = pathlib.Path('repaired/flowers_train_00000-of-00002.tfrecord')
  found = records(path)
  found[BAD] = found[BAD + 1]
  tfrecord.write(path, found)
  named = builders.damage_colours(folder)
  printed = builders.train(**flags, skip_bad_examples=1)
  assert printed.status == 0, printed.err
  assert named in printed.out.split('Recalibrating')[1]  # not in the step
  printed = builders.train(
    **{**flags, 'dataset_dir': 'repaired', 'train_dir': 'whole'}
  )
  assert printed.status == 0, printed.err
  assert builders.differing('run', 'whole') == []


@pytest.mark.slow
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
