"""RandAugment: a few transformations drawn from fourteen, all of one strength.

Cubuk et al., RandAugment: Practical automated data augmentation with a
reduced search space, https://arxiv.org/abs/1909.13719. It goes between the
crop and the normalisation, and takes and returns pixels in 0..255.

>>> image = tf.zeros([32, 32, 3], tf.uint8)
>>> rand_augment(image, seed=[0, 1], layers=2, magnitude=9).shape.as_list()
[32, 32, 3]
>>> print(*OPERATIONS)
identity autocontrast equalize rotate solarize color posterize contrast \
brightness sharpness shear_x shear_y translate_x translate_y

The transformations are Pillow's, computed in float32. Where Pillow rounds to
whole levels on the way, or cuts off the fraction, the fraction is kept here:
results differ by less than two levels.
"""

import math
from typing import Any

import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils

MAX_MAGNITUDE = 30
_DTYPES = (tf.uint8, tf.float32)
# Weights of red, green and blue in Pillow's mode 'L'.
_LUMA = (0.299, 0.587, 0.114)


def transform(
  image: Any,
  name: str,
  magnitude: float = 9.0,
  sign: Any = 1.0,
  fill: float = 128.0,
) -> tf.Tensor:
  """Applies one transformation.

  Args:
    image: uint8 or float32 [height, width, 1 or 3] in 0..255; height and
      width may be statically unknown.
    name: a key of `OPERATIONS`.
    magnitude: its strength, from 0 to 30.
    sign: -1 or 1, a number or a float32 scalar: the direction, for those
      that have one.
    fill: grey in 0..255 of what comes in from outside the image.

  Returns:
    float32 of the same shape in [0, 255].

  Raises:
    ValueError: an image, a name or a magnitude other than described.
  """
  if name not in OPERATIONS:
    raise ValueError(utils.unknown('transformation', name, OPERATIONS))
  _check_magnitude(magnitude)
  return _apply(name, _pixels(image), magnitude, sign, fill)


def rand_augment(
  image: Any,
  seed: Any = None,
  layers: int = 2,
  magnitude: float = 9.0,
  fill: float = 128.0,
) -> tf.Tensor:
  """Applies `layers` transformations drawn uniformly from fourteen.

  Only those that are drawn are computed. One may be drawn twice.

  Args:
    image: uint8 or float32 [height, width, 1 or 3] in 0..255; height and
      width may be statically unknown.
    seed: None or int [2]; the output is a function of it and the image.
    layers: how many transformations, one after the other; N in the paper.
    magnitude: their strength, from 0 to 30; M in the paper.
    fill: grey in 0..255 of what comes in from outside the image.

  Returns:
    float32 of the same shape in [0, 255].

  Raises:
    ValueError: an image, a seed or an option other than described.
  """
  _check_magnitude(magnitude)
  if layers < 0:
    raise ValueError(
      f'layers is {layers}; it is the number of transformations and must '
      'be 0 or more.'
    )
  seed, image = utils.as_seed(seed), _pixels(image)
  for layer in range(layers):
    sign = utils.draw(seed, f'rand_augment/{layer}/sign', 0, 2, tf.int32)
    sign = 2.0 * tf.cast(sign, tf.float32) - 1.0
    chosen = utils.draw(
      seed, f'rand_augment/{layer}/op', 0, len(OPERATIONS), tf.int32
    )
    image = utils.select(
      chosen,
      [
        lambda x, name=name, sign=sign: _apply(name, x, magnitude, sign, fill)
        for name in OPERATIONS
      ],
      image,
    )
  return image


def _check_magnitude(magnitude):
  if not 0 <= magnitude <= MAX_MAGNITUDE:
    raise ValueError(
      f'magnitude is {magnitude}; it must be from 0, where the images '
      f'hardly change, to {MAX_MAGNITUDE}.'
    )


def _pixels(image):
  """Checks the image and returns it as float32, its channels as they are."""
  image = tf.convert_to_tensor(image)
  grey = image.shape.rank == 3 and image.shape.as_list()[2] == 1
  image = tf.cast(utils.as_image(image, grey, _DTYPES), tf.float32)
  # A bicubic resize overshoots, and equalize counts the levels 0..255.
  return tf.clip_by_value(image, 0.0, 255.0)


def _apply(name, image, magnitude, sign, fill):
  function, (weakest, strongest), signed = OPERATIONS[name]
  amount = weakest + (strongest - weakest) * magnitude / MAX_MAGNITUDE
  output = function(image, sign * amount if signed else amount, fill)
  output.set_shape(image.shape)
  return tf.clip_by_value(output, 0.0, 255.0)


# What follows are the functions of (image, amount, fill) in `OPERATIONS`.


def _autocontrast(image, *_):
  """Stretches each channel to 0..255."""
  low = tf.reduce_min(image, [0, 1])
  width = tf.reduce_max(image, [0, 1]) - low
  # Within one level there is nothing to see, only rounding to blow up.
  stretched = (image - low) * (255.0 / tf.maximum(width, 1.0))
  return tf.where_v2(width >= 1, stretched, image)


def _equalize(image, *_):
  """Makes all levels of a channel about equally frequent, as Pillow does."""
  channels = image.shape.as_list()[2]
  levels = tf.cast(tf.rint(image), tf.int32)
  places = levels + 256 * tf.range(channels)
  counts = tf.reshape(
    tf.math.bincount(places, minlength=256 * channels), [channels, 256]
  )
  highest = tf.reduce_max(places, [0, 1])
  last = tf.gather(tf.reshape(counts, [-1]), highest)
  step = (tf.reduce_sum(counts, 1) - last) // 255
  below = tf.cumsum(counts, 1, exclusive=True)
  table = (step[:, None] // 2 + below) // tf.maximum(step, 1)[:, None]
  # Too few pixels, or all of one level: Pillow leaves the channel alone.
  table = tf.where_v2(step[:, None] > 0, table, tf.range(256))
  return tf.gather(tf.cast(tf.reshape(table, [-1]), tf.float32), places)


def _solarize(image, threshold, _):
  """Inverts what is at least as bright as the threshold."""
  return tf.where(image < threshold, image, 255.0 - image)


def _posterize(image, bits, _):
  """Keeps the highest bits of each level."""
  step = 2.0 ** (8 - round(bits))
  return tf.floor(image / step) * step


def _color(image, change, _):
  return _blend(_luma(image), image, change)


def _contrast(image, change, _):
  return _blend(tf.reduce_mean(_luma(image)), image, change)


def _brightness(image, change, _):
  return image * (1.0 + change)


def _sharpness(image, change, _):
  """Moves away from the smoothed image, or towards it; not at the border."""
  mean = tf.nn.avg_pool(image[None], 3, 1, 'SAME')[0]
  # Pillow's SMOOTH: 5 for the pixel and 1 for each of its 8 neighbours.
  smooth = (9.0 * mean + 4.0 * image) / 13.0
  height, width = tf.unstack(tf.shape(image)[:2])
  y, x = tf.range(height)[:, None, None], tf.range(width)[:, None]
  inside = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
  return _blend(smooth, image, change * tf.cast(inside, tf.float32))


def _luma(image):
  """Returns [h, w, 1]."""
  if image.shape.as_list()[2] == 1:
    return image
  red, green, blue = tf.split(image, 3, 2)
  return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _blend(base, image, change):
  """Moves the image away from `base`, or towards it if `change` is below 0."""
  return image + change * (image - base)


def _rotate(image, degrees, fill):
  """Rotates about the centre."""
  y, x = tf.unstack((_size(image) - 1.0) / 2)
  angle = degrees * (math.pi / 180)
  cos, sin = tf.cos(angle), tf.sin(angle)
  return _warp(
    image,
    [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y],
    fill,
  )


# The paper shears from the upper left corner, which lies half a pixel up and
# left of the centre of pixel (0, 0).
def _shear_x(image, slope, fill):
  return _warp(image, [1.0, slope, slope / 2, 0.0, 1.0, 0.0], fill)


def _shear_y(image, slope, fill):
  return _warp(image, [1.0, 0.0, 0.0, slope, 1.0, slope / 2], fill)


# Whole pixels: a part of one would blur the image, too.
def _translate_x(image, part, fill):
  return _translate(image, [0.0, part * _size(image)[1]], fill)


def _translate_y(image, part, fill):
  return _translate(image, [part * _size(image)[0], 0.0], fill)


def _translate(image, move, fill):
  """Moves the image up and left by `move`, (y, x) in pixels."""
  move = tf.cast(tf.rint(move), tf.int32)
  room = tf.concat([tf.abs(move), [0]], 0)
  wide = tf.pad(image, tf.stack([room, room], 1), constant_values=fill)
  return tf.slice(wide, room + tf.concat([move, [0]], 0), tf.shape(image))


def _size(image):
  return tf.cast(tf.shape(image)[:2], tf.float32)


def _warp(image, matrix, fill):
  """Takes output pixel (x, y) from (ax + by + c, dx + ey + f) of [h, w, C]."""
  return tf.raw_ops.ImageProjectiveTransformV3(
    images=image[None],
    transforms=tf.stack([[*matrix, 0.0, 0.0]]),
    output_shape=tf.shape(image)[:2],
    fill_value=fill,
    interpolation='BILINEAR',
    fill_mode='CONSTANT',
  )[0]


# Name: the function, its amount at the magnitudes 0 and 30 (a straight line
# between), and whether the sign of the amount is drawn. The enhancements have
# Pillow's factor less 1; translations are parts of the side.
OPERATIONS = {
  'identity': (lambda image, *_: image, (0, 0), False),
  'autocontrast': (_autocontrast, (0, 0), False),
  'equalize': (_equalize, (0, 0), False),
  'rotate': (_rotate, (0, 30), True),
  'solarize': (_solarize, (256, 0), False),
  'color': (_color, (0, 0.9), True),
  'posterize': (_posterize, (8, 4), False),
  'contrast': (_contrast, (0, 0.9), True),
  'brightness': (_brightness, (0, 0.9), True),
  'sharpness': (_sharpness, (0, 0.9), True),
  'shear_x': (_shear_x, (0, 0.3), True),
  'shear_y': (_shear_y, (0, 0.3), True),
  'translate_x': (_translate_x, (0, 150 / 331), True),
  'translate_y': (_translate_y, (0, 150 / 331), True),
}
