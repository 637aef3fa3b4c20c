"""Networks in plain TensorFlow, by the variables of one that has been built."""

import numpy as np
import tensorflow.compat.v1 as tf


class ByHand:
  """Layers of the variables below a scope."""

  def __init__(self, scope: str, epsilon: float = 1e-5):
    self.values = {
      v.op.name.removeprefix(f'{scope}/'): v for v in tf.global_variables()
    }
    self._epsilon = epsilon

  def norm(self, net, scope):
    gamma, beta, mean, variance = (
      self.values[f'{scope}/{kind}']
      for kind in ('gamma', 'beta', 'moving_mean', 'moving_variance')
    )
    return (net - mean) / tf.sqrt(variance + self._epsilon) * gamma + beta

  def convolve(self, net, scope, stride=1, normalize=True):
    """Pads by half the kernel on all sides, as torch does; any groups."""
    kernel = self.values[f'{scope}/weights']
    margin = [int(kernel.shape[0]) // 2] * 2
    net = tf.pad(net, [[0, 0], margin, margin, [0, 0]])
    groups = int(net.shape[-1]) // int(kernel.shape[2])
    net = tf.concat(
      [
        tf.nn.conv2d(part, filters, stride, 'VALID')
        for part, filters in zip(
          tf.split(net, groups, 3), tf.split(kernel, groups, 3), strict=True
        )
      ],
      3,
    )
    if normalize:
      return self.norm(net, f'{scope}/BatchNorm')
    return net + self.values[f'{scope}/biases']


def symmetric_pool(net):
  """torch.nn.MaxPool2d(3, stride=2, padding=1)."""
  margin = [1, 1]
  net = tf.pad(net, [[0, 0], margin, margin, [0, 0]], constant_values=-np.inf)
  return tf.nn.max_pool2d(net, 3, 2, 'VALID')


def mean_pool(net):
  """torch.nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)."""
  height, width = net.shape[1:3]

  def sums(values):
    values = tf.pad(values, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
    return sum(values[:, i::2, j::2] for i in range(2) for j in range(2))

  return sums(net) / sums(tf.ones_like(net))


def torch_resnet(scope, images, units, unit='bottleneck_v1', mean=False):
  """The stages of torchvision's and timm's networks, root first.

  Args:
    scope: that the variables are in.
    images: [batch, height, width, 3], of known sides.
    units: how many each of the four layers has.
    unit: the scope of the units.
    mean: whether the shortcuts average before they project.
  """
  make = ByHand(scope)
  roots = [('conv1_1', 2), ('conv1_2', 1), ('conv1_3', 1)]
  if 'conv1/weights' in make.values:
    roots = [('conv1', 2)]
  net = images
  for name, stride in roots:
    net = tf.nn.relu(make.convolve(net, name, stride))
  stages = [net]
  net = symmetric_pool(net)
  for block, count in enumerate(units, 1):
    for i in range(count):
      inner = f'block{block}/unit_{i + 1}/{unit}'
      stride = 2 if block > 1 and i == 0 else 1
      kept = net
      if f'{inner}/shortcut/weights' in make.values:
        if mean and stride == 2:
          kept = make.convolve(mean_pool(net), f'{inner}/shortcut')
        else:
          kept = make.convolve(net, f'{inner}/shortcut', stride)
      if unit.startswith('bottleneck'):
        net = tf.nn.relu(make.convolve(net, f'{inner}/conv1'))
        net = tf.nn.relu(make.convolve(net, f'{inner}/conv2', stride))
        net = make.convolve(net, f'{inner}/conv3')
      else:
        net = tf.nn.relu(make.convolve(net, f'{inner}/conv1', stride))
        net = make.convolve(net, f'{inner}/conv2')
      net = tf.nn.relu(kept + net)
    stages.append(net)
  return stages
