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
from nets.slim_compat import slim

resnet_arg_scope = resnet_utils.resnet_arg_scope


@slim.add_arg_scope
def bottleneck(inputs: tf.Tensor, depth: int, depth_bottleneck: int,
               stride: int, rate: int = 1,
               outputs_collections: str | None = None,
               scope: str | None = None, unit_rate: int = 1) -> tf.Tensor:
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
  plain = {'activation_fn': None, 'normalizer_fn': None}
  with tf.variable_scope(scope, 'bottleneck_v2', [inputs]) as sc:
    depth_in = slim.utils.last_dimension(inputs.shape, min_rank=4)
    preact = slim.batch_norm(inputs, activation_fn=tf.nn.relu, scope='preact')
    if depth == depth_in:
      shortcut = resnet_utils.subsample(inputs, stride, 'shortcut')
    else:
      shortcut = slim.conv2d(preact, depth, [1, 1], stride=stride,
                             scope='shortcut', **plain)
    residual = slim.conv2d(preact, depth_bottleneck, [1, 1], scope='conv1')
    residual = resnet_utils.conv2d_same(residual, depth_bottleneck, 3, stride,
                                        rate=rate * unit_rate, scope='conv2')
    residual = slim.conv2d(residual, depth, [1, 1], scope='conv3', **plain)
    return slim.utils.collect_named_outputs(outputs_collections, sc.name,
                                            shortcut + residual)


resnet_v2 = resnet_generator.family('resnet_v2', bottleneck,
                                    preactivation=True)
resnet_v2_block = functools.partial(resnet_generator.bottleneck_block,
                                    bottleneck)
_network = functools.partial(resnet_generator.network, resnet_v2,
                             resnet_v2_block)


resnet_v2_50 = _network('resnet_v2_50', 50)
resnet_v2_101 = _network('resnet_v2_101', 101)
resnet_v2_152 = _network('resnet_v2_152', 152)
resnet_v2_200 = _network('resnet_v2_200', 200)
