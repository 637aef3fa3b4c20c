"""An image that is decoded no further than its recipe needs.

A JPEG's window is decoded without the rows below it and the columns beside
it, which would take most of the time of a training pipeline. Every recipe takes
an `Encoded` where it takes the pixels.

>>> image = Encoded(tf.io.encode_jpeg(tf.zeros([60, 80, 3], tf.uint8)))
>>> part = image.pixels(window=lambda shape: tf.constant([10, 20, 32, 48]))
>>> with tf.Session() as session:
...   print(session.run([image.size, tf.shape(part)]))
[array([60, 80], dtype=int32), array([32, 48,  3], dtype=int32)]
"""

from collections.abc import Callable

import tensorflow.compat.v1 as tf


def _number(data, at, size, dtype, little_endian=True):
  """Returns an integer of `size` bytes at a place in a string scalar.

  Beyond the end it reads zeros: an error of TensorFlow's would quote bytes that
  are no text, and be a UnicodeDecodeError in Python.
  """
  padded = tf.strings.substr(data, 0, at + size) + b'\0' * (at + size)
  return tf.cast(
    tf.io.decode_raw(
      tf.strings.substr(padded, at, size), dtype, little_endian=little_endian
    )[0],
    tf.int32,
  )


# First bytes of a format -> [height, width] from its header. JPEG aside,
# TensorFlow would tell them only after decoding everything.
_SIZES = {
  b'\xff\xd8\xff': lambda data: tf.io.extract_jpeg_shape(data)[:2],
  b'\x89PN': lambda data: tf.stack(
    [_number(data, at, 4, tf.int32, False) for at in (20, 16)]
  ),
  b'GIF': lambda data: tf.stack(
    [_number(data, at, 2, tf.uint16) for at in (8, 6)]
  ),
  # A BMP that is stored from top to bottom has a negative height.
  b'BM': lambda data: tf.abs(
    tf.stack([_number(data, at, 4, tf.int32) for at in (22, 18)])
  ),
}
_JPEG = next(iter(_SIZES))
_JPEG_END = b'\xff\xd9'


def _begins(data, first):
  return tf.equal(tf.strings.substr(data, 0, len(first)), first)


def _size(data, formats=tuple(_SIZES)):
  """Returns [height, width] by the first of the formats it is, or zeros."""
  if not formats:
    return tf.constant([0, 0])
  first, *others = formats
  return tf.cond(
    _begins(data, first),
    lambda: _SIZES[first](data),
    lambda: _size(data, others),
  )


def _is_whole_jpeg(data):
  """Whether the bytes begin and end as those of a JPEG.

  A truncated one is refused whatever window is read.
  """
  end = tf.maximum(tf.strings.length(data) - len(_JPEG_END), 0)
  return tf.logical_and(
    _begins(data, _JPEG),
    tf.equal(tf.strings.substr(data, end, len(_JPEG_END)), _JPEG_END),
  )


def _decode(data):
  return tf.io.decode_image(data, channels=3, expand_animations=False)


def _cut(image, window):
  # Its own shape: that of a GIF's first frame may not be the header's.
  y, x, height, width = tf.unstack(window(tf.shape(image)))
  return tf.slice(image, [y, x, 0], tf.stack([height, width, 3]))


class Encoded:
  """The bytes of a JPEG, PNG, GIF or BMP file in a graph.

  Attributes:
    data: string scalar.
    size: int32 [2], the height and width that the header tells.
  """

  def __init__(
    self, data: tf.Tensor, max_pixels: int | None = None, whole: bool = False
  ):
    """Reads the header.

    Args:
      data: string scalar, the bytes of the file.
      max_pixels: the largest height x width that is decoded; of more, and of
        bytes that are no image, running the graph is an
        InvalidArgumentError.
      whole: whether to decode all of a JPEG for a part of it, so that damage
        anywhere is an error.
    """
    self._whole = whole
    self.size = _size(data)
    if max_pixels is not None:
      pixels = tf.reduce_prod(tf.cast(self.size, tf.int64))
      with tf.control_dependencies(
        [
          tf.debugging.Assert(
            tf.logical_and(pixels > 0, pixels <= max_pixels),
            ['The image has', pixels, 'pixels, which is none or too many.'],
          )
        ]
      ):
        data = tf.identity(data)
        self.size = tf.identity(self.size)
    self.data = data

  def pixels(
    self, window: Callable[[tf.Tensor], tf.Tensor] | None = None
  ) -> tf.Tensor:
    """Returns the image, or a part of it, as uint8 [height, width, 3].

    Args:
      window: a function of the image's shape, int32 [3], that returns the
        part, int32 [4] (y, x, height, width). None for all.
    """
    if window is None:
      image = _decode(self.data)
    elif self._whole:
      image = _cut(_decode(self.data), window)
    else:
      image = tf.cond(
        _is_whole_jpeg(self.data),
        lambda: tf.io.decode_and_crop_jpeg(
          self.data, window(tf.concat([self.size, [3]], 0)), channels=3
        ),
        lambda: _cut(_decode(self.data), window),
      )
    image.set_shape([None, None, 3])
    return image
