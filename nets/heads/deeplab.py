"""The forms of DeepLab's model: its options, and the layers that they choose.

  [1] Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for
      Semantic Image Segmentation. arXiv:1706.05587, 2017 (DeepLabv3)
  [2] Chen, Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous
      Separable Convolution for Semantic Image Segmentation.
      arXiv:1802.02611, 2018 (DeepLabv3+)

`nets.decoders` builds models of them.
"""

import dataclasses
import itertools
from collections.abc import Container, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from nets.slim_compat import slim

# What the low-level feature is: the output of a unit, or its last convolution,
# before the addition.
LOW_LEVELS = ('unit', 'residual')

# What follows a convolution, by the arguments of slim's layers.
_BEHIND = (
  'activation_fn',
  'normalizer_fn',
  'normalizer_params',
  'outputs_collections',
)


@dataclasses.dataclass(frozen=True)
class Options:
  """What DeepLab's model leaves open, by the names of its flags.

  The defaults are the forms of [1] and of [2] without separable convolutions.

  Attributes:
    aspp_with_separable_conv: whether the 3x3 convolutions of aspp are
      separable, a depthwise and a 1x1 one ([2], section 3.1).
    decoder_use_separable_conv: whether those of the decoder are.
    add_image_level_feature: whether aspp has the image pooling.
    image_pooling_crop_size: the height and width, in pixels of the image, of
      the windows whose means it takes; None for one of the whole image.
    decoder_output_stride: the strides of the low-level features that the
      decoder joins, one stage each, falling; None for one stage, at the stride
      of the network's block1.
    decoder_low_level: one of `LOW_LEVELS`. DeepLab's is 'residual'.
    image_pyramid: the sizes at which the network sees the image, over its own;
      the logits are the largest over them.

  Raises:
    ValueError: a value out of its range.
  """

  aspp_with_separable_conv: bool = False
  decoder_use_separable_conv: bool = False
  add_image_level_feature: bool = True
  image_pooling_crop_size: tuple[int, int] | None = None
  decoder_output_stride: tuple[int, ...] | None = None
  decoder_low_level: str = 'unit'
  image_pyramid: tuple[float, ...] = (1.0,)

  def __post_init__(self) -> None:
    crop, strides = self.image_pooling_crop_size, self.decoder_output_stride
    if self.decoder_low_level not in LOW_LEVELS:
      raise ValueError(
        f'decoder_low_level={self.decoder_low_level!r} is unknown. It can be '
        f'{" or ".join(LOW_LEVELS)}.'
      )
    if crop is not None and (len(crop) != 2 or min(crop) < 1):
      raise ValueError(
        f'image_pooling_crop_size={_listed(crop)}: give a height and a width '
        'of 1 or more, or leave it out to pool over the whole image.'
      )
    if strides is not None and (
      not strides or list(strides) != sorted(set(strides), reverse=True)
    ):
      raise ValueError(
        f'decoder_output_stride={_listed(strides)}: the strides must fall, as '
        'in 4,2, since each stage of the decoder is finer than the one before.'
      )
    if not self.image_pyramid or not all(0 < s for s in self.image_pyramid):
      raise ValueError(
        f'image_pyramid={_listed(self.image_pyramid)}: give scales above 0.'
      )
    if max(self.image_pyramid) < 1 or (
      # Their end points are named by two decimals.
      len({round(s, 2) for s in self.image_pyramid}) < len(self.image_pyramid)
    ):
      raise ValueError(
        f'image_pyramid={_listed(self.image_pyramid)}: give different scales, '
        'one of them at least 1, such as 0.5,1: the logits have the size that '
        'the largest gives.'
      )

  @classmethod
  def of(cls, given: Mapping[str, Any] | None) -> 'Options':
    """Returns the options of a mapping; what is None is left at its default."""
    return cls(
      **{k: value for k, value in (given or {}).items() if value is not None}
    )

  def changed(self) -> dict[str, Any]:
    """Returns the options that are not the default, by name."""
    return {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if getattr(self, field.name) != field.default
    }


NAMES = tuple(field.name for field in dataclasses.fields(Options))
# What the parts of a model take of them.
OF_ASPP = NAMES[:1] + NAMES[2:4]
OF_DECODER = (NAMES[1], *NAMES[4:6])


def _listed(values: Sequence[float]) -> str:
  return ','.join(f'{value:g}' for value in values)


def scaled(side: Any, scale: float) -> Any:
  """Returns the length of a side at another scale, corners on corners.

  >>> scaled(513, 1 / 16), scaled(65, 1.5)
  (33, 97)

  Args:
    side: in pixels, an int or an int32 tensor.
    scale: the new size over the old.
  """
  if isinstance(side, int):
    return int((side - 1) * scale + 1)
  return tf.cast((tf.cast(side, tf.float32) - 1) * scale + 1, tf.int32)


def separable_conv2d(
  inputs: tf.Tensor, depth: int, rate: int = 1, scope: str = 'separable'
) -> tf.Tensor:
  """A depthwise 3x3 convolution and a 1x1 one ([2], section 3.1).

  Both are followed by what follows `slim.conv2d` in the arg scope in force.
  The depthwise one has no weight decay, as in DeepLab.

  Args:
    inputs: float [batch, height, width, channels].
    depth: the number of filters.
    rate: distance between neighbouring taps.
    scope: the beginning of both scopes, which end with '_depthwise' and
      '_pointwise'.

  Returns:
    Float [batch, height, width, depth].
  """
  scoped = slim.current_arg_scope().get(
    slim.arg_scope_func_key(slim.conv2d), {}
  )
  net = slim.separable_conv2d(
    inputs,
    None,
    [3, 3],
    depth_multiplier=1,
    rate=rate,
    weights_initializer=tf.truncated_normal_initializer(stddev=0.33),
    weights_regularizer=None,
    scope=f'{scope}_depthwise',
    **{name: scoped[name] for name in _BEHIND if name in scoped},
  )
  return slim.conv2d(
    net,
    depth,
    [1, 1],
    weights_initializer=tf.truncated_normal_initializer(stddev=0.06),
    scope=f'{scope}_pointwise',
  )


def pool(features: tf.Tensor, window: Sequence[int] | None) -> tf.Tensor:
  """Returns the means of features over windows, or over all positions.

  Args:
    features: float [batch, height, width, channels].
    window: height and width of the windows, which move by one position; one
      that is larger than the features is as large as they are. None for all.

  Returns:
    Float [batch, positions down, positions right, channels].
  """
  if window is None:
    return tf.reduce_mean(features, [1, 2], keepdims=True)
  # The kernel takes no window of a size that is not known yet.
  size = tf.shape(features)[1:3]
  lacking = tf.maximum(tf.constant(window) - size, 0)
  padded = tf.pad(features, [[0, 0], [0, lacking[0]], [0, lacking[1]], [0, 0]])
  means = tf.nn.avg_pool2d(padded, [*window], 1, 'VALID')
  there = tf.reduce_prod(tf.minimum(size, window))
  share = tf.cast(there, means.dtype) / (window[0] * window[1])
  return means / share


def rates(shapes: Container[str], scope: str) -> int:
  """Returns how many atrous convolutions variables are of.

  Args:
    shapes: the names of variables.
    scope: of the convolution of each rate, to be formatted with its number.
  """
  return sum(
    1
    for _ in itertools.takewhile(
      lambda name: (
        f'{name}/weights' in shapes or f'{name}_pointwise/weights' in shapes
      ),
      map(scope.format, itertools.count(1)),
    )
  )


def told(shapes: Container[str]) -> dict[str, bool]:
  """Returns the options that the names of a model's variables tell."""
  return {
    'aspp_with_separable_conv': 'aspp1_pointwise/weights' in shapes,
    'decoder_use_separable_conv': (
      'decoder/decoder_conv0_pointwise/weights' in shapes
    ),
    'add_image_level_feature': 'image_pooling/weights' in shapes,
  }


def stages(shapes: Container[str]) -> int:
  """Returns how many stages of a decoder variables are of."""
  return sum(
    1
    for _ in itertools.takewhile(
      lambda i: (
        f'decoder/{in_stage("feature_projection0", i)}/weights' in shapes
      ),
      itertools.count(),
    )
  )


def in_stage(scope: str, stage: int) -> str:
  """Returns the scope of a layer in the decoder's stage, from 0 on."""
  return f'{scope}_{stage}' if stage else scope
