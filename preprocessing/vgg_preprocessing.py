"""The VGG recipe: resize the shorter side, crop, flip, subtract the mean.

Simonyan and Zisserman, Very Deep Convolutional Networks For Large-Scale Image
Recognition, https://arxiv.org/abs/1409.1556. TF-Slim's ResNet v1 checkpoints
expect it: RGB in 0..255, centred by a mean colour and not scaled.

>>> image = tf.zeros([300, 400, 3], tf.uint8)
>>> preprocess_image(image, 224, 224, resize_side_min=256).shape.as_list()
[224, 224, 3]
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils

MEAN_RGB = (123.68, 116.78, 103.94)
# The luma weights of tf.image.rgb_to_grayscale.
LUMA = (0.2989, 0.5870, 0.1140)
MEAN_GREY = sum(w * m for w, m in zip(LUMA, MEAN_RGB, strict=True))

RESIZE_SIDE_MIN = 256
RESIZE_SIDE_MAX = 512


def centre(image: tf.Tensor) -> tf.Tensor:
  """Subtracts the mean colour.

  Args:
    image: float32 [..., height, width, 1 or 3] in 0..255; all but the last
      may be statically unknown.

  Returns:
    float32 of the same shape, less `MEAN_GREY` or `MEAN_RGB`.
  """
  *_, width, channels = image.shape.as_list()
  mean = [[MEAN_GREY] if channels == 1 else MEAN_RGB]
  # A whole row of the mean, since broadcasting three values is slow.
  if width is not None:
    return image - np.tile(np.array(mean, np.float32), [width, 1])
  return image - tf.tile(tf.constant(mean), [tf.shape(image)[-2], 1])


def smallest_side(
  shape: tf.Tensor | list[int],
  output_height: int,
  output_width: int,
  resize_side: int,
) -> Any:
  """Returns the shorter side to resize to: `resize_side`, or more at need.

  It is more where the output would not fit in the resized image, a case
  that stops the original.

  Args:
    shape: int32 [3], the image's (height, width, channels), or numbers.
    output_height: of the crop to follow.
    output_width: of the crop to follow.
    resize_side: the wished shorter side in pixels.

  Returns:
    int32 scalar, or a number.
  """
  known = not tf.is_tensor(shape)
  shorter = (min if known else tf.minimum)(shape[0], shape[1])
  # -(-a // b) is a / b rounded up.
  sides = [
    resize_side,
    -(-shorter * output_height // shape[0]),
    -(-shorter * output_width // shape[1]),
  ]
  return max(sides) if known else tf.reduce_max(sides)


def unresized(
  output_height: int, output_width: int, side: int = RESIZE_SIDE_MIN
) -> tuple[int, int]:
  """Returns a size of images that evaluation crops without resizing them."""
  side = max(side, output_height, output_width)
  return side, side


def scaled(scale: float) -> dict[str, Any]:
  """Returns the options by which evaluation shows more of larger outputs.

  Args:
    scale: by what the output is larger than usual.
  """
  return {'resize_side_min': round(RESIZE_SIDE_MIN * scale)}


def whole(side: int) -> dict[str, Any]:
  """Returns the options by which evaluation crops as little as it can.

  Args:
    side: height and width of the output.
  """
  return {'resize_side_min': side}


def sample_window(
  shape: tf.Tensor,
  output_height: int,
  output_width: int,
  seed: Any,
  resize_side_min: int = RESIZE_SIDE_MIN,
  resize_side_max: int = RESIZE_SIDE_MAX,
) -> tf.Tensor:
  """Chooses what part of an image to train on, from its shape alone.

  Resizing the shorter side to a random S in [resize_side_min,
  resize_side_max] and cropping the output from that is the same as cropping
  output * shorter / S source pixels and resizing them; this is the latter, up
  to rounding to whole source pixels. It resizes only what is kept, and lets
  a JPEG be decoded in part.

  Args:
    shape: int32 [3], the image's (height, width, channels).
    output_height: height that the window is going to be resized to.
    output_width: width that the window is going to be resized to.
    seed: None or int [2].
    resize_side_min: least S; raised where the output would not fit.
    resize_side_max: largest S, included.

  Returns:
    int32 [4], the window (y, x, height, width) within `shape`.

  Raises:
    ValueError: the sides are not 0 < resize_side_min <= resize_side_max.
  """
  if not 0 < resize_side_min <= resize_side_max:
    raise ValueError(
      f'resize_side_min {resize_side_min} and resize_side_max '
      f'{resize_side_max} must be positive and in this order; swap or '
      'change them.'
    )
  seed = utils.as_seed(seed)
  low = smallest_side(shape, output_height, output_width, resize_side_min)
  high = tf.maximum(low, resize_side_max)
  side = utils.draw(seed, 'resize_side', low, high + 1, tf.int32)
  scale = tf.reduce_min(shape[:2]) / side
  size = tf.cast(tf.rint([output_height, output_width] * scale), tf.int32)
  size = tf.clip_by_value(size, 1, shape[:2])
  return utils.place_window(shape, size[0], size[1], seed)


def preprocess_for_train(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  resize_side_min: int = RESIZE_SIDE_MIN,
  resize_side_max: int = RESIZE_SIDE_MAX,
  flip: bool = True,
  augment: Callable | None = None,
) -> tf.Tensor:
  """Crops at a random scale and place, flips, and subtracts the mean.

  Args:
    image: uint8 [height, width, 1 or 3] of any size.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: None or int [2]; the output is a function of it and the image.
    resize_side_min: see `sample_window`.
    resize_side_max: see `sample_window`.
    flip: whether to mirror the image, with a probability of 1/2.
    augment: None, or augment(image, seed) that changes the image, float32
      in 0..255, after it was cropped and before it is normalised.

  Returns:
    float32 [output_height, output_width, 3 or 1], 0..255 less `MEAN_RGB` or
    `MEAN_GREY`.

  Raises:
    ValueError: an image, a seed or sides other than described.
  """
  seed = utils.as_seed(seed)

  def window(shape):
    return sample_window(
      shape, output_height, output_width, seed, resize_side_min, resize_side_max
    )

  image = utils.as_image(image, use_grayscale, window=window)
  if flip:  # here, where a pixel has a byte
    image = utils.random_flip(image, seed)
  image = utils.resize(image, output_height, output_width)
  return centre(augment(image, seed) if augment else image)


def preprocess_for_eval(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  resize_side_min: int = RESIZE_SIDE_MIN,
) -> tf.Tensor:
  """Resizes the shorter side, crops the centre and subtracts the mean.

  Args:
    image: uint8 [height, width, 1 or 3] of any size, or a batch of a known
      one.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: unused; here nothing is random.
    resize_side_min: shorter side before the crop, in pixels; raised as far
      as it takes where the output would not fit.

  Returns:
    float32 [output_height, output_width, 3 or 1], 0..255 less `MEAN_RGB` or
    `MEAN_GREY`.

  Raises:
    ValueError: an image other than described.
  """
  image = utils.as_image(image, use_grayscale, batches=True)
  known = image.shape.as_list()[-3:]
  output = output_height, output_width
  if None not in known:
    side = smallest_side(known, *output, resize_side_min)
    if side == min(known[:2]):  # it has the size, and is cropped alone
      return centre(tf.cast(utils.central_window(image, *output), tf.float32))
  shape = tf.shape(image)[-3:]
  side = smallest_side(shape, *output, resize_side_min)
  size = tf.cast(shape[:2], tf.float32)
  # Scale first, then multiply, in float32: so the original rounds.
  scale = tf.cast(side, tf.float32) / tf.reduce_min(size)
  resized = tf.cast(tf.rint(size * scale), tf.int32)
  offset = (resized - output) // 2
  return centre(utils.resize_and_crop(image, resized, offset, *output))


preprocess_image = utils.recipe(preprocess_for_train, preprocess_for_eval)
