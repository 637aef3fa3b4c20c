"""A converted folder: what is in it, and what is refused."""

import json
import os
import pathlib

import h5py
import numpy as np
import pytest

from engine.checkpoints import contents
from engine.checkpoints.convert import conversion
from engine.config import runs
from tests.builders import tensors, write_checkpoint
from tests.engine.checkpoints.convert import sources


def write(form, folder='.', num_classes=sources.CLASSES):
  """Writes the tiny network of a library; returns ours, and the path."""
  values, arrays = sources.tiny(form, num_classes)
  path = os.path.join(folder, f'{form}.bin')
  if form.startswith('keras'):
    return values, arrays, sources.write_legacy(path, arrays)
  return values, arrays, sources.write_safetensors(path, arrays)


def error(*args, **options):
  with pytest.raises(ValueError) as raised:
    conversion.convert(*args, **options)
  return str(raised.value)


def unchanged(folder, before):
  return sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
  'form', ['keras_v1', pytest.param('keras_v2', marks=pytest.mark.slow)]
)
def test_equal_to_its_source(tiny, form):
  """With the proof, whose networks share nothing with ours."""
  _, _, path = write(form)
  found = conversion.convert(path, 'out')
  assert found.proof.startswith('Equal to its source at 64x64 and ')
  told = json.loads(pathlib.Path('out/conversion.json').read_text())
  assert told['proof']['kind'] == 'outputs'
  assert 0 <= told['proof']['features'] < 1e-4


def test_what_is_written(tiny, unproved):
  values, arrays, path = write('keras_v1')
  found = conversion.convert(path, 'deep/out')
  assert sorted(os.listdir('deep/out')) == [
    'config.json',
    'conversion.json',
    'model.ckpt-0.data-00000-of-00001',
    'model.ckpt-0.index',
  ]
  assert found.checkpoint == 'deep/out/model.ckpt-0'
  held = tensors(found.checkpoint)
  assert held.keys() == {f'resnet_v1_tiny/{name}' for name in values}
  np.testing.assert_array_equal(
    held['resnet_v1_tiny/conv1/weights'], values['conv1/weights']
  )
  np.testing.assert_array_equal(
    held['resnet_v1_tiny/conv1/BatchNorm/moving_mean'],
    values['conv1/BatchNorm/moving_mean'] - arrays['conv1_conv/bias'],
  )
  assert runs.read('deep/out') == {
    'model_name': 'resnet_v1_tiny',
    'task': 'classification',
    'root_block': '7x7_symmetric',
    'use_grayscale': False,
    'preprocessing_name': 'caffe',
    'train_image_size': 224,
    'labels_offset': 0,
    'batch_norm_epsilon': 1.001e-5,
    'num_classes': sources.CLASSES,
  }
  assert runs.is_converted(runs.read('deep/out'))
  told = json.loads(pathlib.Path('deep/out/conversion.json').read_text())
  assert told['source'] == os.path.abspath(path)
  assert [*told['sha256']] == ['keras_v1.bin']
  assert told['recognized_as']['form'] == 'keras_v1'
  assert told['recognized_as']['num_classes'] == sources.CLASSES
  assert told['left_over'] == [] and told['proof']['kind'] == 'outputs'
  (proved,) = unproved
  assert proved.values.keys() == arrays.keys()
  assert proved.options == {
    'root_block': '7x7_symmetric',
    'batch_norm_epsilon': 1.001e-5,
  }
  lines = conversion.describe(found)
  assert lines[0] == (
    'resnet_v1_tiny --root_block=7x7_symmetric, of 5 classes, by '
    'keras.applications.'
  )
  assert lines[-1] == 'Written to deep/out.'


def test_settings_that_are_given(tiny, unproved):
  _, _, path = write('torch')
  os.makedirs('out')  # empty
  conversion.convert(
    path,
    'out',
    num_classes=sources.CLASSES,
    preprocessing_name='vgg',
    train_image_size=160,
    labels_offset=0,
    batch_norm_epsilon=0.001,
  )
  run = runs.read('out')
  assert run['preprocessing_name'] == 'vgg'
  assert run['train_image_size'] == 160
  assert run['labels_offset'] == 0
  assert run['num_classes'] == sources.CLASSES
  assert run['batch_norm_epsilon'] == 0.001


def test_without_logits(tiny, unproved):
  _, _, path = write('keras_v2', num_classes=None)
  found = conversion.convert(path, 'out')
  assert 'num_classes' not in runs.read('out')
  assert 'without logits' in conversion.describe(found)[0]


def test_a_checkpoint_of_slim(tiny, unproved):
  values = {
    f'FeatureExtractor/resnet_v1_tiny/{name}': value
    for name, value in sources.scopeless('resnet_v1_tiny').items()
  }
  write_checkpoint('there.ckpt', {**values, 'box/weights': np.ones((2, 2))})
  found = conversion.convert('there.ckpt', 'out')
  assert tensors(found.checkpoint).keys() == {
    name.removeprefix('FeatureExtractor/') for name in values
  }
  assert unproved == []
  assert 'bit by bit' in found.proof
  assert 'Left over, 1 arrays: box/weights' in '\n'.join(
    conversion.describe(found)
  )


def test_a_checkpoint_of_ours(tiny, unproved):
  """Its config.json tells what no variable does, so it is not made anew."""
  _, _, path = write('keras_v1')
  conversion.convert(path, 'out')
  said = error('out', 'again')
  assert 'is a checkpoint of this project already' in said
  assert not os.path.exists('again')


@pytest.mark.slow
def test_outputs_that_differ(tiny, monkeypatch):
  """Nothing is written where the proof finds another network."""
  _, _, path = write('torch')  # strides by the 3x3, which the tiny one lacks
  before = sorted(os.listdir('.'))
  said = error(path, 'out')
  assert 'does not compute what its source does' in said
  assert unchanged('.', before)


@pytest.mark.parametrize(
  ('options', 'words'),
  [
    ({'num_classes': 9}, '--num_classes=9 does not fit'),
    ({'model_name': 'resnet_v2_50'}, '--model_name=resnet_v2_50 contradicts'),
    ({'preprocessing_name': 'vg'}, 'preprocessing'),
    ({'root_block': 'beta'}, '--root_block=beta contradicts'),
    ({'batch_norm_epsilon': 2.0}, '--batch_norm_epsilon=2.0'),
  ],
)
def test_what_does_not_fit(tiny, unproved, options, words):
  _, _, path = write('torch')
  before = sorted(os.listdir('.'))
  assert words in error(path, 'out', **options)
  assert unchanged('.', before)


def test_damage(tiny, unproved):
  for form in ('keras_v1', 'torch'):
    _, _, path = write(form)
    sources.cut(path, 0.7)
    before = sorted(os.listdir('.'))
    assert path in error(path, 'out')
    assert unchanged('.', before)


def test_places(tiny, unproved):
  _, _, path = write('torch')
  pathlib.Path('full').mkdir()
  pathlib.Path('full/kept').write_text('')
  assert 'has files in it' in error(path, 'full')
  assert 'is a file' in error(path, path)
  assert 'pattern' in error(path, 'a[1]')
  assert sorted(os.listdir('full')) == ['kept']


def test_a_write_that_fails(tiny, unproved, monkeypatch):
  _, _, path = write('torch')
  monkeypatch.setattr(
    contents, 'write_values', lambda *_: (_ for _ in ()).throw(OSError('full'))
  )
  before = sorted(os.listdir('.'))
  with pytest.raises(OSError, match='full'):
    conversion.convert(path, 'out')
  assert unchanged('.', before)


def test_a_write_that_is_not_read_back(tiny, unproved, monkeypatch):
  _, _, path = write('torch')
  write_values = contents.write_values

  def wrong(prefix, values):
    first, *_ = values
    write_values(prefix, {**values, first: values[first] + 1})

  monkeypatch.setattr(contents, 'write_values', wrong)
  assert 'is not what was written' in error(path, 'out')
  assert not os.path.exists('out')


def test_names_of_a_user(tiny, unproved):
  values = sources.scopeless('resnet_v1_tiny', depth_multiplier=1 / 4)
  np.savez('w.npz', **{f'_{i}': v for i, v in enumerate(values.values())})
  pathlib.Path('names.csv').write_text(
    '\n'.join(f'_{i},{name},no' for i, name in enumerate(values))
  )
  found = conversion.convert(
    'w.npz', 'out', 'resnet_v1_tiny', 'names.csv', batch_norm_epsilon=1e-3
  )
  run = runs.read('out')
  assert run['depth_multiplier'] == 1 / 4
  assert run['batch_norm_epsilon'] == 1e-3
  assert tensors(found.checkpoint).keys() == {
    f'resnet_v1_tiny/{name}' for name in values
  }
  assert unproved == []


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['.h5', '.weights.h5', '.keras'])
@pytest.mark.parametrize('name', ['ResNet50', 'ResNet50V2'])
def test_keras_itself(tmp_path, name, ending):
  """As keras.applications writes it, in the outputs that it has."""
  import keras
  from keras.src.legacy.saving import legacy_h5_format

  model = getattr(keras.applications, name)(weights=None, classes=7)
  random = np.random.default_rng(0)
  for variable in model.variables:
    if variable.name == 'moving_variance':
      variable.assign(random.uniform(0.5, 1.5, variable.shape))
    elif variable.name in ('moving_mean', 'bias', 'beta'):
      variable.assign(random.normal(0, 0.1, variable.shape))
  path = str(tmp_path / f'w{ending}')
  if ending == '.h5':  # as Keras 2 wrote it, and as its weights are published
    with h5py.File(path, 'w') as file:
      legacy_h5_format.save_weights_to_hdf5_group(file, model)
  else:
    (model.save if ending == '.keras' else model.save_weights)(path)
  found = conversion.convert(path, str(tmp_path / 'out'))
  assert found.recognised.form == 'keras_v2' if 'V2' in name else 'keras_v1'
  assert found.recognised.num_classes == 7
  assert found.proof.startswith('Equal to its source')
