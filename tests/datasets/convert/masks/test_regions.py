"""Polygons and run lengths as pixels."""

import re

import numpy as np
import pytest

from datasets.convert.masks import regions

HEIGHT, WIDTH = 9, 12


def crossings(polygon, x, y):
  """The even-odd rule for a point, as a loop over the edges."""
  points = np.reshape(polygon, (-1, 2)).tolist()
  found = 0
  for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
    if (y0 > y) != (y1 > y):
      found += x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x
  return found


@pytest.mark.parametrize('points', [3, 4, 9])
def test_polygons(points):
  """Those pixels whose centres are inside, also of what crosses itself."""
  for seed in range(30):
    polygon = np.random.default_rng([seed, points]).uniform(-4, 16, 2 * points)
    expected = [
      [crossings(polygon, x + 0.5, y + 0.5) % 2 for x in range(WIDTH)]
      for y in range(HEIGHT)
    ]
    np.testing.assert_array_equal(
      regions.fill([polygon.tolist()], HEIGHT, WIDTH), expected
    )


def test_several_polygons_are_one_region():
  left, right = [0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 2, 1, 2]
  found = regions.fill([left, right], 3, 5)
  assert found.sum() == 4 + 3 - 1


def test_far_outside():
  found = regions.fill([[-1e300, -1e300, 1e300, -1e300, 6, 1e300]], 3, 4)
  assert found.all()
  assert not regions.fill([[50, 50, 60, 50, 60, 60]], 3, 4).any()


@pytest.mark.parametrize(
  'polygon, words',
  [
    ([1, 2, 3], 'a polygon that is no list of x, y, x, y and so on'),
    ([[1, 2], [3, 4]], 'a polygon that is no list'),
    ('123456', 'a polygon that is no list'),
    (['1', '2', '3', '4', '5', '6'], 'a polygon that is no list'),
    (None, 'a polygon that is no list'),
    ([0, 0, 1, 1, float('nan'), 2], 'with a coordinate that is no number'),
    ([0, 0, 1, 1, 10**400, 2], 'a polygon that is no list'),
    ([0, 0, 1, 1], 'a polygon of 2 points'),
    ([], 'a polygon of 0 points'),
  ],
)
def test_what_is_no_polygon(polygon, words):
  with pytest.raises(regions.BadRegion, match=re.escape(words)):
    regions.fill([polygon], 3, 4)


def compressed(counts):
  """Run lengths in COCO's text, written by its description."""
  text = ''
  for i, count in enumerate(counts):
    number = count - counts[i - 2] if i > 2 else count
    while True:
      bits, number = number & 31, number >> 5
      # Complete once the rest is the sign of what is written.
      more = number != (-1 if bits & 16 else 0)
      text += chr(48 + (bits | (32 if more else 0)))
      if not more:
        break
  return text


@pytest.mark.parametrize('form', [list, compressed], ids=['counts', 'text'])
@pytest.mark.parametrize('share', [0, 0.02, 0.5, 1])
def test_runs(form, share):
  """They go down one column after the other, first those outside."""
  mask = np.random.default_rng(3).random((40, 70)) < share
  flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
  ends = np.flatnonzero(np.diff(flat))
  counts = np.diff(np.concatenate([[0], ends])).tolist()
  found = regions.decode_runs(form(counts), *mask.shape)
  np.testing.assert_array_equal(found, mask)


def test_text_of_pycocotools():
  """Runs of 3, 7, 100, 2, 800 and 88 pixels, as that library writes them."""
  found = regions.decode_runs('37T3Kle0f2', 1000, 1)
  assert np.flatnonzero(np.diff(found[:, 0])).tolist() == [2, 9, 109, 111, 911]


@pytest.mark.parametrize(
  'counts, words',
  [
    ([5, 8], 'run lengths of 13 pixels for an image of 4x3 = 12'),
    ([5], 'run lengths of 5 pixels for an image'),
    ([], 'run lengths of 0 pixels for an image'),
    ([-1, 13], 'run lengths that are no whole numbers from 0 on'),
    ([6.0, 6.0], 'run lengths that are no whole numbers'),
    ([True, 11], 'run lengths that are no whole numbers'),
    (None, 'run lengths that are no whole numbers'),
    ('', 'run lengths of 0 pixels'),
    ('5 7', "run lengths that hold ' ', which is not COCO's form"),
    ('o' * 1000, 'which is not COCO'),
    ('o', 'run lengths that end within a number'),
    ('O', 'run lengths that are no whole numbers'),
  ],
)
def test_what_is_no_run(counts, words):
  with pytest.raises(regions.BadRegion, match=re.escape(words)):
    regions.decode_runs(counts, 3, 4)
