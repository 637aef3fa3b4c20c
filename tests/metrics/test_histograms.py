"""Histograms of weights, beside TensorFlow's own."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from metrics.histograms import histogram

NORMAL = np.random.RandomState(0).normal(size=(7, 50)).astype(np.float32)


def theirs(values):
  with tf.Graph().as_default(), tf.Session() as session:
    summary = session.run(tf.summary.histogram('name', tf.constant(values)))
  return tf.Summary.FromString(summary).value[0].histo


def shares(histo):
  """What lies below each limit, of those around a bucket that holds some."""
  below = np.cumsum(histo.bucket)
  return {
    limit: count
    for limit, count, holds in zip(
      histo.bucket_limit, below, histo.bucket, strict=True
    )
    if holds
  }


@pytest.mark.parametrize(
  'values',
  [
    NORMAL,
    np.abs(NORMAL) * 1e-3,
    np.zeros(5, np.float32),
    np.float32([1e-20, -1e-13, 3e25, -3e25, 0.0]),
    NORMAL.astype(np.float64),
  ],
  ids=['normal', 'positive', 'zeros', 'far', 'float64'],
)
def test_it_is_that_of_tensorflow(values):
  ours, wanted = tf.HistogramProto(**histogram(values)), theirs(values)
  assert shares(ours) == pytest.approx(shares(wanted))
  for field in ('min', 'max', 'num', 'sum', 'sum_squares'):
    assert getattr(ours, field) == pytest.approx(
      getattr(wanted, field), rel=1e-6
    ), field


def test_what_is_not_finite_does_not_count():
  spoiled = np.append(NORMAL, np.float32([np.nan, np.inf, -np.inf]))
  assert histogram(spoiled) == histogram(NORMAL)
  assert histogram(spoiled[-3:]) == {}
