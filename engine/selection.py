"""What follows from the evaluations of a run: the best, the end, the plateau.

All of it is a function of the list of evaluations, so that a run that is
started again decides as if it had not been stopped. Nothing here imports
TensorFlow.
"""

import csv
import math
import os
from collections.abc import Sequence

EVALUATIONS_FILENAME = 'evaluations.csv'

# Of each task the figures of an evaluation that may decide -> whether higher is
# better. The first of them decides if nothing else is said.
TASK_METRICS = {
  'classification': {
    'accuracy': True,
    'top_5_accuracy': True,
    'mean_recall': True,
    'mean_f1': True,
    'loss': False,
    'expected_calibration_error': False,
  },
  'segmentation': {
    'miou': True,
    'pixel_accuracy': True,
    'mean_accuracy': True,
    'frequency_weighted_iou': True,
    'boundary_f1': True,
    'loss': False,
  },
}
METRICS = {
  name: higher
  for metrics in TASK_METRICS.values()
  for name, higher in metrics.items()
}


def main_metric(task: str) -> str:
  """Returns the figure by which results of a task are compared."""
  return next(iter(TASK_METRICS[task]))


Row = dict[str, float]  # the figures of an evaluation, and its step


def _worth(row, metric):
  """Returns a number that is larger the better the evaluation is."""
  value = row[metric]
  if math.isnan(value):
    return -math.inf
  return value if METRICS[metric] else -value


def ranked(rows: Sequence[Row], metric: str) -> list[Row]:
  """Returns the evaluations, the best first, of equal ones the earliest."""
  return sorted(rows, key=lambda row: (-_worth(row, metric), row['step']))


def is_over(rows: Sequence[Row], metric: str, patience: int | None) -> bool:
  """Whether the last `patience` evaluations brought nothing better."""
  if patience is None or not rows:
    return False
  best = ranked(rows, metric)[0]
  return sum(row['step'] > best['step'] for row in rows) >= patience


def plateau_factor(
  rows: Sequence[Row], metric: str, patience: int | None, factor: float
) -> float:
  """Returns what the learning rate is multiplied by after evaluations.

  It is lowered by `factor` whenever `patience` evaluations in a row were not
  better than the best before them.
  """
  found, waited, best = 1.0, 0, -math.inf
  for row in rows if patience else ():
    if _worth(row, metric) > best:
      best, waited = _worth(row, metric), 0
    else:
      waited += 1
    if waited == patience:
      found, waited = found * factor, 0
  return found


def read(train_dir: str) -> list[Row]:
  """Returns the rows of a run's evaluations.csv, [] if there is none.

  Raises:
    ValueError: the file is damaged.
  """
  path = os.path.join(train_dir, EVALUATIONS_FILENAME)
  if not os.path.exists(path):
    return []
  with open(path, newline='') as file:
    try:
      reader = csv.DictReader(file)
      if 'step' not in (reader.fieldnames or ['step']):
        raise ValueError('no steps')
      return [
        {name: float(value) for name, value in row.items()} for row in reader
      ]
    except (TypeError, ValueError):
      raise ValueError(
        f'{path} is damaged: restore it, or remove it to go on as if '
        'nothing had been evaluated.'
      ) from None


class Evaluations:
  """evaluations.csv: a row an evaluation, with every digit.

  Attributes:
    rows: the evaluations, by step.
  """

  def __init__(self, config, step: int, every: int | None):
    """Reads the evaluations up to a step; later ones will be done again.

    That at the end of a run which is now continued counts if it would have
    been made without that end.

    Args:
      config: the complete `TrainConfig`.
      step: the step at which the run is.
      every: steps between two evaluations, None if there are to be none.
    """
    self._config = config
    self._path = os.path.join(config.train_dir, EVALUATIONS_FILENAME)
    self.rows = [
      row
      for row in read(config.train_dir)
      if every is not None
      and row['step'] <= step
      and (
        row['step'] % every == 0 or row['step'] == config.max_number_of_steps
      )
    ]

  @property
  def best(self) -> Row | None:
    """The best evaluation, None if there is none."""
    return next(iter(ranked(self.rows, self._config.best_metric)), None)

  @property
  def over(self) -> bool:
    """Whether they say that training should stop."""
    return is_over(
      self.rows, self._config.best_metric, self._config.early_stopping_patience
    )

  @property
  def factor(self) -> float:
    """What reduce-on-plateau multiplies the learning rate by."""
    return plateau_factor(
      self.rows,
      self._config.plateau_metric,
      self._config.plateau_patience,
      self._config.plateau_factor,
    )

  def has(self, step: int) -> bool:
    """Whether the step has been evaluated."""
    return any(row['step'] == step for row in self.rows)

  def add(self, row: Row) -> None:
    """Adds an evaluation, in place of one of the same step."""
    rows = [old for old in self.rows if old['step'] != row['step']]
    self.rows = sorted([*rows, row], key=lambda row: row['step'])
    names = {name: None for row in self.rows for name in row}
    with open(f'{self._path}.tmp', 'w', newline='') as file:
      writer = csv.DictWriter(file, names, restval='nan')
      writer.writeheader()
      writer.writerows({**row, 'step': int(row['step'])} for row in self.rows)
      file.flush()
      os.fsync(file.fileno())
    os.replace(f'{self._path}.tmp', self._path)
