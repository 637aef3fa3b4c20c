"""Whole trainings that are compared, each in a process of its own.

A benchmark calls `run` for each of them, with flags by which its own `main`
does one training and prints the metrics as JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

Metrics = Mapping[str, float]


class Clock:
  """Takes the time of a job, which begins now, and of its steps."""

  def __init__(self):
    self._begin, self._ticks = time.perf_counter(), []

  def tick(self) -> None:
    """Notes the end of some steps."""
    self._ticks.append(time.perf_counter())

  def metrics(self, first: int = 1, steps_each: float = 1) -> Metrics:
    """Returns the times of a job that ends now.

    Args:
      first: how many ticks pass before steps are timed.
      steps_each: how many steps there are between two ticks.

    Returns:
      'seconds' of the job and 'milliseconds' of a step.
    """
    seconds = time.perf_counter() - self._begin
    timed = self._ticks[first - 1 :]
    steps = (len(timed) - 1) * steps_each
    return {
      'seconds': seconds,
      'milliseconds': (timed[-1] - timed[0]) / steps * 1000,
    }


def run(module: str, kind: str, **flags: object) -> Metrics:
  """Returns the metrics of one training, in a process of its own.

  Args:
    module: of the benchmark.
    kind: what trains, for an error.
    **flags: of the benchmark, with their values.
  """
  result = subprocess.run(
    [
      sys.executable,
      '-m',
      module,
      f'--kinds={kind}',
      *(f'--{name}={value}' for name, value in flags.items()),
    ],
    capture_output=True,
    text=True,
  )
  if result.returncode:
    raise SystemExit(f'{kind} failed:\n{result.stderr}')
  return json.loads(result.stdout)


def compare(
  kinds: Sequence[str],
  seeds: Sequence[int],
  measure: Callable[[str, int], Metrics],
  line: Callable[[str, str, Metrics], str],
) -> None:
  """Trains in turn by seed, and prints a row of each and of the means.

  Args:
    kinds: what trains.
    seeds: of the trainings.
    measure: returns the metrics of `(kind, seed)`.
    line: returns the row of `(kind, seed or 'mean', metrics)`.
  """
  found: dict[str, list[Metrics]] = {kind: [] for kind in kinds}
  for turn, seed in enumerate(seeds):
    # In turn who goes first, for what the one leaves in the caches.
    for kind in kinds[:: -1 if turn % 2 else 1]:
      metrics = measure(kind, seed)
      found[kind].append(metrics)
      print(line(kind, str(seed), metrics), flush=True)
  for kind, each in found.items():
    means = {
      name: statistics.mean(one[name] for one in each) for name in each[0]
    }
    print(line(kind, 'mean', means), flush=True)
