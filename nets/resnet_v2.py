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


def resnet_v2(inputs: tf.Tensor, blocks: list[resnet_utils.Block],
              num_classes: int | None = None, is_training: bool | None = True,
              global_pool: bool = True, output_stride: int | None = None,
              include_root_block: bool = True, spatial_squeeze: bool = True,
              store_non_strided_activations: bool = False,
              reuse: bool | None = None, scope: str | None = None,
              root_block: str = '7x7'
              ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Generates a v2 (pre-activation) residual network from its blocks.

  Args:
    inputs: float [batch, height, width, channels]; batch, height and width
      may be unknown. For dense prediction take sides of a multiple of the
      output stride plus one (321, 513), which keep corners aligned.
    blocks: a list of `resnet_utils.Block`.
    num_classes: the number of logits; None or 0 returns the features.
    is_training: whether batch norm uses the batch's statistics; None leaves
      that to the arg scope.
    global_pool: average over all positions before the logits; False for
      dense prediction.
    output_stride: the ratio of input to output resolution, None for the
      nominal one (32 for the published networks).
    include_root_block: whether to begin with the root convolution and the
      pooling; if not, `inputs` are a feature map
      that no activation has touched yet.
    spatial_squeeze: logits [batch, num_classes] instead of
      [batch, 1, 1, num_classes].
    store_non_strided_activations: see `resnet_utils.stack_blocks_dense`.
    reuse: whether to reuse the variables of `scope`.
    scope: the variable scope.
    root_block: a name in `resnet_generator.ROOT_BLOCKS`.

  Returns:
    net: float logits or features, [batch, height_out, width_out, depth] (of
      1x1 after `global_pool`), or [batch, num_classes] if squeezed.
    end_points: a dict from names such as 'resnet_v2_50/block1' to the
      tensors of every convolution, unit and block, with 'global_pool' and
      'predictions' (softmax) where there are any.

  Raises:
    ValueError: `output_stride` cannot be reached, `spatial_squeeze` on a map
      larger than 1x1, or `inputs` of a wrong rank or dtype.
    RuntimeError: called eagerly, outside of a graph.
  """
  return resnet_generator.resnet(
      inputs, blocks, bottleneck, num_classes, is_training, global_pool,
      output_stride, include_root_block, spatial_squeeze,
      store_non_strided_activations, reuse, scope,
      default_scope='resnet_v2', preactivation=True, root_block=root_block)


resnet_v2_block = functools.partial(resnet_generator.bottleneck_block,
                                    bottleneck)
_network = functools.partial(resnet_generator.network, resnet_v2,
                             resnet_v2_block)
resnet_v2.default_image_size = 224


resnet_v2_50 = _network('resnet_v2_50', 50)
resnet_v2_101 = _network('resnet_v2_101', 101)
resnet_v2_152 = _network('resnet_v2_152', 152)
resnet_v2_200 = _network('resnet_v2_200', 200)
