"""Weights for Keras: Keras itself loads them, and computes the same."""

import keras
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints.convert import (
  keras_files,
  source_network,
  writing_keras,
)

CASES = [
  ('ResNet50', 'keras_v1', 'w.h5'),
  ('ResNet50V2', 'keras_v2', 'w.weights.h5'),
  *(
    pytest.param(*case, marks=pytest.mark.slow)
    for case in [
      ('ResNet50', 'keras_v1', 'w.weights.h5'),
      ('ResNet50V2', 'keras_v2', 'w.h5'),
      ('ResNet101', 'keras_v1', 'w.h5'),
      ('ResNet152', 'keras_v1', 'w.weights.h5'),
      ('ResNet101V2', 'keras_v2', 'w.h5'),
      ('ResNet152V2', 'keras_v2', 'w.weights.h5'),
    ]
  ),
]
# What ends a unit.
LAST = {'keras_v1': '_3_bn/gamma', 'keras_v2': '_3_conv/kernel'}


def share(wanted, found):
  return np.abs(wanted - found).max() / np.abs(wanted).max()


def by_name(model):
  return {
    f'{layer.name}/{weight.name}': weight.numpy()
    for layer in model.layers
    for weight in layer.weights
  }


def random_arrays(shapes, last):
  """Random values of Keras' arrays; units add little, so that all have a range.

  Args:
    shapes: by name.
    last: the end of the names of what ends a unit.
  """
  random = np.random.RandomState(0)
  found = {}
  for name, shape in shapes.items():
    if name.endswith('kernel'):
      value = random.randn(*shape) * np.sqrt(2 / np.prod(shape[:-1]))
    elif name.endswith(('gamma', 'moving_variance')):
      value = random.uniform(0.5, 1.5, shape)
    else:
      value = random.randn(*shape) * 0.1
    share_of_unit = 0.3 if name.endswith(last) else 1
    found[name] = (value * share_of_unit).astype(np.float32)
  return found


def computed(form, arrays, images):
  """The outputs of units and the logits of the source's network."""
  with tf.Graph().as_default(), tf.Session() as session:
    fed = {k: tf.placeholder(tf.float32, v.shape) for k, v in arrays.items()}
    built = source_network.compute(form, fed, tf.constant(images))
    fetches = [[*built.units.values()], [built.features]]
    if built.logits is not None:
      fetches.append(built.logits)
    return session.run(fetches, {fed[k]: v for k, v in arrays.items()})


def loaded_by_keras(model, form, path):
  """Random arrays, which a model loads from a file that is written here."""
  shapes = {name: value.shape for name, value in by_name(model).items()}
  arrays = random_arrays(shapes, LAST[form])
  writing_keras.write(path, arrays)
  read = keras_files.read(path).values
  assert read.keys() == arrays.keys()
  assert all(np.array_equal(read[each], arrays[each]) for each in arrays)
  model.load_weights(path)  # as weights=path does
  loaded = by_name(model)
  assert all(np.array_equal(loaded[each], arrays[each]) for each in arrays)
  return arrays


def outputs(model, images):
  ends = [x.output for x in model.layers if x.name.endswith('_out')]
  found = keras.Model(model.input, [*ends, model.output])(images)
  return [each.numpy() for each in found]


def uniform(*size):
  return (
    np.random.RandomState(1).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
  )


@pytest.mark.slow
@pytest.mark.parametrize('name, form, file', CASES)
def test_keras_computes_what_the_source_network_does(
  name, form, file, tmp_path
):
  """With it the source's network, which proofs rest on, is that of Keras."""
  model = getattr(keras.applications, name)(weights=None, classes=7)
  arrays = loaded_by_keras(model, form, str(tmp_path / file))
  images = uniform(224, 224)
  *wanted, probabilities = outputs(model, images)
  units, _, logits = computed(form, arrays, images)
  assert len(wanted) == len(units) > 15
  for one, other in zip(wanted, units, strict=True):
    assert share(one, other) < 1e-5
  powers = np.exp(logits - logits.max())
  assert share(probabilities, powers / powers.sum()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize('name, form, file', CASES[:2])
def test_features_alone_at_an_odd_size(name, form, file, tmp_path):
  model = getattr(keras.applications, name)(
    weights=None, include_top=False, input_shape=(None, None, 3)
  )
  arrays = loaded_by_keras(model, form, str(tmp_path / file))
  assert 'predictions/kernel' not in arrays
  images = uniform(201, 181)
  *wanted, last = outputs(model, images)
  units, [features] = computed(form, arrays, images)
  for one, other in zip([*wanted, last], [*units, features], strict=True):
    assert one.shape == other.shape and share(one, other) < 1e-5


def test_a_name_tells_the_layout():
  for name in ('a.weights.h5', 'a.h5', 'a.hdf5'):
    writing_keras.check_path(name)
  with pytest.raises(ValueError, match='a.npz: Keras knows weights by'):
    writing_keras.check_path('a.npz')
