"""The Inception recipe: crop any part, squash to size, distort the colours.

Szegedy et al., Going Deeper with Convolutions,
https://arxiv.org/abs/1409.4842; the colour distortion is Howard's,
https://arxiv.org/abs/1312.5402. TF-Slim's ResNet v2 checkpoints expect it:
RGB in [-1, 1].

>>> image = tf.zeros([300, 400, 3], tf.uint8)
>>> preprocess_image(image, 299, 299, is_training=True).shape.as_list()
[299, 299, 3]
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils

CENTRAL_FRACTION = 0.875  # of each side, which evaluation keeps

# Floats count as scaled to [0, 1]. No int32: convert_image_dtype would take
# 2^31 for white and make pixels of 0..255 black.
_DTYPES = (tf.uint8, tf.uint16, tf.float16, tf.bfloat16, tf.float32, tf.float64)

# What changes the colours, and from which range its argument is drawn.
_DISTORTIONS = {
  'brightness': (tf.image.adjust_brightness, -32 / 255, 32 / 255),
  'saturation': (tf.image.adjust_saturation, 0.5, 1.5),
  'hue': (tf.image.adjust_hue, -0.2, 0.2),
  'contrast': (tf.image.adjust_contrast, 0.5, 1.5),
}
# They do not commute; each image draws one of these orders.
_ORDERS = (
  ('brightness', 'saturation', 'hue', 'contrast'),
  ('saturation', 'brightness', 'contrast', 'hue'),
  ('contrast', 'hue', 'brightness', 'saturation'),
  ('hue', 'saturation', 'contrast', 'brightness'),
)
_FAST = ('brightness', 'saturation')
_GREY = ('brightness', 'contrast')

_METHODS = (
  tf.image.ResizeMethod.BILINEAR,
  tf.image.ResizeMethod.NEAREST_NEIGHBOR,
  tf.image.ResizeMethod.BICUBIC,
  tf.image.ResizeMethod.AREA,
)


def whole(side: int) -> dict[str, Any]:
  """Returns the options by which evaluation crops as little as it can.

  Args:
    side: height and width of the output.
  """
  del side
  return {'central_fraction': 1.0}


def sample_window(
  shape: tf.Tensor,
  seed: Any,
  bbox: Any = None,
  min_object_covered: float = 0.1,
  aspect_ratio_range: tuple[float, float] = (0.75, 1.33),
  area_range: tuple[float, float] = (0.05, 1.0),
  max_attempts: int = 100,
) -> tf.Tensor:
  """Chooses what part of an image to train on, from its shape alone.

  Args:
    shape: int32 [3], the image's (height, width, channels).
    seed: None or int [2].
    bbox: None for the whole image, or float32 [1, n, 4] boxes (ymin, xmin,
      ymax, xmax) in [0, 1] of which the window keeps a part; n may be 0.
    min_object_covered: least part of a box that the window covers. With no
      boxes the image is the box, so this bounds the window's area too.
    aspect_ratio_range: least and largest width / height of the window.
    area_range: least and largest part of the image's area.
    max_attempts: draws until the whole image is taken instead.

  Returns:
    int32 [4], the window (y, x, height, width) within `shape`.
  """
  if bbox is None:
    bbox = [[[0.0, 0.0, 1.0, 1.0]]]
  # compat.v1 has no stateless form of this op under tf.image.
  begin, size, _ = tf.raw_ops.StatelessSampleDistortedBoundingBox(
    image_size=shape,
    bounding_boxes=bbox,
    min_object_covered=min_object_covered,
    seed=utils.as_seed(seed),
    aspect_ratio_range=list(aspect_ratio_range),
    area_range=list(area_range),
    max_attempts=max_attempts,
    use_image_if_no_bounding_boxes=True,
  )
  return tf.concat([begin[:2], size[:2]], 0)


def distort_color(
  image: tf.Tensor, seed: Any, fast_mode: bool = True
) -> tf.Tensor:
  """Changes brightness, saturation, hue and contrast in a random order.

  Args:
    image: float32 [height, width, 1 or 3] in [0, 1].
    seed: None or int [2].
    fast_mode: whether to change brightness, then saturation, and no more.

  Returns:
    float32 of the same shape, clipped to [0, 1]. Grey images have no
    saturation or hue to change.
  """
  seed = utils.as_seed(seed)
  kept = set(_FAST if fast_mode else _DISTORTIONS)
  if image.shape.as_list()[2] == 1:
    kept &= set(_GREY)
  amounts = {
    name: utils.draw(seed, name, *_DISTORTIONS[name][1:])
    for name in sorted(kept)
  }

  def in_order(names):
    def distort(x):
      for name in names:
        if name in kept:
          x = _DISTORTIONS[name][0](x, amounts[name])
      return x

    return distort

  orders = _ORDERS[:1] if fast_mode else _ORDERS
  chosen = utils.draw(seed, 'order', 0, len(orders), tf.int32)
  image = utils.select(chosen, [in_order(names) for names in orders], image)
  return tf.clip_by_value(image, 0.0, 1.0)


def _checked(image):
  """Returns the image, with a check that floats lie in [0, 1]."""
  if image.dtype.is_integer:
    return image
  fits = tf.logical_and(tf.reduce_min(image) >= 0, tf.reduce_max(image) <= 1)
  with tf.control_dependencies(
    [
      tf.debugging.Assert(
        fits,
        [
          'An image of floats must lie in [0, 1], and this one does not: pass '
          'the uint8 pixels (0 to 255), or divide them by 255.'
        ],
      )
    ]
  ):
    return tf.identity(image)


def _to_unit(image, dtype):
  """Scales floats that were resized from pixels of `dtype` to [0, 1]."""
  return image * (1 / dtype.max) if dtype.is_integer else image


def preprocess_for_train(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  bbox: Any = None,
  fast_mode: bool = True,
  random_crop: bool = True,
  flip: bool = True,
  color: bool = True,
  augment: Callable | None = None,
) -> tf.Tensor:
  """Crops a random window, squashes it to size, flips, distorts the colours.

  Args:
    image: [height, width, 1 or 3] of any size: uint8 or uint16 pixels, or
      floats in [0, 1].
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three. The
      colours go first: their saturation and hue are not distorted then.
    seed: None or int [2]; the output is a function of it and the image.
    bbox: see `sample_window`.
    fast_mode: whether to resize bilinearly, rather than by one method of
      four, and to leave hue and contrast alone.
    random_crop: whether to crop; if not, the whole image is resized.
    flip: whether to mirror the image, with a probability of 1/2.
    color: whether to distort the colours.
    augment: None, or augment(image, seed) that changes the image, float32
      in 0..255, after it was cropped and before it is normalised.

  Returns:
    float32 [output_height, output_width, 3 or 1] in [-1, 1].

  Raises:
    ValueError: an image or a seed other than described. Floats outside of
      [0, 1] are an InvalidArgumentError when the graph runs.
  """
  seed = utils.as_seed(seed)
  window = functools.partial(sample_window, seed=seed, bbox=bbox)
  image = _checked(
    utils.as_image(
      image, use_grayscale, _DTYPES, window if random_crop else None
    )
  )
  dtype = image.dtype
  if flip:  # here, where a pixel has a byte
    image = utils.random_flip(image, seed)
  methods = _METHODS[:1] if fast_mode else _METHODS
  image = utils.select(
    utils.draw(seed, 'method', 0, len(methods), tf.int32),
    [
      lambda x, method=method: tf.cast(
        tf.image.resize_images(x, [output_height, output_width], method),
        tf.float32,
      )
      for method in methods
    ],
    image,
  )
  image = _to_unit(image, dtype)
  if augment:
    image = augment(image * 255, seed) / 255
  if color:
    image = distort_color(image, seed, fast_mode)
  # Bicubic resizing overshoots, and distort_color may have been left out.
  return (tf.clip_by_value(image, 0.0, 1.0) - 0.5) * 2.0


def preprocess_for_eval(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  central_fraction: float = CENTRAL_FRACTION,
) -> tf.Tensor:
  """Crops the centre and squashes it to size.

  Args:
    image: [height, width, 1 or 3] of any size, or a batch of a known one:
      uint8 or uint16 pixels, or floats in [0, 1].
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: unused; here nothing is random.
    central_fraction: part of each side that is kept, in (0, 1].

  Returns:
    float32 [output_height, output_width, 3 or 1] in [-1, 1].

  Raises:
    ValueError: an image or a fraction other than described.
  """
  image = _checked(utils.as_image(image, use_grayscale, _DTYPES, batches=True))
  dtype = image.dtype
  image = tf.image.central_crop(image, central_fraction)
  image = utils.resize(image, output_height, output_width)
  return (_to_unit(image, dtype) - 0.5) * 2.0


preprocess_image = utils.recipe(preprocess_for_train, preprocess_for_eval)


def unresized(output_height: int, output_width: int) -> tuple[int, int]:
  """Returns the size of images that evaluation crops without resizing them.

  >>> unresized(224, 224), unresized(299, 299)
  ((256, 256), (341, 341))
  """

  def uncropped(length):
    sides = range(length, 2 * length + 2)
    fit = [
      side
      for side in sides  # as `central_crop` rounds
      if side - 2 * int((side - side * CENTRAL_FRACTION) / 2) == length
    ]
    return min(fit, key=lambda side: abs(side * CENTRAL_FRACTION - length))

  return uncropped(output_height), uncropped(output_width)
