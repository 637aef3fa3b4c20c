"""Gradients are sums of two at a time, and stay so in a session."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common import runtime
from engine.model import gradients


def forks():
  """A tensor that five operations use, the weights, and a loss."""
  random = np.random.default_rng(0)
  images = tf.constant(random.normal(size=(4, 8, 8, 3)).astype(np.float32))
  weights = tf.get_variable(
    'weights', initializer=random.normal(size=(3, 3, 3, 6)).astype(np.float32)
  )
  features = tf.nn.relu(tf.nn.conv2d(images, weights, 1, 'SAME'))
  uses = [
    tf.nn.conv2d(
      features,
      random.normal(size=(side, side, 6, 5)).astype(np.float32),
      1,
      'SAME',
    )
    for side in (1, 3, 5, 3, 1)
  ]
  loss = tf.add_n([tf.reduce_mean(tf.square(use)) for use in uses])
  return features, weights, loss


@pytest.fixture
def graph():
  with tf.Graph().as_default() as found:
    yield found


def widest_sum(fetches, config):
  """The most inputs of a sum in the graph that a session really runs."""
  metadata = tf.RunMetadata()
  options = tf.RunOptions(output_partition_graphs=True)
  with tf.Session(config=config) as session:
    session.run(tf.global_variables_initializer())
    session.run(fetches, options=options, run_metadata=metadata)
  return max(
    sum(not name.startswith('^') for name in node.input)
    for partition in metadata.partition_graphs
    for node in partition.node
    if node.op.endswith('AddN') or node.op in ('Add', 'AddV2')
  )


@pytest.mark.usefixtures('optimized')
def test_sums_have_two_inputs_in_the_session(graph):
  features, weights, loss = forks()
  found = gradients.gradients(loss, [weights, features])
  assert widest_sum(found, runtime.session_config()) == 2
  # TensorFlow's own way, of which the test must know the difference.
  assert widest_sum(found, tf.ConfigProto()) > 2


def test_values(graph):
  features, weights, loss = forks()
  both = [
    tf.gradients(loss, [weights, features]),
    gradients.gradients(loss, [weights, features]),
  ]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    wanted, found = session.run(both)
  for one, other in zip(wanted, found, strict=True):
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
