"""Sums of tensors whose bits are the same each time."""

import functools
import operator
from collections.abc import Iterable

import tensorflow.compat.v1 as tf


def total(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
  """Returns the sum of tensors, one after the other.

  TensorFlow's AddN of three or more adds them in an order that follows from
  which of their buffers is free at that moment; two give the same sum in either
  order. `runtime.session_config` keeps TensorFlow from joining pairs into it.
  """
  return functools.reduce(operator.add, tensors)
