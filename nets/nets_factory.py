"""The registry of networks: every name that --model_name takes."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from nets.catalogue import complexity, listing
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
    generator: builds a network of its family from such blocks; see
      `resnet_generator.family`.
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
  generator: Callable[..., tuple[tf.Tensor, dict[str, tf.Tensor]]]
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
      function.generator,
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


def _torch(function):
  return _v1(function, preprocessing='torchvision')


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
  'resnet_v1_5_50': _torch(resnet_v1.resnet_v1_5_50),
  'resnet_v1_5_101': _torch(resnet_v1.resnet_v1_5_101),
  'resnet_v1_5_152': _torch(resnet_v1.resnet_v1_5_152),
  'resnet_v1d_18': _torch(resnet_v1.resnet_v1d_18),
  'resnet_v1d_34': _torch(resnet_v1.resnet_v1d_34),
  'resnet_v1d_50': _torch(resnet_v1.resnet_v1d_50),
  'resnet_v1d_101': _torch(resnet_v1.resnet_v1d_101),
  'resnet_v1d_152': _torch(resnet_v1.resnet_v1d_152),
  'wide_resnet_50_2': _torch(resnet_v1.wide_resnet_50_2),
  'wide_resnet_101_2': _torch(resnet_v1.wide_resnet_101_2),
  'resnext_50_32x4d': _torch(resnet_v1.resnext_50_32x4d),
  'resnext_101_32x8d': _torch(resnet_v1.resnext_101_32x8d),
  'resnext_101_64x4d': _torch(resnet_v1.resnext_101_64x4d),
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


def list_networks(chosen: Iterable[str] | None = None) -> list[listing.Listed]:
  """Returns what is known of networks: size, strides, weights, accuracy.

  `python -m nets` prints it as a table.

  >>> (listed,) = list_networks(['resnet_v1_50'])
  >>> listed.parameters, listed.image_size, listed.strides
  (25557032, 224, (4, 8, 16, 32))

  Args:
    chosen: names of networks, all of `NETWORKS` if None.

  Raises:
    ValueError: there is no network of such a name.
  """
  every = NETWORKS if chosen is None else chosen
  if isinstance(every, str):
    every = [every]
  return [listing.of(get_network(name)) for name in every]


def count(
  name: str, num_classes: int | None = None, **options: Any
) -> complexity.Size:
  """Returns the parameters and the multiply-adds of network `name`.

  >>> count('cifar_resnet_v1_20', 10).parameters
  273066

  Args:
    name: see `get_network`.
    num_classes: the number of logits; None or 0 for features alone.
    **options: see `complexity.count`.

  Raises:
    ValueError: there is no such network, or an option is out of range.
  """
  return complexity.count(get_network(name), num_classes, **options)


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
    for feature in feature_descriptions(name, scope, root_block, **options)[
      ::-1
    ]
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


def feature_descriptions(
  name: str,
  scope: str | None = None,
  root_block: str | None = None,
  output_stride: int | None = None,
  store_non_strided_activations: bool = False,
  **options: Any,
) -> list[LowLevelFeature]:
  """Returns what the last features of each resolution are, finest first.

  They are those of the root and of the units, as a U-Net joins them. Without
  an `output_stride` strides are nominal: a network that is built with one has
  the coarser of these features at that stride. `features` builds them.

  >>> [each.end_point for each in feature_descriptions('resnet_v1_18')[:2]]
  ['resnet_v1_18/conv1', 'resnet_v1_18/block1/unit_2/basic_v1']
  >>> [
  ...   (each.stride, each.channels)
  ...   for each in feature_descriptions('resnet_v2_50', output_stride=8)]
  [(2, 64), (4, 256), (8, 2048)]

  Args:
    name: see `low_level_feature`, as those not named here.
    scope: see there.
    root_block: see there.
    output_stride: that of the network, None for the nominal one.
    store_non_strided_activations: that of the network.
    **options: see there.

  Raises:
    ValueError: there is no such network, or it cannot reach the
      `output_stride`.
  """
  network = get_network(name)
  scope = scope or network.default_scope
  root = resnet_generator.get_root(root_block or network.root_block)
  blocks = network.blocks(**options)
  resnet_utils.check_output_stride(output_stride, blocks, root.stride)
  last, channels, *_ = root.convolutions[-1]
  stride = root.stride // 2 if root.pool else root.stride
  found = {stride: LowLevelFeature(f'{scope}/{last}', stride, channels)}
  stride = root.stride
  for block in blocks:
    for i, unit in enumerate(block.args, 1):
      before = stride
      stride *= unit.get('stride', 1)
      stride = min(stride, output_stride or stride)
      late = store_non_strided_activations and i == len(block.args)
      own = before if late else stride
      found[own] = LowLevelFeature(
        f'{scope}/{block.scope}/unit_{i}/{network.unit}', own, unit['depth']
      )
  return list(found.values())


@resnet_generator.as_it_is
def features(
  images: tf.Tensor,
  name: str,
  strides: Sequence[int] | None = None,
  is_training: bool = False,
  output_stride: int | None = None,
  scope: str | None = None,
  reuse: bool | None = None,
  weight_decay: float = 0.0,
  arg_scope_options: Mapping[str, Any] | None = None,
  **network_options: Any,
) -> list[tf.Tensor]:
  """Builds network `name` and returns its features of some strides.

  Of each stride they are the last that the network has at that resolution;
  `feature_descriptions` tells their end points and channels. Those of the
  coarsest are what the network's head averages. The network is built whole but
  for its head, so that every checkpoint of it fits.

  With an `output_stride` it strides no further: from there on it dilates, its
  coarsest features have that stride, and there are none of a coarser one.

  Of networks of pre-activation units, such as resnet_v2_50, only the coarsest
  features are normalized and activated, by the `postnorm` that the head sees.
  All others are the sums that units return, of either sign: the batch norm
  that follows belongs to the next unit, and the network has none for them.
  These are what the decoders join too. A normalization of your own in front of
  what you add, or one of its units, makes them alike.

  >>> with tf.Graph().as_default():
  ...   images = tf.zeros([2, 65, 97, 3])
  ...   found = features(images, 'resnet_v1_50', strides=(4, 8, 16))
  >>> [each.shape.as_list() for each in found]
  [[2, 17, 25, 256], [2, 9, 13, 512], [2, 5, 7, 1024]]

  Args:
    images: float [batch, height, width, channels], preprocessed; batch, height
      and width may be unknown.
    name: see `get_network`.
    strides: ratios of the images' resolution to that of features, from the
      finest to the coarsest; None for all that the network has.
    is_training: whether batch norm uses the batch's statistics.
    output_stride: that of the network, None for the nominal one.
    scope: the variable scope, the network's own if None.
    reuse: whether to reuse the variables.
    weight_decay: the L2 weight of the convolutions' kernels.
    arg_scope_options: more options of `get_arg_scope`, such as
      `batch_norm_decay`.
    **network_options: more arguments of the network, such as `root_block`,
      `depth_multiplier` or `multi_grid`.

  Returns:
    Float tensors [batch, ceil(height / s), ceil(width / s), channels], one for
    each stride s, the finest first.

  Raises:
    ValueError: there is no such network, it has no features of such a stride,
      or `strides` are not from the finest to the coarsest.
  """
  if isinstance(strides, int):
    strides = (strides,)
  blocks_options = {**network_options}
  root_block = blocks_options.pop('root_block', None)
  described = {
    each.stride: each
    for each in feature_descriptions(
      name, scope, root_block, output_stride, **blocks_options
    )
  }
  blocks_options.pop('store_non_strided_activations', None)
  network = get_network(name)
  root = resnet_generator.get_root(root_block or network.root_block)
  nominal = resnet_utils.reachable_strides(
    network.blocks(**blocks_options), root.stride
  )[-1]
  coarsest = output_stride or nominal
  valid = sorted({*described, coarsest})
  strides = valid if strides is None else list(strides)
  _check_strides(name, strides, valid, output_stride)
  network_fn = get_network_fn(
    name, None, weight_decay, is_training, **(arg_scope_options or {})
  )
  net, end_points = network_fn(
    images,
    global_pool=False,
    output_stride=output_stride,
    reuse=reuse,
    **({'scope': scope} if scope else {}),
    **network_options,
  )
  return [
    net
    if stride == coarsest
    else resnet_utils.end_point(end_points, described[stride].end_point)
    for stride in strides
  ]


def _check_strides(name, strides, valid, output_stride):
  """Raises ValueError unless they are some of the valid ones, in order."""
  wrong = [stride for stride in strides if stride not in valid]
  built = f' with output_stride={output_stride}' if output_stride else ''
  listed = ', '.join(map(str, valid))
  if wrong:
    raise ValueError(
      f'{name}{built} has no features of stride {wrong[0]}: pass some of '
      f'{listed}.'
    )
  if not strides:
    raise ValueError(
      f'No strides are asked of {name}: pass some of {listed}, or None for all.'
    )
  if strides != sorted(set(strides)):
    raise ValueError(
      f'strides={strides} must be from the finest to the coarsest, each once, '
      f'as the features are returned: {sorted(set(strides))}.'
    )


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
