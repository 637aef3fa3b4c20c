"""Whether probabilities are as high as predictions are often right."""

import numpy as np

BINS = 15


def tally(
  confidences: np.ndarray,
  hits: np.ndarray,
  predicted: np.ndarray | None = None,
  classes: int = 1,
  bins: int = BINS,
) -> np.ndarray:
  """Puts predictions into bins of equal width by their probabilities.

  What several tallies count may be added up.

  Args:
    confidences: float [predictions], the probabilities of what was predicted.
    hits: bool [predictions], whether it is right.
    predicted: int [predictions], the class; None for one class.
    classes: their number.
    bins: the number of bins in [0, 1]. A bin has its upper bound, and not its
      lower one.

  Returns:
    float64 [3, classes, bins]: the predictions of each class in each bin, the
    sum of their probabilities, and how many are right.
  """
  number = np.digitize(
    confidences, np.linspace(0, 1, bins + 1)[1:-1], right=True
  )
  if predicted is not None:
    number = number + bins * predicted
  return np.stack(
    [
      np.bincount(number, weights, classes * bins).reshape(classes, bins)
      for weights in (None, confidences, hits)
    ]
  )


def error(tallied: np.ndarray) -> float:
  """Returns the expected calibration error of all predictions.

  Guo et al., arXiv:1706.04599, section 2: in each bin, the mean probability
  is compared with the share that is right.

  Args:
    tallied: from `tally`, of at least one prediction.

  Returns:
    The mean difference in [0, 1], each prediction counting once. Not finite
    where the probabilities are not.
  """
  return float(class_errors(tallied.sum(1, keepdims=True))[0])


def class_errors(tallied: np.ndarray) -> np.ndarray:
  """Returns `error` for the predictions of each class alone.

  Args:
    tallied: from `tally`.

  Returns:
    float64 [classes]; NaN for a class that was not predicted.
  """
  counts, confidences, hits = tallied
  gaps, total = np.abs(hits - confidences).sum(-1), counts.sum(-1)
  errors = np.full(len(total), np.nan)
  return np.divide(gaps, total, out=errors, where=total > 0)
