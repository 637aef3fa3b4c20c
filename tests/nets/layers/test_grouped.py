"""Grouped convolution: values and gradients, whatever the kernels there are."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import resnet_utils, slim_compat
from nets.layers import convolution, grouped
from nets.slim_compat import slim
from tests import golden

forms = pytest.mark.parametrize(
  'channels, filters, groups, stride, rate',
  [
    (8, 16, 2, 1, 1),
    (12, 12, 4, 1, 2),
    (6, 6, 6, 2, 1),
    pytest.param(12, 24, 6, 2, 1, marks=pytest.mark.slow),
    pytest.param(6, 6, 6, 1, 4, marks=pytest.mark.slow),
  ],
)


def inputs(channels):
  rng = np.random.RandomState(1)
  return tf.constant(rng.standard_normal((2, 9, 8, channels)), tf.float32)


def build(net, filters, groups, stride=1, rate=1):
  with slim.arg_scope(
    [slim.conv2d], biases_initializer=None, activation_fn=None
  ):
    return resnet_utils.conv2d_same(
      net, filters, 3, stride, rate, 'conv', groups
    )


def by_taps(net, weights, groups, stride, rate):
  """A sum over taps and groups, padded by the rate on all sides."""
  height, width = net.shape[1:3]
  margin = [rate, rate]
  padded = tf.pad(net, [[0, 0], margin, margin, [0, 0]])
  return tf.concat(
    [
      sum(
        tf.matmul(
          part[:, i * rate :][:, :height, j * rate :][:, :, :width],
          kernel[i, j],
        )
        for i in range(3)
        for j in range(3)
      )[:, ::stride, ::stride]
      for part, kernel in zip(
        tf.split(padded, groups, 3), tf.split(weights, groups, 3), strict=True
      )
    ],
    3,
  )


@forms
@pytest.mark.parametrize(
  'native', [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_values_and_gradients(
  run, monkeypatch, native, channels, filters, groups, stride, rate
):
  """The gradient is that of the kernel, or of plain convolutions."""
  if native and not slim_compat.has_dilation_gradient():
    pytest.skip('no native gradient on this machine')
  monkeypatch.setattr(grouped, 'has_dilation_gradient', lambda: native)
  net = inputs(channels)
  ours = build(net, filters, groups, stride, rate)
  (weights,) = tf.global_variables()
  assert weights.op.name == 'conv/weights'
  assert weights.shape == [3, 3, channels // groups, filters]
  expected = by_taps(net, weights, groups, stride, rate)
  direction = tf.constant(golden.fill('x', ours.shape.as_list()))
  both = [
    [each, *tf.gradients(each, [net, weights], direction)]
    for each in (ours, expected)
  ]
  for found, known in zip(*run(both), strict=True):
    assert found.shape == known.shape
    np.testing.assert_allclose(found, known, atol=1e-5 * np.abs(known).max())
  kinds = [op.type for op in tf.get_default_graph().get_operations()]
  assert kinds.count('Conv2D') == 1 or not native


def test_the_arg_scope_is_that_of_slim(graph):
  """Regularizers, batch norm, end points, and the variables' names."""
  described = []
  for groups in (1, 2):
    with tf.Graph().as_default():
      with (
        slim.arg_scope(resnet_utils.resnet_arg_scope()),
        slim.arg_scope([slim.conv2d], outputs_collections='points'),
      ):
        resnet_utils.conv2d_same(inputs(8), 8, 3, 1, 1, 'conv', groups)
      assert len(tf.losses.get_regularization_losses()) == 1
      described.append(
        (
          [v.op.name for v in tf.global_variables()],
          list(slim.utils.convert_collection_to_dict('points')),
          len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
          [v.op.name for v in slim.get_model_variables()],
        )
      )
  assert described[0] == described[1]
  assert described[0][1] == ['conv']


def test_the_spread_of_initial_values(graph):
  """That of the channels of a group, which a filter sees."""
  build_under = resnet_utils.resnet_arg_scope()
  with slim.arg_scope(build_under):
    resnet_utils.conv2d_same(inputs(256), 256, 3, 1, 1, 'conv', 32)
  (weights,) = [v for v in tf.global_variables() if 'weights' in v.op.name]
  with tf.Session() as session:
    session.run(weights.initializer)
    values = session.run(weights)
  assert values.std() == pytest.approx((2 / (9 * 8)) ** 0.5, rel=0.05)


def test_what_cannot_be(graph):
  with pytest.raises(ValueError, match='groups=3 does not divide the 8 chan'):
    build(inputs(8), 9, 3)
  with pytest.raises(ValueError, match='num_outputs=9: give both a multiple'):
    build(inputs(8), 9, 2)
  with (
    slim.arg_scope([slim.conv2d], data_format='NHWC'),
    pytest.raises(TypeError, match="not take 'data_format'"),
  ):
    build(inputs(8), 8, 2)
  assert 'data_format' not in convolution.OPTIONS
  assert tf.global_variables() == []
