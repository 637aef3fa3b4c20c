"""Batch norm that measures over the batches of all replicas.

Each replica then normalizes by the mean and the variance of the whole batch, as
one device would that had all of it (Peng et al., MegDet, arXiv:1711.07240,
section 3.3).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from engine.replicas.collectives import Member
from nets.slim_compat import batch_norm_by

# What `batch_norm.layers` finds them by: beta, mean, unbiased variance, count.
COLLECTION = 'sync_batch_norm'


class _Normalizer:
  """What stands for `tf.nn.fused_batch_norm` in training mode."""

  def __init__(self, member, replicas, fused):
    self._member, self._replicas, self._fused = member, replicas, fused

  def __call__(
    self, x: tf.Tensor, scale: Any, offset: Any, **options: Any
  ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    if not options.get('is_training', True):
      return self._fused(x, scale, offset, **options)
    assert options['data_format'] == 'NHWC'  # as the networks are built
    values, offset = tf.cast(x, tf.float32), tf.convert_to_tensor(offset)
    mean = self._mean(values)
    variance = self._mean(tf.square(values - mean))
    found = tf.nn.batch_normalization(
      values, mean, variance, offset, scale, options['epsilon']
    )
    here = tf.size(x) // tf.shape(x)[-1]
    count = tf.cast(here * self._replicas, tf.float32)
    unbiased = variance * (count / tf.maximum(count - 1.0, 1.0))
    tf.add_to_collection(COLLECTION, (offset, mean, unbiased, here))
    return tf.cast(found, x.dtype), mean, unbiased

  def _mean(self, values):
    """Returns the mean of each channel, over all replicas."""
    axes = list(range(values.shape.rank - 1))
    return self._member.sum(tf.reduce_mean(values, axes)) / self._replicas


@contextlib.contextmanager
def over(member: Member | None, replicas: int) -> Iterator[None]:
  """Builds what is within with batch norm over all replicas.

  Args:
    member: that of this replica; None leaves batch norm as it is.
    replicas: how many there are, all with batches of one size.
  """
  if member is None:
    yield
    return
  with batch_norm_by(lambda fused: _Normalizer(member, replicas, fused)):
    yield
