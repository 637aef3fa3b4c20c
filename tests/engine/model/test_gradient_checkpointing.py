"""Gradients of maps that are computed again."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.model import gradient_checkpointing
from nets import nets_factory, resnet_utils
from nets.layers import grouped
from nets.slim_compat import slim
from tests import builders

# What TensorFlow's optimization of a graph makes of it counts.
pytestmark = pytest.mark.usefixtures('optimized')


def built(name, images, is_training=True):
  """The loss of a network, with L2."""
  network_fn = nets_factory.get_network_fn(
    name, 3, weight_decay=1e-2, is_training=is_training
  )
  logits, _ = network_fn(images)
  tf.losses.sparse_softmax_cross_entropy(tf.zeros([4], tf.int64), logits)
  return tf.losses.get_total_loss()


def noise():
  return (
    np.random.RandomState(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
  )


def initialized(graph):
  session = tf.Session(graph=graph)
  session.run(tf.global_variables_initializer())
  return session


def count(graph, kind):
  return sum(operation.type == kind for operation in graph.get_operations())


@pytest.mark.parametrize(
  'name, is_training',
  [
    pytest.param('cifar_resnet_v2_20', True, marks=pytest.mark.slow),
    ('cifar_resnet_v2_11', False),
    ('cifar_plain_8', True),
    ('cifar_highway_8', True),
  ],
)
def test_gradients_are_those_of_tensorflow(name, is_training, graph):
  images = tf.placeholder(tf.float32, [None, 8, 8, 3])
  loss = built(name, images, is_training)
  variables = tf.trainable_variables()
  updates = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  convolutions = count(graph, 'Conv2D')
  again = gradient_checkpointing.gradients(loss, variables, images)
  assert count(graph, 'Conv2D') > convolutions
  assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates
  kept = tf.gradients(loss, variables)
  assert [each is None for each in again] == [each is None for each in kept]
  with initialized(graph) as session:
    ours, theirs = session.run([again, kept], {images: noise()})
  scale = max(np.abs(each).max() for each in theirs)
  for our, their in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(our, their, atol=1e-6 * scale)


def moving_averages(again):
  """Those after two steps."""
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(1)
    images = tf.constant(noise())
    loss = built('cifar_residual_8', images)
    variables = tf.trainable_variables()
    gradients = (
      gradient_checkpointing.gradients(loss, variables, images)
      if again
      else tf.gradients(loss, variables)
    )
    step = tf.group(
      tf.train.GradientDescentOptimizer(0.1).apply_gradients(
        zip(gradients, variables, strict=True)
      ),
      *tf.get_collection(tf.GraphKeys.UPDATE_OPS),
    )
    averages = [
      each for each in slim.get_model_variables() if each not in variables
    ]
    with initialized(graph) as session:
      session.run(step)
      session.run(step)
      return session.run(averages)


def test_moving_averages_are_updated_once():
  kept, again = moving_averages(False), moving_averages(True)
  assert len(kept) == 2 * 7
  for one, other in zip(kept, again, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_some_variables_only(graph):
  images = tf.constant(noise())
  loss = built('cifar_plain_8', images)
  first, *_, last = tf.trainable_variables()
  unused = tf.get_variable('unused', [])
  found = gradient_checkpointing.gradients(loss, [last, unused, first], images)
  assert found[1] is None
  with initialized(graph) as session:
    expected = session.run(tf.gradients(loss, [last, first]))
    for ours, theirs in zip(session.run(found[::2]), expected, strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_network_without_cuts(graph):
  images = tf.constant([[1.0, 2.0]])
  weights = tf.get_variable('weights', initializer=[[3.0], [4.0]])
  loss = tf.reduce_sum(images @ weights)
  (found,) = gradient_checkpointing.gradients(loss, [weights], images)
  with initialized(graph) as session:
    assert session.run(found).tolist() == [[1.0], [2.0]]


def dropping(batch_size, dropout):
  """Images, and the loss of a network with dropout."""
  images = net = tf.placeholder_with_default(noise(), [batch_size, 8, 8, 3])
  for i in range(8):
    net = slim.conv2d(net, 4, 3, scope=f'conv{i}')
    net = dropout(net)
  return images, tf.reduce_mean(net)


def stateful(net):
  return tf.nn.dropout(net, rate=0.5)


def stateless(net):
  number = tf.placeholder_with_default(tf.constant(3, tf.int64), [])
  return resnet_utils.dropout(net, 'a', resnet_utils.Draws(0.5, 0, number))


@pytest.mark.parametrize(
  'batch_size, dropout', [(4, stateful), (None, stateless)]
)
def test_dropout_drops_the_same(graph, batch_size, dropout):
  images, loss = dropping(batch_size, dropout)
  variables = tf.trainable_variables()
  both = [
    gradient_checkpointing.gradients(loss, variables, images),
    tf.gradients(loss, variables),
  ]
  with initialized(graph) as session:
    for ours, theirs in zip(*session.run(both), strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9)


def test_what_would_differ_is_refused(graph):
  images, loss = dropping(None, stateful)  # the masks' shape is computed
  with pytest.raises(
    ValueError, match='something else the second time.*Leave --recompute out'
  ):
    gradient_checkpointing.gradients(loss, tf.trainable_variables(), images)


@pytest.mark.slow
def test_a_training_ends_the_same(workplace, unevaluated, colours):
  """Batch norm's statistics, which are measured at the end, as well."""
  flags = {
    **builders.fast(colours),
    'model_name': 'cifar_residual_8',
    'train_image_size': 16,
    'num_micro_batches': 2,
  }
  for again in (False, True):
    printed = builders.train(
      **{**flags, 'train_dir': f'run{again}'}, recompute=again
    )
    assert printed.status == 0, printed.err
  kept, computed = (builders.tensors(f'run{again}') for again in (False, True))
  assert kept.keys() == computed.keys()
  for name, values in kept.items():
    np.testing.assert_allclose(
      computed[name], values, rtol=1e-3, atol=1e-5, err_msg=name
    )


@pytest.mark.slow
@pytest.mark.parametrize('native', [True, False])
def test_grouped_convolutions(native, graph, monkeypatch):
  """Their copies have the gradient of the first ones."""
  native = native and grouped.has_dilation_gradient()
  monkeypatch.setattr(grouped, 'has_dilation_gradient', lambda: native)
  images = net = tf.placeholder(tf.float32, [None, 6, 6, 8])
  with slim.arg_scope(resnet_utils.resnet_arg_scope()):
    for i in range(4):
      net += resnet_utils.conv2d_same(net, 8, 3, 1, 1, f'conv{i}', groups=4)
  loss = tf.reduce_sum(net**2)
  variables = tf.trainable_variables()
  both = [
    gradient_checkpointing.gradients(loss, variables, images),
    tf.gradients(loss, variables),
  ]
  assert count(graph, 'Conv2D') > 4
  values = np.random.RandomState(0).randn(2, 6, 6, 8)
  with initialized(graph) as session:
    for found, expected in zip(
      *session.run(both, {images: values}), strict=True
    ):
      assert np.abs(expected).max() > 0
      np.testing.assert_allclose(
        found, expected, atol=1e-4 * np.abs(expected).max()
      )
