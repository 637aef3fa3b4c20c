"""The registry of preprocessing recipes: a name to a function of an image."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from preprocessing import (
  cifar_preprocessing,
  imagenet_preprocessing,
  inception_preprocessing,
  mixing,
  rand_augment,
  segmentation_preprocessing,
  vgg_preprocessing,
)
from preprocessing import preprocessing_utils as utils

# Name: module, and the options that differ from the module's defaults.
PREPROCESSING = {
  'vgg': (vgg_preprocessing, {}),
  'inception': (inception_preprocessing, {}),
  **{
    name: (imagenet_preprocessing, options)
    for name, options in imagenet_preprocessing.SOURCES.items()
  },
  'cifar': (cifar_preprocessing, {}),
  # That of He et al.
  'cifar_less_mean': (
    cifar_preprocessing,
    {'normalization': 'share_less_mean'},
  ),
  # That of the Keras CIFAR script.
  'keras_cifar': (
    cifar_preprocessing,
    {
      'padding': 0,
      'shift': 0.1,
      'repeat_edge': True,
      'normalization': 'share_less_mean',
    },
  ),
  # A mirrored digit is another one or none; a standardised one would lose
  # the black of its background.
  'digits': (
    cifar_preprocessing,
    {'padding': 0, 'shift': 0.1, 'flip': False, 'normalization': 'scale'},
  ),
  'unaugmented': (
    cifar_preprocessing,
    {'padding': 0, 'flip': False, 'normalization': 'scale'},
  ),
  'flip': (cifar_preprocessing, {'padding': 0, 'normalization': 'scale'}),
}


def _entry(name):
  if name not in PREPROCESSING:
    raise ValueError(utils.unknown('preprocessing', name, PREPROCESSING))
  return PREPROCESSING[name]


def needs_mean(name: str) -> bool:
  """Whether a preprocessing has to be given the option per_pixel_mean.

  Raises:
    ValueError: an unknown name; the nearest and all valid ones are listed.
  """
  return _entry(name)[1].get('normalization') in cifar_preprocessing.LESS_MEAN


def get_preprocessing(
  name: str, is_training: bool, use_grayscale: bool = False
) -> Callable[..., tf.Tensor]:
  """Returns the function that prepares one image for a network.

  Args:
    name: a key of `PREPROCESSING`.
    is_training: whether to augment.
    use_grayscale: whether the output has one channel instead of three.

  Returns:
    fn(image, output_height, output_width, seed=None, **options), which
    returns float32 [output_height, output_width, 3 or 1]. `image` is uint8
    [height, width, 1 or 3] ('inception' takes floats in [0, 1] too), in
    evaluation also a batch of them, of known height and width, or
    `encoded.Encoded`, `seed` None or int [2] and unused in evaluation.
    `options` are the keyword-only arguments of the recipe's
    preprocess_for_train and preprocess_for_eval: those of the other function
    are ignored, so that one set can serve both, and unknown ones are a
    TypeError. In training every recipe has three more, none of which does
    anything by default: rand_augment_layers and rand_augment_magnitude (see
    `rand_augment`) and random_erasing, its probability (see `mixing`).
    The seed fixes the bits of the output:

    >>> fn = get_preprocessing('vgg', is_training=True)
    >>> image = tf.zeros([300, 400, 3], tf.uint8)
    >>> fn(image, 224, 224, seed=[0, 1]).shape.as_list()
    [224, 224, 3]

  Raises:
    ValueError: an unknown name; the nearest and all valid ones are listed.
  """
  module, defaults = _entry(name)

  def preprocess(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    seed: Any = None,
    *,
    rand_augment_layers: int = 0,
    rand_augment_magnitude: float = 9.0,
    random_erasing: float = 0.0,
    **options: Any,
  ) -> tf.Tensor:
    if is_training:
      seed = utils.as_seed(seed)  # one for all
    if is_training and rand_augment_layers:
      options['augment'] = functools.partial(
        rand_augment.rand_augment,
        layers=rand_augment_layers,
        magnitude=rand_augment_magnitude,
      )
    image = module.preprocess_image(
      image,
      output_height,
      output_width,
      is_training,
      use_grayscale,
      seed,
      **{**defaults, **options},
    )
    if is_training and random_erasing:
      image = mixing.random_erasing(image, seed, random_erasing)
    return image

  return preprocess


def unresized(
  name: str, output_height: int, output_width: int
) -> tuple[int, int]:
  """Returns a size of images that evaluation does not resize, only crops.

  >>> unresized('vgg', 224, 224)
  (256, 256)

  Args:
    name: a key of `PREPROCESSING`.
    output_height: of the network's input.
    output_width: of the network's input.
  """
  module, options = _entry(name)
  own = utils.keyword_options(module.unresized)
  return module.unresized(
    output_height,
    output_width,
    **{option: options[option] for option in options if option in own},
  )


def scaled(name: str, scale: float) -> dict[str, Any]:
  """Returns the options by which evaluation enlarges image and output alike.

  >>> scaled('vgg', 1.5), scaled('torchvision', 1.5)
  ({'resize_side_min': 384}, {})

  Args:
    name: a key of `PREPROCESSING`.
    scale: by what the output is larger than usual.
  """
  return getattr(_entry(name)[0], 'scaled', lambda scale: {})(scale)


def whole(name: str, side: int) -> dict[str, Any]:
  """Returns the options by which evaluation crops as little as it can.

  >>> whole('vgg', 256), whole('torchvision', 256)
  ({'resize_side_min': 256}, {'crop_share': 1.0})

  Args:
    name: a key of `PREPROCESSING`.
    side: height and width of the output, in pixels.
  """
  return getattr(_entry(name)[0], 'whole', lambda side: {})(side)


def get_segmentation_preprocessing(
  name: str, is_training: bool, use_grayscale: bool = False
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
  """Returns the function that prepares one image and its mask.

  Args:
    name: what the network expects of an image, as in its registry entry: a
      key of `segmentation_preprocessing.NORMALIZATIONS`.
    is_training: whether to augment.
    use_grayscale: whether the image has one channel instead of three.

  Returns:
    fn(image, mask, height, width, seed=None, **options), which returns an
    image, float32 [height, width, 3 or 1], and a mask, int32 [height, width].
    `image` is uint8 [h, w, 1 or 3] or `encoded.Encoded`, `mask` uint8 [h, w]
    or [h, w, 1] of the same size, `seed` None or int [2] and unused in
    evaluation, where height and width may both be None for the image's own.
    `options` are the keyword-only arguments of the functions in
    `segmentation_preprocessing`, of which those of the other are ignored and
    unknown ones are a TypeError. The seed fixes the bits of the output.

  Raises:
    ValueError: an unknown name; the nearest and all valid ones are listed.
  """
  recipes = segmentation_preprocessing
  if name not in recipes.NORMALIZATIONS:
    raise ValueError(
      utils.unknown(
        'preprocessing of dense labels', name, recipes.NORMALIZATIONS
      )
    )
  chosen: Callable = recipes.preprocess_for_train
  other: Callable = recipes.preprocess_for_eval
  if not is_training:
    chosen, other = other, chosen

  def preprocess(
    image: Any,
    mask: tf.Tensor,
    height: int | None,
    width: int | None,
    seed: Any = None,
    **options: Any,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    return chosen(
      image,
      mask,
      height,
      width,
      use_grayscale,
      seed,
      **{'normalization': name, **utils.own_options(chosen, other, options)},
    )

  return preprocess
