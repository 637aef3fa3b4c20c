"""Regions of an image as COCO writes them: polygons and run lengths.

pycocotools does this too. It is not used here since a damaged file of
annotations ends the process in it (a coordinate that is no number, a size far
too large), or leaves pixels undefined (runs that end too early).
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

_LEAST = 3  # points of a polygon
_FIRST, _BITS = 48, 5  # of a character of compressed runs
_MORE, _SIGN = 0x20, 0x10
_LONGEST = 8  # characters of a number


class BadRegion(ValueError):
  """Says what is wrong, to go on behind 'an annotation with'."""


def _points(polygon):
  """Returns the corners of a polygon, float64 [points, 2]."""
  try:
    if {*map(type, polygon)} - {int, float} or len(polygon) % 2:
      raise TypeError
    points = np.array(polygon, np.float64)
  except (TypeError, OverflowError):
    raise BadRegion(
      'a polygon that is no list of x, y, x, y and so on'
    ) from None
  if not np.isfinite(points).all():
    raise BadRegion('a polygon with a coordinate that is no number')
  if len(points) < 2 * _LEAST:
    raise BadRegion(f'a polygon of {len(points) // 2} points')
  return points.reshape(-1, 2)


def fill(
  polygons: Sequence[Sequence[float]], height: int, width: int
) -> np.ndarray:
  """Returns the pixels whose centres lie in any of the polygons.

  A polygon that crosses itself is filled by the even-odd rule; what is outside
  of the image is cut off.

  Args:
    polygons: each x, y, x, y and so on, in pixels from the upper left corner
      of the image.
    height: of the image.
    width: of the image.

  Returns:
    bool [height, width].

  Raises:
    BadRegion: one is no polygon.

  >>> fill([[1, 0, 3, 0, 3, 2, 1, 2]], 3, 4).astype(int).tolist()
  [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
  """
  found = np.zeros((height, width), bool)
  for polygon in polygons:
    # Halved, so that no difference of two of them is infinite.
    points = _points(polygon) / 2
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, 0).T
    # The rows whose centres are between the ends of an edge, for each edge.
    first, last = (
      np.clip(np.ceil(2 * y - 0.5), 0, height).astype(int)
      for y in (np.minimum(y0, y1), np.maximum(y0, y1))
    )
    rows = last - first
    edge = np.repeat(np.arange(len(points)), rows)
    row = np.arange(rows.sum()) - np.repeat(rows.cumsum() - rows - first, rows)
    along = ((row + 0.5) / 2 - y0[edge]) / (y1 - y0)[edge]
    x = 2 * (x0[edge] + along * (x1 - x0)[edge])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    if not len(row):
      continue
    # Right of an odd number of crossings is inside; 8 bits keep what is odd.
    top, left = row.min(), column.min()
    bottom, right = row.max() + 1, column.max()
    crossings = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.add.at(crossings, (row - top, column - left), 1)
    inside = crossings.cumsum(1, np.uint8)[:, :-1] & 1
    found[top:bottom, left:right] |= inside.astype(bool)
  return found


def _numbers(text: str) -> Iterator[int]:
  """Yields the numbers of compressed runs, of 5 bits a character."""
  number = shift = 0
  for character in text:
    code = ord(character) - _FIRST
    if not 0 <= code < 64 or shift > _BITS * _LONGEST:
      raise BadRegion(
        f"run lengths that hold {character!r}, which is not COCO's form"
      )
    number |= (code & ~_MORE) << shift
    shift += _BITS
    if code & _MORE:
      continue
    yield number - (1 << shift) if code & _SIGN else number
    number = shift = 0
  if shift:
    raise BadRegion('run lengths that end within a number')


def _counts(text):
  """Returns the lengths of compressed runs.

  From the fourth on, a number is the difference to the run before the last.
  """
  counts: list[int] = []
  for number in _numbers(text):
    counts.append(number + (counts[-2] if len(counts) > 2 else 0))
  return counts


def decode_runs(
  counts: str | Sequence[int], height: int, width: int
) -> np.ndarray:
  """Returns the pixels of run lengths, COCO's RLE.

  Args:
    counts: the lengths of runs outside and inside in turn, down one column
      after the other; or COCO's text of them.
    height: of the image.
    width: of the image.

  Returns:
    bool [height, width].

  Raises:
    BadRegion: they are none, or do not fit the size.

  >>> decode_runs([1, 2, 3], 2, 3).astype(int).tolist()
  [[0, 1, 0], [1, 0, 0]]
  """
  if isinstance(counts, str):
    counts = _counts(counts)
  if not isinstance(counts, list) or not all(
    type(count) is int and count >= 0 for count in counts
  ):
    raise BadRegion('run lengths that are no whole numbers from 0 on')
  if sum(counts) != height * width:
    raise BadRegion(
      f'run lengths of {sum(counts):,} pixels for an image of '
      f'{width}x{height} = {height * width:,}'
    )
  inside = itertools.islice(itertools.cycle((False, True)), len(counts))
  return np.repeat([*inside], counts).reshape(width, height).T
