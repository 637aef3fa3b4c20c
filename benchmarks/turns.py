"""Competitors that take turns, each in a process of its own.

All are alive from the start, and one at a time computes. A slow moment of the
machine hits all alike, since ratios are taken within a turn, and each has the
memory of its process alone.
"""

import contextlib
import logging
import multiprocessing
import pathlib
import resource
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

_CONTEXT = multiprocessing.get_context('spawn')
_Found = TypeVar('_Found')


class Failed(Exception):
  """A competitor stopped; says why."""


class Competitor:
  """A function in a process of its own that waits for its turn."""

  def __init__(self, load: Callable[..., Callable], *arguments: Any):
    """Begins to load it; the first `ask` waits for the end of that.

    Args:
      load: returns the function; it can be imported.
      *arguments: of load.
    """
    self._line, theirs = _CONTEXT.Pipe()
    self._process = _CONTEXT.Process(
      target=_serve, args=(theirs, load, arguments)
    )
    self._process.start()
    theirs.close()

  def ask(self, *arguments: Any) -> Any:
    """Returns what its function makes of some arguments.

    Raises:
      Failed: it raised an error, or its process is gone.
    """
    try:
      self._line.send(arguments)
      error, found = self._line.recv()
    except (EOFError, OSError):
      self._process.join()
      raise Failed(
        f'its process ended with status {self._process.exitcode}'
      ) from None
    if error:
      raise Failed(error)
    return found

  def close(self) -> None:
    """Ends its process."""
    self._line.close()
    self._process.join(10)
    if self._process.is_alive():
      self._process.kill()
      self._process.join()


def _serve(line, load, arguments):
  """Answers until the other end is closed."""
  logging.disable(logging.WARNING)
  warnings.simplefilter('ignore')
  function = None
  with contextlib.suppress(EOFError):
    while True:
      request = line.recv()
      try:
        function = function or load(*arguments)
        line.send((None, function(*request)))
      except Exception as error:
        told = str(error).strip().splitlines() or ['']
        traceback.print_exc()
        line.send((f'{type(error).__name__}: {told[0]}', None))


def seconds_of(run: Callable[[], Any], least: float) -> float:
  """Returns the seconds that one run takes, the median of several.

  Args:
    run: what is timed. The first run warms up what others have left in the
      caches; one that takes ten times `least` is the only one.
    least: how long to run it after that, in seconds.
  """
  found = [timed(run)]
  while sum(found[1:]) < least and found[0] < 10 * least:
    found.append(timed(run))
  return statistics.median(found[1:] or found)


def timed(run: Callable[[], Any]) -> float:
  """Returns the seconds that a call takes."""
  begin = time.perf_counter()
  run()
  return time.perf_counter() - begin


def peak() -> float:
  """Returns the most megabytes that this process has had in use."""
  with contextlib.suppress(OSError):
    # Other than getrusage's, which begins at that of the parent.
    for line in pathlib.Path('/proc/self/status').read_text().splitlines():
      if line.startswith('VmHWM:'):
        return int(line.split()[1]) * 1024 / 1e6
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def take(
  competitors: Mapping[str, Callable[[], _Found]], budget: float, least: int
) -> dict[str, list[_Found]]:
  """Returns what each competitor measures in each turn.

  Args:
    competitors: by name, what measures one turn.
    budget: the seconds after which no turn begins.
    least: the number of turns, at least.
  """
  found: dict[str, list[_Found]] = {name: [] for name in competitors}
  begin, turn = time.perf_counter(), 0
  while turn < least or time.perf_counter() - begin < budget:
    # In turn who goes first, for what the one leaves in the caches.
    for name in list(competitors)[:: -1 if turn % 2 else 1]:
      found[name].append(competitors[name]())
    turn += 1
  return found


def times_as_fast(one: Sequence[float], other: Sequence[float]) -> float:
  """Returns the median of the ratios within turns.

  >>> times_as_fast([1.0, 2.0, 2.0], [2.0, 4.0, 8.0])
  2.0

  Args:
    one: its seconds.
    other: those of what it is compared with.
  """
  return statistics.median(b / a for a, b in zip(one, other, strict=True))


def alone(function: Callable, *arguments: Any) -> Any:
  """Returns function(*arguments), of a process of its own.

  Raises:
    Failed: it raised an error, or its process is gone.
  """
  competitor = Competitor(_itself, function)
  try:
    return competitor.ask(*arguments)
  finally:
    competitor.close()


def _itself(function):
  return function
