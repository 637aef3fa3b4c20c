"""The recipe for small images: shift by a few pixels, flip, normalise.

Krizhevsky's CIFAR-10 augmentation as He et al. use it, Deep Residual Learning
for Image Recognition, section 4.2, https://arxiv.org/abs/1512.03385: four
pixels of padding, a crop of the image's size, a flip. Of TF-Slim's cifarnet
it keeps the standardisation and leaves out brightness and contrast. Small
rotations and zooms serve images that must not be flipped, such as digits.

>>> image = tf.zeros([40, 30, 3], tf.uint8)
>>> preprocess_image(image, 32, 32, is_training=True, padding=4).shape.as_list()
[32, 32, 3]
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils

# Functions of the image in 0..255, and of the mean image if one is given.
LESS_MEAN = {
  'subtract_mean': lambda x, mean: x - mean,
  'share_less_mean': lambda x, mean: x / 255.0 - mean,
}
_NORMALIZATIONS = {
  'standardize': tf.image.per_image_standardization,
  'scale': lambda x: x / 127.5 - 1.0,
  **LESS_MEAN,
}


def preprocess_for_train(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  padding: int = 4,
  shift: float = 0.0,
  flip: bool = True,
  rotation: float = 0.0,
  zoom: float = 0.0,
  repeat_edge: bool = False,
  normalization: str = 'standardize',
  per_pixel_mean: Any = None,
  augment: Callable | None = None,
) -> tf.Tensor:
  """Moves the image at random, flips and normalises it.

  What comes in from outside the image is black, or repeats its edge.

  Args:
    image: uint8 [height, width, 1 or 3]; of another size than the output it
      is stretched to it.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: None or int [2]; the output is a function of it and the image.
    padding: largest move in each direction, in pixels of the output.
    shift: the same as a part of the output's side, rounded to pixels; the
      two add up.
    flip: whether to mirror the image, with a probability of 1/2.
    rotation: largest rotation to either side, in degrees.
    zoom: largest part by which to grow or shrink, in [0, 1).
    repeat_edge: whether a move repeats the edge, as Keras's generator does.
    normalization: 'standardize' for mean 0 and deviation 1 in each image,
      'scale' for [-1, 1], 'subtract_mean' for 0..255 less `per_pixel_mean`,
      'share_less_mean' for [0, 1] less that.
    per_pixel_mean: for the latter two the mean image of the training set in
      the same range, [height, width, C], which is stretched to the output's
      size, or the mean colour [C].
    augment: None, or augment(image, seed) that changes the image, float32
      in 0..255, after it was cropped and before it is normalised.

  Returns:
    float32 [output_height, output_width, 3 or 1].

  Raises:
    ValueError: an image, a seed or an option other than described.
  """
  if min(padding, shift, rotation, zoom) < 0 or zoom >= 1:
    raise ValueError(
      f'padding {padding}, shift {shift}, rotation {rotation} and zoom '
      f'{zoom} must not be negative, and zoom must be below 1.'
    )
  seed = utils.as_seed(seed)
  image = _fill(image, output_height, output_width, use_grayscale)
  if rotation or zoom:
    image = _rotate_and_zoom(
      image,
      utils.draw(seed, 'rotation', -rotation, rotation),
      utils.draw(seed, 'zoom', 1 - zoom, 1 + zoom),
    )
  margins = [
    padding + round(shift * side) for side in (output_height, output_width)
  ]
  image = _pad(image, margins, repeat_edge)
  image = utils.crop(
    image,
    utils.place_window(tf.shape(image), output_height, output_width, seed),
  )
  image.set_shape([output_height, output_width, None])
  if flip:
    image = utils.random_flip(image, seed)
  if augment:
    image = augment(image, seed)
  return _normalize(image, normalization, per_pixel_mean)


def preprocess_for_eval(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  normalization: str = 'standardize',
  per_pixel_mean: Any = None,
) -> tf.Tensor:
  """Stretches the image to the output's size and normalises it.

  Args:
    image: uint8 [height, width, 1 or 3], or a batch of a known size.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: unused; here nothing is random.
    normalization: see `preprocess_for_train`.
    per_pixel_mean: see `preprocess_for_train`.

  Returns:
    float32 [output_height, output_width, 3 or 1].

  Raises:
    ValueError: an image or an option other than described.
  """
  image = _fill(image, output_height, output_width, use_grayscale, batches=True)
  return _normalize(image, normalization, per_pixel_mean)


preprocess_image = utils.recipe(preprocess_for_train, preprocess_for_eval)


def unresized(output_height: int, output_width: int) -> tuple[int, int]:
  """Returns the size of images that evaluation does not resize."""
  return output_height, output_width


def _fill(image, height, width, use_grayscale, batches=False):
  image = utils.as_image(image, use_grayscale, batches=batches)
  # TensorFlow 1's sampling would move an 8 x 8 glyph resized to 32 x 32 by
  # 1.5 pixels to the upper left.
  return utils.resize(image, height, width, half_pixel_centers=True)


def _pad(image, margins, repeat_edge):
  """Adds rows above and below, and columns at both sides."""
  if not repeat_edge:
    return tf.pad(image, [*([margin] * 2 for margin in margins), [0, 0]])
  for axis, margin in enumerate(margins):
    side = image.shape.as_list()[axis]
    image = tf.gather(
      image, np.clip(np.arange(-margin, side + margin), 0, side - 1), axis=axis
    )
  return image


def _rotate_and_zoom(image, degrees, zoom):
  """Rotates and enlarges [h, w, C] about its centre; outside it is black."""
  height, width = image.shape.as_list()[:2]
  angle = degrees * (math.pi / 180)
  cos, sin = tf.cos(angle) / zoom, tf.sin(angle) / zoom
  x, y = (width - 1) / 2, (height - 1) / 2
  # From positions in the output to positions in the input.
  transform = [
    cos,
    -sin,
    x - cos * x + sin * y,
    sin,
    cos,
    y - sin * x - cos * y,
    0.0,
    0.0,
  ]
  return tf.raw_ops.ImageProjectiveTransformV3(
    images=image[None],
    transforms=tf.stack([transform]),
    output_shape=[height, width],
    fill_value=0.0,
    interpolation='BILINEAR',
    fill_mode='CONSTANT',
  )[0]


def _normalize(image, normalization, mean):
  if normalization not in _NORMALIZATIONS:
    raise ValueError(
      utils.unknown('normalization', normalization, _NORMALIZATIONS)
    )
  if (mean is not None) != (normalization in LESS_MEAN):
    raise ValueError(
      f'per_pixel_mean and normalization {normalization!r} do not go '
      f'together: {" and ".join(LESS_MEAN)} need per_pixel_mean, and nothing '
      'else takes it.'
    )
  means = (
    [] if mean is None else [_fit(mean, tuple(image.shape.as_list()[-3:]))]
  )
  return _NORMALIZATIONS[normalization](image, *means)


def _fit(mean, shape):
  """Returns the mean image as large as an image, or the mean colour."""
  mean = np.asarray(mean, np.float32)
  if mean.ndim == 3 and mean.shape[:2] != shape[:2]:
    mean = utils.resize(
      tf.constant(mean), shape[0], shape[1], half_pixel_centers=True
    )
  try:
    np.broadcast_to(np.empty(mean.shape), shape)
  except ValueError:
    raise ValueError(
      f'per_pixel_mean has the shape {mean.shape}; the image has '
      f'{shape}. Give a mean image of that shape, or a mean colour '
      f'[{shape[2]}].'
    ) from None
  return mean
