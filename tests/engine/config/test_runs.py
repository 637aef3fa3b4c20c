"""config.json: written, read, and taken over by the other scripts."""

import os
import shutil

import pytest

from engine.common import files
from engine.config import runs
from engine.config.flags import parse
from engine.config.scripts import EvalConfig, TrainConfig


@pytest.mark.parametrize(
  'given',
  [
    TrainConfig(
      model_name='resnet_v1_50',
      learning_rate=1e-5,
      dataset_dir='/tmp/Bücher',
      use_grayscale=True,
    ),
    TrainConfig(),
  ],
)
def test_round_trip(tmp_path, given):
  runs.write(given, str(tmp_path), num_classes=3, class_names=['a', '猫', 'c'])
  found = runs.read(str(tmp_path))
  assert found.pop('num_classes') == 3
  assert found.pop('class_names') == ['a', '猫', 'c']
  assert 'verbosity' not in found
  assert type(given)(**found) == given
  assert [file.name for file in tmp_path.iterdir()] == ['config.json']


def test_values_that_no_mask_can_hold(tmp_path):
  runs.write(TrainConfig(), str(tmp_path), source_values=[7, 255])
  assert runs.read(str(tmp_path))['source_values'] == [7, 255]
  for wrong in (256, -1):
    runs.write(TrainConfig(), str(tmp_path), source_values=[7, wrong])
    with pytest.raises(
      ValueError, match=f'config.json: source_values has {wrong}, which no mask'
    ):
      runs.read(str(tmp_path))


def test_written_again(tmp_path):
  for size in (1, 2):
    runs.write(TrainConfig(batch_size=size), str(tmp_path))
  assert runs.read(str(tmp_path))['batch_size'] == 2


def test_failing_write_leaves_the_old(tmp_path):
  runs.write(TrainConfig(batch_size=1), str(tmp_path))
  with pytest.raises(TypeError):
    runs.write(TrainConfig(batch_size=2), str(tmp_path), other={1, 2})
  assert runs.read(str(tmp_path))['batch_size'] == 1


def test_write_json(tmp_path):
  path = tmp_path / 'a.json'
  files.write_json(path, {'a': [1, 2.5, None], 'b': 0.1 + 0.2})
  assert path.read_text() == (
    '{\n  "a": [\n    1,\n    2.5,\n    null\n  ],\n'
    '  "b": 0.30000000000000004\n}\n'
  )
  files.write_json(str(path), {})
  assert files.read_json(path) == {}
  assert [file.name for file in tmp_path.iterdir()] == ['a.json']


def test_nothing_to_read(tmp_path):
  assert runs.read(str(tmp_path)) == {}
  assert runs.read(str(tmp_path / 'nowhere')) == {}


@pytest.mark.parametrize(
  'text', ['', '{"model_name": "res', 'null', '7', '[]', '[1, 2]', '\xff\xfe']
)
def test_broken_json(tmp_path, text):
  path = tmp_path / 'config.json'
  path.write_text(text, 'latin-1')
  with pytest.raises(
    ValueError,
    match=f'{path} is not the JSON object that '
    'training wrote .*train again, or restore it',
  ):
    runs.read(str(tmp_path))


NAMES = {
  'model_name': 'model_name',
  'eval_image_size': 'train_image_size',
  'labels_offset': 'labels_offset',
}


def test_complete_completes():
  found = runs.complete(
    EvalConfig(labels_offset=1),
    {
      'model_name': 'resnet_v1_50',
      'train_image_size': 32,
      'labels_offset': 1,
      'batch_size': 7,
    },
    NAMES,
    ('model_name', 'labels_offset'),
  )
  assert found == EvalConfig(
    model_name='resnet_v1_50', eval_image_size=32, labels_offset=1
  )


def test_complete_of_no_run():
  given = EvalConfig(model_name='resnet_v1_50')
  assert runs.complete(given, {}, NAMES, ('model_name',)) == given


def test_complete_contradiction():
  with pytest.raises(ValueError) as error:
    runs.complete(
      EvalConfig(model_name='resnet_v1_50'),
      {'model_name': 'resnet_v2_50'},
      NAMES,
      ('model_name',),
    )
  assert str(error.value) == (
    '--model_name=resnet_v1_50 contradicts the run, which was trained with '
    'model_name=resnet_v2_50: leave the flag out.'
  )


def test_complete_contradicts_a_falsy_value():
  """0 and False are values too."""
  with pytest.raises(
    ValueError,
    match='--labels_offset=0 contradicts the run, '
    'which was trained with labels_offset=1',
  ):
    runs.complete(
      EvalConfig(labels_offset=0),
      {'labels_offset': 1},
      NAMES,
      ('labels_offset',),
    )
  with pytest.raises(
    ValueError,
    match='--labels_offset=1 contradicts the run, '
    'which was trained with labels_offset=0',
  ):
    runs.complete(
      EvalConfig(labels_offset=1),
      {'labels_offset': 0},
      NAMES,
      ('labels_offset',),
    )


def test_complete_may_differ_where_not_fixed():
  found = runs.complete(
    EvalConfig(eval_image_size=64),
    {'train_image_size': 32},
    NAMES,
    ('model_name',),
  )
  assert found.eval_image_size == 64


def test_value_of_a_run_out_of_range():
  """A config.json edited by hand."""
  with pytest.raises(ValueError, match='--eval_image_size=0 must be'):
    runs.complete(EvalConfig(), {'train_image_size': 0}, NAMES, ())


TEXTS = {
  'evaluate_every': '2epochs',
  'warmup': '500',
  'learning_rate_decay_type': 'piecewise',
  'learning_rate_boundaries': '80epochs,120.5epochs',
  'learning_rate_factors': '0.5,0.001',
  'learning_rate_multipliers': 'a/logits=10,a=0.5',
  'class_weights': 'auto',
  'segmentation_loss': 'cross_entropy,dice:0.5',
  'train_crop_size': '33,49',
  'atrous_rates': '2,4',
  'multi_grid': '1,2,4',
  'image_pooling_crop_size': '33',
  'decoder_output_stride': '4,2',
  'image_pyramid': '0.5,1',
  'trainable_scopes': 'a,b/c',
  'checkpoint_exclude_scopes': 'a/logits',
  'profile_steps': '20,30',
}


def test_texts_are_written_as_they_were_given(tmp_path):
  """As the versions before had them, and read back as values."""
  given = TrainConfig(**TEXTS)
  runs.write(given, str(tmp_path))
  written = files.read_json(tmp_path / 'config.json')
  assert {name: written[name] for name in TEXTS} == TEXTS
  found = runs.read(str(tmp_path))
  assert found['train_crop_size'] == (33, 49)
  assert found['learning_rate_multipliers'] == {'a/logits': 10, 'a': 0.5}
  assert type(given)(**found) == given


def test_a_text_of_another_form(tmp_path):
  (tmp_path / 'config.json').write_text('{"train_crop_size": "big"}')
  with pytest.raises(ValueError) as error:
    runs.read(str(tmp_path))
  assert str(error.value) == (
    f"{tmp_path}/config.json: train_crop_size=big has 'big', which is no "
    'number; restore the file, or train again.'
  )


def test_complete_compares_values():
  """Not their texts; the error has texts."""
  run = {'multi_grid': (1, 2, 4)}
  for text in ('1,2,4', '1, 2, 4'):
    runs.complete(
      EvalConfig(multi_grid=text),
      run,
      {'multi_grid': 'multi_grid'},
      ('multi_grid',),
    )
  with pytest.raises(ValueError, match='--multi_grid=1 contradicts .*=1,2,4:'):
    runs.complete(
      EvalConfig(multi_grid='1'),
      run,
      {'multi_grid': 'multi_grid'},
      ('multi_grid',),
    )


@pytest.mark.parametrize(
  'text, words',
  [
    ('{"batch_size": "many"}', 'batch_size is "many", and should be a whole'),
    ('{"batch_size": 1e400}', 'batch_size is Infinity, and should be a whole'),
    ('{"learning_rate": [1]}', 'learning_rate is [1], and should be a number'),
    ('{"train_crop_size": 33}', 'train_crop_size is 33, and should be a text'),
    ('{"use_grayscale": 1}', 'use_grayscale is 1, and should be true or false'),
    ('{"model_name": {}}', 'model_name is {}, and should be a text'),
    ('{"optimizer": null}', 'optimizer is null, and should be a text'),
    ('{"num_classes": null}', 'num_classes is null, and should be a whole'),
    ('{"class_names": {"0": "a"}}', 'class_names is {"0": "a"}, and should be'),
    ('{"class_names": ["a", 1]}', 'class_names[1] is 1, and should be a text'),
    ('{"class_names": ["\\u001b"]}', "the class '\\x1b' has a control"),
    ('{"class_names": ["\\ud800"]}', "the class '\\ud800' has a control"),
    ('{"batch_size": 0}', 'batch_size=0 must be at least 1; restore the file'),
    ('{"optimizer": "momentun"}', 'optimizer=momentun is unknown. Did you'),
    ('{"learning_rate": NaN}', 'learning_rate=nan must be'),
    ('{"seed": 1, "seed": 2}', 'it has "seed" twice'),
    ('{"a": ' * 10**5, 'it nests more than'),
  ],
)
def test_values_of_wrong_kinds(tmp_path, text, words):
  path = tmp_path / 'config.json'
  path.write_text(text)
  with pytest.raises(ValueError) as error:
    runs.read(str(tmp_path))
  assert str(error.value).startswith(str(path)) and words in str(error.value)


def test_a_pipe(tmp_path):
  os.mkfifo(tmp_path / 'config.json')
  with pytest.raises(ValueError, match='config.json is a pipe, and no file'):
    runs.read(str(tmp_path))


def test_what_another_version_wrote(tmp_path, monkeypatch):
  """Fields that this one does not know may be anything, and names are free."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'config.json').write_text('{"new": [{}], "train_dir": "here"}')
  (tmp_path / 'here').touch()
  assert runs.read(str(tmp_path)) == {'new': [{}], 'train_dir': 'here'}


@pytest.fixture
def begun(tmp_path, monkeypatch):
  """begun(**flags): writes a run to the folder 'run'."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'run').mkdir()

  def write(**flags):
    complete = TrainConfig(
      **{'dataset_name': 'digits', 'train_dir': '/old/place', **flags}
    )
    runs.write(complete, 'run', num_classes=10)
    return complete.replace(train_dir='run')

  return write


def resumed(*flags):
  """What the training script is told by a command line."""
  return parse(TrainConfig, ['x', *flags], runs.resumed)[0]


def test_resumed_by_name_alone(begun):
  """Or by train_dir alone; all values are the run's, in its folder of now."""
  then = begun(model_name='resnet_v1_50', seed=3, **TEXTS)
  assert resumed('--resume=run') == resumed('--train_dir=run') == then
  assert resumed('--train_dir=run/', '--verbosity=0') == then.replace(
    train_dir='run/', verbosity=0
  )


def test_flags_beside_a_resumed_run(begun):
  then = begun(batch_size=8, seed=1)
  found = resumed('--resume=run', '--keep_best=3', '--seed=0')
  # That the seed differs is refused with the whole configuration, or accepted.
  assert found == then.replace(keep_best=3, seed=0)


def test_train_dir_with_other_flags_is_a_whole_command(begun):
  begun(batch_size=8)
  assert resumed('--train_dir=run', '--seed=1') == TrainConfig(
    train_dir='run', seed=1
  )


def test_either_length_replaces_both(begun):
  """The smaller counts, which would be that of before."""
  begun(num_epochs=2.0, max_number_of_steps=90)
  both = [
    (found.num_epochs, found.max_number_of_steps)
    for found in (
      resumed('--resume=run'),
      resumed('--resume=run', '--num_epochs=3'),
      resumed('--resume=run', '--max_number_of_steps=200'),
    )
  ]
  assert both == [(2, 90), (3, None), (None, 200)]


def test_a_run_without_checkpoints_keeps_its_evaluation_split(begun):
  """As one that was killed before the first."""
  then = begun(eval_split_name='train')
  assert resumed('--resume=run') == then


def test_what_is_not_taken_over(begun, tmp_path):
  """Flags of the command alone, dead ones, and values of another task."""
  begun(
    accept_changes=True,
    num_readers=2,
    eval_split_name='test',
    task='segmentation',
    labels_offset=1,
    decoder='fcn',
  )
  (tmp_path / 'run/model.ckpt-3.index').touch()
  found = resumed('--resume=run')
  assert (found.accept_changes, found.num_readers) == (False, 4)
  assert (found.labels_offset, found.decoder) == (None, 'fcn')
  assert found.resume is None
  # Its data may be gone; who opens them takes the run's.
  assert found.eval_split_name is None


CLUSTER = {
  'num_clones': 2,
  'clone_on_cpu': True,
  'worker_replicas': 3,
  'num_ps_tasks': 1,
  'master': 'host:1',
}


def test_devices_are_not_of_the_run(begun):
  """They are not kept; older versions kept them, and ignored them."""
  given = begun(**CLUSTER, global_batch_size=16, sync_batch_norm=True)
  written = files.read_json('run/config.json')
  assert written.keys().isdisjoint(CLUSTER)
  found = resumed('--resume=run')
  assert found == given.replace(
    **{name: getattr(TrainConfig(), name) for name in CLUSTER}
  )
  assert (found.global_batch_size, found.sync_batch_norm) == (16, True)
  files.write_json('run/config.json', {**written, **CLUSTER})
  assert resumed('--resume=run') == found
  assert resumed('--resume=run', '--num_clones=4').num_clones == 4


@pytest.mark.parametrize(
  'flags, words',
  [
    (
      ['--resume=run', '--model_name=resnet_v2_50', '--optimizer=adam'],
      'The run in run was begun with optimizer=momentum, not adam; '
      'model_name=resnet_v1_50, not resnet_v2_50: leave such flags out',
    ),
    (['--resume=run', '--train_dir=other'], '--train_dir=other contradicts'),
    (['--resume=nowhere'], '--resume=nowhere: this is no folder that a train'),
    (['--resume=run/model.ckpt-3'], ' Did you mean --resume=run? '),
    (['--resume=run/best'], ' Did you mean --resume=run? '),
  ],
)
def test_refused_to_resume(begun, tmp_path, flags, words):
  begun(model_name='resnet_v1_50')
  (tmp_path / 'run/best').mkdir()
  shutil.copy('run/config.json', 'run/best')
  with pytest.raises(ValueError) as error:
    resumed(*flags)
  assert words in str(error.value)


def test_fields_of_later_versions():
  """An old run has their defaults, those of its task."""
  assert runs.with_later_fields({}) == {}
  found = runs.with_later_fields({'task': 'segmentation', 'decoder': 'fcn'})
  assert found['decoder'] == 'fcn' and found['decoder_low_level'] == 'unit'
  assert found['aspp_with_separable_conv'] is False
  found = runs.with_later_fields({'task': 'classification'})
  assert 'decoder_low_level' not in found
