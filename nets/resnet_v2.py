"""Residual networks of full pre-activation units.

  [1] He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition.
      arXiv:1512.03385, 2015
  [2] He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks.
      arXiv:1603.05027, 2016
  [3] Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for
      Semantic Image Segmentation. arXiv:1706.05587, 2017

They normalize and activate before every convolution where `resnet_v1` does so
after it, and their units add to an untouched shortcut.

>>> import tensorflow.compat.v1 as tf
>>> from nets import resnet_v2
>>> from nets.slim_compat import slim
>>> with tf.Graph().as_default():
...   images = tf.placeholder(tf.float32, [None, 513, 513, 3])
...   with slim.arg_scope(resnet_v2.resnet_arg_scope()):
...     logits, end_points = resnet_v2.resnet_v2_50(
...         images, 21, is_training=False, global_pool=False,
...         output_stride=16, spatial_squeeze=False)
>>> print(logits.shape)
(None, 33, 33, 21)
"""

import functools

import tensorflow.compat.v1 as tf

from nets import resnet_generator, resnet_utils
from nets.resnet_utils import BARE
from nets.slim_compat import slim

resnet_arg_scope = resnet_utils.resnet_arg_scope


def _begin(inputs, depth, stride):
  """Returns the activated inputs and the shortcut of a unit."""
  preact = slim.batch_norm(inputs, activation_fn=tf.nn.relu, scope='preact')
  if depth == slim.utils.last_dimension(inputs.shape, min_rank=4):
    return preact, resnet_utils.subsample(inputs, stride, 'shortcut')
  return preact, slim.conv2d(
    preact, depth, [1, 1], stride=stride, scope='shortcut', **BARE
  )


@slim.add_arg_scope
def bottleneck(
  inputs: tf.Tensor,
  depth: int,
  depth_bottleneck: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  unit_rate: int = 1,
) -> tf.Tensor:
  """The full pre-activation unit in its bottleneck form ([2], figure 1b).

  Args:
    inputs: float [batch, height, width, channels], not yet activated.
    depth: the number of output channels.
    depth_bottleneck: the number of channels of the first two convolutions.
    stride: the ratio of input to output resolution.
    rate: the dilation rate that the network asks of this unit.
    outputs_collections: the collection that gets the output.
    scope: the variable scope.
    unit_rate: this unit's own factor on `rate` ([3], multi-grid).

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].
  """
  with tf.variable_scope(scope, bottleneck.default_scope, [inputs]) as sc:
    preact, shortcut = _begin(inputs, depth, stride)
    residual = slim.conv2d(preact, depth_bottleneck, [1, 1], scope='conv1')
    residual = resnet_utils.conv2d_same(
      residual,
      depth_bottleneck,
      3,
      stride,
      rate=rate * unit_rate,
      scope='conv2',
    )
    residual = slim.conv2d(residual, depth, [1, 1], scope='conv3', **BARE)
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, shortcut + residual
    )


@slim.add_arg_scope
def basic(
  inputs: tf.Tensor,
  depth: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  unit_rate: int = 1,
  nominal_stride: int = 1,
) -> tf.Tensor:
  """The full pre-activation unit of two 3x3 convolutions ([2], figure 4e).

  Args:
    inputs: float [batch, height, width, channels], not yet activated.
    depth: the number of output channels.
    stride: the ratio of input to output resolution.
    rate: the dilation rate that the network asks of this unit.
    outputs_collections: the collection that gets the output.
    scope: the variable scope.
    unit_rate: this unit's own factor on `rate` ([3], multi-grid).
    nominal_stride: what `stride` is where the network is not made dense.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].
  """
  rate *= unit_rate
  with tf.variable_scope(scope, basic.default_scope, [inputs]) as sc:
    preact, shortcut = _begin(inputs, depth, stride)
    residual = resnet_utils.conv2d_same(
      preact, depth, 3, stride, rate=rate, scope='conv1'
    )
    with slim.arg_scope([slim.conv2d], **BARE):
      residual = resnet_utils.conv2d_same(
        residual,
        depth,
        3,
        1,
        scope='conv2',
        rate=resnet_utils.rate_behind(rate, stride, nominal_stride),
      )
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, shortcut + residual
    )


for _unit in (bottleneck, basic):
  _unit.default_scope = f'{_unit.__name__}_v2'


resnet_v2 = resnet_generator.family('resnet_v2', __name__, preactivation=True)
resnet_v2_block = functools.partial(resnet_utils.bottleneck_block, bottleneck)
_network = functools.partial(
  resnet_generator.network, resnet_v2, resnet_v2_block
)
_basic_network = functools.partial(
  resnet_generator.network,
  resnet_v2,
  functools.partial(resnet_utils.basic_block, basic),
  begins_with_stride=True,
)

resnet_v2_18 = _basic_network('resnet_v2_18', 18)
resnet_v2_34 = _basic_network('resnet_v2_34', 34)

resnet_v2_50 = _network('resnet_v2_50', 50)
resnet_v2_101 = _network('resnet_v2_101', 101)
resnet_v2_152 = _network('resnet_v2_152', 152)
resnet_v2_200 = _network('resnet_v2_200', 200)
