"""Resizing of features and images inside of a network, corners on corners."""

from typing import Any

import tensorflow.compat.v1 as tf


def sides(features: tf.Tensor) -> Any:
  """Returns [height, width], as numbers where both are known."""
  known = features.shape.as_list()[1:3]
  return tf.unstack(tf.shape(features)[1:3]) if None in known else known


def resize(features: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """Resizes features bilinearly to the height and width of others.

  Corners stay on corners, as everywhere in a network of sides of a multiple
  of its stride plus one.

  Args:
    features: float [batch, height, width, channels].
    like: [batch, new height, new width, any].

  Returns:
    [batch, new height, new width, channels] of the dtype of `features`.
  """
  resized = tf.image.resize_bilinear(features, sides(like), align_corners=True)
  return tf.cast(resized, features.dtype)
