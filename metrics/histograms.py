"""Histograms as TensorBoard draws them."""

from typing import Any

import numpy as np


def _limits():
  """Returns the upper limits of TensorFlow's buckets, each 1.1 times wider."""
  positive, limit = [], 1e-12
  while limit < 1e20:
    positive.append(limit)
    limit *= 1.1
  largest = np.finfo(np.float64).max
  return np.array(
    [-largest, *(-each for each in reversed(positive)), 0.0, *positive, largest]
  )


_LIMITS = _limits()


def histogram(values: np.ndarray) -> dict[str, Any]:
  """Returns the fields of a HistogramProto.

  A bucket holds what is at least the limit before its own and below that;
  those at either end that are empty are left out.

  >>> found = histogram(np.array([0.5, 0.5, -1.0]))
  >>> found['num'], found['sum'], sum(found['bucket'])
  (3.0, 0.0, 3.0)

  Args:
    values: float; those that are not finite do not count.

  Returns:
    min, max, num, sum, sum_squares, bucket_limit and bucket; {} of no values.
  """
  ordered = np.sort(values[np.isfinite(values)])
  if not ordered.size:
    return {}
  with np.errstate(over='ignore'):  # the outermost become infinite
    limits = _LIMITS.astype(ordered.dtype)
  below = np.searchsorted(ordered, limits)
  wide = ordered.astype(np.float64)
  buckets = np.diff(below, prepend=0)
  first, last = np.flatnonzero(buckets)[[0, -1]]
  return {
    'min': float(wide[0]),
    'max': float(wide[-1]),
    'num': float(wide.size),
    'sum': float(wide.sum()),
    'sum_squares': float(np.square(wide).sum()),
    'bucket_limit': _LIMITS[first : last + 1].tolist(),
    'bucket': buckets[first : last + 1].astype(float).tolist(),
  }
