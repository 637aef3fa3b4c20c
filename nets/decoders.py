"""Decoders, which make dense logits of a network's features.

  [1] Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for
      Semantic Image Segmentation. arXiv:1706.05587, 2017 (DeepLabv3)
  [2] Chen, Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous
      Separable Convolution for Semantic Image Segmentation.
      arXiv:1802.02611, 2018 (DeepLabv3+)

They have the variables of DeepLab's own, in the forms of `nets.heads.deeplab`,
and are built under the arg scope in force, that of their network. Dropout,
which the option `draws` of the arg scope turns on, is before the logits and, as
in DeepLab, behind the pyramid.

>>> import tensorflow.compat.v1 as tf
>>> from nets import decoders
>>> with tf.Graph().as_default():
...   images = tf.placeholder(tf.float32, [None, 513, 513, 3])
...   logits, end_points = decoders.build(
...       'resnet_v1_50', 'deeplabv3plus', images, 21, is_training=False)
>>> print(logits.shape)
(None, 129, 129, 21)
"""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import nets_factory, registry, resnet_generator, resnet_utils
from nets.heads import deeplab, image_pyramid, unet
from nets.heads.resizing import resize
from nets.layers import dilation
from nets.slim_compat import slim

_RATES_AT_16 = 6, 12, 18  # [1], section 4.1
_REFINED_DEPTH = 48  # channels of the low-level feature; [2], section 4.1
_RATE_SCOPE = 'aspp{}'  # with the number of the rate; aspp0 is 1x1
LOGITS = 'logits/semantic'  # the scope of the logits of a decoder


def default_rates(output_stride: int | None) -> tuple[int, ...]:
  """Returns the atrous rates of `aspp` that fit features of a stride.

  They reach equally far over the image: (6, 12, 18) at 16, twice that at 8
  ([1], section 4.1), half at 32, which None, the nominal stride, is.

  >>> default_rates(8)
  (12, 24, 36)
  """
  return tuple(rate * 16 // (output_stride or 32) for rate in _RATES_AT_16)


def aspp(
  features: tf.Tensor,
  depth: int = 256,
  rates: Sequence[int] = _RATES_AT_16,
  separable: bool = False,
  image_level: bool = True,
  window: Sequence[int] | None = None,
) -> tf.Tensor:
  """Atrous spatial pyramid pooling with image features ([1], section 3.3).

  A 1x1 convolution, a 3x3 one at each rate and the mean over the image, all
  of `depth` channels, joined by a 1x1 convolution.

  Args:
    features: float [batch, height, width, channels].
    depth: the number of channels of each branch and of the output.
    rates: the dilation rates of the 3x3 convolutions.
    separable: whether these are separable.
    image_level: whether there is the mean.
    window: height and width of the windows of the mean, None for one over
      the whole image; see `deeplab.pool`.

  Returns:
    Float [batch, height, width, depth].
  """
  branches = []
  if image_level:
    pooled = deeplab.pool(features, window)
    pooled = slim.conv2d(pooled, depth, [1, 1], scope='image_pooling')
    branches.append(resize(pooled, features))
  branches.append(slim.conv2d(features, depth, [1, 1], scope='aspp0'))
  for i, rate in enumerate(rates, 1):
    scope = _RATE_SCOPE.format(i)
    branches.append(
      deeplab.separable_conv2d(features, depth, rate, scope)
      if separable
      else dilation.conv2d(features, depth, 3, rate=rate, scope=scope)
    )
  return slim.conv2d(
    tf.concat(branches, 3), depth, [1, 1], scope='concat_projection'
  )


def refine(
  features: tf.Tensor,
  low_level: tf.Tensor,
  depth: int = 256,
  separable: bool = False,
  stage: int = 0,
) -> tf.Tensor:
  """A stage of the decoder of DeepLabv3+ ([2], section 3.1).

  Joins the resized features with 48 channels made of the low-level feature,
  by two 3x3 convolutions.

  Args:
    features: float [batch, height, width, channels], such as those of `aspp`.
    low_level: float [batch, finer height, finer width, channels]; see
      `nets_factory.low_level_feature`.
    depth: the number of channels of the output.
    separable: whether the 3x3 convolutions are separable.
    stage: the number of the stage, from 0 on, which the scopes have.

  Returns:
    Float [batch, finer height, finer width, depth].
  """
  with tf.variable_scope('decoder', values=[features, low_level]):
    fine = slim.conv2d(
      low_level,
      _REFINED_DEPTH,
      [1, 1],
      scope=deeplab.in_stage('feature_projection0', stage),
    )
    net = tf.concat([resize(features, low_level), fine], 3)
    scopes = [deeplab.in_stage(f'decoder_conv{i}', stage) for i in range(2)]
    if separable:
      for scope in scopes:
        net = deeplab.separable_conv2d(net, depth, scope=scope)
      return net
    # This is scope 'decoder_conv0/decoder_conv0_1', and 2, as in DeepLab.
    return slim.repeat(net, 2, slim.conv2d, depth, [3, 3], scope=scopes[0])


def logits(
  features: tf.Tensor, num_classes: int, stddev: float | None = 0.01
) -> tf.Tensor:
  """Returns the logits of every position, by a 1x1 convolution.

  Args:
    features: float [batch, height, width, channels].
    num_classes: the number of logits.
    stddev: the standard deviation of the initial weights; DeepLab's is small,
      for a pretrained network. None for channels ** -0.5, which keeps the
      variance, so that a network from scratch learns from the first step.

  Returns:
    Float [batch, height, width, num_classes].
  """
  if stddev is None:
    stddev = features.shape.as_list()[-1] ** -0.5
  outer, inner = LOGITS.split('/')
  with tf.variable_scope(outer, values=[features]):
    return slim.conv2d(
      resnet_utils.dropout(features, inner),
      num_classes,
      [1, 1],
      activation_fn=None,
      normalizer_fn=None,
      weights_initializer=tf.truncated_normal_initializer(stddev=stddev),
      scope=inner,
    )


def _aspp(features, depth, rates, options, output_stride):
  crop = options.image_pooling_crop_size
  return aspp(
    features,
    depth,
    rates,
    options.aspp_with_separable_conv,
    options.add_image_level_feature,
    crop and [deeplab.scaled(side, 1 / output_stride) for side in crop],
  )


def _refined_aspp(features, low_levels, depth, rates, options, output_stride):
  net = _aspp(features, depth, rates, options, output_stride)
  net = resnet_utils.dropout(net, 'pyramid')
  for stage, low_level in enumerate(low_levels):
    net = refine(
      net, low_level, depth, options.decoder_use_separable_conv, stage
    )
  return net


class Decoder(NamedTuple):
  """What the registry knows of a decoder.

  Fields:
    function: makes of a network's features those that `logits` are made of;
      None leaves the logits to the network.
    needs: the arguments of `function` beside the features, out of
      'low_levels', 'image', 'skips', 'depth', 'rates', 'options' and
      'output_stride', that of the features.
    scopes: of its variables, but for those of the logits and of the rates.
    rate_scope: of the convolution of each rate, to be formatted with its
      number from 1 on; '' if it has none.
    marker: a variable of it, whatever its options. A checkpoint that has it is
      of this decoder, or of one of more scopes that has it too.
    logits: their scope; '' leaves it to the network.
    depth: the variable whose last dimension is `depth`, '' for the marker.
    options: the names of the `deeplab.Options` that it takes, beside the
      image pyramid, which all take.
  """

  function: Callable[..., tf.Tensor] | None = None
  needs: tuple[str, ...] = ()
  scopes: tuple[str, ...] = ()
  rate_scope: str = ''
  marker: str = ''
  logits: str = ''
  depth: str = ''
  options: tuple[str, ...] = ()


DECODERS: dict[str, Decoder] = {
  'fcn': Decoder(),
  'aspp': Decoder(
    _aspp,
    ('depth', 'rates', 'options', 'output_stride'),
    ('image_pooling', 'aspp0', 'concat_projection'),
    _RATE_SCOPE,
    'concat_projection/weights',
    LOGITS,
    options=deeplab.OF_ASPP,
  ),
  'deeplabv3plus': Decoder(
    _refined_aspp,
    ('low_levels', 'depth', 'rates', 'options', 'output_stride'),
    ('image_pooling', 'aspp0', 'concat_projection', 'decoder'),
    _RATE_SCOPE,
    'decoder/feature_projection0/weights',
    LOGITS,
    'concat_projection/weights',
    deeplab.OF_ASPP + deeplab.OF_DECODER,
  ),
  'unet': Decoder(
    unet.unet,
    ('image', 'skips', 'output_stride', 'depth'),
    ('unet',),
    marker='unet/features_projection/weights',
    logits=LOGITS,
  ),
}


def get_decoder(name: str) -> Decoder:
  """Returns the registry's entry, or a ValueError with the nearest names."""
  return registry.entry('decoder', DECODERS, name)


def logits_weights(scope: str) -> list[str]:
  """Returns the names that the weights of logits can have.

  >>> logits_weights('resnet_v1_50/')
  ['logits/semantic/weights', 'resnet_v1_50/logits/weights']

  Args:
    scope: what the names of the network's variables begin with, and a slash.

  Returns:
    Those of decoders, then the network's own, which a network that got a
    decoder may still have in its checkpoint.
  """
  of_decoders = {d.logits: None for d in DECODERS.values() if d.logits}
  own = f'{scope}{resnet_generator.LOGITS}'
  return [f'{name}/weights' for name in (*of_decoders, own)]


def is_part(name: str) -> bool:
  """Whether a variable of this name is one of a decoder or of its logits.

  >>> is_part('aspp3_depthwise/depthwise_weights'), is_part('net/conv1')
  (True, False)
  """
  top = name.partition('/')[0]
  return any(
    top in (*each.scopes, each.logits.partition('/')[0])
    or (
      each.rate_scope
      and re.fullmatch(
        each.rate_scope.format(r'\d+') + '(_depthwise|_pointwise)?', top
      )
    )
    for each in DECODERS.values()
  )


def low_level_features(
  network_name: str, options: deeplab.Options, **network_options: Any
) -> list[nets_factory.LowLevelFeature]:
  """Returns what the stages of the decoder join, one after the other.

  Args:
    network_name: a key of `nets_factory.NETWORKS`.
    options: those of the decoder.
    **network_options: see `nets_factory.low_level_feature`.

  Raises:
    ValueError: the network has no such feature.
  """
  return [
    nets_factory.low_level_feature(
      network_name,
      residual=options.decoder_low_level == 'residual',
      stride=stride,
      **network_options,
    )
    for stride in options.decoder_output_stride or (None,)
  ]


def strides_of(
  network_name: str, stages: int, root_block: str | None = None, **_: Any
) -> tuple[int, ...] | None:
  """Returns the `decoder_output_stride` of so many stages, None for one.

  >>> strides_of('resnet_v1_50', 2)
  (4, 2)

  Args:
    network_name: a key of `nets_factory.NETWORKS`.
    stages: the number of low-level features.
    root_block: that of the network, its own if None.
    **_: more options of the network.
  """
  network = nets_factory.get_network(network_name)
  root = resnet_generator.get_root(root_block or network.root_block)
  if stages < 2:
    return None
  return tuple(root.stride >> stage for stage in range(stages))


def _check_options(name, options):
  """Refuses options that the decoder does not take."""
  for option in options.changed():
    taking = [key for key, each in DECODERS.items() if option in each.options]
    if taking and name not in taking:
      raise ValueError(
        f'{option}: the decoder {name} has no such option. '
        f'Leave it out, or take {" or ".join(taking)}.'
      )
  if options.image_pooling_crop_size and not options.add_image_level_feature:
    raise ValueError(
      'image_pooling_crop_size: without add_image_level_feature there is no '
      'image pooling. Leave one of both out.'
    )


def check(
  network_name: str,
  decoder: str,
  output_stride: int | None = 16,
  multi_grid: Sequence[int] | None = None,
  atrous_rates: Sequence[int] | None = None,
  network_options: Mapping[str, Any] | None = None,
  decoder_options: Mapping[str, Any] | None = None,
) -> None:
  """Raises ValueError if `build` cannot make a network of these; else None.

  It builds nothing, so flags can be checked before the data is read.
  """
  needs = get_decoder(decoder).needs
  network = nets_factory.get_network(network_name)
  root_block = (network_options or {}).get('root_block', network.root_block)
  resnet_utils.check_output_stride(
    output_stride,
    network.blocks(multi_grid=multi_grid),
    resnet_generator.get_root(root_block).stride,
  )
  options = deeplab.Options.of(decoder_options)
  _check_options(decoder, options)
  if 'low_levels' in needs:
    low_level_features(network_name, options, root_block=root_block)
  if atrous_rates is None:
    return
  given = f'atrous_rates={list(atrous_rates)}'
  if 'rates' not in needs:
    having = [name for name, each in DECODERS.items() if 'rates' in each.needs]
    raise ValueError(
      f'{given}: the decoder {decoder} has no atrous rates. '
      f'Leave them out, or take {" or ".join(having)}.'
    )
  if not atrous_rates or min(atrous_rates) < 1:
    raise ValueError(
      f'{given}: give rates of 1 or more, such as '
      f'{list(default_rates(output_stride))} for '
      f'output_stride={output_stride}, or leave them out for these.'
    )


@contextlib.contextmanager
def _decoder_scopes(is_training, reuse):
  """The scopes of a decoder; yields the collection of its end points."""
  collection = tf.get_default_graph().unique_name('decoder_end_points')
  with (
    tf.variable_scope(
      tf.get_variable_scope(), reuse=reuse, auxiliary_name_scope=False
    ),
    slim.arg_scope([slim.batch_norm], is_training=is_training),
    slim.arg_scope([slim.conv2d], outputs_collections=collection),
  ):
    yield collection


def _inner(head, end_points, network_name, skips, options, network_options):
  """Returns what a decoder needs of the inside of its network."""
  found: dict[str, Any] = {}
  if 'low_levels' in head.needs:
    found['low_levels'] = [
      resnet_utils.end_point(end_points, each.end_point)
      for each in low_level_features(network_name, options, **network_options)
    ]
  if 'skips' in head.needs:
    found['skips'] = {
      skip.stride: resnet_utils.end_point(end_points, skip.end_point)
      for skip in skips
    }
  return found


@resnet_generator.as_it_is
@image_pyramid.at_scales
def build(
  network_name: str,
  decoder: str,
  images: tf.Tensor,
  num_classes: int,
  is_training: bool,
  output_stride: int | None = 16,
  multi_grid: Sequence[int] | None = None,
  atrous_rates: Sequence[int] | None = None,
  depth: int = 256,
  reuse: bool | None = None,
  weight_decay: float = 0.0,
  depth_multiplier: float | None = None,
  network_options: Mapping[str, Any] | None = None,
  decoder_options: Mapping[str, Any] | None = None,
  logits_stddev: float | None = 0.01,
  **arg_scope_options: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Builds a network with a decoder on top, under the network's arg scope.

  Args:
    network_name: a key of `nets_factory.NETWORKS`.
    decoder: a key of `DECODERS`.
    images: float [batch, height, width, channels], preprocessed; batch,
      height and width may be unknown. Sides of a multiple of the output
      stride plus one (321, 513) keep corners aligned.
    num_classes: the number of logits a pixel.
    is_training: whether batch norm uses the batch's statistics.
    output_stride: the ratio of the image's resolution to that of the
      network's features, None for the nominal one.
    multi_grid: the dilation factors of the last block's units, e.g. (1, 2, 4).
    atrous_rates: the rates of `aspp`, `default_rates(output_stride)` if None.
    depth: the number of channels of the decoder.
    reuse: whether to reuse the variables.
    weight_decay: the L2 weight of the convolutions' kernels.
    depth_multiplier: a factor of 0 or more on the number of channels of every
      block, the network's own if None.
    network_options: more arguments of the network, such as its root_block.
    decoder_options: those of `deeplab.Options` that are not the default.
    logits_stddev: see `logits`; of 'fcn' the network's own.
    **arg_scope_options: more options of `nets_factory.get_arg_scope`, such as
      `batch_norm_decay`, `zero_init_last_gamma` or `draws`.

  Returns:
    logits: float [batch, ceil(height / s), ceil(width / s), num_classes],
      where s is the output stride, or for 'deeplabv3plus' the stride of the
      last low-level feature, 4 by default, or for 'unet' 1. Of an image
      pyramid they have the size that the largest scale gives.
    end_points: the network's, with the decoder's by the names of their
      scopes, 'predictions' (softmax), and of an image pyramid the logits of
      each scale by its `scale_name`.

  Raises:
    ValueError: an unknown name, an output stride that the network cannot
      reach, or rates or a multi-grid that do not fit.
  """
  check(
    network_name,
    decoder,
    output_stride,
    multi_grid,
    atrous_rates,
    network_options,
    decoder_options,
  )
  head = get_decoder(decoder)
  given = dict(network_options or {})
  if depth_multiplier is not None:
    given['depth_multiplier'] = depth_multiplier
  network = nets_factory.get_network_fn(
    network_name,
    None if head.function else num_classes,
    weight_decay,
    is_training,
    **arg_scope_options,
  )
  net, end_points = network(
    images,
    global_pool=False,
    output_stride=output_stride,
    spatial_squeeze=False,
    reuse=reuse,
    multi_grid=multi_grid,
    **given,
  )
  if not head.function:
    return net, end_points
  options = deeplab.Options.of(decoder_options)
  *skips, last = nets_factory.feature_descriptions(network_name, **given)
  needed: dict[str, Any] = {
    'depth': depth,
    'rates': atrous_rates or default_rates(output_stride),
    'options': options,
    'output_stride': output_stride or last.stride,
    'image': images,
    **_inner(head, end_points, network_name, skips, options, given),
  }
  arg_scope = nets_factory.get_arg_scope(
    network_name, weight_decay=weight_decay, **arg_scope_options
  )
  with (
    slim.arg_scope(arg_scope),
    _decoder_scopes(is_training, reuse) as collection,
  ):
    net = head.function(net, **{name: needed[name] for name in head.needs})
    net = logits(net, num_classes, logits_stddev)
    end_points.update(slim.utils.convert_collection_to_dict(collection))
  end_points['predictions'] = slim.softmax(net, scope='predictions')
  return net, end_points
