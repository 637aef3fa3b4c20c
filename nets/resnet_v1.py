"""Residual networks as first proposed: normalization after convolution.

  [1] He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition.
      arXiv:1512.03385, 2015
  [2] He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks.
      arXiv:1603.05027, 2016
  [3] Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for
      Semantic Image Segmentation. arXiv:1706.05587, 2017
  [4] Goyal et al.: Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour.
      arXiv:1706.02677, 2017

Classification of [batch, 224, 224, 3] into 1000 classes, and dense features at
an eighth of the resolution from the same variables:

>>> import tensorflow.compat.v1 as tf
>>> from nets import resnet_v1
>>> from nets.slim_compat import slim
>>> with tf.Graph().as_default():
...   images = tf.placeholder(tf.float32, [None, 224, 224, 3])
...   with slim.arg_scope(resnet_v1.resnet_arg_scope()):
...     logits, end_points = resnet_v1.resnet_v1_50(
...         images, 1000, is_training=False)
...     features, _ = resnet_v1.resnet_v1_50(
...         images, None, is_training=False, global_pool=False,
...         output_stride=8, reuse=True)
>>> print(logits.shape, features.shape)
(None, 1000) (None, 28, 28, 2048)
"""
import functools
import inspect
from typing import Any

import tensorflow.compat.v1 as tf

from nets import resnet_generator, resnet_utils
from nets.slim_compat import slim


@slim.add_arg_scope
def bottleneck(inputs: tf.Tensor, depth: int, depth_bottleneck: int,
               stride: int, rate: int = 1,
               outputs_collections: str | None = None,
               scope: str | None = None,
               use_bounded_activations: bool = False,
               unit_rate: int = 1,
               zero_init_last_gamma: bool = False) -> tf.Tensor:
  """The residual unit of [1] in its bottleneck form ([2], figure 1a).

  Args:
    inputs: float [batch, height, width, channels].
    depth: the number of output channels.
    depth_bottleneck: the number of channels of the first two convolutions.
    stride: the ratio of input to output resolution.
    rate: the dilation rate that the network asks of this unit.
    outputs_collections: the collection that gets the output.
    scope: the variable scope.
    use_bounded_activations: keep activations within 6 and the residual within
      [-6, 6], which quantized inference likes.
    unit_rate: this unit's own factor on `rate` ([3], multi-grid).
    zero_init_last_gamma: begin as the activated shortcut, with a residual of
      0: the last batch norm's gamma is 0 at first ([4], section 5.1).

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].
  """
  bound = use_bounded_activations
  with tf.variable_scope(scope, 'bottleneck_v1', [inputs]) as sc:
    depth_in = slim.utils.last_dimension(inputs.shape, min_rank=4)
    if depth == depth_in:
      shortcut = resnet_utils.subsample(inputs, stride, 'shortcut')
    else:
      shortcut = slim.conv2d(inputs, depth, [1, 1], stride=stride,
                             activation_fn=tf.nn.relu6 if bound else None,
                             scope='shortcut')
    residual = slim.conv2d(inputs, depth_bottleneck, [1, 1], scope='conv1')
    residual = resnet_utils.conv2d_same(residual, depth_bottleneck, 3, stride,
                                        rate=rate * unit_rate, scope='conv2')
    last = ({'param_initializers': {'gamma': tf.zeros_initializer()}}
            if zero_init_last_gamma else {})
    with slim.arg_scope([slim.batch_norm], **last):
      residual = slim.conv2d(residual, depth, [1, 1], activation_fn=None,
                             scope='conv3')
    if bound:
      output = tf.nn.relu6(shortcut + tf.clip_by_value(residual, -6.0, 6.0))
    else:
      output = tf.nn.relu(shortcut + residual)
    return slim.utils.collect_named_outputs(outputs_collections, sc.name,
                                            output)


def resnet_arg_scope(*args: Any, zero_init_last_gamma: bool = False,
                     **options: Any) -> dict:
  """Returns the arg scope that these networks are built under.

  Args:
    *args: those of `resnet_utils.resnet_arg_scope`.
    zero_init_last_gamma: see `bottleneck`.
    **options: those of `resnet_utils.resnet_arg_scope`.

  Raises:
    ValueError: `zero_init_last_gamma` without any gamma.
  """
  scope = resnet_utils.resnet_arg_scope(*args, **options)
  if not zero_init_last_gamma:
    return scope
  given = inspect.signature(resnet_utils.resnet_arg_scope).bind(
      *args, **options).arguments
  for option in ('use_batch_norm', 'batch_norm_scale'):
    if not given.get(option, True):
      raise ValueError('zero_init_last_gamma=True needs batch norm with a '
                       f'gamma: leave {option}=False out.')
  with slim.arg_scope(scope), slim.arg_scope(
      [bottleneck], zero_init_last_gamma=True) as scope:
    return scope


resnet_v1 = resnet_generator.family('resnet_v1', bottleneck,
                                    preactivation=False)
resnet_v1_block = functools.partial(resnet_generator.bottleneck_block,
                                    bottleneck)
_network = functools.partial(resnet_generator.network, resnet_v1,
                             resnet_v1_block)


resnet_v1_50 = _network('resnet_v1_50', 50)
resnet_v1_101 = _network('resnet_v1_101', 101)
resnet_v1_152 = _network('resnet_v1_152', 152)
resnet_v1_200 = _network('resnet_v1_200', 200)

# DeepLab's variants share the scopes, and so the checkpoints' names, of the
# networks that they vary.
resnet_v1_50_beta = _network('resnet_v1_50_beta', 50, root_block='beta',
                             scope='resnet_v1_50')
resnet_v1_101_beta = _network('resnet_v1_101_beta', 101, root_block='beta',
                              scope='resnet_v1_101')
