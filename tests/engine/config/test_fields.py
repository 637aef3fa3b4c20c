"""Configurations: ranges, choices, notes, and the run's config.json."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from engine.config.scripts import ClassifyConfig, EvalConfig, TrainConfig

ROOT = pathlib.Path(__file__).parents[3]
CONFIGS = (TrainConfig, EvalConfig, ClassifyConfig)


@pytest.mark.parametrize('config_class', CONFIGS)
def test_defaults_are_valid_and_explained(config_class):
  config_class()
  for field in dataclasses.fields(config_class):
    assert field.metadata['text'].endswith('.'), field.name


def test_frozen_and_replaced():
  given = TrainConfig()
  with pytest.raises(dataclasses.FrozenInstanceError):
    given.batch_size = 3
  assert given.replace(batch_size=3).batch_size == 3
  assert given.batch_size is None
  with pytest.raises(ValueError, match='--batch_size=0 must be at least 1'):
    given.replace(batch_size=0)


@pytest.mark.parametrize(
  'name, value, text',
  [
    ('batch_size', 0, 'must be at least 1'),
    ('learning_rate', 0.0, 'must be above 0'),
    ('learning_rate', -1.0, 'must be above 0'),
    ('label_smoothing', 1.5, 'must be at least 0 and at most 1'),
    ('momentum', -0.1, 'must be at least 0'),
    ('ftrl_learning_rate_power', 0.5, 'must be at most 0'),
    ('opt_epsilon', 0.0, 'must be above 0'),
    ('max_number_of_steps', 0, 'must be at least 1'),
    ('labels_offset', -1, 'must be at least 0'),
    ('verbosity', 4, 'must be at least -3 and at most 3'),
    (
      'optimizer',
      'adagrat',
      'is unknown. Did you mean adagrad? It can be adadelta, adagrad, adam, '
      'adamw, ftrl, lars, momentum, rmsprop, sgd.',
    ),
    (
      'learning_rate_decay_type',
      'cosinus',
      'is unknown. Did you mean cosine? It can be fixed, exponential, '
      'polynomial, cosine, piecewise.',
    ),
  ],
)
def test_out_of_range(name, value, text):
  with pytest.raises(ValueError) as error:
    TrainConfig(**{name: value})
  assert str(error.value).startswith(f'--{name}={value} {text}')


@pytest.mark.parametrize(
  'name, value, text',
  [
    (
      'evaluate_every',
      'often',
      "has 'often': write steps as 500, epochs as 5epochs.",
    ),
    ('evaluate_every', '0epochs', 'must be more than 0.'),
    (
      'profile_steps',
      '30,20',
      'must be the first and the last step, such as 20,30.',
    ),
    ('warmup', '-3', "has '-3': write steps as 500, epochs as 5epochs."),
    (
      'learning_rate_multipliers',
      'logits',
      "has 'logits': write scopes as SCOPE=NUMBER.",
    ),
  ],
)
def test_texts_of_some_form(name, value, text):
  with pytest.raises(ValueError) as error:
    TrainConfig(**{name: value})
  assert str(error.value) == f'--{name}={value} {text}'


@pytest.mark.parametrize('name', ['train_dir', 'dataset_dir'])
def test_folders(tmp_path, name):
  for path in (tmp_path, tmp_path / 'not yet'):
    assert getattr(TrainConfig(**{name: str(path)}), name) == str(path)
  file = tmp_path / 'file'
  file.touch()
  with pytest.raises(ValueError) as error:
    TrainConfig(**{name: str(file)})
  assert str(error.value) == (
    f'--{name}={file} is a file; it must be a folder.'
  )


@pytest.mark.parametrize(
  'config_class, name',
  [
    (TrainConfig, 'train_dir'),
    (EvalConfig, 'eval_dir'),
    (ClassifyConfig, 'output_dir'),
  ],
)
def test_folders_that_are_written_are_of_this_machine(config_class, name):
  with pytest.raises(ValueError) as error:
    config_class(**{name: 'gs://a/b'})
  assert str(error.value) == (
    f'--{name}=gs://a/b is an address; it must be a folder of this machine, '
    'which may be mounted.'
  )


@pytest.mark.parametrize('config_class', [TrainConfig, EvalConfig])
def test_data_may_be_anywhere(config_class):
  """TensorFlow reads them."""
  assert config_class(dataset_dir='gs://a/b').dataset_dir == 'gs://a/b'


@pytest.mark.parametrize(
  'name', ['early_stopping_patience', 'plateau_patience']
)
def test_what_counts_evaluations(name):
  with pytest.raises(ValueError) as error:
    TrainConfig(**{name: 3})
  assert str(error.value) == (
    f'--{name} counts evaluations: set --evaluate_every too, such as 1epoch.'
  )
  given = TrainConfig(**{name: 3}, evaluate_every='2epochs')
  assert getattr(given, name) == 3


@pytest.mark.parametrize(
  'given, text',
  [
    (
      {'optimizer': 'momentum', 'momentum': 1.0},
      '--momentum=1.0 must be below 1',
    ),
    (
      {'learning_rate_decay_type': 'piecewise'},
      'piecewise needs --learning_rate_boundaries',
    ),
  ],
)
def test_flags_that_contradict_each_other(given, text):
  with pytest.raises(ValueError, match=text):
    TrainConfig(**given)


def test_every_field_says_whether_it_may_change():
  """The fields that shape the graph's variables can never."""
  found = {}
  for field in dataclasses.fields(TrainConfig):
    found.setdefault(field.metadata['changes'], set()).add(field.name)
  assert found.keys() == {'free', 'told', 'never'}
  assert found['never'] == {
    'model_name',
    'dataset_name',
    'labels_offset',
    'use_grayscale',
    'trainable_scopes',
    'optimizer',
    'moving_average_decay',
    'decoder',
    'decoder_depth',
    'multi_grid',
    'aspp_with_separable_conv',
    'decoder_use_separable_conv',
    'add_image_level_feature',
    'decoder_output_stride',
    'decoder_low_level',
    'ignore_label',
    'root_block',
    'shortcut',
    'depth_multiplier',
    'batch_norm_epsilon',
    'auxiliary_loss_weight',
  }
  assert {
    'train_dir',
    'dataset_dir',
    'max_number_of_steps',
    'num_epochs',
    'save_interval_secs',
    'accept_changes',
    'keep_best',
    'cache',
    'profile_steps',
  } <= found['free']
  assert {
    'seed',
    'batch_size',
    'learning_rate',
    'num_micro_batches',
    'evaluate_every',
    'best_metric',
  } <= found['told']


FLOATS = [
  field.name
  for field in dataclasses.fields(TrainConfig)
  if field.type in (float, float | None)
]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('name', FLOATS)
def test_not_finite(name, value):
  with pytest.raises(
    ValueError,
    match=f'--{name}={value} must be .*'
    r'a finite number\.$',
  ):
    TrainConfig(**{name: value})


@pytest.mark.parametrize(
  'config_class, name',
  [(TrainConfig, 'label_smoothing'), (EvalConfig, 'moving_average_decay')],
)
def test_bounds_are_allowed(config_class, name):
  for value in (0.0, 1.0):
    assert getattr(config_class(**{name: value}), name) == value


def test_batch_norm_of_all_replicas_is_not_recomputed():
  with pytest.raises(
    ValueError,
    match='^--recompute computes layers twice, and --sync_batch_norm sums over '
    'the replicas once: leave one of both out.$',
  ):
    TrainConfig(recompute=True, sync_batch_norm=True)
  assert TrainConfig(recompute=True).recompute
  assert TrainConfig(sync_batch_norm=True).sync_batch_norm


def test_notes_only_of_given_flags():
  assert TrainConfig(batch_size=3).notes() == []
  assert (
    TrainConfig(num_clones=2, worker_replicas=2, master='a:1').notes() == []
  )
  notes = TrainConfig(sync_replicas=True, num_readers=1, num_clones=2).notes()
  assert sorted(note.split(':')[0] for note in notes) == [
    '--num_readers',
    '--sync_replicas',
  ]
  assert all('ignored' in note for note in notes)


@pytest.mark.parametrize(
  'config_class, names',
  [
    (
      TrainConfig,
      {
        'num_ps_tasks',
        'sync_replicas',
        'replicas_to_aggregate',
        'num_readers',
        'quantize_delay',
      },
    ),
    (EvalConfig, {'num_ps_tasks', 'quantize'}),
    (ClassifyConfig, set()),
  ],
)
def test_flags_without_a_meaning(config_class, names):
  others = {int: 7, bool: True, str: 'local'}
  given = {
    field.name: others[field.type]
    for field in dataclasses.fields(config_class)
    if field.metadata['now']
  }
  assert given.keys() == names
  assert {
    note.split(':')[0].removeprefix('--')
    for note in config_class(**given).notes()
  } == names


def test_fallbacks():
  found = TrainConfig.fallbacks()
  assert {
    name: value for name, value in found.items() if value is not None
  } == {
    'model_name': 'resnet_v2_50',
    'batch_size': 32,
    'labels_offset': 0,
    'learning_rate': 0.01,
    'learning_rate_decay_type': 'exponential',
    'num_epochs_per_decay': 2.0,
    'freeze_batch_norm': False,
    'decoder': 'aspp',
    'decoder_depth': 256,
    'aspp_with_separable_conv': False,
    'decoder_use_separable_conv': False,
    'add_image_level_feature': True,
    'decoder_low_level': 'unit',
    'train_crop_size': (513, 513),
    'random_flip': True,
    'min_scale_factor': 0.5,
    'max_scale_factor': 2.0,
    'scale_factor_step_size': 0.25,
    'photometric': 0.0,
  }


def test_no_tensorflow():
  """A mistaken flag is answered before TensorFlow is there."""
  code = (
    'import json, sys, engine.config.runs, engine.config.flags; '
    'print(json.dumps([m for m in sys.modules if m.startswith('
    '("tensorflow", "tf_", "numpy", "sklearn"))]))'
  )
  found = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True,
    text=True,
    check=True,
    cwd=ROOT,
  )
  assert json.loads(found.stdout) == []
