"""A network in a session of its own, with the weights of a checkpoint."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints.inference import InferenceSession
from nets.slim_compat import slim
from tests import builders
from tests.engine.checkpoints import two_layers
from tests.engine.checkpoints.two_layers import CONV, LOGITS


def restored(path, averages=None):
  """Returns the values of all model variables of the current graph."""
  graph = tf.get_default_graph()
  variables = slim.get_model_variables()
  with InferenceSession(graph) as network:
    network.restore(path, averages)
    return {
      v.op.name: float(np.unique(network.session.run(v)).item())
      for v in variables
    }


def every(conv, logits):
  return {**dict.fromkeys(CONV, conv), **dict.fromkeys(LOGITS, logits)}


def test_restore(save, graph):
  path = save('a')
  two_layers.build(-1)
  assert restored(path) == every(1, 1)


def test_restore_averages(save, graph):
  path = save('a', averages=True)
  two_layers.build(-1)
  assert restored(path) == every(1, 1)
  assert restored(path, 0.9) == every(1.5, 1.5)


def test_restore_lacks_averages(save, graph):
  path = save('a')
  two_layers.build()
  with pytest.raises(ValueError) as error:
    restored(path, 0.9)
  assert str(error.value) == (
    f'The checkpoint {path} lacks moving averages of the weights: was it '
    'trained with --moving_average_decay? --raw_weights evaluates the weights.'
  )


def test_restore_another_network(save, graph):
  path = save('a')
  two_layers.build(more=True)
  with pytest.raises(ValueError) as error:
    restored(path)
  assert str(error.value) == (
    f'The checkpoint {path} lacks 1 variables of the network, '
    'net/conv2/weights: is --model_name right?'
  )


def test_restore_other_classes(save, graph):
  path = save('a', classes=4)
  two_layers.build()
  with pytest.raises(ValueError) as error:
    restored(path)
  assert str(error.value) == (
    'net/logits/weights is [5, 3] in the network and [5, 4] in the '
    f'checkpoint {path}: is the number of classes right (3 in the data)? See '
    '--dataset_name, --dataset_dir and --labels_offset.'
  )


def test_restore_another_depth(graph, tmp_path, tiny):
  """Told even where the checkpoint has all that the network needs."""
  path = str(tmp_path / 'a.ckpt')
  unit = 'tiny/block1/unit_{}/bottleneck_v1/conv1/weights'
  builders.write_checkpoint(
    path,
    {unit.format(i): np.zeros([1, 1, 64, 4], np.float32) for i in range(1, 4)},
  )
  tiny(tf.zeros([1, 32, 32, 3]))
  with pytest.raises(
    ValueError, match="its block1 has 3 units, the network's 2"
  ):
    restored(path)
