"""One class a pixel: how it is read, checked and prepared."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from datasets.images import png
from datasets.limits import MAX_PIXELS
from engine.input.labels import Features, checked


class MaskLabels:
  """One class a pixel: int32 [height, width] in [0, classes), or ignored."""

  features: Mapping[str, Any] = {
    'image/segmentation/class/encoded': tf.FixedLenFeature([], tf.string)
  }

  def __init__(
    self,
    preprocess: Callable,
    size: tuple[int, int] | None,
    classes: int,
    ignore_label: int | None = None,
    max_pixels: int = MAX_PIXELS,
  ):
    """Sets how images and masks are prepared, and which values are right.

    Args:
      preprocess: `preprocess(image, mask, height, width, seed=)`, which
        returns both.
      size: height and width of the network's input, in pixels; None for those
        of each image.
      classes: the number of classes.
      ignore_label: the value of pixels that do not count; None if all do.
      max_pixels: the largest height x width of a mask that is decoded.
    """
    self._max_pixels = max_pixels
    self._preprocess, self._classes = preprocess, classes
    self._size: tuple[int | None, int | None] = size or (None, None)
    self._ignore = -1 if ignore_label is None else ignore_label

  def decode(self, features: Features) -> tf.Tensor:
    """Returns the mask as it was written, uint8 [height, width].

    What is no grey PNG of 8 bits is an error: TensorFlow would make other
    numbers of it. So is one that is too large, before it is decoded.
    """
    data = features['image/segmentation/class/encoded']
    header = data + b'\0' * (png.KIND + 1)
    kind = tf.io.decode_raw(tf.strings.substr(header, png.BITS, 2), tf.uint8)
    size = tf.cast(
      tf.io.decode_raw(
        tf.strings.substr(header, png.WIDTH, 8), tf.int32, little_endian=False
      ),
      tf.int64,
    )
    small = tf.reduce_all(size > 0) & (tf.reduce_prod(size) <= self._max_pixels)
    with (
      checked(
        tf.reduce_all(tf.equal(kind, [8, png.GREY])),
        ['A mask is no grey PNG of 8 bits:', kind],
      ),
      checked(small, ['A mask has no pixels, or too many:', size]),
    ):
      data = tf.identity(data)
    return tf.io.decode_png(data, channels=1)[:, :, 0]

  def prepare(
    self, image: Any, label: tf.Tensor, seed: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the network's input, and its mask.

    The preprocessing makes sure that image and mask have one size.
    """
    number = tf.cast(label, tf.int32)
    wrong = tf.logical_and(
      number >= self._classes, tf.not_equal(number, self._ignore)
    )
    with checked(
      tf.logical_not(tf.reduce_any(wrong)),
      ['A mask has a value that is no class.'],
    ):
      label = tf.identity(label)
    return self._preprocess(image, label, *self._size, seed=seed)
