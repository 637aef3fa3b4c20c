"""The one generator of residual networks, and the factory of public ones.

A network is data: a root (a few convolutions, and perhaps a pooling), a depth
(the number of units in each block), a kind of units and a family (the order of
normalization and convolution). References as in resnet_utils, and
  [3] He, Zhang, Zhang, Zhang, Xie, Li: Bag of Tricks for Image Classification
      with Convolutional Neural Networks. arXiv:1812.01187, 2018
"""

import contextlib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import resnet_utils
from nets.resnet_utils import Block
from nets.slim_compat import slim

# A decorator: inside of a tf.function AutoGraph would rewrite what builds a
# network, and all of tf_slim that it calls, which takes minutes.
as_it_is = tf.autograph.experimental.do_not_convert


class Root(NamedTuple):
  """What a network begins with.

  Fields:
    convolutions: a tuple of (scope, depth, kernel, stride).
    pool: whether a 3x3 max pooling of stride 2 follows.
    symmetric: whether that pads by a zero on every side, as Keras and torch
      do; else as 'SAME' does, which pads an even side at its end alone.
  """

  convolutions: tuple[tuple[str, int, int, int], ...]
  pool: bool = True
  symmetric: bool = False

  @property
  def stride(self) -> int:
    """The ratio of the image's resolution to that of the first block."""
    return math.prod(stride for *_, stride in self.convolutions) * (
      2 if self.pool else 1
    )


# '7x7' is the root of [1] for ImageNet, 'cifar' that for CIFAR-10 (section
# 4.2); '7x7_symmetric' that of keras.applications and torchvision; 'beta' the
# three 3x3 of DeepLab's resnet_v1_50_beta and resnet_v1_101_beta; 'deep' the
# three of [3], as timm's resnet50d has them; '3x3' lets the networks for
# ImageNet see images of 32x32 at their resolution.
ROOT_BLOCKS = {
  '7x7': Root((('conv1', 64, 7, 2),)),
  '7x7_symmetric': Root((('conv1', 64, 7, 2),), symmetric=True),
  'beta': Root(
    (('conv1_1', 64, 3, 2), ('conv1_2', 64, 3, 1), ('conv1_3', 128, 3, 1))
  ),
  'deep': Root(
    (('conv1_1', 32, 3, 2), ('conv1_2', 32, 3, 1), ('conv1_3', 64, 3, 1)),
    symmetric=True,
  ),
  '3x3': Root((('conv1', 64, 3, 1),), pool=False),
  'cifar': Root((('conv1', 16, 3, 1),), pool=False),
}

# The scope of a network's logits in its own.
LOGITS = 'logits'

# Depth -> the number of units in each of the four blocks.
UNITS: dict[int | str, tuple[int, ...]] = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
  200: (3, 24, 36, 3),
}


def get_root(name: str) -> Root:
  """Returns the entry of `ROOT_BLOCKS`.

  >>> get_root('7x7').stride, get_root('3x3').stride
  (4, 1)

  Raises:
    ValueError: there is none of that name; all are listed.
  """
  if name not in ROOT_BLOCKS:
    raise ValueError(
      f'There is no root_block={name!r}. It can be {", ".join(ROOT_BLOCKS)}.'
    )
  return ROOT_BLOCKS[name]


def _root_block(net, root, **conv_options):
  with slim.arg_scope([slim.conv2d], **conv_options):
    for scope, depth, kernel_size, stride in root.convolutions:
      net = resnet_utils.conv2d_same(
        net, depth, kernel_size, stride, scope=scope
      )
  if not root.pool:
    return net
  if not root.symmetric:
    return slim.max_pool2d(net, [3, 3], stride=2, scope='pool1')
  # Zeros count: Keras pads what version 2 has not yet activated with them.
  net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]])
  return slim.max_pool2d(net, [3, 3], stride=2, padding='VALID', scope='pool1')


def _head(
  net, end_points, scope_name, num_classes, global_pool, spatial_squeeze
):
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
      'or global_pool=True for one prediction an image.'
    )
  net = slim.conv2d(
    resnet_utils.dropout(net, LOGITS),
    num_classes,
    [1, 1],
    activation_fn=None,
    normalizer_fn=None,
    scope=LOGITS,
  )
  end_points[f'{scope_name}/{LOGITS}'] = net
  if spatial_squeeze:
    net = tf.squeeze(net, [1, 2], name='SpatialSqueeze')
    end_points[f'{scope_name}/spatial_squeeze'] = net
  end_points['predictions'] = slim.softmax(net, scope='predictions')
  return net


# What works where networks are called as TensorFlow 2 code.
_CURE = (
  'Take the layer nets.keras_layer.NetworkLayer; or call the network in a '
  'tf.function, below `with owner.scope():` of an owner = '
  'nets.variables.Variables(); or by tf.compat.v1.wrap_function; or inside of '
  '`with tf.Graph().as_default():`. docs/library.md shows them.'
)


def _owns_variables(reuse):
  """Whether variables made here are kept for, and found by, a later trace.

  Functions that are traced eagerly share the store of TensorFlow's one global
  graph, in which the second trace and the next function find a variable taken.
  That of tf.compat.v1.wrap_function has a store of its own.
  """
  scope = tf.get_variable_scope()
  if reuse or scope.reuse or scope.custom_getter:
    return True
  with tf.init_scope():
    if not tf.executing_eagerly():
      return True
  graph = outermost = tf.get_default_graph()
  while outermost.building_function:
    outermost = outermost.outer_graph
  stores = graph.get_collection_ref(('__variable_store',))
  if stores is not outermost.get_collection_ref(('__variable_store',)):
    return True
  # That of tf_keras's track_tf1_style_variables, as TensorFlow tells it.
  return any(hasattr(store, 'add_regularizer') for store in stores)


def _check_inputs(inputs, reuse):
  if tf.executing_eagerly():
    raise RuntimeError(
      'Networks are built into a graph, and this call is eager. ' + _CURE
    )
  if not _owns_variables(reuse):
    raise RuntimeError(
      "Nothing in this tf.function owns the network's variables. " + _CURE
    )
  inputs = tf.convert_to_tensor(inputs)
  if inputs.shape.rank != 4 or inputs.shape.as_list()[-1] is None:
    raise ValueError(
      'The inputs must be [batch, height, width, channels] with a known '
      f'number of channels, but their shape is {inputs.shape}.'
    )
  if not inputs.dtype.is_floating:
    raise ValueError(
      f'The inputs are {inputs.dtype.name}; the networks take preprocessed '
      'float images (see preprocessing/preprocessing_factory.py).'
    )
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
      pooling; if not, `inputs` are features, for pre-activation units those
      before the activation.
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
    ValueError: `output_stride` cannot be reached, `spatial_squeeze` of logits
      larger than 1x1, or `inputs` of a wrong rank or dtype.
    RuntimeError: called eagerly, or in a tf.function without an owner of
      variables (`nets.variables`).
"""


@contextlib.contextmanager
def _arg_scopes(collection, blocks, is_training):
  """Collects end points under `collection`, which it yields."""
  units = filter(slim.has_arg_scope, {block.unit_fn for block in blocks})
  with contextlib.ExitStack() as stack:
    stack.enter_context(
      slim.arg_scope(
        [slim.conv2d, *units, resnet_utils.stack_blocks_dense],
        outputs_collections=collection,
      )
    )
    if is_training is not None:
      stack.enter_context(
        slim.arg_scope([slim.batch_norm], is_training=is_training)
      )
    yield collection


def family(
  name: str,
  module: str,
  preactivation: bool,
  normalized_root: bool | None = None,
) -> Callable:
  """Returns the generator of a family of networks.

  Args:
    name: the generator's name, and the default scope.
    module: the name of the module that it belongs to.
    preactivation: whether units normalize before they convolve, so that a
      normalization and an activation follow the last block ([2], appendix).
    normalized_root: whether the root normalizes and activates. By default it
      does unless the first unit begins with that.
  """
  if normalized_root is None:
    normalized_root = not preactivation
  root_options = {} if normalized_root else resnet_utils.BARE

  def resnet(
    inputs: tf.Tensor,
    blocks: Sequence[Block],
    num_classes: int | None = None,
    is_training: bool | None = True,
    global_pool: bool = True,
    output_stride: int | None = None,
    include_root_block: bool = True,
    spatial_squeeze: bool = True,
    store_non_strided_activations: bool = False,
    reuse: bool | None = None,
    scope: str | None = None,
    root_block: str = '7x7',
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    inputs = _check_inputs(inputs, reuse)
    if include_root_block:
      root = get_root(root_block)
      resnet_utils.check_output_stride(output_stride, blocks, root.stride)
      output_stride = output_stride and output_stride // root.stride
    with (
      tf.variable_scope(scope, name, [inputs], reuse=reuse) as sc,
      _arg_scopes(
        sc.original_name_scope + '_end_points', blocks, is_training
      ) as collection,
    ):
      net = inputs
      if include_root_block:
        net = _root_block(net, root, **root_options)
      net = resnet_utils.stack_blocks_dense(
        net,
        blocks,
        output_stride,
        store_non_strided_activations=store_non_strided_activations,
      )
      if preactivation:
        net = slim.batch_norm(net, activation_fn=tf.nn.relu, scope='postnorm')
      end_points = slim.utils.convert_collection_to_dict(collection)
      net = _head(
        net, end_points, sc.name, num_classes, global_pool, spatial_squeeze
      )
      return net, end_points

  resnet = as_it_is(resnet)
  resnet.__name__ = resnet.__qualname__ = name
  resnet.__module__ = module
  resnet.__doc__ = _GENERATOR_DOC
  vars(resnet)['default_image_size'] = 224
  return resnet


def check_multi_grid(
  multi_grid: Sequence[int] | None, num_units: int, block: str = 'block4'
) -> None:
  """Raises ValueError unless it has a factor for each unit of the block."""
  if multi_grid is None:
    return
  if len(multi_grid) != num_units or min(multi_grid) < 1:
    raise ValueError(
      f'multi_grid={list(multi_grid)}: give one dilation factor of 1 or more '
      f'for each of the {num_units} units of {block}, such as '
      f'{[1 << min(i, 3) for i in range(num_units)]}, or leave it out.'
    )


def _blocks(block_fn, units, base_depth, begins_with_stride):
  """Returns the function that makes a network's blocks."""

  def make_blocks(
    min_base_depth=8, depth_multiplier=1, multi_grid=None, **unit_options
  ):
    if not depth_multiplier >= 0:  # which a NaN is not, either
      raise ValueError(
        f'depth_multiplier={depth_multiplier} must be 0 or more; 1 is the '
        'published width, and 0 gives every block min_base_depth channels.'
      )
    counts = units()
    last = len(counts) - 1
    unstrided = 0 if begins_with_stride else last
    check_multi_grid(multi_grid, counts[last], f'block{last + 1}')
    depths = [
      max(int((base_depth << i) * depth_multiplier), min_base_depth)
      for i in range(len(counts))
    ]
    if min(depths) < 1:
      raise ValueError(
        f'depth_multiplier={depth_multiplier} with min_base_depth='
        f'{min_base_depth} leaves a block without channels: raise one of them.'
      )
    return [
      block_fn(
        f'block{i + 1}',
        depths[i],
        num_units,
        1 if i == unstrided else 2,
        multi_grid if i == last else None,
        **unit_options,
      )
      for i, num_units in enumerate(counts)
    ]

  return make_blocks


_NETWORK_DOC = """{name} by `{family}`.

  `{family}` tells the arguments, results and errors not named here.

  Args:
    min_base_depth: the least number of channels of a block, of bottlenecks
      that of their inner ones.
    depth_multiplier: a factor of 0 or more on the number of channels of every
      block; 0 gives each `min_base_depth`.
    multi_grid: the dilation factors of the units of the last block, e.g.
      (1, 2, 4) (arXiv:1706.05587, section 3.2.1).
    root_block: a name in `resnet_generator.ROOT_BLOCKS`; '3x3' lets a network
      for ImageNet see images of 32x32 at their resolution.
    **unit_options: {options} goes to every unit, which tells what it is.

  Raises:
    ValueError: an option is unknown or out of range.
  """


def network(
  family_fn: Callable,
  block_fn: Callable,
  name: str,
  depth: int | str,
  root_block: str = '7x7',
  scope: str | None = None,
  *,
  units: Sequence[int] | None = None,
  base_depth: int = 64,
  begins_with_stride: bool = False,
  image_size: int = 224,
  **unit_options: Any,
) -> Callable:
  """Returns the public network function `name` of a family and a depth.

  It carries what there is to know without building it, as attributes:
  default_image_size, default_scope, root_block, unit_options, generator, which
  is `family_fn`, and blocks, `blocks(min_base_depth, depth_multiplier,
  multi_grid, **unit_options)`.

  Args:
    family_fn: what `family` returned.
    block_fn: makes a block, `block_fn(scope, base_depth, num_units, stride,
      unit_rates, **unit_options)`.
    name: the function's.
    depth: its number of layers, a key of `UNITS` unless `units` are given.
    root_block: the default root.
    scope: the default scope, `name` if None.
    units: the number of units in each block.
    base_depth: that of the first block; each next block doubles it.
    begins_with_stride: whether all blocks but the first begin with their
      stride, as in [1]; else all but the last end with it, as in TF-Slim.
    image_size: the default one, in pixels.
    **unit_options: more keyword arguments of the function, which every unit
      gets, with their defaults.
  """
  default_scope = scope or name
  make_blocks = _blocks(
    block_fn, lambda: units or UNITS[depth], base_depth, begins_with_stride
  )

  def resnet_fn(
    inputs: tf.Tensor,
    num_classes: int | None = None,
    is_training: bool | None = True,
    global_pool: bool = True,
    output_stride: int | None = None,
    spatial_squeeze: bool = True,
    store_non_strided_activations: bool = False,
    min_base_depth: int = 8,
    depth_multiplier: float = 1,
    reuse: bool | None = None,
    scope: str = default_scope,
    multi_grid: Sequence[int] | None = None,
    root_block: str = root_block,
    **given: Any,
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    for option in given.keys() - unit_options.keys():
      raise TypeError(f'{name}() has no argument {option!r}.')
    blocks = make_blocks(
      min_base_depth, depth_multiplier, multi_grid, **unit_options | given
    )
    return family_fn(
      inputs,
      blocks,
      num_classes,
      is_training,
      global_pool,
      output_stride,
      True,
      spatial_squeeze,
      store_non_strided_activations,
      reuse,
      scope,
      root_block,
    )

  resnet_fn = as_it_is(resnet_fn)
  resnet_fn.__name__ = resnet_fn.__qualname__ = name
  resnet_fn.__module__ = family_fn.__module__
  resnet_fn.__doc__ = _NETWORK_DOC.format(
    name=name,
    family=family_fn.__name__,
    options=' and '.join(unit_options) or 'there is none that',
  )
  vars(resnet_fn).update(
    __signature__=_signature(resnet_fn, unit_options),
    default_image_size=image_size,
    default_scope=default_scope,
    root_block=root_block,
    blocks=make_blocks,
    unit_options=unit_options,
    generator=family_fn,
  )
  return resnet_fn


def _signature(function, unit_options):
  """Returns a signature with the options' names in place of **given."""
  signature = inspect.signature(function)
  *named, _ = signature.parameters.values()
  return signature.replace(
    parameters=[
      *named,
      *(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in unit_options.items()
      ),
    ]
  )
