"""Gradients whose bits are the same each time.

Where several operations use a tensor, its gradient is a sum. TensorFlow's AddN
of three or more adds them in an order that follows from which of their buffers
is free at that moment; two give the same sum in either order. Sums are made in
pairs here, and `runtime.session_config` keeps TensorFlow from joining them.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf


def gradients(
  losses: Any, inputs: Sequence[Any], slopes: Any = None, **options: Any
) -> list[tf.Tensor | None]:
  """Returns what `tf.gradients` does, summed in pairs.

  Args:
    losses: what is differentiated.
    inputs: by these.
    slopes: the gradients by the losses; 1 if None.
    **options: others of `tf.gradients`.
  """
  return tf.gradients(
    losses,
    inputs,
    slopes,
    aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE,
    **options,
  )


def total(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
  """Returns the sum of tensors, one after the other."""
  return functools.reduce(operator.add, tensors)
