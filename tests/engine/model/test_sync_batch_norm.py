"""Batch norm over two halves of a batch is that over the batch."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.model import batch_norm, sync_batch_norm
from engine.replicas.collectives import Member
from nets.slim_compat import slim

BATCH, DECAY = 8, 0.75


def network(images):
  """Two layers of batch norm, and a loss that all values count in."""
  with slim.arg_scope(
    [slim.conv2d],
    weights_initializer=tf.truncated_normal_initializer(stddev=0.3, seed=3),
    normalizer_fn=slim.batch_norm,
    normalizer_params={'decay': DECAY, 'scale': True, 'is_training': True},
  ):
    net = slim.conv2d(images, 4, 3, scope='conv1')
    net = slim.conv2d(net, 3, 1, activation_fn=None, scope='conv2')
  return net, tf.reduce_mean(tf.sin(3 * net))


class Built:
  """The network on a batch, in as many replicas."""

  def __init__(self, replicas, dtype=tf.float32):
    self.graph, self.replicas = tf.Graph(), replicas
    with self.graph.as_default():
      tf.set_random_seed(1)
      self.images = tf.placeholder(dtype, [BATCH, 5, 6, 3])
      members = [Member(5, replicas) for _ in range(replicas)]
      outputs, losses, slopes = [], [], []
      for i, part in enumerate(tf.split(self.images, replicas)):
        with (
          tf.device(f'/CPU:{i}'),
          tf.variable_scope(tf.get_variable_scope(), reuse=i > 0),
          sync_batch_norm.over(members[i] if replicas > 1 else None, replicas),
        ):
          output, loss = network(part)
          self.variables = tf.trainable_variables()
          outputs.append(output)
          losses.append(loss)
          slopes.append(tf.gradients(loss, self.variables))
      self.gradients = [
        tf.add_n(each) / replicas for each in zip(*slopes, strict=True)
      ]
      self.output = tf.concat(outputs, 0)
      self.loss = tf.add_n(losses) / replicas
      self.layers = batch_norm.layers(self.graph)
      self.updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
      config = tf.ConfigProto(device_count={'CPU': replicas})
      self.session = tf.Session(config=config)
      self.session.run(tf.global_variables_initializer())

  def run(self, fetches, images):
    return self.session.run(fetches, {self.images: images})


@pytest.fixture(scope='module')
def images():
  random = np.random.RandomState(0)
  found = random.normal(2, 3, [BATCH, 5, 6, 3]).astype(np.float32)
  found[: BATCH // 2] -= 4  # the halves differ
  return found


@pytest.fixture(scope='module')
def whole():
  return Built(1)


@pytest.fixture(scope='module')
def halves():
  return Built(2)


def close(got, want):
  """To 1e-6 of the scale; of gradients that are sums of many, some of it."""
  np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max())


def test_values_and_gradients(whole, halves, images):
  assert halves.layers[0].mean.op.name == 'conv1/BatchNorm/moving_mean'
  assert [v.op.name for v in halves.variables] == [
    v.op.name for v in whole.variables
  ]
  want, got = (
    built.run([built.output, built.loss, built.gradients], images)
    for built in (whole, halves)
  )
  close(got[0], want[0])
  close(got[1], want[1])
  for name, slope, wanted in zip(whole.variables, got[2], want[2], strict=True):
    assert np.abs(wanted).max() > 1e-4, name
    close(slope, wanted)


def test_without_it_values_differ(images, whole, monkeypatch):
  """Else the halves would not tell."""
  monkeypatch.setattr(Member, 'sum', lambda member, tensor: 2 * tensor)
  apart, want = Built(2), whole.run(whole.output, images)
  assert np.abs(apart.run(apart.output, images) - want).max() > 0.1


def test_layers(whole, halves):
  """Of each replica, in its order, with the variables of all."""
  assert len(whole.layers) == 2 and len(halves.layers) == 4
  for i, layer in enumerate(halves.layers):
    of_whole = whole.layers[i % 2]
    assert layer.mean.op.name == of_whole.mean.op.name
    assert layer.variance.op.name == of_whole.variance.op.name
  # None is of TensorFlow's own.
  assert not [
    op for op in halves.graph.get_operations() if op.type.startswith('FusedB')
  ]


def test_statistics(whole, halves, images):
  """The variance is unbiased over the whole batch, on both; counts are own."""
  values = whole.run('conv1/Conv2D:0', images).astype(float)
  for built, replicas in (whole, 1), (halves, 2):
    layers = built.layers[::2]  # the first of each replica
    assert len(layers) == replicas
    found = built.run([layer.batch for layer in layers], images)
    for mean, variance, count in found:
      close(mean, values.mean((0, 1, 2)))
      close(variance, values.reshape(-1, 4).var(0, ddof=1))
      assert count == BATCH * 5 * 6 // replicas


def test_moving_averages(whole, halves, images):
  """Each replica's update is that of the batch."""
  found = []
  for built in whole, halves:
    with built.graph.as_default():
      names = [v.op.name for v in batch_norm.updated(built.updates)]
    assert names == names[:4] * built.replicas and len(set(names)) == 4
    deltas = [update.inputs[1] for update in built.updates]
    values = built.run(deltas, images)
    found += [
      dict(zip(names[:4], values[i : i + 4], strict=True))
      for i in range(0, len(values), 4)
    ]
  want, *others = found
  assert len(others) == 2
  for other in others:
    for name, value in want.items():
      assert np.abs(value).max() > 1e-2
      close(other[name], value)


def test_one_value_a_channel(graph):
  """No division by 0: the variance of one value is 0."""
  with sync_batch_norm.over(Member(5, 1), 1):
    slim.batch_norm(tf.zeros([1, 1, 1, 2]), is_training=True)
  (layer,) = batch_norm.layers(graph)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    mean, variance, count = session.run(layer.batch)
  assert mean.tolist() == variance.tolist() == [0, 0] and count == 1


def test_layers_without_a_scale(graph):
  """Whose gamma is a constant, of the replica's own scope."""
  for i, member in enumerate([Member(5, 2), Member(5, 2)]):
    with (
      tf.variable_scope(tf.get_variable_scope(), reuse=i > 0),
      tf.name_scope(f'clone_{i}/'),
      sync_batch_norm.over(member, 2),
    ):
      slim.batch_norm(
        tf.zeros([2, 3, 3, 4]), is_training=True, scale=False, scope='layer'
      )
  found = batch_norm.layers(graph)
  assert [(layer.mean.op.name, layer.variance.op.name) for layer in found] == [
    ('layer/moving_mean', 'layer/moving_variance')
  ] * 2


def test_half_precision(graph):
  """bfloat16 comes and goes; statistics are float32."""
  images = np.random.RandomState(0).normal(3, 2, [4, 2, 2, 3])
  with sync_batch_norm.over(Member(5, 1), 1):
    found = slim.batch_norm(tf.cast(images, tf.float16), is_training=True)
  (layer,) = batch_norm.layers(graph)
  assert found.dtype == tf.float16
  assert [each.dtype for each in layer.batch[:2]] == [tf.float32] * 2
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    values, (mean, _, _) = session.run([found, layer.batch])
  np.testing.assert_allclose(mean, images.mean((0, 1, 2)), rtol=1e-3)
  want = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
  np.testing.assert_allclose(values, want, atol=5e-3)


def test_evaluation_is_left_alone(graph):
  """Where batch norm is frozen, it is TensorFlow's."""
  with sync_batch_norm.over(Member(5, 2), 2):
    slim.batch_norm(tf.zeros([2, 3, 3, 4]), is_training=False)
  types = {op.type for op in graph.get_operations()}
  assert 'FusedBatchNormV3' in types and 'CollectiveReduceV2' not in types
  assert graph.get_collection(sync_batch_norm.COLLECTION) == []


def fused():
  """Whether slim's batch norm is TensorFlow's."""
  with tf.Graph().as_default() as graph:
    slim.batch_norm(tf.zeros([2, 3, 3, 4]), is_training=True)
  return 'FusedBatchNormV3' in {op.type for op in graph.get_operations()}


def test_is_put_back(graph):
  assert fused()
  with sync_batch_norm.over(Member(5, 2), 2):
    assert not fused()
  assert fused()
  with sync_batch_norm.over(None, 2):
    assert fused()
  with pytest.raises(ZeroDivisionError), sync_batch_norm.over(Member(5, 2), 2):
    raise ZeroDivisionError
  assert fused()
