"""Weights of Keras: all of its formats, and files that harm."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from engine.checkpoints.convert import keras_files
from tests.engine.checkpoints.convert import sources

ARRAYS = {
  'conv1_conv/kernel': np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3),
  'conv1_conv/bias': np.ones(3, np.float32),
  'conv1_bn/gamma': np.full(3, 2, np.float32),
}


def error(path, **options):
  with pytest.raises(ValueError) as raised:
    keras_files.read(str(path), **options)
  said = str(raised.value)
  assert said.startswith(str(path)) and 'get it again' in said
  return said


def equal(found, wanted):
  assert found.values.keys() == wanted.keys()
  for name, value in wanted.items():
    np.testing.assert_array_equal(found.values[name], value)


@pytest.mark.parametrize('root', ['', 'model_weights'])
def test_legacy(tmp_path, root):
  path = sources.write_legacy(tmp_path / 'w.h5', ARRAYS, root)
  equal(keras_files.read(path), ARRAYS)


def test_a_network_inside_of_a_model(tmp_path):
  """Groups are by the layer of the model, and arrays by that of the network."""
  with h5py.File(tmp_path / 'w.h5', 'w') as file:
    for name, array in ARRAYS.items():
      file[f'resnet50/{name}:0'] = array
    file['optimizer_weights/iterations:0'] = 3
  equal(keras_files.read(str(tmp_path / 'w.h5')), ARRAYS)


def small_model():
  return keras.Sequential(
    [
      keras.layers.Input((8, 8, 2)),
      keras.layers.Conv2D(3, 1, name='conv1_conv'),
      keras.layers.BatchNormalization(name='conv1_bn'),
      keras.layers.GlobalAveragePooling2D(),
      keras.layers.Dense(4, name='predictions'),
    ]
  )


@pytest.mark.parametrize('ending', ['.h5', '.weights.h5', '.keras'])
def test_what_keras_writes(tmp_path, ending):
  model = small_model()
  model.compile('sgd', 'mse')
  for i, variable in enumerate(model.variables):
    variable.assign(np.full(variable.shape, i, np.float32))
  path = str(tmp_path / f'w{ending}')
  if ending == '.weights.h5':
    model.save_weights(path)
  else:
    model.save(path)
  found = keras_files.read(path, is_archive=ending == '.keras')
  wanted = {
    f'{layer.name}/{variable.name}': variable.numpy()
    for layer in model.layers
    for variable in layer.variables
  }
  assert len(wanted) == 8
  equal(found, wanted)


def strip_names(path):
  """Makes of a file one of a Keras 3 that did not write names of layers."""
  with h5py.File(path, 'r+') as file:

    def strip(_, group):
      if 'name' in group.attrs:
        del group.attrs['name']

    file.visititems(strip)


def test_numbers_that_tell_no_network(tmp_path):
  path = str(tmp_path / 'w.weights.h5')
  small_model().save_weights(path)
  strip_names(path)
  assert 'layers/conv2d/vars/0' in keras_files.read(path).values


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['ResNet50', 'ResNet101', 'ResNet152', 'ResNet50V2', 'ResNet101V2']
)
def test_order_of_layers(tmp_path, name):
  model = getattr(keras.applications, name)(weights=None, classes=2)
  path = str(tmp_path / 'w.weights.h5')
  model.save_weights(path)
  wanted = keras_files.read(path)
  strip_names(path)
  equal(keras_files.read(path), wanted.values)
  assert 'conv5_block3_3_conv/kernel' in wanted.values


# Damage.


@pytest.mark.parametrize('share', [0.1, 0.5, 0.95])
def test_cut_off(tmp_path, share):
  path = sources.write_legacy(tmp_path / 'w.h5', ARRAYS)
  sources.cut(path, share)
  assert 'cut off or damaged' in error(path)


def with_link(path, link):
  sources.write_legacy(path, ARRAYS)
  with h5py.File(path, 'r+') as file:
    file['conv1_conv']['other'] = link
  return path


@pytest.mark.parametrize(
  'link',
  [
    h5py.SoftLink('/conv1_bn/conv1_bn/gamma:0'),
    h5py.ExternalLink('/etc/passwd', '/'),
    h5py.SoftLink('/'),
  ],
)
def test_links(tmp_path, link):
  path = with_link(tmp_path / 'w.h5', link)
  assert 'has conv1_conv/other, which is a link' in error(path)


def test_arrays_in_other_files(tmp_path):
  path = tmp_path / 'w.h5'
  (tmp_path / 'secret').write_bytes(b'\0' * 64)
  with h5py.File(path, 'w') as file:
    file.create_dataset(
      'a', (4,), 'f4', external=[(str(tmp_path / 'secret'), 0, 16)]
    )
  assert 'has a, which lies in other files' in error(path)


def test_a_virtual_array(tmp_path):
  path = tmp_path / 'w.h5'
  layout = h5py.VirtualLayout((4,), 'f4')
  layout[:] = h5py.VirtualSource(str(tmp_path / 'other.h5'), 'x', (4,))
  with h5py.File(path, 'w') as file:
    file.create_virtual_dataset('a', layout)
  assert 'has a, which lies in other files' in error(path)


def test_objects(tmp_path):
  path = tmp_path / 'w.h5'
  with h5py.File(path, 'w') as file:
    file.create_dataset('a', data=['text'], dtype=h5py.string_dtype())
  assert 'not numbers' in error(path)


def test_an_array_of_nothing(tmp_path):
  path = tmp_path / 'w.h5'
  with h5py.File(path, 'w') as file:
    file.create_dataset('a', data=h5py.Empty('f4'))
  assert 'has a, which holds nothing' in error(path)


def test_a_group_in_itself(tmp_path):
  path = tmp_path / 'w.h5'
  with h5py.File(path, 'w') as file:
    file.create_group('a')['b'] = file['/']
  assert 'groups in each other' in error(path)


def test_a_shape_that_is_too_large(tmp_path):
  path = tmp_path / 'w.h5'
  with h5py.File(path, 'w') as file:
    file.create_dataset('a', (1 << 20, 1 << 20), 'f4', chunks=(1, 1))
  assert 'more than 4,294,967,296 bytes' in error(path)


def test_many_arrays(tmp_path, monkeypatch):
  monkeypatch.setattr(keras_files, 'MOST_ARRAYS', 2)
  path = sources.write_legacy(tmp_path / 'w.h5', ARRAYS)
  assert 'more than 2' in error(path)


def test_two_arrays_of_a_name(tmp_path):
  path = tmp_path / 'w.h5'
  with h5py.File(path, 'w') as file:
    for group in ('one', 'two'):
      file[f'{group}/conv1_conv/bias:0'] = np.ones(3, np.float32)
  assert 'two arrays named conv1_conv/bias' in error(path)


def test_archives(tmp_path, monkeypatch):
  path = tmp_path / 'w.keras'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(keras_files.WEIGHTS, b'\x89HDF')
  assert 'cut off or damaged' in error(path, is_archive=True)
  monkeypatch.setattr(keras_files, 'MOST_BYTES', 3)
  assert 'at most 3 are read' in error(path, is_archive=True)
