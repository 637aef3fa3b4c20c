"""How well the borders between the classes are found."""

import numpy as np

# Of the image's diagonal.
TOLERANCE = 0.0075


def boundary_f1(
  label: np.ndarray,
  predicted: np.ndarray,
  classes: int,
  ignore_label: int = 255,
  tolerance: float | None = None,
) -> float:
  """Returns the boundary F1 measure of one image.

  Csurka et al., What is a good evaluation measure for semantic segmentation?,
  BMVC 2013, section 3: of the boundary of a predicted class, the part near
  the boundary of the true one is its precision, and the reverse its recall.
  A pixel is on the boundary of its class if one of its four neighbours is of
  another. Ignored pixels, and what is predicted there, make no boundary.

  Args:
    label: int [height, width], classes and the ignore label.
    predicted: int [height, width], classes.
    classes: their number.
    ignore_label: marks the pixels that do not count.
    tolerance: the largest distance, in pixels, that is near; None for 0.75 %
      of the diagonal.

  Returns:
    The mean over the classes that occur in the label of the harmonic mean of
    precision and recall, in [0, 1]. A class without a boundary in label and
    prediction is left out; NaN if all are.

  Raises:
    ValueError: different shapes.
  """
  label, predicted = np.asarray(label), np.asarray(predicted)
  if label.shape != predicted.shape:
    raise ValueError(
      f'The label has the shape {label.shape} and the prediction '
      f'{predicted.shape}; resize one to the other.'
    )
  if tolerance is None:
    tolerance = TOLERANCE * np.hypot(*label.shape)
  valid = label != ignore_label
  occurs = np.bincount(label[valid], minlength=classes) > 0
  reach = int(tolerance)
  # All classes, one below the other, with room for the reach between them.
  height, width = (side + 2 * reach for side in label.shape)

  def places(classes_of):
    y, x = np.nonzero(_is_boundary(classes_of, valid))
    number = classes_of[y, x].astype(np.int64)
    lines = (number * height + y + reach) * width + x + reach
    return np.sort(lines[occurs[number]])

  def share_near(points, others):
    number = points // (height * width)
    near = _near(points, others, width, tolerance)
    count = np.bincount(number, minlength=classes)
    hits = np.bincount(number[near], minlength=classes)
    return hits / np.maximum(count, 1), count > 0

  true, found = places(label), places(predicted)
  recall, any_true = share_near(true, found)
  precision, any_found = share_near(found, true)
  both = precision + recall
  f1 = np.divide(
    2 * precision * recall, both, out=np.zeros(classes), where=both > 0
  )
  scored = f1[any_true | any_found]
  return float(scored.mean()) if scored.size else np.nan


def _is_boundary(classes_of, valid):
  on = np.zeros(valid.shape, bool)
  for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
    differ = classes_of[one] != classes_of[other]
    differ &= valid[one] & valid[other]
    on[one] |= differ
    on[other] |= differ
  return on


def _near(points, others, width, tolerance):
  """Tells which points have one of the others within the tolerance.

  Args:
    points: int64 [n], ascending, row * width + column.
    others: int64 [m], the same.
    width: of the rows.
    tolerance: the largest distance.

  Returns:
    bool [n].
  """
  ends = np.append(others, np.iinfo(np.int64).max)
  near, left = np.zeros(len(points), bool), np.arange(len(points))
  reach = int(tolerance)
  # A disk is a range of each of its rows; most are found in the middle ones.
  for dy in sorted(range(-reach, reach + 1), key=abs):
    side = int(np.sqrt(tolerance**2 - dy**2))
    middle = points[left] + dy * width
    hit = ends[np.searchsorted(others, middle - side)] <= middle + side
    near[left[hit]] = True
    left = left[~hit]
  return near
