"""Residual networks as first proposed: normalization after convolution.

  [1] He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition.
      arXiv:1512.03385, 2015
  [2] He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks.
      arXiv:1603.05027, 2016
  [3] Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for
      Semantic Image Segmentation. arXiv:1706.05587, 2017
  [4] Goyal et al.: Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour.
      arXiv:1706.02677, 2017
  [5] Srivastava, Greff, Schmidhuber: Highway Networks. arXiv:1505.00387, 2015
  [6] He, Zhang, Zhang, Zhang, Xie, Li: Bag of Tricks for Image Classification
      with Convolutional Neural Networks. arXiv:1812.01187, 2018

Plain networks, which have no shortcuts, and units whose shortcut has a gate are
here to compare with.

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

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import resnet_generator, resnet_utils
from nets.slim_compat import slim


@slim.add_arg_scope
def bottleneck(
  inputs: tf.Tensor,
  depth: int,
  depth_bottleneck: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  use_bounded_activations: bool = False,
  unit_rate: int = 1,
  zero_init_last_gamma: bool = False,
  nominal_stride: int = 1,
  shortcut: str = 'B',
  groups: int = 1,
) -> tf.Tensor:
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
    nominal_stride: what `stride` is where the network is not made dense.
    shortcut: a name in `SHORTCUTS`.
    groups: the number of groups of channels of the 3x3 convolution, a divisor
      of `depth_bottleneck`; see `nets.layers.grouped`.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].

  Raises:
    ValueError: an unknown `shortcut`, or `groups` is no such divisor.
  """
  bound = use_bounded_activations
  with tf.variable_scope(scope, bottleneck.default_scope, [inputs]) as sc:
    kept = _shortcut(
      shortcut, inputs, depth, stride, bound, rate, nominal_stride
    )
    residual = slim.conv2d(inputs, depth_bottleneck, [1, 1], scope='conv1')
    residual = resnet_utils.conv2d_same(
      residual,
      depth_bottleneck,
      3,
      stride,
      rate=rate * unit_rate,
      scope='conv2',
      groups=groups,
    )
    with _last_gamma(zero_init_last_gamma):
      residual = slim.conv2d(
        residual, depth, [1, 1], activation_fn=None, scope='conv3'
      )
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, _add(kept, residual, bound)
    )


def _last_gamma(zero):
  """The arg scope of a unit's last convolution."""
  if not zero:
    return contextlib.nullcontext()
  return slim.arg_scope(
    [slim.batch_norm], param_initializers={'gamma': tf.zeros_initializer()}
  )


def _add(shortcut, residual, bound=False):
  if bound:
    return tf.nn.relu6(shortcut + tf.clip_by_value(residual, -6.0, 6.0))
  return tf.nn.relu(shortcut + residual)


def _pad(inputs, depth, stride, _):
  return resnet_utils.pad_channels(
    resnet_utils.subsample(inputs, stride, 'shortcut'), depth
  )


def _project(inputs, depth, stride, bound):
  return slim.conv2d(
    inputs,
    depth,
    [1, 1],
    stride=stride,
    activation_fn=tf.nn.relu6 if bound else None,
    scope='shortcut',
  )


def _project_to_grow(inputs, depth, stride, bound):
  grows = depth != slim.utils.last_dimension(inputs.shape, min_rank=4)
  return (_project if grows else _pad)(inputs, depth, stride, bound)


class Shortcut(NamedTuple):
  """What a shortcut is where it cannot be the inputs themselves.

  Fields:
    function: makes it, `function(inputs, depth, stride, bound)`.
    pools: whether a 2x2 mean makes the stride, and not the function.
  """

  function: Callable[[tf.Tensor, int, int, bool], tf.Tensor]
  pools: bool = False


# The options of [1], section 4.1: new channels are zeros; or the shortcut is a
# convolution, where there are new channels, or everywhere. D is B behind a
# mean of the inputs that B would leave out: ResNet-D of [6], section 4.1.
SHORTCUTS = {
  'A': Shortcut(_pad),
  'B': Shortcut(_project_to_grow),
  'C': Shortcut(_project),
  'D': Shortcut(_project_to_grow, pools=True),
}


def _shortcut(
  option, inputs, depth, stride, bound=False, rate=1, nominal_stride=1
):
  if option not in SHORTCUTS:
    raise ValueError(
      f'shortcut={option!r} is unknown. It can be {", ".join(SHORTCUTS)}.'
    )
  chosen = SHORTCUTS[option]
  if chosen.pools and nominal_stride > 1:
    inputs, stride = resnet_utils.mean_pool(inputs, stride, rate), 1
  return chosen.function(inputs, depth, stride, bound)


def _two_convolutions(
  inputs, depth, stride, rate, nominal_stride, zero_init_last_gamma=False
):
  """Two 3x3 convolutions, the last without activation."""
  net = resnet_utils.conv2d_same(
    inputs, depth, 3, stride, rate=rate, scope='conv1'
  )
  with (
    _last_gamma(zero_init_last_gamma),
    slim.arg_scope([slim.conv2d], activation_fn=None),
  ):
    return resnet_utils.conv2d_same(
      net,
      depth,
      3,
      1,
      scope='conv2',
      rate=resnet_utils.rate_behind(rate, stride, nominal_stride),
    )


@slim.add_arg_scope
def basic(
  inputs: tf.Tensor,
  depth: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  use_bounded_activations: bool = False,
  unit_rate: int = 1,
  zero_init_last_gamma: bool = False,
  nominal_stride: int = 1,
  shortcut: str = 'B',
) -> tf.Tensor:
  """The residual unit of [1] of two 3x3 convolutions (figure 5, left).

  Args:
    inputs: float [batch, height, width, channels].
    depth: the number of output channels, not less than those of `inputs`.
    stride: the ratio of input to output resolution.
    rate: the dilation rate that the network asks of this unit.
    outputs_collections: the collection that gets the output.
    scope: the variable scope.
    use_bounded_activations: see `bottleneck`.
    unit_rate: this unit's own factor on `rate` ([3], multi-grid).
    zero_init_last_gamma: see `bottleneck`.
    nominal_stride: what `stride` is where the network is not made dense.
    shortcut: a name in `SHORTCUTS`.

  Returns:
    [batch, ceil(height / stride), ceil(width / stride), depth].

  Raises:
    ValueError: an unknown `shortcut`.
  """
  bound = use_bounded_activations
  with tf.variable_scope(scope, basic.default_scope, [inputs]) as sc:
    kept = _shortcut(
      shortcut, inputs, depth, stride, bound, rate, nominal_stride
    )
    residual = _two_convolutions(
      inputs,
      depth,
      stride,
      rate * unit_rate,
      nominal_stride,
      zero_init_last_gamma,
    )
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, _add(kept, residual, bound)
    )


@slim.add_arg_scope
def plain(
  inputs: tf.Tensor,
  depth: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  unit_rate: int = 1,
  nominal_stride: int = 1,
) -> tf.Tensor:
  """The two convolutions of `basic` without a shortcut ([1], figure 3).

  Arguments and result are those of `basic`.
  """
  with tf.variable_scope(scope, plain.default_scope, [inputs]) as sc:
    net = _two_convolutions(
      inputs, depth, stride, rate * unit_rate, nominal_stride
    )
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, tf.nn.relu(net)
    )


@slim.add_arg_scope
def highway(
  inputs: tf.Tensor,
  depth: int,
  stride: int,
  rate: int = 1,
  outputs_collections: str | None = None,
  scope: str | None = None,
  unit_rate: int = 1,
  nominal_stride: int = 1,
  shortcut: str = 'B',
  gate_bias: float = -3.0,
) -> tf.Tensor:
  """The unit `basic` with a learned gate T: relu(T * residual + (1 - T) * x).

  T = sigmoid(w * x + b) for every position and channel ([5], equation 3), by
  a 1x1 convolution, as He et al. gate residual units (arXiv:1603.05027,
  section 3.1, exclusive gating). Arguments and result are those of `basic`,
  with:

  Args:
    gate_bias: what b begins at; the lower, the more of x passes ([5],
      section 2.2 has -1 and -3).
  """
  with tf.variable_scope(scope, highway.default_scope, [inputs]) as sc:
    kept = _shortcut(
      shortcut, inputs, depth, stride, rate=rate, nominal_stride=nominal_stride
    )
    residual = _two_convolutions(
      inputs, depth, stride, rate * unit_rate, nominal_stride
    )
    gate = slim.conv2d(
      inputs,
      depth,
      [1, 1],
      stride=stride,
      activation_fn=tf.sigmoid,
      normalizer_fn=None,
      scope='gate',
      biases_initializer=tf.constant_initializer(gate_bias),
    )
    return slim.utils.collect_named_outputs(
      outputs_collections, sc.name, _add((1 - gate) * kept, gate * residual)
    )


for _unit in (bottleneck, basic, plain, highway):
  _unit.default_scope = f'{_unit.__name__}_v1'


def resnet_arg_scope(
  *args: Any, zero_init_last_gamma: bool = False, **options: Any
) -> dict:
  """Returns the arg scope that these networks are built under.

  Args:
    *args: those of `resnet_utils.resnet_arg_scope`.
    zero_init_last_gamma: see `bottleneck`; of no effect on `plain` and
      `highway`.
    **options: those of `resnet_utils.resnet_arg_scope`.

  Raises:
    ValueError: `zero_init_last_gamma` without any gamma.
  """
  scope = resnet_utils.resnet_arg_scope(*args, **options)
  if not zero_init_last_gamma:
    return scope
  given = (
    inspect.signature(resnet_utils.resnet_arg_scope)
    .bind(*args, **options)
    .arguments
  )
  for option in ('use_batch_norm', 'batch_norm_scale'):
    if not given.get(option, True):
      raise ValueError(
        'zero_init_last_gamma=True needs batch norm with a '
        f'gamma: leave {option}=False out.'
      )
  with (
    slim.arg_scope(scope),
    slim.arg_scope([bottleneck, basic], zero_init_last_gamma=True) as scope,
  ):
    return scope


resnet_v1 = resnet_generator.family('resnet_v1', __name__, preactivation=False)
resnet_v1_block = functools.partial(resnet_utils.bottleneck_block, bottleneck)
_network = functools.partial(
  resnet_generator.network, resnet_v1, resnet_v1_block
)
_basic_network, _plain_network = (
  functools.partial(
    resnet_generator.network,
    resnet_v1,
    functools.partial(resnet_utils.basic_block, unit),
    begins_with_stride=True,
  )
  for unit in (basic, plain)
)


def _strided_network(
  name, depth, groups=1, group_width=64, root_block='7x7_symmetric', **options
):
  """A network of bottlenecks as torchvision and timm have them."""
  return resnet_generator.network(
    resnet_v1,
    functools.partial(
      resnet_utils.strided_bottleneck_block,
      bottleneck,
      groups=groups,
      group_width=group_width,
    ),
    name,
    depth,
    root_block,
    begins_with_stride=True,
    **{'shortcut': 'B', **options},
  )


# Those of [6], with its three changes: the root, the place of the stride, and
# the shortcut.
_tweaked: dict[str, Any] = {'root_block': 'deep', 'shortcut': 'D'}

resnet_v1_18 = _basic_network('resnet_v1_18', 18, shortcut='B')
resnet_v1_34 = _basic_network('resnet_v1_34', 34, shortcut='B')
plain_18 = _plain_network('plain_18', 18)
plain_34 = _plain_network('plain_34', 34)

resnet_v1_50 = _network('resnet_v1_50', 50)
resnet_v1_101 = _network('resnet_v1_101', 101)
resnet_v1_152 = _network('resnet_v1_152', 152)
resnet_v1_200 = _network('resnet_v1_200', 200)

# DeepLab's variants share the scopes, and so the checkpoints' names, of the
# networks that they vary.
resnet_v1_50_beta = _network(
  'resnet_v1_50_beta', 50, root_block='beta', scope='resnet_v1_50'
)
resnet_v1_101_beta = _network(
  'resnet_v1_101_beta', 101, root_block='beta', scope='resnet_v1_101'
)

resnet_v1_5_50 = _strided_network('resnet_v1_5_50', 50)
resnet_v1_5_101 = _strided_network('resnet_v1_5_101', 101)
resnet_v1_5_152 = _strided_network('resnet_v1_5_152', 152)

resnet_v1d_18 = _basic_network('resnet_v1d_18', 18, **_tweaked)
resnet_v1d_34 = _basic_network('resnet_v1d_34', 34, **_tweaked)
resnet_v1d_50 = _strided_network('resnet_v1d_50', 50, **_tweaked)
resnet_v1d_101 = _strided_network('resnet_v1d_101', 101, **_tweaked)
resnet_v1d_152 = _strided_network('resnet_v1d_152', 152, **_tweaked)

wide_resnet_50_2 = _strided_network('wide_resnet_50_2', 50, group_width=128)
wide_resnet_101_2 = _strided_network('wide_resnet_101_2', 101, group_width=128)

# Groups of channels, and how many each has in the first block.
resnext_50_32x4d = _strided_network('resnext_50_32x4d', 50, 32, 4)
resnext_101_32x8d = _strided_network('resnext_101_32x8d', 101, 32, 8)
resnext_101_64x4d = _strided_network('resnext_101_64x4d', 101, 64, 4)
