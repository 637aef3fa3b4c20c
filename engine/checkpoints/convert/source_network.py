"""The networks of other libraries, computed from their own arrays.

What a converted checkpoint is proved against. Nothing here is shared with
`nets` or with the tables of names: layers are TensorFlow's plain operations,
with the padding and the strides that the library itself has, and their arrays
are found by the library's own names. What the arrays tell (how many units a
stage has, how wide they are, in how many groups) is taken from them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow.compat.v1 as tf


class Computed(NamedTuple):
  """What a network of another library computes.

  Fields:
    units: {our scope of a unit, such as 'block1/unit_2': its output}, float32
      [batch, height, width, channels].
    features: what is averaged for the logits.
    logits: float32 [batch, classes]; None without a layer of them.
    learned: {our variable without the scope of the network: theirs, laid out
      as ours}, of all that are learned.
  """

  units: dict[str, tf.Tensor]
  features: tf.Tensor
  logits: tf.Tensor | None
  learned: dict[str, tf.Tensor]


class _Layers:
  """The layers of a library, by their names.

  Convolutions pad by half of their kernel on every side, as PyTorch's do, and
  those of Keras behind its ZeroPadding2D.
  """

  def __init__(
    self,
    arrays: Mapping[str, tf.Tensor],
    kernel: Callable[[tf.Tensor], tf.Tensor],
    ends: Mapping[str, str],
    epsilon: float,
    is_training: bool,
  ):
    """Takes the arrays of a network.

    Args:
      arrays: by their names.
      kernel: makes [height, width, channels in, channels out] of one of
        theirs.
      ends: our name of what a layer holds -> theirs, as it is behind a
        layer's name; a batch norm's as in slim, 'gamma' for one.
      epsilon: what is added to variances.
      is_training: whether the statistics are those of the batch.
    """
    self.learned: dict[str, tf.Tensor] = {}
    self._arrays, self._kernel, self._ends = arrays, kernel, ends
    self._epsilon, self._is_training = epsilon, is_training

  def _array(self, layer, end):
    name = layer + self._ends[end]
    if name not in self._arrays:
      raise ValueError(f'The source lacks {name}, which its network needs.')
    return self._arrays[name]

  def has(self, layer: str, end: str = 'weights') -> bool:
    """Whether a layer is there, with what slim calls `end`."""
    return layer + self._ends[end] in self._arrays

  def _take(self, layer, end, ours, layout=lambda array: array):
    found = layout(self._array(layer, end))
    self.learned[f'{ours}/{end}'] = found
    return found

  def conv(self, net, layer, ours, stride=1):
    """A convolution, with a bias if there is one."""
    kernel = self._take(layer, 'weights', ours, self._kernel)
    side, width = kernel.shape.as_list()[0], net.shape.as_list()[-1]
    groups = width // kernel.shape.as_list()[2]
    if groups > 1:
      kernel = _without_groups(kernel, groups)
    if side > 1:
      margin = [side // 2] * 2
      net = tf.pad(net, [[0, 0], margin, margin, [0, 0]])
    net = tf.nn.conv2d(net, kernel, stride, 'VALID')
    if self.has(layer, 'biases'):
      net += self._take(layer, 'biases', ours)
    return net

  def norm(self, net, layer, ours, relu=True):
    """Batch norm, and what activates it."""
    gamma, beta = (self._take(layer, end, ours) for end in ('gamma', 'beta'))
    if self._is_training:
      mean, variance = tf.nn.moments(net, [0, 1, 2])
    else:
      mean, variance = (
        self._array(layer, end) for end in ('moving_mean', 'moving_variance')
      )
    net = (net - mean) * tf.rsqrt(variance + self._epsilon) * gamma + beta
    return tf.nn.relu(net) if relu else net

  def both(self, net, conv, norm, ours, stride=1, relu=True):
    """A convolution and its batch norm."""
    net = self.conv(net, conv, ours, stride)
    return self.norm(net, norm, f'{ours}/BatchNorm', relu)

  def dense(self, net, layer, ours, is_transposed):
    """The logits of features; None if the network has none."""
    if not self.has(layer):
      return None
    kernel = self._take(
      layer,
      'weights',
      ours,
      lambda matrix: (tf.transpose(matrix) if is_transposed else matrix)[
        None, None
      ],
    )
    logits = tf.matmul(tf.reduce_mean(net, [1, 2]), kernel[0, 0])
    return logits + self._take(layer, 'biases', ours)


def _without_groups(kernel, groups):
  """Returns the kernel of one group that computes what several do."""
  _, _, depth, width = kernel.shape.as_list()
  rows = tf.range(depth * groups)[:, None] // depth
  columns = tf.range(width)[None] // (width // groups)
  return tf.tile(kernel, [1, 1, groups, 1]) * tf.cast(
    tf.equal(rows, columns), kernel.dtype
  )


def _pool(net):
  """3x3 max pooling of stride 2 that pads by 1 on every side, with zeros.

  Keras pads so, and in V2 what is pooled may be less. What PyTorch pads with is
  never the largest, and neither is 0 behind a ReLU.
  """
  net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]])
  return tf.nn.max_pool2d(net, 3, 2, 'VALID')


def _count(has, name, first=1):
  """How many of the names, numbered from the first on, are there."""
  number = 0
  while has(name.format(first + number)):
    number += 1
  return number


_KERAS_ENDS = {
  'weights': '/kernel',
  'biases': '/bias',
  **{
    end: f'/{end}'
    for end in ('gamma', 'beta', 'moving_mean', 'moving_variance')
  },
}


def _keras_v1(images, layers):
  """keras.applications.ResNet50, 101 and 152."""
  net = _pool(layers.both(images, 'conv1_conv', 'conv1_bn', 'conv1', 2))
  units = {}
  for i in range(1, 5):
    name = f'conv{i + 1}_block{{}}_'
    for j in range(1, _count(layers.has, name + '1_conv') + 1):
      theirs, ours = name.format(j), f'block{i}/unit_{j}'
      stride = 2 if i > 1 and j == 1 else 1

      def both(net, k, scope, theirs=theirs, ours=ours, **options):
        return layers.both(
          net,
          f'{theirs}{k}_conv',
          f'{theirs}{k}_bn',
          f'{ours}/bottleneck_v1/{scope}',
          **options,
        )

      kept = net
      if layers.has(theirs + '0_conv'):
        kept = both(net, 0, 'shortcut', stride=stride, relu=False)
      net = both(net, 1, 'conv1', stride=stride)
      net = both(net, 2, 'conv2')
      net = both(net, 3, 'conv3', relu=False)
      net = units[ours] = tf.nn.relu(kept + net)
  return units, net, layers.dense(net, 'predictions', 'logits', False)


def _keras_v2(images, layers):
  """keras.applications.ResNet50V2, 101V2 and 152V2."""
  net = _pool(layers.conv(images, 'conv1_conv', 'conv1', 2))
  units = {}
  stages = _count(layers.has, 'conv{}_block1_1_conv', first=2)
  for i in range(1, stages + 1):
    name = f'conv{i + 1}_block{{}}_'
    count = _count(layers.has, name + '1_conv')
    for j in range(1, count + 1):
      theirs, ours = name.format(j), f'block{i}/unit_{j}'
      scope = f'{ours}/bottleneck_v2'
      stride = 2 if i < stages and j == count else 1
      active = layers.norm(net, theirs + 'preact_bn', f'{scope}/preact')
      kept = net[:, ::stride, ::stride]
      if layers.has(theirs + '0_conv'):
        kept = layers.conv(
          active, theirs + '0_conv', f'{scope}/shortcut', stride
        )
      for k in (1, 2):
        active = layers.both(
          active,
          f'{theirs}{k}_conv',
          f'{theirs}{k}_bn',
          f'{scope}/conv{k}',
          stride if k == 2 else 1,
        )
      net = kept + layers.conv(active, theirs + '3_conv', f'{scope}/conv3')
      units[ours] = net
  net = layers.norm(net, 'post_bn', 'postnorm')
  return units, net, layers.dense(net, 'predictions', 'logits', False)


_TORCH_ENDS = {
  'weights': '.weight',
  'biases': '.bias',
  'gamma': '.weight',
  'beta': '.bias',
  'moving_mean': '.running_mean',
  'moving_variance': '.running_var',
}


def _torch(images, layers):
  """torchvision's and timm's ResNets, wide and ResNeXt and 'd' among them."""
  if layers.has('conv1'):
    net = layers.both(images, 'conv1', 'bn1', 'conv1', 2)
  else:
    net = layers.both(images, 'conv1.0', 'conv1.1', 'conv1_1', 2)
    net = layers.both(net, 'conv1.3', 'conv1.4', 'conv1_2')
    net = layers.both(net, 'conv1.6', 'bn1', 'conv1_3')
  net, units = _pool(net), {}
  last = 3 if layers.has('layer1.0.conv3') else 2
  kind = 'bottleneck_v1' if last == 3 else 'basic_v1'
  for i in range(1, 5):
    j = 1
    while layers.has(f'layer{i}.{j - 1}.conv1'):
      theirs, ours = f'layer{i}.{j - 1}.', f'block{i}/unit_{j}'
      stride = 2 if i > 1 and j == 1 else 1
      kept, shortcut = net, f'{ours}/{kind}/shortcut'
      if layers.has(theirs + 'downsample.0'):
        names = (theirs + f'downsample.{k}' for k in (0, 1))
        kept = layers.both(net, *names, shortcut, stride, relu=False)
      elif layers.has(theirs + 'downsample.1'):
        # AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        kept = tf.nn.avg_pool2d(net, 2, 2, 'SAME') if stride > 1 else net
        names = (theirs + f'downsample.{k}' for k in (1, 2))
        kept = layers.both(kept, *names, shortcut, relu=False)
      for k in range(1, last + 1):
        net = layers.both(
          net,
          f'{theirs}conv{k}',
          f'{theirs}bn{k}',
          f'{ours}/{kind}/conv{k}',
          stride if k == last - 1 else 1,
          relu=k < last,
        )
      net = units[ours] = tf.nn.relu(kept + net)
      j += 1
  return units, net, layers.dense(net, 'fc', 'logits', True)


class _Form(NamedTuple):
  """How a library's networks are computed, its names, and its epsilon."""

  compute: Callable
  ends: Mapping[str, str]
  axes: tuple[int, ...] | None
  epsilon: float


_TORCH = _Form(_torch, _TORCH_ENDS, (2, 3, 1, 0), 1e-5)
FORMS: dict[str, _Form] = {
  'keras_v1': _Form(_keras_v1, _KERAS_ENDS, None, 1.001e-5),
  'keras_v2': _Form(_keras_v2, _KERAS_ENDS, None, 1.001e-5),
  'torch': _TORCH,
  'torch_d': _TORCH,
}


def compute(
  form: str,
  arrays: Mapping[str, tf.Tensor],
  images: tf.Tensor,
  is_training: bool = False,
) -> Computed:
  """Builds a network of another library into the current graph.

  Args:
    form: a key of `FORMS`.
    arrays: the library's arrays by their names, float32.
    images: float32 [batch, height, width, channels].
    is_training: whether batch norm uses the statistics of the batch.
  """
  told = FORMS[form]
  layers = _Layers(
    arrays,
    lambda array: (
      array if told.axes is None else tf.transpose(array, told.axes)
    ),
    told.ends,
    told.epsilon,
    is_training,
  )
  units, features, logits = told.compute(images, layers)
  return Computed(units, features, logits, layers.learned)
