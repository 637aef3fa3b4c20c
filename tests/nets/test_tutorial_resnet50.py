"""A hand-written ResNet-50, in the Caffe and tutorial form, is resnet_v1_50.

In that form a block's stride sits on the first 1x1 convolution of its first
unit, and on the shortcut beside it; in TF-Slim on the 3x3 convolution of the
last unit of the block before.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory
from tests import golden


def weights(scope):
  return {v.op.name.removeprefix(f'{scope}/'): v for v in tf.global_variables()}


def conv_bn(x, w, name, stride=1):
  kernel = w[f'{name}/weights']
  x = tf.nn.conv2d(
    x, kernel, stride, 'VALID' if kernel.shape[0] == 7 else 'SAME'
  )
  scale = w[f'{name}/BatchNorm/gamma'] / tf.sqrt(
    w[f'{name}/BatchNorm/moving_variance'] + 1e-5
  )
  return (x - w[f'{name}/BatchNorm/moving_mean']) * scale + w[
    f'{name}/BatchNorm/beta'
  ]


def identity_block(x, w, name):
  y = tf.nn.relu(conv_bn(x, w, f'{name}/conv1'))
  y = tf.nn.relu(conv_bn(y, w, f'{name}/conv2'))
  return tf.nn.relu(x + conv_bn(y, w, f'{name}/conv3'))


def convolutional_block(x, w, name, stride):
  y = tf.nn.relu(conv_bn(x, w, f'{name}/conv1', stride))
  y = tf.nn.relu(conv_bn(y, w, f'{name}/conv2'))
  shortcut = conv_bn(x, w, f'{name}/shortcut', stride)
  return tf.nn.relu(shortcut + conv_bn(y, w, f'{name}/conv3'))


def resnet50(x, w):
  x = tf.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]])
  x = tf.nn.relu(conv_bn(x, w, 'conv1', 2))
  x = tf.nn.max_pool2d(x, 3, 2, 'SAME')
  for block, units in enumerate([3, 4, 6, 3], 1):
    x = convolutional_block(
      x, w, f'block{block}/unit_1/bottleneck_v1', stride=1 if block == 1 else 2
    )
    for unit in range(2, units + 1):
      x = identity_block(x, w, f'block{block}/unit_{unit}/bottleneck_v1')
  x = tf.reduce_mean(x, [1, 2])
  return tf.matmul(x, w['logits/weights'][0, 0]) + w['logits/biases']


@pytest.mark.slow
def test_the_same_values(run):
  images = tf.constant(golden.images(0, 2, 96, 75))
  ours, _ = nets_factory.get_network_fn('resnet_v1_50', 6)(images)
  ours, by_hand = run([ours, resnet50(images, weights('resnet_v1_50'))])
  np.testing.assert_allclose(ours, by_hand, atol=1e-4 * np.abs(ours).max())
  assert np.abs(ours[0] - ours[1]).max() > 1e-3 * np.abs(ours).max()
