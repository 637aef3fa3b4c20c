"""Frozen batch norm whose gradient has the same bits each time on a GPU.

TensorFlow's operation has no such gradient where it uses moving averages. There
batch norm is a factor and a term for each channel.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from engine.common import runtime
from nets.slim_compat import batch_norm_by


def _normalizer(fused):
  """Returns what stands for `tf.nn.fused_batch_norm`."""

  def normalize(
    x: tf.Tensor, scale: Any, offset: Any, **options: Any
  ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    if options['is_training']:
      return fused(x, scale, offset, **options)
    mean = tf.convert_to_tensor(options['mean'])
    variance = tf.convert_to_tensor(options['variance'])
    factor = tf.math.rsqrt(variance + options['epsilon']) * scale
    term = offset - mean * factor
    found = x * tf.cast(factor, x.dtype) + tf.cast(term, x.dtype)
    return found, mean, variance

  return normalize


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
  """Builds what is within so, where `runtime.arithmetic` asks for the bits."""
  if not runtime.is_deterministic():
    yield
    return
  with batch_norm_by(_normalizer):
    yield
