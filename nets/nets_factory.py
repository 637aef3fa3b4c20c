"""The registry of networks: every name that --model_name takes."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import (
  registry,
  resnet_cifar,
  resnet_generator,
  resnet_utils,
  resnet_v1,
  resnet_v2,
)
from nets.slim_compat import slim


class Released(NamedTuple):
  """What TF-Slim's ImageNet checkpoint of a network expects.

  Fields:
    num_classes: its number of logits, by which it is known.
    image_size: the height and width it was measured with, in pixels.
    labels_offset: what is subtracted from ImageNet's labels 0 to 1000.
  """

  num_classes: int
  image_size: int
  labels_offset: int


class LowLevelFeature(NamedTuple):
  """The feature of finer resolution that a decoder joins with the last ones.

  Fields:
    end_point: its key in the network's end points.
    stride: the ratio of the image's resolution to its own, rounded up.
    channels: how many it has.
  """

  end_point: str
  stride: int
  channels: int


class Option(NamedTuple):
  """An option of networks whose values have names.

  Fields:
    default: what the network has if nothing else is said.
    values: the names of all that it can be.
  """

  default: str
  values: tuple[str, ...]


# The names of the values of each option, in the order of the networks'
# arguments. A network has those that its entry lists.
OPTIONS: dict[str, tuple[str, ...]] = {
  'root_block': tuple(resnet_generator.ROOT_BLOCKS),
  'shortcut': tuple(resnet_v1.SHORTCUTS),
}


class Network(NamedTuple):
  """What the registry knows of a network, without building it.

  `Network.of` makes an entry from a network function.

  Fields:
    name: by which `get_network` finds it.
    function: builds it, `function(images, num_classes, is_training, ...)`.
    arg_scope: returns the arg scope to build it under.
    preprocessing: the name of the preprocessing it was published with.
    default_image_size: the height and width of its images, in pixels.
    default_scope: what its variables' names begin with.
    blocks: returns its list of `resnet_utils.Block`, `blocks(min_base_depth,
      depth_multiplier, multi_grid, **unit_options)`, all of them optional.
    unit: the scope of its units, such as 'bottleneck_v1', which tells them.
    options: of `OPTIONS` those that `function` takes, by their names.
    biased: whether convolutions keep biases before their batch norm.
    released: TF-Slim's checkpoint, None if there is none.
  """

  name: str
  function: Callable[..., tuple[tf.Tensor, dict[str, tf.Tensor]]]
  arg_scope: Callable[..., dict]
  preprocessing: str
  default_image_size: int
  default_scope: str
  blocks: Callable[..., list[resnet_utils.Block]]
  unit: str
  options: Mapping[str, Option]
  biased: bool = False
  released: Released | None = None

  @classmethod
  def of(
    cls,
    function: Any,
    arg_scope: Callable[..., dict],
    preprocessing: str,
    released: Released | None = None,
    biased: bool = False,
  ) -> 'Network':
    """Returns the entry of a function that `resnet_generator.network` made.

    Args:
      function: or a `functools.partial` of one, with what
        `functools.update_wrapper` copies.
      arg_scope: see the fields, as all others.
    """
    defaults = {'root_block': function.root_block, **function.unit_options}
    return cls(
      function.__name__,
      function,
      arg_scope,
      preprocessing,
      function.default_image_size,
      function.default_scope,
      function.blocks,
      function.blocks()[0].unit_fn.default_scope,
      {
        name: Option(defaults[name], values)
        for name, values in OPTIONS.items()
        if name in defaults
      },
      biased,
      released,
    )

  @property
  def root_block(self) -> str:
    """A key of `resnet_generator.ROOT_BLOCKS`."""
    return self.options['root_block'].default

  @property
  def zero_inits_last_gamma(self) -> bool:
    """Whether the arg scope has the option `zero_init_last_gamma`."""
    return (
      'zero_init_last_gamma' in inspect.signature(self.arg_scope).parameters
    )


def _v1(function, released=None, preprocessing='vgg'):
  return Network.of(
    function, resnet_v1.resnet_arg_scope, preprocessing, released
  )


def _beta(function):
  # DeepLab feeds them values in [-1, 1], and the others those less the mean.
  return _v1(function, preprocessing='inception')


def _v2(function, released=None):
  return Network.of(function, resnet_v2.resnet_arg_scope, 'inception', released)


def _plain(function):
  return Network.of(function, resnet_utils.resnet_arg_scope, 'vgg')


def _of_family(name, depth):
  family = resnet_cifar.FAMILIES[name]
  return Network.of(
    resnet_cifar.network(name, depth),
    family.arg_scope,
    'cifar',
    biased=family.biased,
  )


_V1_2016 = Released(1000, 224, 1)
_V2_2017 = Released(1001, 299, 0)


NETWORKS: dict[str, Network] = {
  'resnet_v1_18': _v1(resnet_v1.resnet_v1_18),
  'resnet_v1_34': _v1(resnet_v1.resnet_v1_34),
  'resnet_v1_50': _v1(resnet_v1.resnet_v1_50, _V1_2016),
  'resnet_v1_101': _v1(resnet_v1.resnet_v1_101, _V1_2016),
  'resnet_v1_152': _v1(resnet_v1.resnet_v1_152, _V1_2016),
  'resnet_v1_200': _v1(resnet_v1.resnet_v1_200),
  'resnet_v1_50_beta': _beta(resnet_v1.resnet_v1_50_beta),
  'resnet_v1_101_beta': _beta(resnet_v1.resnet_v1_101_beta),
  'resnet_v2_18': _v2(resnet_v2.resnet_v2_18),
  'resnet_v2_34': _v2(resnet_v2.resnet_v2_34),
  'resnet_v2_50': _v2(resnet_v2.resnet_v2_50, _V2_2017),
  'resnet_v2_101': _v2(resnet_v2.resnet_v2_101, _V2_2017),
  'resnet_v2_152': _v2(resnet_v2.resnet_v2_152, _V2_2017),
  'resnet_v2_200': _v2(resnet_v2.resnet_v2_200),
  'plain_18': _plain(resnet_v1.plain_18),
  'plain_34': _plain(resnet_v1.plain_34),
  **{
    f'{name}_{depth}': _of_family(name, depth)
    for name, family in resnet_cifar.FAMILIES.items()
    for depth in family.depths
  },
}

networks_map = {name: net.function for name, net in NETWORKS.items()}
arg_scopes_map = {name: net.arg_scope for name, net in NETWORKS.items()}


def get_network(name: str) -> Network:
  """Returns a network by its name.

  >>> network = get_network('cifar_residual_26')
  >>> network.preprocessing, network.unit, network.options['shortcut'].default
  ('cifar', 'basic_v1', 'A')

  Args:
    name: a key of `NETWORKS`, or one of another depth of the families in
      `resnet_cifar.FAMILIES`.

  Raises:
    ValueError: there is none; the nearest names and all are listed.
  """
  sized = resnet_cifar.split(name)
  if sized and name not in NETWORKS:
    return _of_family(*sized)
  return registry.entry('network', NETWORKS, name)


def names(units: int | None = None) -> list[str]:
  """Returns the names of all networks in `NETWORKS`, then of some others.

  >>> [name for name in names(units=4) if name not in NETWORKS]
  ['cifar_resnet_v1_26', 'cifar_resnet_v2_38', 'cifar_residual_26', \
'cifar_plain_26', 'cifar_highway_26']

  Args:
    units: the others are the networks of `resnet_cifar.FAMILIES` whose blocks
      have so many units each; None or 0 for no others.
  """
  more = [
    f'{name}_{family.depth(units)}'
    for name, family in resnet_cifar.FAMILIES.items()
    if units
  ]
  return list(dict.fromkeys([*NETWORKS, *more]))


def check_zero_init(name: str) -> None:
  """Raises ValueError if the units of network `name` end without a gamma."""
  if not get_network(name).zero_inits_last_gamma:
    known = [n for n, net in NETWORKS.items() if net.zero_inits_last_gamma]
    raise ValueError(
      f'zero_init_last_gamma: the units of {name} do not end with a batch '
      'norm that could begin at 0. Leave it out, or take one of '
      f'{", ".join(known)}.'
    )


def low_level_feature(
  name: str,
  scope: str | None = None,
  root_block: str | None = None,
  residual: bool = False,
  stride: int | None = None,
  **options: Any,
) -> LowLevelFeature:
  """Returns where network `name` has the feature that decoders refine with.

  It is the output of the last unit of block1 before the first stride of the
  blocks (arXiv:1802.02611, section 3.1: Conv2 before striding), and has the
  same resolution whatever the network's `output_stride`. DeepLab's own code
  takes the last convolution of that unit, before the addition.

  >>> feature = low_level_feature('resnet_v2_101')
  >>> feature.end_point, feature.stride, feature.channels
  ('resnet_v2_101/block1/unit_2/bottleneck_v2', 4, 256)
  >>> low_level_feature('resnet_v1_50_beta', stride=2).end_point
  'resnet_v1_50/conv1_3'

  Args:
    name: see `get_network`.
    scope: the scope that the network was built in, its own if None; with the
      variable scopes around it, if any, as in all end points.
    root_block: that of the network, its own if None.
    residual: whether to take that last convolution.
    stride: that of the feature, None for that of block1; a root that ends
      with a pooling has one of half the stride, its last convolution.
    **options: `min_base_depth`, `depth_multiplier` and whatever else its
      `blocks` take, if the network is built with them.

  Raises:
    ValueError: there is no such network, it strides from the start, or it has
      no feature of that stride.
  """
  network = get_network(name)
  root = resnet_generator.get_root(root_block or network.root_block)
  block = network.blocks(**options)[0]
  first = block.args[0]
  if first.get('stride', 1) != 1:
    raise ValueError(
      f'{name} has no low-level feature: the first unit of its '
      f'{block.scope} has a stride. Take a decoder that needs none, or '
      'another network.'
    )
  by_stride = {
    feature.stride: feature
    for feature in features(name, scope, root_block, **options)[::-1]
    if feature.stride <= root.stride
  }
  if stride is not None and stride not in by_stride:
    raise ValueError(
      f'{name} has no low-level feature at stride {stride}, but at '
      f'{" and ".join(map(str, by_stride))}.'
    )
  found = by_stride[stride or root.stride]
  if residual and found.stride == root.stride:
    last = 'conv3' if 'depth_bottleneck' in first else 'conv2'
    found = found._replace(end_point=f'{found.end_point}/{last}')
  return found


def features(
  name: str,
  scope: str | None = None,
  root_block: str | None = None,
  **options: Any,
) -> list[LowLevelFeature]:
  """Returns the last features of each resolution of a network, finest first.

  They are those of the root and of the units, as a U-Net joins them. Strides
  are nominal: with an `output_stride` the coarser of these features are finer.

  >>> [(each.end_point, each.stride) for each in features('resnet_v1_18')[:2]]
  [('resnet_v1_18/conv1', 2), ('resnet_v1_18/block1/unit_2/basic_v1', 4)]

  Args:
    See `low_level_feature`.

  Raises:
    ValueError: there is no such network.
  """
  network = get_network(name)
  scope = scope or network.default_scope
  root = resnet_generator.get_root(root_block or network.root_block)
  last, channels, *_ = root.convolutions[-1]
  stride = root.stride // 2 if root.pool else root.stride
  found = {stride: LowLevelFeature(f'{scope}/{last}', stride, channels)}
  stride = root.stride
  for block in network.blocks(**options):
    for i, unit in enumerate(block.args, 1):
      stride *= unit.get('stride', 1)
      found[stride] = LowLevelFeature(
        f'{scope}/{block.scope}/unit_{i}/{network.unit}', stride, unit['depth']
      )
  return list(found.values())


def get_arg_scope(
  name: str, zero_init_last_gamma: bool = False, **options: Any
) -> dict:
  """Returns the arg scope to build network `name`, and heads on it, under.

  Args:
    name: see `get_network`.
    zero_init_last_gamma: see `get_network_fn`.
    **options: those of the network's arg scope.

  Raises:
    ValueError: as `get_network_fn`.
  """
  if zero_init_last_gamma:
    check_zero_init(name)
    options['zero_init_last_gamma'] = True
  return get_network(name).arg_scope(**options)


def get_network_fn(
  name: str,
  num_classes: int | None,
  weight_decay: float = 0.0,
  is_training: bool = False,
  zero_init_last_gamma: bool = False,
  **arg_scope_options: Any,
) -> Callable[..., tuple[tf.Tensor, dict[str, tf.Tensor]]]:
  """Returns a function that builds the network `name` from images.

  Args:
    name: see `get_network`.
    num_classes: the number of logits; None or 0 for features.
    weight_decay: the L2 weight of the convolutions' kernels.
    is_training: whether batch norm uses the batch's statistics.
    zero_init_last_gamma: whether every residual unit begins as its shortcut
      (arXiv:1706.02677, section 5.1).
    **arg_scope_options: more arguments of the network's arg scope, such as
      `batch_norm_decay`.

  >>> network_fn = get_network_fn('resnet_v1_50', num_classes=10)
  >>> size = network_fn.default_image_size
  >>> with tf.Graph().as_default():
  ...   logits, end_points = network_fn(tf.zeros([2, size, size, 3]))
  >>> size, logits.shape.as_list()
  (224, [2, 10])

  Returns:
    `network_fn(images, **kwargs) -> (logits, end_points)`, where images are
    float [batch, height, width, channels] and kwargs go to the network; it
    has the attribute `default_image_size`, in pixels.

  Raises:
    ValueError: there is no such network, or its units do not end with the
      batch norm that `zero_init_last_gamma` is about.
  """
  function = get_network(name).function
  if zero_init_last_gamma:
    check_zero_init(name)

  @resnet_generator.as_it_is
  @functools.wraps(function)
  def network_fn(
    images: tf.Tensor, **kwargs: Any
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    with slim.arg_scope(
      get_arg_scope(
        name,
        zero_init_last_gamma,
        weight_decay=weight_decay,
        **arg_scope_options,
      )
    ):
      return function(images, num_classes, is_training=is_training, **kwargs)

  return network_fn
