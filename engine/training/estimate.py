"""How long a training takes, said once where that is long."""

from engine.common import console

_STEPS, _SECONDS = 3, 5.0  # measured at least, so that the rate is one
_LONG = 10 * 60  # seconds that are worth a line
_TOO_LONG = 2 * 3600  # and those that are worth advice


def about(seconds: float) -> str:
  """Returns a time as people say it.

  >>> about(45 * 60), about(14.2 * 3600), about(80 * 3600)
  ('45 minutes', '14 hours', '3 days')
  """
  for unit, length, least in (('days', 86400, 1.5), ('hours', 3600, 1.5)):
    if seconds >= least * length:
      return f'{seconds / length:.0f} {unit}'
  return f'{seconds / 60:.0f} minutes'


class Estimate:
  """Measures the first steps, and says how long the others will take.

  A time is a number of seconds on any clock.
  """

  def __init__(self, total: int | None, advice: str):
    """Measures nothing yet.

    Args:
      total: the last step; None if there is none, and nothing is said.
      advice: what makes such a training shorter, '' if nothing is known.
    """
    self._total, self._advice = total, advice
    self._begun: float | None = None
    self._steps = 0
    self._done = total is None

  def begin(self, now: float) -> None:
    """Begins to measure, after the first step, which prepares the graph."""
    self._begun = now

  def exclude(self, seconds: float) -> None:
    """Leaves out time that was no training."""
    if self._begun is not None:
      self._begun += seconds

  def after(self, step: int, now: float) -> None:
    """Counts a step; says what it tells as soon as enough are measured."""
    if self._done or self._begun is None:
      return
    assert self._total is not None  # else it was done
    self._steps += 1
    seconds = now - self._begun
    if self._steps < _STEPS or seconds < _SECONDS:
      return
    self._done = True
    pace, steps = seconds / self._steps, self._total - step
    if pace * steps < _LONG:
      return
    console.say(
      f'About {about(pace * steps)} at this rate: {steps:,} more steps of '
      f'{pace:.3g} seconds.'
    )
    if self._advice and pace * steps >= _TOO_LONG:
      console.note(self._advice)
