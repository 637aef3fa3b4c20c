"""How a record's label is read, and an image prepared with it.

Each task has a class that follows `Labels`.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow.compat.v1 as tf

Features = Mapping[str, tf.Tensor]


class Labels(Protocol):
  """The labels of a task.

  Attributes:
    features: what a record has besides its image, as
      `tf.io.parse_single_example` takes it.
  """

  features: Mapping[str, Any]

  def decode(self, features: Features) -> tf.Tensor:
    """Returns the label as it was written.

    Args:
      features: the parsed `features`.
    """

  def prepare(
    self, image: Any, label: tf.Tensor, seed: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the network's input, float32, and its label.

    Args:
      image: uint8 [height, width, 3], or `preprocessing.encoded.Encoded`.
      label: what `decode` returned.
      seed: int64 [2]: of the run, and the number of the example.
    """


def checked(
  condition: tf.Tensor, data: list[Any]
) -> contextlib.AbstractContextManager:
  """Returns a context in which what is computed depends on a condition.

  Args:
    condition: bool scalar.
    data: what the error shows if it is false.
  """
  return tf.control_dependencies([tf.debugging.Assert(condition, data)])
