"""Runs that an older version wrote still resume, evaluate and classify.

tests/data/old_runs holds what commit 9de4dd4 left after 4 and 2 steps, with
every flag that is text of some form: lists, lengths, sizes, multipliers.
"""

import csv
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import classify_image
import eval_image_classifier
from datasets.convert import scenes
from engine.config.scripts import TrainConfig
from tests import builders

OLD = pathlib.Path(__file__).parent / 'data' / 'old_runs'
TASKS = ('classification', 'segmentation')

# What each was begun with, and now is to have two steps or one more.
FLAGS = {
  'classification': {
    'model_name': 'resnet_v2_tiny',
    'max_number_of_steps': 6,
    'batch_size': 16,
    'log_every_n_steps': 1,
    'evaluate_every': '2',
    'warmup': '1',
    'learning_rate_decay_type': 'piecewise',
    'learning_rate_boundaries': '2,3',
    'learning_rate_factors': '0.5,0.25',
    'learning_rate_multipliers': (
      'resnet_v2_tiny/logits=10,resnet_v2_tiny/block1=0.5'
    ),
    'recalibrate_batch_norm_batches': 2,
    'moving_average_decay': 0.9,
    'num_epochs_per_decay': 2,
    'keep_checkpoints': 1,
    'trainable_scopes': (
      'resnet_v2_tiny/block1,resnet_v2_tiny/block2,resnet_v2_tiny/logits'
    ),
    'best_metric': 'loss',
  },
  'segmentation': {
    'task': 'segmentation',
    'model_name': 'resnet_v1_small',
    'max_number_of_steps': 3,
    'batch_size': 4,
    'log_every_n_steps': 1,
    'decoder': 'deeplabv3plus',
    'decoder_depth': 8,
    'train_crop_size': '33,49',
    'output_stride': 4,
    'class_weights': '0.5,1,1,1,1,1,1,1,1,1,1.5',
    'atrous_rates': '2,4',
    'multi_grid': '1',
    'recalibrate_batch_norm_batches': 2,
    'keep_checkpoints': 1,
    'min_scale_factor': 0.75,
    'max_scale_factor': 1.25,
  },
}
# What a newer version measures besides.
MEASURED = {
  'classification': set(),
  'segmentation': {
    'mean_boundary_iou',
    'expected_calibration_error',
    'boundary_iou',
    'calibration_error',
  },
}
# The losses of the further steps, which the older version took too.
LOSSES = {'classification': [2.43006, 2.48377], 'segmentation': [1.65463]}
# The scenes of the third step's batch, of 2,000.
READ = {388, 1127, 1860, 1863}


@pytest.fixture(
  params=[
    'classification',
    pytest.param('segmentation', marks=pytest.mark.slow),
  ]
)
def run(request, workplace):
  """The name of an old run's task; the run is in the folder of that name."""
  shutil.copytree(OLD / request.param, workplace / request.param)
  return request.param


@pytest.fixture
def few_scenes(tmp_path, monkeypatch):
  """Of the scenes to train on only those are drawn that count."""
  draw, empty = scenes._scene, np.zeros([scenes.SIZE] * 2, np.uint8)
  blank = scenes._Scene(builders.encode(Image.fromarray(empty), 'png'), empty)

  def some(images, labels, key):
    _, split, number = key
    drawn = split == [*scenes.SCENES].index('test') or number in READ
    return draw(images, labels, key) if drawn else blank

  monkeypatch.setattr(scenes, '_scene', some)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


# They were of the run, and are of the machine.
DEVICES = {
  'clone_on_cpu',
  'master',
  'num_clones',
  'num_ps_tasks',
  'replicas_to_aggregate',
  'sync_replicas',
  'worker_replicas',
}


@pytest.mark.usefixtures('unevaluated', 'few_scenes')
@pytest.mark.parametrize(
  'by', ['flags', pytest.param('name', marks=pytest.mark.slow)]
)
def test_resumes(run, by):
  """Without the evaluation, which test_evaluates makes."""
  before = json.loads((OLD / run / 'config.json').read_text())
  total = FLAGS[run]['max_number_of_steps']
  printed = builders.train(
    **{
      'flags': {**FLAGS[run], 'train_dir': run},
      'name': {'resume': run, 'max_number_of_steps': total},
    }[by]
  )
  assert printed.status == 0, printed.err
  steps = 6 - 4 if run == 'classification' else 3 - 2
  found = [float(row['loss']) for row in rows(f'{run}/metrics.csv')]
  assert found[-steps:] == pytest.approx(LOSSES[run], rel=1e-4)
  assert len(found) == total
  # It is written as it was read, and knows its data from now on.
  after = json.loads(pathlib.Path(run, 'config.json').read_text())
  assert after.pop('data').keys() == {'train', 'test'}
  assert after.pop('replicas') == 1
  after['max_number_of_steps'] = before['max_number_of_steps']
  fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
  for name in after.keys() - before.keys():  # flags that are newer
    value = fields[name].default
    if value is None and fields[name].metadata['task'] in (None, run):
      value = fields[name].metadata['otherwise']
    assert after[name] == TrainConfig.as_text(name, value), name
  assert {**before, **after} == {**after, **before}
  assert before.keys() - after.keys() == DEVICES


def test_other_text_is_refused(run):
  flag, text = {
    'classification': ('learning_rate_boundaries', '2,4'),
    'segmentation': ('train_crop_size', '33'),
  }[run]
  printed = builders.train(**{**FLAGS[run], flag: text}, train_dir=run)
  builders.refused(printed, f'{flag}={FLAGS[run][flag]}, not {text}')


@pytest.mark.usefixtures('few_scenes')
def test_evaluates(run):
  then = json.loads((OLD / run / 'eval.json').read_text())
  printed = builders.call(eval_image_classifier, checkpoint_path=run)
  assert printed.status == 0, printed.err
  now = json.loads(pathlib.Path(run, 'eval', 'eval.json').read_text())
  assert now.keys() - {'recalibrated_batches'} == (then.keys() | MEASURED[run])
  assert now['loss'] == pytest.approx(then['loss'], rel=1e-4)
  for name in ('step', 'model', 'dataset', 'split', 'examples'):
    assert now[name] == then[name], name


@pytest.mark.slow
def test_the_best_evaluates(workplace):
  shutil.copytree(OLD / 'classification', workplace / 'classification')
  printed = builders.call(
    eval_image_classifier, checkpoint_path='classification', checkpoints='best'
  )
  assert printed.status == 0, printed.err
  assert 'classification/best/model.ckpt-4' in printed.out


def test_classifies(run, workplace):
  builders.colour_image(0, 1).save('a.png')
  printed = builders.call(classify_image, 'a.png', checkpoint_path=run)
  assert printed.status == 0, printed.err
  assert 'a.png' in printed.out and '%' in printed.out
