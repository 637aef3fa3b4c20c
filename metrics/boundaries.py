"""How well the borders between the classes are found."""

import numpy as np

# Of the image's diagonal: what is near for the F1 measure, and for the IoU.
TOLERANCE, DISTANCE = 0.0075, 0.02


def _checked(label, predicted):
  """Returns both as arrays; raises ValueError if their shapes differ."""
  label, predicted = np.asarray(label), np.asarray(predicted)
  if label.shape != predicted.shape:
    raise ValueError(
      f'The label has the shape {label.shape} and the prediction '
      f'{predicted.shape}; resize one to the other.'
    )
  return label, predicted


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
  label, predicted = _checked(label, predicted)
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


def boundary_overlap(
  label: np.ndarray,
  predicted: np.ndarray,
  classes: int,
  ignore_label: int = 255,
  distance: int | None = None,
) -> np.ndarray:
  """Counts the pixels near the boundaries, which several images add up.

  Cheng et al., Boundary IoU, arXiv:2103.16562: of each mask only the pixels
  count that are within a distance of its boundary. A pixel is near if one of
  another class, or the outside of the image, is at most so many steps away,
  where a step goes to one of the eight neighbours. Ignored pixels, and what
  is predicted there, count as no class and make no boundary.

  Args:
    label: int [height, width], classes and the ignore label.
    predicted: int [height, width], classes.
    classes: their number.
    ignore_label: marks the pixels that do not count.
    distance: in pixels, at least 1; None for 2 % of the diagonal.

  Returns:
    int64 [2, classes]: the pixels that are near the boundary of the class in
    both label and prediction, and those that are in at least one.

  Raises:
    ValueError: different shapes.
  """
  label, predicted = _checked(label, predicted)
  if distance is None:
    distance = max(1, round(DISTANCE * np.hypot(*label.shape)))
  valid = label != ignore_label

  def near(of):
    return valid & ~_is_inside(of, valid, classes, distance)

  def count(where):
    return np.bincount(where, minlength=classes)

  true, found = near(label), near(predicted)
  both = count(label[true & found & (label == predicted)])
  return np.stack([both, count(label[true]) + count(predicted[found]) - both])


def boundary_iou(overlap: np.ndarray) -> np.ndarray:
  """Returns the boundary IoU of each class.

  Args:
    overlap: the sum of what `boundary_overlap` returned.

  Returns:
    float64 [classes] in [0, 1]; NaN where no pixel is near.
  """
  both, any_of = overlap
  return np.divide(
    both, any_of, out=np.full(len(both), np.nan), where=any_of > 0
  )


def _is_inside(of, valid, classes, distance):
  """Tells where all valid pixels of the window around one are of its class."""
  inside, kind = np.zeros(of.shape, bool), np.min_scalar_type(classes - 1)
  if min(of.shape) > 2 * distance:
    least, most = (
      _over_windows(
        np.where(valid, of, neutral).astype(kind), 2 * distance + 1, pick
      )
      for pick, neutral in ((np.minimum, np.iinfo(kind).max), (np.maximum, 0))
    )
    inside[distance:-distance, distance:-distance] = least == most
  return inside


def _over_windows(values, size, pick):
  """Returns the least or the largest value of every window of a size."""
  for before, behind in (
    (lambda by: np.s_[:-by], lambda by: np.s_[by:]),
    (lambda by: np.s_[:, :-by], lambda by: np.s_[:, by:]),
  ):
    seen = 1
    while seen < size:
      by = min(seen, size - seen)
      values = pick(values[before(by)], values[behind(by)])
      seen += by
  return values
