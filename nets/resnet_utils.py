"""The building blocks of residual networks.

Residual networks were proposed in
  [1] He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition.
      arXiv:1512.03385, 2015
  [2] He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks.
      arXiv:1603.05027, 2016

A network is a list of `Block`s, each a list of residual units. The stride of a
block of bottlenecks sits on its last unit, not on the first of the next block:
both compute the same values, and this one has smaller activations.
"""

import collections
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets.layers import dilation, grouped
from nets.slim_compat import slim

# The arguments of a convolution without batch norm and activation.
BARE = {'activation_fn': None, 'normalizer_fn': None}


class Block(collections.namedtuple('Block', ['scope', 'unit_fn', 'args'])):
  """One residual block.

  Fields:
    scope: the variable scope of the block, e.g. 'block1'.
    unit_fn: the residual unit, called as `unit_fn(net, rate=r, **args[i])`.
    args: a list of dicts, one a unit, of keyword arguments for `unit_fn`;
      'stride' (1 if absent) is also read by `stack_blocks_dense`.
  """

  __slots__ = ()


class Draws(NamedTuple):
  """What the draws of `dropout` are a function of.

  Fields:
    rate: the share of the values that become 0, in [0, 1); a number or a
      float32 scalar.
    seed: int in [0, 2**31), that of the training.
    number: int64 scalar, that of the batch in the training.
  """

  rate: Any
  seed: int
  number: tf.Tensor


@slim.add_arg_scope
def dropout(
  inputs: tf.Tensor, place: str, draws: Draws | None = None
) -> tf.Tensor:
  """Sets values to 0 at random, and divides the others by the share left.

  What is set to 0 (Srivastava et al., JMLR 15, 2014) is drawn for every value
  of the batch, from the numbers of `draws` and the place alone: no state has to
  be kept, and a batch that comes again is given the same values.

  Args:
    inputs: float.
    place: a name in the variable scope in force, since no two places of a
      network are to draw alike.
    draws: None, as everywhere outside of a training, returns `inputs`.

  Returns:
    A tensor like `inputs`.
  """
  if draws is None:
    return inputs
  graph = tf.get_default_graph()
  with graph.name_scope(None):  # which the name would begin with
    # That of a place that is built again has a number.
    name = graph.unique_name(f'draws/{tf.get_variable_scope().name}/{place}')
  with tf.name_scope('dropout'):
    key = zlib.crc32(name.encode()) << 31 | draws.seed
    drawn = tf.random.stateless_uniform(
      tf.shape(inputs), tf.stack([tf.constant(key, tf.int64), draws.number])
    )
    kept = tf.cast(drawn >= draws.rate, inputs.dtype)
    net = inputs * (kept / (1.0 - draws.rate))
    net.set_shape(inputs.shape)
    return net


def rated_block(
  scope: str,
  unit_fn: Callable,
  units: list[dict[str, Any]],
  unit_rates: Sequence[int] | None = None,
) -> Block:
  """Returns the block of some units, dilated.

  Args:
    scope: the scope of the block.
    unit_fn: the unit.
    units: the arguments of each unit.
    unit_rates: a dilation factor for each unit, all 1 if None.

  Raises:
    ValueError: not as many `unit_rates` as units.
  """
  rates = (1,) * len(units) if unit_rates is None else tuple(unit_rates)
  if len(rates) != len(units):
    raise ValueError(
      f'{scope} has {len(units)} units and needs as many rates, but '
      f'{len(rates)} are given: {list(rates)}.'
    )
  return Block(
    scope,
    unit_fn,
    [
      {**unit, **({'unit_rate': rate} if rate != 1 else {})}
      for unit, rate in zip(units, rates, strict=True)
    ],
  )


def bottleneck_block(
  unit_fn: Callable,
  scope: str,
  base_depth: int,
  num_units: int,
  stride: int,
  unit_rates: Sequence[int] | None = None,
) -> Block:
  """Returns a block of bottleneck units with the stride on its last one.

  >>> block = bottleneck_block(None, 'block1', 64, num_units=3, stride=2)
  >>> [unit['stride'] for unit in block.args], block.args[0]['depth']
  ([1, 1, 2], 256)

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
  return rated_block(
    scope,
    unit_fn,
    [
      {
        'depth': base_depth * 4,
        'depth_bottleneck': base_depth,
        'stride': stride if i == num_units - 1 else 1,
      }
      for i in range(num_units)
    ],
    unit_rates,
  )


def strided_block(
  scope: str,
  unit_fn: Callable,
  unit: dict[str, Any],
  num_units: int,
  stride: int,
  unit_rates: Sequence[int] | None = None,
) -> Block:
  """Returns a block of equal units, the first of which has the stride.

  Args:
    scope: the scope of the block.
    unit_fn: the unit; its argument `nominal_stride` is what `stride` is where
      the network is not made dense.
    unit: the other arguments of every unit.
    num_units: the number of units.
    stride: the stride of the first unit; the others have stride 1.
    unit_rates: a dilation factor for each unit, all 1 if None.

  Raises:
    ValueError: not as many `unit_rates` as units.
  """
  strided = {'stride': stride, 'nominal_stride': stride}
  return rated_block(
    scope,
    unit_fn,
    [{**unit, **({'stride': 1} if i else strided)} for i in range(num_units)],
    unit_rates,
  )


def strided_bottleneck_block(
  unit_fn: Callable,
  scope: str,
  base_depth: int,
  num_units: int,
  stride: int,
  unit_rates: Sequence[int] | None = None,
  groups: int = 1,
  group_width: int = 64,
  **unit_options: Any,
) -> Block:
  """Returns a block of bottleneck units with the stride on its first one.

  Its 3x3 convolution has it, as in torchvision, which is another network than
  that of `bottleneck_block` (known as version 1.5). The bottleneck has
  `groups` groups of channels (Xie et al., arXiv:1611.05431), and is wider than
  that of [1] by their number and width (Zagoruyko and Komodakis,
  arXiv:1605.07146).

  >>> block = strided_bottleneck_block(
  ...   None, 'block2', 128, num_units=2, stride=2, groups=32, group_width=4)
  >>> [unit['stride'] for unit in block.args]
  [2, 1]
  >>> block.args[0]['depth'], block.args[0]['depth_bottleneck']
  (512, 256)

  Args:
    unit_fn: the unit.
    scope: the scope of the block.
    base_depth: a quarter of the number of output channels.
    num_units: the number of units.
    stride: the stride of the first unit; the others have stride 1.
    unit_rates: a dilation factor for each unit, all 1 if None.
    groups: the number of groups of the 3x3 convolutions.
    group_width: the channels of a group where `base_depth` is 64; as many
      times more or less elsewhere, but 1 at least.
    **unit_options: more arguments of every unit.

  Raises:
    ValueError: not as many `unit_rates` as units.
  """
  unit = {
    'depth': base_depth * 4,
    'depth_bottleneck': max(base_depth * group_width // 64, 1) * groups,
    **({'groups': groups} if groups > 1 else {}),
    **unit_options,
  }
  return strided_block(scope, unit_fn, unit, num_units, stride, unit_rates)


def basic_block(
  unit_fn: Callable,
  scope: str,
  base_depth: int,
  num_units: int,
  stride: int,
  unit_rates: Sequence[int] | None = None,
  **unit_options: Any,
) -> Block:
  """Returns a block of basic units with the stride on its first one.

  There [1] has it. On the last unit of the block before it would be another
  network, other than for bottlenecks, whose blocks begin with a 1x1
  convolution.

  >>> block = basic_block(None, 'block2', 128, num_units=2, stride=2)
  >>> [unit['stride'] for unit in block.args], block.args[0]['depth']
  ([2, 1], 128)

  Args:
    unit_fn: the unit.
    scope: the scope of the block.
    base_depth: the depth of the units.
    num_units: the number of units.
    stride: the stride of the first unit; the others have stride 1.
    unit_rates: a dilation factor for each unit, all 1 if None.
    **unit_options: more arguments of every unit.

  Raises:
    ValueError: not as many `unit_rates` as units.
  """
  unit = {'depth': base_depth, **unit_options}
  return strided_block(scope, unit_fn, unit, num_units, stride, unit_rates)


def subsample(
  inputs: tf.Tensor, factor: int, scope: str | None = None
) -> tf.Tensor:
  """Keeps every `factor`-th row and column, from the first on.

  Args:
    inputs: [batch, height, width, channels].
    factor: 1 returns `inputs` as they are.
    scope: a name for the operation.

  Returns:
    [batch, ceil(height / factor), ceil(width / factor), channels].
  """
  if factor == 1:
    return inputs
  return slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def rate_behind(rate: int, stride: int, nominal_stride: int) -> int:
  """Returns the rate of what follows a convolution in its own unit.

  Where the convolution lacks its nominal stride, as in dense features, the
  next one is dilated by as much instead.

  >>> rate_behind(rate=1, stride=1, nominal_stride=2)
  2
  """
  return rate * max(nominal_stride // stride, 1)


def end_point(end_points: Mapping[str, tf.Tensor], name: str) -> tf.Tensor:
  """Returns the end point of a name that lacks the scopes around a network.

  Args:
    end_points: of a network, built in the variable scope in force.
    name: it begins with the scope of the network.
  """
  outer = tf.get_variable_scope().name
  return end_points[f'{outer}/{name}' if outer else name]


def mean_pool(inputs: tf.Tensor, stride: int, rate: int = 1) -> tf.Tensor:
  """Averages 2x2 positions, of which those beyond the border do not count.

  Equal to the same pooling at stride 1 followed by `subsample(net, stride)`;
  at a rate it is that of each of the features that lie in between.

  Args:
    inputs: float [batch, height, width, channels].
    stride: the output stride.
    rate: the distance of the two rows, and of the two columns; one of
      `stride` and `rate` must be 1.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), channels].
  """
  if rate == 1:
    return tf.nn.avg_pool2d(inputs, 2, stride, 'SAME')
  rows = tf.concat([inputs[:, rate:], inputs[:, -rate:]], 1)
  net = (inputs + rows) / 2
  columns = tf.concat([net[:, :, rate:], net[:, :, -rate:]], 2)
  return (net + columns) / 2


def pad_channels(inputs: tf.Tensor, depth: int) -> tf.Tensor:
  """Appends channels of zeros, up to `depth` of them in all.

  Raises:
    ValueError: there are more than `depth` already.
  """
  more = depth - inputs.shape.as_list()[-1]
  if more < 0:
    raise ValueError(
      f'A shortcut of zeros (option A) cannot make {depth} channels of '
      f"{inputs.shape[-1]}: take shortcut='B', or a wider network."
    )
  return tf.pad(inputs, [[0, 0]] * 3 + [[0, more]]) if more else inputs


def conv2d_same(
  inputs: tf.Tensor,
  num_outputs: int,
  kernel_size: int,
  stride: int,
  rate: int = 1,
  scope: str | None = None,
  groups: int = 1,
) -> tf.Tensor:
  """A convolution that pads alike whatever its stride and input size.

  Equal to the same convolution at stride 1 followed by
  `subsample(net, stride)`. TensorFlow's own strided 'SAME' is not: it pads
  inputs of an even size at their end only.

  Args:
    inputs: float [batch, height, width, channels].
    num_outputs: the number of filters.
    kernel_size: height and width of the kernel.
    stride: the output stride.
    rate: the dilation; one of `stride` and `rate` must be 1.
    scope: the variable scope.
    groups: the number of groups of channels; see `grouped.conv2d`.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), num_outputs].

  Raises:
    ValueError: both `stride` and `rate` are above 1, or `groups` does not
      divide the channels.
  """
  one, strided = dilation.conv2d, slim.conv2d
  if groups > 1:
    one = strided = functools.partial(grouped.conv2d, groups=groups)
  if stride == 1:
    return one(
      inputs, num_outputs, kernel_size, rate=rate, padding='SAME', scope=scope
    )
  if rate > 1:
    raise ValueError(
      f'A convolution cannot have stride {stride} and rate {rate} at once: '
      'set the stride of the unit to 1, or its rate to 1.'
    )
  before = (kernel_size - 1) // 2
  margin = [before, kernel_size - 1 - before]
  inputs = tf.pad(inputs, [[0, 0], margin, margin, [0, 0]])
  return strided(
    inputs,
    num_outputs,
    kernel_size,
    stride=stride,
    padding='VALID',
    scope=scope,
  )


def reachable_strides(blocks: Sequence[Block], root: int = 1) -> list[int]:
  """Returns every output stride that `blocks` reach behind a root's stride.

  >>> blocks = [
  ...   bottleneck_block(None, f'block{i}', 64, 2, stride) for i, stride in
  ...   enumerate([2, 2, 2, 1], 1)]
  >>> reachable_strides(blocks, root=4)
  [4, 8, 16, 32]
  """
  strides = [root]
  for block in blocks:
    for unit in block.args:
      strides.append(strides[-1] * unit.get('stride', 1))
  return sorted(set(strides))


def check_output_stride(
  output_stride: int | None, blocks: Sequence[Block], root: int = 1
) -> None:
  """Raises ValueError if `output_stride` is none of `reachable_strides`."""
  valid = reachable_strides(blocks, root)
  if output_stride is None or output_stride in valid:
    return
  reason = 'cannot be reached'
  if root > 1 and output_stride % root:
    reason = f'is not a multiple of {root}, the stride of the root block'
  raise ValueError(
    f'The target output_stride={output_stride} {reason}: pass one of '
    f'{", ".join(map(str, valid))}, or None for the nominal {valid[-1]}.'
  )


@slim.add_arg_scope
def stack_blocks_dense(
  net: tf.Tensor,
  blocks: Sequence[Block],
  output_stride: int | None = None,
  store_non_strided_activations: bool = False,
  outputs_collections: str | None = None,
) -> tf.Tensor:
  """Stacks `blocks`, by atrous convolution once `output_stride` is reached.

  From there on a unit's stride becomes the dilation rate of all that follow,
  so that the features of the nominal stride are computed at more positions:
  subsampled, they are the nominal ones (Chen et al., arXiv:1606.00915).

  Args:
    net: float [batch, height, width, channels].
    blocks: the `Block`s to stack.
    output_stride: the ratio of input to output resolution, a product of the
      units' strides from the start up to some unit; None for all of them.
    store_non_strided_activations: subsample at the end of a block instead of
      in its last unit, so that the block's end point has the resolution of
      its input; up to four times the work in that unit.
    outputs_collections: the collection that gets each block's output.

  Returns:
    Features [batch, ceil(height / s), ceil(width / s), depth], s the stride.

  Raises:
    ValueError: `output_stride` is not such a product.
  """
  check_output_stride(output_stride, blocks)
  current_stride, rate = 1, 1
  for block in blocks:
    with tf.variable_scope(block.scope, 'block', [net]) as sc:
      block_stride = 1
      for i, unit in enumerate(block.args):
        stride = unit.get('stride', 1)
        if store_non_strided_activations and i == len(block.args) - 1:
          block_stride, stride = stride, 1
        dense = current_stride == output_stride
        with tf.variable_scope(f'unit_{i + 1}', values=[net]):
          net = block.unit_fn(
            net,
            rate=rate if dense else 1,
            **dict(unit, stride=1 if dense else stride),
          )
        if dense:
          rate *= stride
        else:
          current_stride *= stride
      net = slim.utils.collect_named_outputs(outputs_collections, sc.name, net)
      if current_stride == output_stride:
        rate *= block_stride
      else:
        net = subsample(net, block_stride)
        current_stride *= block_stride
  return net


def resnet_arg_scope(
  weight_decay: float = 0.0001,
  batch_norm_decay: float = 0.997,
  batch_norm_epsilon: float = 1e-5,
  batch_norm_scale: bool = True,
  activation_fn: Callable | None = tf.nn.relu,
  use_batch_norm: bool = True,
  batch_norm_updates_collections: str | None = tf.GraphKeys.UPDATE_OPS,
  draws: Draws | None = None,
) -> dict:
  """Returns the arg scope that residual networks are built under.

  Args:
    weight_decay: the L2 weight of every convolution's kernel.
    batch_norm_decay: how much of a moving average a step keeps, in [0, 1).
      The published 0.997 forgets the initial values only after thousands of
      steps: lower it (0.9) for runs of a few hundred.
    batch_norm_epsilon: added to the variance.
    batch_norm_scale: whether batch norm learns a `gamma`.
    activation_fn: the activation after a normalized convolution.
    use_batch_norm: False gives convolutions biases instead.
    batch_norm_updates_collections: the collection that gets the updates of
      the moving averages; None makes them part of the forward pass.
    draws: those of `dropout` before the logits; None for none.
  """
  batch_norm_params = {
    'decay': batch_norm_decay,
    'epsilon': batch_norm_epsilon,
    'scale': batch_norm_scale,
    'updates_collections': batch_norm_updates_collections,
    'fused': None,  # fused wherever it can be
  }
  with slim.arg_scope(
    [slim.conv2d],
    weights_regularizer=slim.l2_regularizer(weight_decay),
    weights_initializer=slim.variance_scaling_initializer(),
    activation_fn=activation_fn,
    normalizer_fn=slim.batch_norm if use_batch_norm else None,
    normalizer_params=batch_norm_params,
  ):
    with (
      slim.arg_scope([slim.batch_norm], **batch_norm_params),
      slim.arg_scope([dropout], draws=draws),
    ):
      # 'SAME' in pool1 keeps the corners of features and image aligned, which
      # dense prediction needs; the Caffe networks of [1] pad with 'VALID'.
      with slim.arg_scope([slim.max_pool2d], padding='SAME') as scope:
        return scope
