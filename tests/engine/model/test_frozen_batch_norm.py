"""Frozen batch norm whose gradient can have the same bits each time."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common import runtime
from engine.model import frozen_batch_norm
from nets.slim_compat import slim

IMAGES = np.random.RandomState(0).normal(3, 2, [4, 5, 5, 6]).astype(np.float32)


def built(bits, dtype=tf.float32, is_training=False):
  """Returns the types of operations, and what they compute."""
  with tf.Graph().as_default() as graph, runtime.arithmetic(True, bits):
    images = tf.cast(IMAGES, dtype)
    with frozen_batch_norm.deterministic():
      found = slim.batch_norm(images, scale=True, is_training=is_training)
    found = tf.cast(found, tf.float32)
    trained = tf.trainable_variables()
    slopes = tf.gradients(tf.square(found) * IMAGES, [images, *trained])
    with tf.Session() as session:
      for i, variable in enumerate(tf.global_variables()):
        value = np.random.RandomState(i).uniform(0.5, 2, 6)
        variable.load(value.astype(np.float32), session)
      values = session.run([found, *(tf.cast(g, tf.float32) for g in slopes)])
  return {op.type for op in graph.get_operations()}, values


def test_values_and_gradients():
  """As of TensorFlow's operation, which is not there."""
  fused, wanted = built(False)
  apart, found = built(True)
  assert 'FusedBatchNormGradV3' in fused
  assert not any('FusedBatchNorm' in kind for kind in apart)
  assert len(found) == 4
  for got, want in zip(found, wanted, strict=True):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_half_precision(dtype):
  _, (wanted, *_) = built(False)
  _, (found, *_) = built(True, dtype)
  np.testing.assert_allclose(found, wanted, rtol=0.03, atol=0.1)
  assert np.abs(found - wanted).max() > 1e-4


def test_training_mode_is_left_alone():
  fused, wanted = built(False, is_training=True)
  same, found = built(True, is_training=True)
  assert {'FusedBatchNormV3', 'FusedBatchNormGradV3'} <= fused & same
  assert all((a == b).all() for a, b in zip(found, wanted, strict=True))
