"""How a record's labels are read, checked and prepared, for each task."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from datasets.images import png

Features = Mapping[str, tf.Tensor]


def _assert(condition, data):
  return tf.control_dependencies([tf.debugging.Assert(condition, data)])


class ClassLabels:
  """One class an image: int64 scalars in [0, classes)."""

  features = {'image/class/label': tf.FixedLenFeature([], tf.int64)}

  def __init__(
    self,
    preprocess: Callable,
    size: int,
    classes: int,
    labels_offset: int,
    ignore_label: int | None = None,
  ):
    """Takes what `input_pipeline.Source` is given."""
    del ignore_label
    self._preprocess, self._size = preprocess, size
    self._classes, self._offset = classes, labels_offset

  def decode(self, features: Features) -> tf.Tensor:
    """Returns the label as it was written."""
    return features['image/class/label']

  def prepare(
    self, image: Any, label: tf.Tensor, seed: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the network's input, and its label."""
    label -= self._offset
    fits = tf.logical_and(label >= 0, label < self._classes)
    with _assert(fits, ['A label is out of range:', label]):
      label = tf.identity(label)
    return self._preprocess(image, self._size, self._size, seed=seed), label


class Masks:
  """One class a pixel: int32 [height, width] in [0, classes), or ignored."""

  features = {
    'image/segmentation/class/encoded': tf.FixedLenFeature([], tf.string)
  }

  def __init__(
    self,
    preprocess: Callable,
    size: tuple[int, int] | None,
    classes: int,
    labels_offset: int = 0,
    ignore_label: int | None = None,
  ):
    """Takes what `input_pipeline.Source` is given."""
    del labels_offset
    self._preprocess, self._classes = preprocess, classes
    self._height, self._width = size or (None, None)
    self._ignore = -1 if ignore_label is None else ignore_label

  def decode(self, features: Features) -> tf.Tensor:
    """Returns the mask as it was written, uint8 [height, width].

    What is no grey PNG of 8 bits is an error: TensorFlow would make other
    numbers of it.
    """
    data = features['image/segmentation/class/encoded']
    header = tf.io.decode_raw(
      tf.strings.substr(data + b'\0' * (png.KIND + 1), png.BITS, 2), tf.uint8
    )
    with _assert(
      tf.reduce_all(tf.equal(header, [8, png.GREY])),
      ['A mask is no grey PNG of 8 bits:', header],
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
    with _assert(
      tf.logical_not(tf.reduce_any(wrong)),
      ['A mask has a value that is no class.'],
    ):
      label = tf.identity(label)
    return self._preprocess(image, label, self._height, self._width, seed=seed)


KINDS = {'classification': ClassLabels, 'segmentation': Masks}
