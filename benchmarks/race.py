"""Competitors that compute the same, in turn, and the table of their times.

A competitor is a function that returns what runs once and measures a turn;
see `turning`. Those that fail are left out with the reason.
"""

import argparse
import contextlib
import functools
import importlib.util
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import turns


class Answer(NamedTuple):
  """What a competitor says of a turn.

  Fields:
    seconds: of a run.
    peak: the most megabytes that its process has had in use.
    sample: some values of what it has computed, flat.
  """

  seconds: float
  peak: float
  sample: np.ndarray


class Measured(NamedTuple):
  """What was measured of a competitor.

  Fields:
    seconds: of a run, in each turn.
    peak: see `Answer`.
  """

  seconds: Sequence[float]
  peak: float


def answer(run: Callable[[], np.ndarray], least: float) -> Answer:
  """Returns what a competitor says of a turn.

  Args:
    run: runs once, and returns what was computed.
    least: see `turns.seconds_of`.
  """
  said: list[np.ndarray] = []

  def once():
    said[:] = [run()]

  seconds = turns.seconds_of(once, least)
  values = np.ravel(said[0])
  return Answer(seconds, turns.peak(), values[:: max(1, values.size // 1000)])


def turning(
  load: Callable[..., Callable[[], np.ndarray]], *arguments: Any
) -> Callable[[float], Answer]:
  """Returns what measures one turn of a competitor, in its own process.

  Args:
    load: given the arguments, returns what runs once.
    *arguments: of load.
  """
  run = load(*arguments)
  return functools.partial(answer, run)


class Agreement:
  """Makes sure that competitors compute the same."""

  def __init__(self, tolerance: float, but: Sequence[str] = ()):
    """Compares with the first that is asked.

    Args:
      tolerance: the largest difference, as a share of the scale.
      but: competitors that may compute something else.
    """
    self._tolerance, self._but = tolerance, but
    self._wanted: np.ndarray | None = None

  def __call__(self, name: str, answer: Answer) -> None:
    """Compares the answer of a competitor.

    Raises:
      SystemExit: it is another.
    """
    if name in self._but:
      return
    if self._wanted is None:
      self._wanted = answer.sample
    scale = np.abs(self._wanted).max()
    difference = np.abs(answer.sample - self._wanted).max() / scale
    if not difference < self._tolerance:
      raise SystemExit(
        f'{name} computes something else: by {difference:.1e} of the scale.'
      )


@contextlib.contextmanager
def started(
  loads: Mapping[str, Sequence[Any]],
) -> Iterator[dict[str, turns.Competitor]]:
  """Starts competitors, by name, and ends them.

  Args:
    loads: the arguments of `turns.Competitor` of each.
  """
  competitors = {name: turns.Competitor(*load) for name, load in loads.items()}
  everyone = list(competitors.values())
  try:
    yield competitors
  finally:
    for each in everyone:
      each.close()


def measure(
  competitors: dict[str, turns.Competitor],
  given: argparse.Namespace,
  *arguments: Any,
  check: Callable[[str, Answer], None] = lambda name, answer: None,
) -> dict[str, Measured]:
  """Returns what is measured in turns; those that fail at first are dropped.

  Args:
    competitors: answer `(*arguments, seconds)` with an `Answer`.
    given: the seconds of a turn, the budget of all and the least turns; see
      `add_arguments`.
    *arguments: of each question.
    check: looks at each first answer.

  Raises:
    SystemExit: a competitor stopped later.
  """
  for name in list(competitors):
    try:
      check(name, competitors[name].ask(*arguments, 0))  # warms up
    except turns.Failed as failure:
      print(f'Left out: {name}, since {failure}.', flush=True)
      competitors.pop(name).close()
  peaks = {}

  def turn(name):
    try:
      said = competitors[name].ask(*arguments, given.seconds)
    except turns.Failed as failure:  # for want of memory, for one
      raise SystemExit(f'{name} stopped: {failure}.') from None
    peaks[name] = said.peak
    return said.seconds

  found = turns.take(
    {name: functools.partial(turn, name) for name in competitors},
    given.budget,
    given.turns,
  )
  return {name: Measured(found[name], peaks[name]) for name in found}


def table(
  measured: Mapping[str, Measured], batch: int, beside: Mapping[str, str]
) -> list[str]:
  """Returns the lines of a table.

  Args:
    measured: by the names of the competitors.
    batch: the number of images of a run.
    beside: the names that ratios are taken to, with the heads of their
      columns.
  """
  beside = {name: head for name, head in beside.items() if name in measured}
  heads = ['ms', 'images/s', *(f'x {head}' for head in beside.values())]
  lines = [_row('', [*heads, 'peak MB'])]
  for name, (seconds, peak) in measured.items():
    median = statistics.median(seconds)
    ratios = [
      f'{turns.times_as_fast(seconds, measured[other].seconds):.2f}'
      for other in beside
    ]
    cells = [f'{median * 1000:,.0f}', f'{batch / median:.2f}', *ratios]
    lines.append(_row(name, [*cells, f'{peak:,.0f}']))
  return lines


def _row(name, cells):
  return f'{name:28}' + ''.join(f'{cell:>12}' for cell in cells)


def compare(
  what: str,
  loads: Mapping[str, Callable[[Any], Callable[[], np.ndarray]]],
  case: Any,
  beside: Mapping[str, str],
  given: argparse.Namespace,
  check: Callable[[str, Answer], None] = lambda name, answer: None,
) -> None:
  """Measures competitors, and prints their table.

  Args:
    what: is measured, for the line above the table.
    loads: by name, given the case, what returns what runs once.
    case: what runs; has a `batch`.
    beside: see `table`.
    given: see `measure`.
    check: see `measure`.
  """
  turns_of = {name: (turning, load, case) for name, load in loads.items()}
  with started(turns_of) as competitors:
    measured = measure(competitors, given, check=check)
  print(title(what, measured))
  print('\n'.join(table(measured, case.batch, beside)), flush=True)


def title(what: str, measured: Mapping[str, Measured]) -> str:
  """Returns the line above a table."""
  count = len(next(iter(measured.values())).seconds)
  return f'\n{what}, {os.cpu_count()} cores, medians of {count} turns'


def able(names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
  """Returns the competitors that can be measured; prints why others cannot.

  Args:
    names: of the competitors.
    needs: the modules that some of them need.
  """
  found = []
  for name in names:
    missing = [
      module
      for module in needs.get(name, ())
      if importlib.util.find_spec(module) is None
    ]
    if missing:
      reason = f'{", ".join(missing)} is not installed'
      print(f'Left out: {name}, since {reason}.', flush=True)
    else:
      found.append(name)
  return found


def add_arguments(
  parser: argparse.ArgumentParser, seconds: float = 0.5, budget: float = 90
) -> None:
  """Adds the flags that `measure` reads, with their defaults."""
  parser.add_argument('--turns', type=int, default=3, help='at least')
  parser.add_argument(
    '--seconds', type=float, default=seconds, help='of a turn'
  )
  parser.add_argument(
    '--budget', type=float, default=budget, help='of a table, in seconds'
  )
