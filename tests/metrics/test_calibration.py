"""Calibration in parts that are added up; see test_classification.py too."""

import numpy as np
import pytest

from metrics import calibration


def _plainly(confidences, hits, bins):
  """Guo et al., equations 2, 3 and 5."""
  total = 0
  for m in range(1, bins + 1):
    inside = (confidences > (m - 1) / bins) & (confidences <= m / bins)
    if inside.any():
      gap = abs(hits[inside].mean() - confidences[inside].mean())
      total += inside.sum() / len(hits) * gap
  return total


@pytest.mark.parametrize('bins', [1, 15])
def test_parts_add_up(bins):
  random = np.random.RandomState(bins)
  confidences, predicted = random.rand(300), random.randint(0, 3, 300)
  hits = random.rand(300) < confidences**2
  tallied = sum(
    calibration.tally(
      confidences[part], hits[part], predicted[part], 4, bins=bins
    )
    for part in (np.s_[:7], np.s_[7:7], np.s_[7:])
  )
  assert tallied.shape == (3, 4, bins) and tallied[0].sum() == 300
  assert calibration.error(tallied) == pytest.approx(
    _plainly(confidences, hits, bins)
  )
  *errors, absent = calibration.class_errors(tallied)
  assert errors == pytest.approx(
    [
      _plainly(confidences[of], hits[of], bins)
      for of in (predicted == number for number in range(3))
    ]
  )
  assert np.isnan(absent)


def test_classes_do_not_cancel_out_and_bins_do():
  """Over all, what one class says too surely another may say too timidly."""
  confidences, hits = np.full(4, 0.5), np.array([1, 1, 0, 0], bool)
  tallied = calibration.tally(confidences, hits, np.array([0, 0, 1, 1]), 2)
  assert calibration.error(tallied) == 0
  assert calibration.class_errors(tallied).tolist() == [0.5, 0.5]


def test_what_is_not_finite():
  tallied = calibration.tally(np.array([0.5, np.nan]), np.array([True, True]))
  assert np.isnan(calibration.error(tallied))
