"""Batch norm in the filters before it: the same values by fewer operations."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.export import folding
from nets import nets_factory
from nets.layers import grouped
from nets.slim_compat import slim
from tests import builders

NORM = 'FusedBatchNormV3'


def fill(session, seed=0):
  """Gives all variables values as they are after a training."""
  random = np.random.default_rng(seed)
  for variable in tf.global_variables():
    low = 0.5 if 'variance' in variable.name else -0.5
    value = random.uniform(low, low + 1, variable.shape)
    variable.load(value.astype(np.float32), session)


def folded(build, size=17, channels=3):
  """What `build` computes of an image, and what its folded graph does.

  Returns:
    Both, the folded GraphDef, and the types of its operations.
  """
  with tf.Graph().as_default() as graph, tf.Session() as session:
    inputs = tf.placeholder(tf.float32, [None, size, size, channels], 'input')
    tf.identity(build(inputs), 'output')
    fill(session)
    graph_def = tf.graph_util.convert_variables_to_constants(
      session, folding.fold(graph, session), ['output']
    )
    images = np.random.default_rng(1).normal(size=[2, size, size, channels])
    wanted = session.run('output:0', {'input:0': images})
  with tf.Graph().as_default(), tf.Session() as session:
    tf.import_graph_def(graph_def, name='')
    found = session.run('output:0', {'input:0': images})
  return wanted, found, [node.op for node in graph_def.node]


def same(wanted, found):
  np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max())


def norm(inputs):
  return slim.batch_norm(inputs, is_training=False, scale=True)


def plain(inputs, **options):
  return slim.conv2d(inputs, 4, 3, activation_fn=None, **options)


def shared_filters(inputs):
  filters = tf.get_variable('filters', [3, 3, 3, 4])
  return norm(tf.nn.conv2d(inputs, filters, 1, 'SAME')) + tf.reduce_sum(filters)


@pytest.mark.parametrize(
  'build',
  [
    lambda x: norm(plain(x, biases_initializer=None)),
    lambda x: norm(plain(x)),  # with biases
    lambda x: norm(grouped.conv2d(x, 6, 3, groups=3, activation_fn=None)),
    shared_filters,
    lambda x: norm(tf.identity(plain(x, rate=1))),
    lambda x: norm(
      tf.batch_to_space(
        plain(tf.space_to_batch(x, [[0, 1], [0, 1]], 2), padding='VALID'),
        [[0, 1], [0, 1]],
        2,
      )
    ),
  ],
)
def test_a_norm_behind_a_convolution(build):
  wanted, found, types = folded(build)
  same(wanted, found)
  assert NORM not in types and 'BiasAdd' in types


@pytest.mark.parametrize(
  'build',
  [
    norm,  # of no convolution
    lambda x: norm(tf.nn.relu(plain(x))),
    lambda x: sum(f(y) for y in [plain(x)] for f in (norm, tf.nn.relu)),
    lambda x: slim.batch_norm(plain(x), is_training=True),
  ],
)
def test_others_stay(build):
  wanted, found, types = folded(build)
  same(wanted, found)
  assert NORM in types


@pytest.mark.parametrize(
  'name,left', [('resnet_v1_tiny', 0), ('resnet_v2_tiny', 3)]
)
def test_networks(name, left, monkeypatch):
  """Of v2 the norms in front of the units stay, and the last."""
  builders.register_tiny_networks(monkeypatch.setitem)

  def build(images):
    return nets_factory.get_network_fn(name, 5)(images)[0]

  wanted, found, types = folded(build, size=33)
  same(wanted, found)
  assert types.count(NORM) == left
