"""Time and memory of a training step against batch, depth and resolution.

  python -m benchmarks.growth --output=growth.png

Each point is a process of its own, which takes some steps of the graph that
the training script builds; see `benchmarks.steps`. Prints a table, and draws it
where --output says.
"""

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import race, steps, turns

BASE = steps.Case('resnet_v1_50', 224, 8)
# What grows -> its values.
AXES: dict[str, Sequence] = {
  'batch': [1, 2, 4, 8, 16, 32],
  'depth': [18, 34, 50, 101, 152],
  'size': [64, 128, 224, 320, 448],
}
_LABELS = {
  'batch': 'images in a batch',
  'depth': 'layers',
  'size': 'height and width, in pixels',
}


class Point(NamedTuple):
  """What was measured.

  Fields:
    value: of what grows.
    seconds: of a step.
    peak: the most megabytes that its process has had in use.
  """

  value: int
  seconds: float
  peak: float


def case(axis: str, value: int) -> steps.Case:
  """Returns the base with one value of an axis.

  >>> case('depth', 18)
  Case(model_name='resnet_v1_18', size=224, batch=8)
  """
  if axis == 'depth':
    return BASE._replace(model_name=f'resnet_v1_{value}')
  return BASE._replace(**{axis: value})


def point(axis: str, value: int, seconds: float) -> Point:
  """Measures, in this process."""
  run = steps.ours(case(axis, value))
  run()  # compiles kernels
  found = race.answer(run, seconds)
  return Point(value, found.seconds, found.peak)


def draw(found: dict[str, list[Point]], path: str) -> None:
  """Draws time and memory against each axis."""
  from matplotlib import figure

  sheet = figure.Figure(figsize=(11, 6), layout='constrained')
  rows = sheet.subplots(2, len(found), squeeze=False)
  for (above, below), (axis, points) in zip(
    zip(*rows, strict=True), found.items(), strict=True
  ):
    values = [each.value for each in points]
    for plot, figures, label in (
      (above, [each.seconds for each in points], 'seconds a step'),
      (below, [each.peak / 1000 for each in points], 'GB in use'),
    ):
      plot.plot(values, figures, 'o-')
      plot.set_ylim(bottom=0)
      plot.set_xlim(left=0)
      plot.set_ylabel(label)
      plot.grid(alpha=0.3)
    below.set_xlabel(_LABELS[axis])
  sheet.suptitle(
    f'A training step: {BASE.model_name}, {BASE.size}x{BASE.size}, batch '
    f'{BASE.batch}, but for what grows'
  )
  sheet.savefig(path, dpi=100)


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--axes', nargs='+', choices=AXES, default=[*AXES])
  parser.add_argument('--seconds', type=float, default=4, help='of a point')
  parser.add_argument('--output', help='a PNG file')
  given = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  print(
    f'A training step, {os.cpu_count()} cores: {BASE.model_name}, '
    f'{BASE.size}x{BASE.size}, batch {BASE.batch}, but for what grows'
  )
  found: dict[str, list[Point]] = {}
  for axis in given.axes:
    print(f'{axis:>8}{"ms":>10}{"images/s":>10}{"peak MB":>10}')
    for value in AXES[axis]:
      each = turns.alone(point, axis, value, given.seconds)
      found.setdefault(axis, []).append(each)
      rate = case(axis, value).batch / each.seconds
      print(
        f'{value:>8}{each.seconds * 1000:>10,.0f}{rate:>10.1f}'
        f'{each.peak:>10,.0f}',
        flush=True,
      )
  if given.output:
    draw(found, given.output)


if __name__ == '__main__':
  main()
