"""Which evaluations, and so which checkpoints of a run, are the best."""

import math
from collections.abc import Sequence

from engine.config import tasks

Row = dict[str, float]  # the metrics of an evaluation, and its step


def worth(row: Row, metric: str) -> float:
  """Returns a number that is larger the better the evaluation is.

  Args:
    row: the evaluation.
    metric: see `tasks.metrics`; NaN is the worst, and so is what an older
      version did not measure.
  """
  value = row.get(metric, math.nan)
  if math.isnan(value):
    return -math.inf
  return value if tasks.metrics()[metric] else -value


def ranked(rows: Sequence[Row], metric: str) -> list[Row]:
  """Returns the evaluations, the best first, of equal ones the earliest."""
  return sorted(rows, key=lambda row: (-worth(row, metric), row['step']))
