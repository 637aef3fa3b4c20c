"""How do the time and the memory of a training step grow with depth?

  python -m experiments.depth --recompute

Both should grow linearly, up to the 1001 layers of He et al.
(arXiv:1603.05027, table 4). With --recompute each depth is measured a second
time, with activations that are recomputed instead of kept (see
engine/model/gradient_checkpointing.py), which trades time for memory.
"""

import concurrent.futures
import csv
import dataclasses
import multiprocessing
import os
import sys
from typing import NamedTuple

import numpy as np

from engine.common import console, logs
from engine.config import flags, parsing
from engine.config.fields import Config, option
from experiments import common

TABLE, PICTURE = 'depth.csv', 'depth.png'
_WAYS = {False: 'kept', True: 'recomputed'}
# What is told of in words, and drawn: the column and its name.
_FIGURES = {
  'step_ms': 'time of a step [ms]',
  'step_mb': 'memory of a step [MB]',
}
_LINEAR = 0.07  # what is called so is at most that share off a line


@dataclasses.dataclass(frozen=True)
class DepthConfig(Config):
  """Measures training steps of one family of networks at several depths.

  What it writes is depth.csv, a row a measurement, and depth.png. Every network
  has a process of its own. Rows that are there are not measured again: delete
  the file for that.
  """

  output_dir: str = option(
    'runs/experiments/depth',
    'Where the table and the image are written.',
    folder=True,
  )
  family: str = option('cifar_resnet_v2', "The networks' name, without depth.")
  depths: tuple[int, ...] = option(
    (29, 56, 110, 164, 488, 1001),
    'The numbers of layers, with commas between.',
    form=parsing.WHOLE,
  )
  batch_size: int = option(4, 'The number of images in a step.', low=1)
  steps: int = option(
    7, 'How many steps are timed, of which the median counts.', low=1
  )
  recompute: bool = option(
    False,
    'Measure each depth also with activations that are recomputed '
    'instead of kept.',
  )

  def networks(self) -> dict[str, int]:
    """Returns the depth of each network by its name."""
    return {
      f'{self.family}_{depth}': depth for depth in sorted(set(self.depths))
    }


class Row(NamedTuple):
  """A row of depth.csv; for the values see `step_cost.Cost`."""

  network: str
  depth: int
  batch_size: int
  recompute: bool
  step_ms: float
  step_mb: float
  process_mb: float
  build_s: float


def _read(path):
  """Returns the rows of a table, [] if there is none."""
  if not os.path.exists(path):
    return []
  try:
    with open(path, newline='', encoding='utf-8') as file:
      return [
        Row(
          row['network'],
          int(row['depth']),
          int(row['batch_size']),
          row['recompute'] == 'True',
          *(float(row[name]) for name in Row._fields[4:]),
        )
        for row in csv.DictReader(file)
      ]
  except (KeyError, TypeError, ValueError):
    raise ValueError(
      f'{path} is not the table that this experiment wrote: delete it, or '
      'name another --output_dir.'
    ) from None


def _measure(network, batch_size, steps, recompute):
  """Measures in a process of its own, where nothing is imported yet."""
  with logs.quiet(-1):
    with logs.stderr_hidden(-1):
      from engine.common import runtime
      from experiments import step_cost
    with runtime.graph_building():
      cost = step_cost.measure(network, batch_size, steps, recompute)
  return tuple(round(value, 3) for value in cost)


def _apart(*arguments):
  """Returns what `_measure` does in a new process."""
  with concurrent.futures.ProcessPoolExecutor(
    1, multiprocessing.get_context('spawn')
  ) as pool:
    try:
      return pool.submit(_measure, *arguments).result()
    except concurrent.futures.process.BrokenProcessPool:
      raise ValueError(
        f'The process that measured {arguments[0]} was killed, as happens '
        'where memory runs out: pass smaller --depths or --batch_size.'
      ) from None


class _Line(NamedTuple):
  """The line that fits a figure best, by shares of the figure.

  Fields:
    slope: the figure's, a layer.
    intercept: that of no layers.
    share: R^2, the share of the differences that the line explains.
    off: the largest distance from the line, as a share of what was measured.
  """

  slope: float
  intercept: float
  share: float
  off: float


def _fit(rows, name):
  depths = np.array([row.depth for row in rows])
  values = np.array([getattr(row, name) for row in rows])
  slope, intercept = np.polyfit(depths, values, 1, w=1 / values)
  rest = values - slope * depths - intercept
  return _Line(
    slope,
    intercept,
    1 - np.square(rest).sum() / np.square(values - values.mean()).sum(),
    np.abs(rest / values).max(),
  )


def _unit(text):
  """Returns what a figure is, and its unit."""
  return text.rstrip(']').split(' [')


def _growth(rows):
  """Returns a sentence on each figure of one way of computing."""
  lines = []
  first, last = rows[0], rows[-1]
  for name, text in _FIGURES.items():
    line = _fit(rows, name)
    what, unit = _unit(text)
    ratio = getattr(last, name) / getattr(first, name)
    lines.append(
      f'Activations {_WAYS[first.recompute]}: the {what} is '
      f'{"linear" if line.off <= _LINEAR else "not linear"} in depth; a line '
      f'of {line.slope:.3f} {unit} a layer is at most {line.off:.0%} off '
      f'(R^2 = {line.share:.4f}). {last.depth / first.depth:.1f} times the '
      f'layers have {ratio:.1f} times as much.'
    )
  return lines


def _trade(kept, again):
  """Returns a sentence on what computing again takes and gives."""
  time, memory = (
    getattr(again, name) / getattr(kept, name) for name in _FIGURES
  )
  return (
    f'At {kept.depth} layers, recomputed activations take {time:.2f} times '
    f'as long and {memory:.2f} times the memory.'
  )


def claims(rows: list[Row]) -> list[str]:
  """Returns what the rows say, in sentences.

  Args:
    rows: of one family and batch size, by rising depth.
  """
  ways = [[row for row in rows if row.recompute == way] for way in _WAYS]
  lines = [line for way in ways if len(way) > 2 for line in _growth(way)]
  kept, again = ({row.depth: row for row in way} for way in ways)
  both = kept.keys() & again.keys()
  if both:
    lines.append(_trade(kept[max(both)], again[max(both)]))
  return lines


def _draw(path, rows, title):
  """Draws each figure over depth, with the line that fits it if one does.

  What is not linear has its points joined, lest a line seem to tell of them.
  """
  from matplotlib import figure

  from metrics import reports

  fig = figure.Figure(figsize=(10, 4.2), layout='constrained')
  for axes, (name, text) in zip(
    fig.subplots(1, 2), _FIGURES.items(), strict=True
  ):
    for way, label in _WAYS.items():
      some = [row for row in rows if row.recompute == way]
      depths = [row.depth for row in some]
      if not some:
        continue
      values = [getattr(row, name) for row in some]
      (points,) = axes.plot(depths, values, 'o', label=f'activations {label}')
      if len(some) > 2:
        line, ends = _fit(some, name), np.array([depths[0], depths[-1]])
        linear = line.off <= _LINEAR
        axes.plot(
          ends if linear else depths,
          line.intercept + line.slope * ends if linear else values,
          '-' if linear else ':',
          linewidth=1,
          color=points.get_color(),
          label=f'{line.slope:.3f} {_unit(text)[1]} a layer, $R^2$ = '
          f'{line.share:.3f}'
          if linear
          else f'not linear: up to {line.off:.0%} off a line',
        )
    axes.set(xlabel='layers', ylabel=text, xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
  fig.suptitle(title)
  reports.save_figure(fig, path)


def _say(rows):
  """Prints the table and the sentences."""
  common.say_table(
    [
      'network',
      'activations',
      'ms a step',
      'MB a step',
      'MB process',
      's to build',
    ],
    [
      [
        row.network,
        _WAYS[row.recompute],
        f'{row.step_ms:,.0f}',
        f'{row.step_mb:,.1f}',
        f'{row.process_mb:,.0f}',
        f'{row.build_s:.1f}',
      ]
      for row in rows
    ],
  )
  for line in claims(rows):
    console.say(line)


def run(config: DepthConfig) -> None:
  """Measures what the table lacks; prints and writes it, with the image.

  Args:
    config: the experiment.

  Raises:
    ValueError: there is no network of some depth, the table is not one of
      ours, or a measurement ran out of memory.
  """
  with logs.stderr_hidden(config.verbosity):
    from metrics import reports
    from nets import nets_factory
  networks = config.networks()
  for network in networks:
    nets_factory.get_network(network)
  os.makedirs(config.output_dir, exist_ok=True)
  path = os.path.join(config.output_dir, TABLE)
  rows = _read(path)
  wanted = {
    (network, depth, config.batch_size, way): None
    for network, depth in networks.items()
    for way in _WAYS
    if config.recompute or not way
  }
  left = [key for key in wanted if key not in {row[:4] for row in rows}]
  console.say(
    f'{len(wanted)} measurements, {len(wanted) - len(left)} of them '
    f'made, in {config.output_dir}.'
  )
  with console.progress(sum(key[1] for key in left), unit='layer') as bar:
    for key in left:
      network, depth, batch_size, way = key
      bar.set_description(network)
      rows.append(Row(*key, *_apart(network, batch_size, config.steps, way)))
      reports.write_table(path, Row._fields, rows)
      bar.update(depth)
  found = sorted(
    (row for row in rows if row[:4] in wanted),
    key=lambda row: (row.recompute, row.depth),
  )
  _say(found)
  _draw(
    os.path.join(config.output_dir, PICTURE),
    found,
    f'{config.family}, batches of {config.batch_size}',
  )
  console.say(f'{TABLE} and {PICTURE} are in {config.output_dir}.')


def main(argv: list[str] | None = None) -> int:
  """Runs the experiment as the flags say; returns the exit status."""
  argv = sys.argv if argv is None else argv
  return flags.run(
    DepthConfig, 'experiments.depth:run', ['-m experiments.depth', *argv[1:]]
  )


if __name__ == '__main__':
  sys.exit(main())
