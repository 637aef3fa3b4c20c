"""The boundary IoU, against its definition written plainly."""

import numpy as np
import pytest

from metrics import boundaries


def _near(mask, valid, distance):
  """Pixels of a mask with others, or the outside, within the distance."""
  near = np.zeros(mask.shape, bool)
  height, width = mask.shape
  for y, x in np.argwhere(mask & valid):
    near[y, x] = any(
      not (0 <= a < height and 0 <= b < width)
      or (valid[a, b] and not mask[a, b])
      for a in range(y - distance, y + distance + 1)
      for b in range(x - distance, x + distance + 1)
    )
  return near


def _plainly(label, predicted, classes, ignore_label, distance):
  valid, found = label != ignore_label, []
  for number in range(classes):
    true, guess = (
      _near(of == number, valid, distance) for of in (label, predicted)
    )
    found.append(((true & guess).sum(), (true | guess).sum()))
  return np.transpose(found)


def _case(seed):
  """Blocks of four classes, a moved prediction with a fifth, ignored noise."""
  random = np.random.RandomState(seed)
  label = np.kron(
    random.randint(0, 4, random.randint(1, 7, 2)),
    np.ones([random.randint(1, 6)] * 2, int),
  )
  predicted = np.roll(label, random.randint(0, 4, 2), (0, 1))
  predicted[random.rand(*label.shape) < 0.02 * (seed % 5)] = 4
  ignore_label = (255, 0)[seed % 2]
  label[random.rand(*label.shape) < 0.1 * (seed % 3)] = ignore_label
  return label, predicted, ignore_label


@pytest.mark.parametrize('seed', range(12))
def test_boundary_overlap(seed):
  label, predicted, ignore_label = _case(seed)
  for distance in 1, 2, 3, 5:
    found = boundaries.boundary_overlap(
      label.astype(np.int32), predicted, 5, ignore_label, distance
    )
    assert found.dtype == np.int64
    np.testing.assert_array_equal(
      found, _plainly(label, predicted, 5, ignore_label, distance)
    )


def test_it_is_what_erosion_leaves():
  """As Cheng et al. compute it: mask by mask, eroded step by step."""
  label, predicted, _ = _case(0)

  def border(mask, steps):
    inside = np.pad(mask, 1)
    for _ in range(steps):
      padded = np.pad(inside, 1, constant_values=True)
      inside = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).all(
        (2, 3)
      )
    return mask & ~inside[1:-1, 1:-1]

  both, any_of = boundaries.boundary_overlap(label, predicted, 5, 255, 2)
  for number in range(5):
    true, guess = (border(of == number, 2) for of in (label, predicted))
    assert both[number] == (true & guess).sum()
    assert any_of[number] == (true | guess).sum()


@pytest.mark.parametrize(
  'size, distance', [((1, 1), 1), ((20, 20), 1), ((90, 120), 3), ((7, 99), 2)]
)
def test_the_distance_follows_from_the_image(size, distance):
  """2 % of the diagonal, and at least a pixel."""
  label = np.random.RandomState(0).randint(0, 2, size)
  label[: size[0] // 2] = 0
  np.testing.assert_array_equal(
    boundaries.boundary_overlap(label, label, 2),
    boundaries.boundary_overlap(label, label, 2, distance=distance),
  )


def test_a_square_that_grew():
  """Of 20x20 pixels, predicted with 22x22; a band of 3 on the diagonal."""
  label, predicted = (np.zeros((90, 120), np.uint8) for _ in range(2))
  label[30:50, 30:50] = 1
  predicted[29:51, 29:51] = 1
  overlap = boundaries.boundary_overlap(label, predicted, 3)
  assert overlap[:, 1].tolist() == [20**2 - 16**2, 22**2 - 14**2]
  iou = boundaries.boundary_iou(2 * overlap)
  assert iou[1] == (20**2 - 16**2) / (22**2 - 14**2) and np.isnan(iou[2])
  perfect = boundaries.boundary_overlap(label, label, 2)
  assert boundaries.boundary_iou(perfect).tolist() == [1, 1]


def test_ignored_pixels_make_no_boundary():
  """A square in a frame of ignored pixels, wider than the distance."""
  label = np.zeros((60, 60), np.uint8)
  label[10:50, 10:50], label[20:40, 20:40] = 255, 1
  overlap = boundaries.boundary_overlap(label, np.ones_like(label), 2)
  assert overlap[:, 1].tolist() == [0, 60**2 - 56**2]  # at the image's edge
  nothing = boundaries.boundary_overlap(0 * label + 255, 0 * label, 2)
  assert not nothing.any()
  assert np.isnan(boundaries.boundary_iou(nothing)).all()


def test_shapes_that_differ():
  with pytest.raises(ValueError, match='resize one to the other'):
    boundaries.boundary_overlap(np.zeros((5, 6)), np.zeros((6, 5)), 2)
