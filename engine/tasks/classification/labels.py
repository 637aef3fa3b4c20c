"""One class an image: how it is read, checked and prepared."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from engine.input.labels import Features, checked


class ClassLabels:
  """One class an image: int64 scalars in [0, classes)."""

  features: Mapping[str, Any] = {
    'image/class/label': tf.FixedLenFeature([], tf.int64)
  }

  def __init__(
    self, preprocess: Callable, size: int, classes: int, labels_offset: int = 0
  ):
    """Sets how images are prepared, and which labels are right.

    Args:
      preprocess: `preprocess(uint8 or encoded image, height, width, seed=)`.
      size: height and width of the network's input, in pixels.
      classes: the number of labels after `labels_offset`.
      labels_offset: subtracted from every label.
    """
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
    with checked(fits, ['A label is out of range:', label]):
      label = tf.identity(label)
    return self._preprocess(image, self._size, self._size, seed=seed), label
