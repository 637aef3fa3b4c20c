"""Residual networks for images of 32x32, of any depth.

  [1] He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition.
      arXiv:1512.03385, 2015
  [2] He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks.
      arXiv:1603.05027, 2016

Three blocks of n units each, whose activations are 32x32, 16x16 and 8x8:

  cifar_residual_N    [1], section 4.2: N = 6n + 2, shortcuts of option A
  cifar_plain_N       the same without shortcuts
  cifar_highway_N     the same with a gate on every shortcut
  cifar_resnet_v1_N   version 1 of Keras's CIFAR-10 script: N = 6n + 2
  cifar_resnet_v2_N   its version 2, bottlenecks with pre-activation: N = 9n + 2

Those of the Keras script have its biases, its batch norm and its padding. A
strided convolution of theirs pads inputs of an even size at their end only, so
dense features, which have no stride, equal the strided ones only for odd sizes.

Every depth is an attribute of this module:

>>> import tensorflow.compat.v1 as tf
>>> from nets import resnet_cifar
>>> from nets.slim_compat import slim
>>> with tf.Graph().as_default():
...   with slim.arg_scope(resnet_cifar.resnet_arg_scope()):
...     logits, _ = resnet_cifar.cifar_resnet_v1_14(
...         tf.placeholder(tf.float32, [None, 32, 32, 3]), 10)
>>> print(logits.shape)
(None, 10)
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import registry, resnet_generator, resnet_utils, resnet_v1
from nets.layers import dilation
from nets.resnet_utils import BARE
from nets.slim_compat import slim


def _biased_batch_norm(inputs, **options):
  """Adds biases before batch norm, as the convolutions of Keras do."""
  biases = slim.model_variable(
    'biases', [inputs.shape.as_list()[-1]], initializer=tf.zeros_initializer()
  )
  return slim.batch_norm(tf.nn.bias_add(inputs, biases), **options)


def resnet_arg_scope(
  weight_decay: float = 0.0001,
  batch_norm_decay: float = 0.99,
  batch_norm_epsilon: float = 1e-3,
  **options: Any,
) -> dict:
  """Returns the arg scope of the Keras script's networks.

  Args:
    weight_decay: the L2 weight of every convolution's kernel; L2 in Keras is
      twice that of TensorFlow, so its 1e-4 is 2e-4 here.
    batch_norm_decay: how much of a moving average a step keeps, in [0, 1).
    batch_norm_epsilon: added to the variance.
    **options: more arguments of `resnet_utils.resnet_arg_scope`.
  """
  scope = resnet_utils.resnet_arg_scope(
    weight_decay, batch_norm_decay, batch_norm_epsilon, **options
  )
  if not options.get('use_batch_norm', True):
    return scope
  with (
    slim.arg_scope(scope),
    slim.arg_scope([slim.conv2d], normalizer_fn=_biased_batch_norm) as scope,
  ):
    return scope


def _conv2d(inputs, depth, kernel_size, scope, stride=1, rate=1, **options):
  if stride == 1:
    return dilation.conv2d(
      inputs, depth, kernel_size, rate=rate, scope=scope, **options
    )
  return slim.conv2d(
    inputs, depth, kernel_size, stride=stride, scope=scope, **options
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
  """The unit of the Keras script's version 1.

  Its projections have no batch norm. Arguments and result are those of
  `resnet_v1.basic`.
  """
  rate *= unit_rate
  with tf.variable_scope(scope, basic.default_scope, [inputs]) as sc:
    residual = _conv2d(inputs, depth, 3, 'conv1', stride, rate)
    residual = _conv2d(
      residual,
      depth,
      3,
      'conv2',
      activation_fn=None,
      rate=resnet_utils.rate_behind(rate, stride, nominal_stride),
    )
    if depth != inputs.shape.as_list()[-1] or nominal_stride > 1:
      inputs = _conv2d(inputs, depth, 1, 'shortcut', stride, **BARE)
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, tf.nn.relu(inputs + residual)
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
  nominal_stride: int = 1,
  projects: bool = False,
  preactivates: bool = True,
) -> tf.Tensor:
  """The unit of the Keras script's version 2: BN, ReLU, convolution, thrice.

  Args:
    inputs: float [batch, height, width, channels].
    depth: the number of output channels.
    depth_bottleneck: the number of channels of the first two convolutions.
    stride: the ratio of input to output resolution; the first convolution
      and the projection have it.
    rate: the dilation rate that the network asks of this unit.
    outputs_collections: the collection that gets the output.
    scope: the variable scope.
    unit_rate: this unit's own factor on `rate`.
    nominal_stride: what `stride` is where the network is not made dense.
    projects: whether the shortcut is a convolution, of the raw inputs.
    preactivates: whether the first convolution has its BN and ReLU; the first
      unit of the network, which follows those of the root, has none.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].
  """

  def layer(net, channels, kernel_size, scope, normalize=True, **options):
    if normalize:
      net = slim.batch_norm(
        net, activation_fn=tf.nn.relu, scope=f'{scope}/preact'
      )
    return _conv2d(net, channels, kernel_size, scope, **options, **BARE)

  rate = resnet_utils.rate_behind(rate * unit_rate, stride, nominal_stride)
  with tf.variable_scope(scope, bottleneck.default_scope, [inputs]) as sc:
    residual = layer(
      inputs, depth_bottleneck, 1, 'conv1', preactivates, stride=stride
    )
    residual = layer(residual, depth_bottleneck, 3, 'conv2', rate=rate)
    residual = layer(residual, depth, 1, 'conv3')
    if projects:
      inputs = _conv2d(inputs, depth, 1, 'shortcut', stride, **BARE)
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, inputs + residual
    )


basic.default_scope = 'basic_v1'
bottleneck.default_scope = 'bottleneck_v2'


def _bottleneck_block(scope, base_depth, num_units, stride, unit_rates=None):
  """A block of the Keras script's version 2; the first one has no stride.

  Its bottleneck has as many channels as what enters the block, which the root
  makes a quarter, and a block before it half, of what leaves it.
  """
  first = stride == 1
  unit = {
    'depth': 4 * base_depth,
    'stride': 1,
    'depth_bottleneck': base_depth if first else 2 * base_depth,
  }
  begin = {
    'stride': stride,
    'nominal_stride': stride,
    'projects': True,
    'preactivates': not first,
  }
  return resnet_utils.rated_block(
    scope,
    bottleneck,
    [{**unit, **begin}, *[unit] * (num_units - 1)],
    unit_rates,
  )


_pre_activated = resnet_generator.family(
  'cifar_resnet_v2', __name__, preactivation=True, normalized_root=True
)


class Family(NamedTuple):
  """Networks that differ by their depth.

  Fields:
    layers: how many a unit in each of the three blocks adds to the depth; the
      first convolution and the logits add two.
    depths: those of the registry.
    generator: what `resnet_generator.family` returned.
    block: makes a block.
    arg_scope: returns the arg scope to build them under.
    biased: whether that keeps biases before batch norm.
    unit_options: see `resnet_generator.network`.
  """

  layers: int
  depths: tuple[int, ...]
  generator: Callable
  block: Callable
  arg_scope: Callable[..., dict]
  biased: bool = False
  unit_options: Mapping[str, Any] = {}

  def depth(self, units: int) -> int:
    """Returns the number of layers of blocks of so many units."""
    return self.layers * units + 2


def _of(unit):
  return functools.partial(resnet_utils.basic_block, unit)


FAMILIES = {
  'cifar_resnet_v1': Family(
    6,
    (20, 32, 44, 56, 110),
    resnet_v1.resnet_v1,
    _of(basic),
    resnet_arg_scope,
    biased=True,
  ),
  'cifar_resnet_v2': Family(
    9,
    (29, 56, 110, 164, 1001),
    _pre_activated,
    _bottleneck_block,
    resnet_arg_scope,
    biased=True,
  ),
  'cifar_residual': Family(
    6,
    (20, 32, 44, 56, 110),
    resnet_v1.resnet_v1,
    _of(resnet_v1.basic),
    resnet_v1.resnet_arg_scope,
    unit_options={'shortcut': 'A'},
  ),
  'cifar_plain': Family(
    6,
    (20, 32, 44, 56),
    resnet_v1.resnet_v1,
    _of(resnet_v1.plain),
    resnet_utils.resnet_arg_scope,
  ),
  'cifar_highway': Family(
    6,
    (20, 32, 44, 56),
    resnet_v1.resnet_v1,
    _of(resnet_v1.highway),
    resnet_utils.resnet_arg_scope,
    unit_options={'shortcut': 'A'},
  ),
}


@functools.cache
def network(family: str, depth: int) -> Callable:
  """Returns the network function of a key of `FAMILIES` and a depth.

  Raises:
    ValueError: there is no such family, or none of that depth; the nearest
      are named.
  """
  found = registry.entry('CIFAR network', FAMILIES, family)
  units, rest = divmod(depth - found.depth(0), found.layers)
  if rest or units < 1:
    below = found.depth(max(units, 1))
    raise ValueError(
      f'There is no network named {family}_{depth}: the depth must be '
      f'{found.layers}n + 2. The nearest are {family}_{below} and '
      f'{family}_{below + found.layers}.'
    )
  return resnet_generator.network(
    found.generator,
    found.block,
    f'{family}_{depth}',
    depth,
    'cifar',
    units=(units,) * 3,
    base_depth=16,
    begins_with_stride=True,
    image_size=32,
    **found.unit_options,
  )


def split(name: str) -> tuple[str, int] | None:
  """Returns the family and the depth that a name tells, None for another."""
  match = re.fullmatch(r'(\w+)_([1-9]\d*)', name)
  if not match or match[1] not in FAMILIES:
    return None
  return match[1], int(match[2])


def __getattr__(name):
  found = split(name)
  if not found:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  try:
    return network(*found)
  except ValueError as error:
    raise AttributeError(str(error)) from None
