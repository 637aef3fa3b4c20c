"""What a checkpoint holds, by its kind, and values written to one."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import contents, locate
from tests import builders
from tests.engine.checkpoints.test_architecture import shapes, with_doubles


def test_contents():
  found = contents.by_kind(with_doubles(shapes('resnet_v1_50')))
  assert len(found.model) == len(found.shadows) == 267
  assert len(found.slots) == 161
  assert list(found.counters) == ['beta1_power', 'global_step']
  assert found.not_needed() == {
    'optimizer': 161,
    'moving_averages': 267,
    'counters': ['beta1_power', 'global_step'],
  }
  assert found.values() == found.model == shapes('resnet_v1_50')
  assert all(name == source for name, source in found.sources().items())


@pytest.mark.parametrize(
  'slot',
  [
    'Momentum',
    'Adam',
    'Adam_1',
    'RMSProp_1',
    'Ftrl_1',
    'Adagrad',
    'Adadelta',
    'SomethingNew',
  ],
)
def test_slots_of_any_optimizer(slot):
  found = contents.by_kind({'a/weights': [2], f'a/weights/{slot}': [2]})
  assert (list(found.model), list(found.slots)) == (
    ['a/weights'],
    [f'a/weights/{slot}'],
  )


def test_only_moving_averages():
  found = contents.by_kind(
    {
      'a/weights' + contents.SHADOW: [2],
      'a/weights/Momentum': [2],
      'b' + contents.SHADOW: [3],
      'b': [3],
    }
  )
  assert found.sources() == {
    'a/weights': 'a/weights' + contents.SHADOW,
    'b': 'b',
  }
  assert found.values() == {'a/weights': [2], 'b': [3]}
  assert found.not_needed() == {
    'optimizer': 1,
    'moving_averages': 1,
    'counters': [],
  }


def num_classes(path):
  return contents.num_classes(contents.read(path).values())


def test_num_classes(save, tmp_path):
  assert num_classes(save('a', classes=7)) == 7
  shadows = str(tmp_path / 'shadows')
  builders.write_checkpoint(
    shadows,
    {
      'logits/weights/ExponentialMovingAverage': np.zeros([5, 4], np.float32),
      'logits/weights/Momentum': np.zeros([5, 4], np.float32),
    },
  )
  assert num_classes(shadows) == 4
  bare = str(tmp_path / 'bare')
  builders.write_checkpoint(bare, {'conv1/weights': np.zeros(3, np.float32)})
  assert num_classes(bare) is None


def test_write_values(tmp_path):
  """What TensorFlow reads has every bit, type and shape."""
  random = np.random.RandomState(0)
  values = {
    'scope/weights': random.normal(size=(3, 3, 2, 4)).astype(np.float32),
    'scope/BatchNorm/gamma': np.array([1e-45, -0.0, 3e38], np.float32),
    'global_step': np.int64(2**40 + 1),
    'empty': np.zeros([0, 3]),
    'half': np.float16([0.1]),
    'whole': np.arange(6).reshape(2, 3),
  }
  path = str(tmp_path / 'model.ckpt-3')
  contents.write_values(path, values)
  reader = tf.train.load_checkpoint(path)
  assert reader.get_variable_to_shape_map() == {
    name: list(np.shape(value)) for name, value in values.items()
  }
  for name, value in values.items():
    found = reader.get_tensor(name)
    assert np.asarray(found).dtype == value.dtype, name
    assert np.asarray(found).tobytes() == value.tobytes(), name
  assert locate.is_readable(path)
  assert sorted(os.listdir(tmp_path)) == [
    'model.ckpt-3.data-00000-of-00001',
    'model.ckpt-3.index',
  ]


def test_write_values_again(tmp_path):
  path = str(tmp_path / 'model.ckpt-3')
  for value in (1, 2):
    contents.write_values(path, {'a': np.float32(value)})
  assert builders.tensors(path) == {'a': 2}


def test_write_values_leaves_the_graph_alone(graph, tmp_path):
  contents.write_values(str(tmp_path / 'a'), {'a': np.float32(1)})
  assert graph.get_operations() == []
