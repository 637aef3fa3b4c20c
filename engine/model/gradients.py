"""Gradients whose bits are the same each time.

Where several operations use a tensor, its gradient is a sum, which is made in
pairs here; `engine.common.sums` says why.
"""

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
