"""The one generator of bottleneck networks, and the factory of public ones.

A network is data: a root (a few convolutions before the pooling), a depth (the
number of units in each block) and a family (the order of normalization and
convolution). References as in resnet_utils.
"""
import contextlib
from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

from nets import resnet_utils
from nets.resnet_utils import Block
from nets.slim_compat import slim

# Name -> the convolutions before the max pooling: (scope, depth, kernel,
# stride). '7x7' is the root of [1]; 'beta' the three 3x3 of DeepLab's
# resnet_v1_50_beta and resnet_v1_101_beta.
ROOT_BLOCKS = {
    '7x7': (('conv1', 64, 7, 2),),
    'beta': (('conv1_1', 64, 3, 2), ('conv1_2', 64, 3, 1),
             ('conv1_3', 128, 3, 1)),
}
ROOT_STRIDE = 4  # of any root block with its pooling

# Depth -> the number of units in each of the four blocks.
UNITS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def _root_block(net, convolutions, **conv_options):
  with slim.arg_scope([slim.conv2d], **conv_options):
    for scope, depth, kernel_size, stride in convolutions:
      net = resnet_utils.conv2d_same(net, depth, kernel_size, stride,
                                     scope=scope)
  return slim.max_pool2d(net, [3, 3], stride=2, scope='pool1')


def _head(net, end_points, scope_name, num_classes, global_pool,
          spatial_squeeze):
  if global_pool:
    net = tf.reduce_mean(net, [1, 2], name='pool5', keepdims=True)
    end_points['global_pool'] = net
  if not num_classes:
    return net
  size = net.shape.as_list()[1:3]
  if spatial_squeeze and any(side not in (None, 1) for side in size):
    raise ValueError(
        f'spatial_squeeze=True needs logits of 1x1, but they are '
        f'{size[0]}x{size[1]}: pass spatial_squeeze=False for dense logits, '
        'or global_pool=True for one prediction an image.')
  net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None,
                    normalizer_fn=None, scope='logits')
  end_points[f'{scope_name}/logits'] = net
  if spatial_squeeze:
    net = tf.squeeze(net, [1, 2], name='SpatialSqueeze')
    end_points[f'{scope_name}/spatial_squeeze'] = net
  end_points['predictions'] = slim.softmax(net, scope='predictions')
  return net


def _check_inputs(inputs):
  if tf.executing_eagerly():
    raise RuntimeError(
        'Residual networks are built into a graph: call them inside '
        '`with tf.Graph().as_default():` or a tf.function.')
  inputs = tf.convert_to_tensor(inputs)
  if inputs.shape.rank != 4 or inputs.shape.as_list()[-1] is None:
    raise ValueError(
        'The inputs must be [batch, height, width, channels] with a known '
        f'number of channels, but their shape is {inputs.shape}.')
  if not inputs.dtype.is_floating:
    raise ValueError(
        f'The inputs are {inputs.dtype.name}; the networks take preprocessed '
        'float images (see preprocessing/preprocessing_factory.py).')
  return inputs


_GENERATOR_DOC = """Generates a residual network of this family from its blocks.

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
      pooling; if not, `inputs` are a feature map, for pre-activation units
      one that no activation has touched yet.
    spatial_squeeze: logits [batch, num_classes] instead of
      [batch, 1, 1, num_classes].
    store_non_strided_activations: see `resnet_utils.stack_blocks_dense`.
    reuse: whether to reuse the variables of `scope`.
    scope: the variable scope.
    root_block: a name in `resnet_generator.ROOT_BLOCKS`.

  Returns:
    net: float logits or features, [batch, height_out, width_out, depth] (of
      1x1 after `global_pool`), or [batch, num_classes] if squeezed.
    end_points: a dict from names such as 'resnet_v1_50/block1' to the tensors
      of every convolution, unit and block, with 'global_pool' and
      'predictions' (softmax) where there are any.

  Raises:
    ValueError: `output_stride` cannot be reached, `spatial_squeeze` on a map
      larger than 1x1, or `inputs` of a wrong rank or dtype.
    RuntimeError: called eagerly, outside of a graph.
"""


@contextlib.contextmanager
def _arg_scopes(collection, unit_fn, is_training):
  """Collects end points under `collection`, which it yields."""
  with contextlib.ExitStack() as stack:
    stack.enter_context(slim.arg_scope(
        [slim.conv2d, unit_fn, resnet_utils.stack_blocks_dense],
        outputs_collections=collection))
    if is_training is not None:
      stack.enter_context(slim.arg_scope([slim.batch_norm],
                                         is_training=is_training))
    yield collection


def family(name: str, unit_fn: Callable, preactivation: bool) -> Callable:
  """Returns the generator of a family of networks.

  Args:
    name: the generator's name, and the default scope.
    unit_fn: the residual unit, whose outputs become end points.
    preactivation: whether units normalize before they convolve. The root
      then has no normalization or activation, since the first unit begins
      with them, and one of each follows the last block ([2], appendix).
  """
  root_options = ({'activation_fn': None, 'normalizer_fn': None}
                  if preactivation else {})

  def resnet(inputs: tf.Tensor, blocks: Sequence[Block],
             num_classes: int | None = None, is_training: bool | None = True,
             global_pool: bool = True, output_stride: int | None = None,
             include_root_block: bool = True, spatial_squeeze: bool = True,
             store_non_strided_activations: bool = False,
             reuse: bool | None = None, scope: str | None = None,
             root_block: str = '7x7'
             ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    inputs = _check_inputs(inputs)
    if include_root_block:
      resnet_utils.check_output_stride(output_stride, blocks, ROOT_STRIDE)
      output_stride = output_stride and output_stride // ROOT_STRIDE
    with (tf.variable_scope(scope, name, [inputs], reuse=reuse) as sc,
          _arg_scopes(sc.original_name_scope + '_end_points', unit_fn,
                      is_training) as collection):
      net = inputs
      if include_root_block:
        net = _root_block(net, ROOT_BLOCKS[root_block], **root_options)
      net = resnet_utils.stack_blocks_dense(
          net, blocks, output_stride,
          store_non_strided_activations=store_non_strided_activations)
      if preactivation:
        net = slim.batch_norm(net, activation_fn=tf.nn.relu, scope='postnorm')
      end_points = slim.utils.convert_collection_to_dict(collection)
      net = _head(net, end_points, sc.name, num_classes, global_pool,
                  spatial_squeeze)
      return net, end_points

  resnet.__name__ = resnet.__qualname__ = name
  resnet.__module__ = unit_fn.__module__
  resnet.__doc__ = _GENERATOR_DOC
  resnet.default_image_size = 224
  resnet.unit_scope = name.replace('resnet', unit_fn.__name__)
  return resnet


def bottleneck_block(unit_fn: Callable, scope: str, base_depth: int,
                     num_units: int, stride: int,
                     unit_rates: Sequence[int] | None = None) -> Block:
  """Returns a block of bottleneck units with the stride on its last one.

  Args:
    unit_fn: the unit.
    scope: the scope of the block.
    base_depth: the depth of the bottleneck; the output has four times that.
    num_units: the number of units.
    stride: the stride of the last unit; the others have stride 1.
    unit_rates: a dilation factor for each unit, all 1 if None.

  Raises:
    ValueError: not as many `unit_rates` as units.
  """
  rates = (1,) * num_units if unit_rates is None else tuple(unit_rates)
  if len(rates) != num_units:
    raise ValueError(
        f'{scope} has {num_units} units and needs as many rates, but '
        f'{len(rates)} are given: {list(rates)}.')
  return Block(scope, unit_fn, [
      {'depth': base_depth * 4, 'depth_bottleneck': base_depth,
       'stride': stride if i == num_units - 1 else 1,
       **({'unit_rate': rate} if rate != 1 else {})}
      for i, rate in enumerate(rates)])


def check_multi_grid(multi_grid: Sequence[int] | None, num_units: int) -> None:
  """Raises ValueError unless it has a factor for each unit of block4."""
  if multi_grid is None:
    return
  if len(multi_grid) != num_units or min(multi_grid) < 1:
    raise ValueError(
        f'multi_grid={list(multi_grid)}: give one dilation factor of 1 or more '
        f'for each of the {num_units} units of block4, such as '
        f'{[1 << i for i in range(num_units)]}, or leave it out.')


def network(family_fn: Callable, block_fn: Callable, name: str, depth: int,
            root_block: str = '7x7', scope: str | None = None) -> Callable:
  """Returns the public network function `name` of a family and a depth.

  It carries what there is to know without building it: default_image_size,
  default_scope, unit_scope (that of a unit's operations within its own scope)
  and blocks, `blocks(min_base_depth, depth_multiplier, multi_grid)`.
  """
  default_scope = scope or name

  def make_blocks(min_base_depth=8, depth_multiplier=1, multi_grid=None):
    if depth_multiplier <= 0:
      raise ValueError(
          f'depth_multiplier={depth_multiplier} must be above 0; 1 is the '
          'published width.')
    check_multi_grid(multi_grid, UNITS[depth][-1])
    return [
        block_fn(f'block{i + 1}',
                 max(int((64 << i) * depth_multiplier), min_base_depth),
                 num_units, 1 if i == 3 else 2, multi_grid if i == 3 else None)
        for i, num_units in enumerate(UNITS[depth])]

  def resnet_fn(inputs: tf.Tensor, num_classes: int | None = None,
                is_training: bool | None = True, global_pool: bool = True,
                output_stride: int | None = None, spatial_squeeze: bool = True,
                store_non_strided_activations: bool = False,
                min_base_depth: int = 8, depth_multiplier: float = 1,
                reuse: bool | None = None, scope: str = default_scope,
                multi_grid: Sequence[int] | None = None):
    blocks = make_blocks(min_base_depth, depth_multiplier, multi_grid)
    return family_fn(inputs, blocks, num_classes, is_training, global_pool,
                     output_stride, True, spatial_squeeze,
                     store_non_strided_activations, reuse, scope, root_block)

  resnet_fn.__name__ = resnet_fn.__qualname__ = name
  resnet_fn.__module__ = family_fn.__module__
  resnet_fn.__doc__ = f"""ResNet-{depth} by `{family_fn.__name__}`.

  `{family_fn.__name__}` tells the arguments, results and errors not named here.

  Args:
    min_base_depth: the least number of bottleneck channels.
    depth_multiplier: a factor on the number of channels of every block.
    multi_grid: the dilation factors of the three units of block4, e.g.
      (1, 2, 4) (arXiv:1706.05587, section 3.2.2).

  Raises:
    ValueError: `depth_multiplier` or `multi_grid` are out of range.
  """
  resnet_fn.default_image_size = family_fn.default_image_size
  resnet_fn.default_scope = default_scope
  resnet_fn.unit_scope = family_fn.unit_scope
  resnet_fn.blocks = make_blocks
  return resnet_fn
