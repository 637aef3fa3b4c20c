"""What follows from the evaluations of a run: the best, the end, the plateau.

All of it is a function of the list of evaluations, so that a run that is
resumed decides as if it had not been stopped.
"""

import csv
import math
import os
from collections.abc import Sequence

from datasets.files import atomic, check_regular
from engine.checkpoints.ranking import Row, ranked, worth
from engine.config.scripts import TrainConfig
from engine.replicas import workers

EVALUATIONS_FILENAME = 'evaluations.csv'


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
    if worth(row, metric) > best:
      best, waited = worth(row, metric), 0
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
  check_regular(path)
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

  All workers know the rows, and the chief writes them.

  Attributes:
    rows: the evaluations, by step.
    counted: those of them that early stopping and the plateau look at.
  """

  def __init__(self, config: TrainConfig, step: int, every: int | None):
    """Reads the evaluations up to a step; later ones will be done again.

    That at the end of a run which is resumed with more steps stays, and may
    be the best. It is counted if it would have been made without that end.

    Args:
      config: the complete `TrainConfig`.
      step: the step at which the run is.
      every: steps between two evaluations, None if there are to be none.
    """
    self._config, self._every = config, every or 1
    self._writes = workers.current().is_chief
    self._path = os.path.join(config.train_dir, EVALUATIONS_FILENAME)
    self.rows = [
      row
      for row in read(config.train_dir)
      if every is not None and row['step'] <= step
    ]

  @property
  def counted(self) -> list[Row]:
    """The evaluations that a run which was never stopped would have made."""
    last = self._config.max_number_of_steps
    return [
      row
      for row in self.rows
      if row['step'] % self._every == 0 or row['step'] == last
    ]

  @property
  def best(self) -> Row | None:
    """The best evaluation of all, None if there is none."""
    return next(iter(ranked(self.rows, self._config.best_metric)), None)

  @property
  def over(self) -> bool:
    """Whether they say that training should stop."""
    return is_over(
      self.counted,
      self._config.best_metric,
      self._config.early_stopping_patience,
    )

  @property
  def factor(self) -> float:
    """What reduce-on-plateau multiplies the learning rate by."""
    return plateau_factor(
      self.counted,
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
    if not self._writes:
      return
    names = {name: None for row in self.rows for name in row}
    with atomic(self._path, newline='') as file:
      writer = csv.DictWriter(file, list(names), restval='nan')
      writer.writeheader()
      writer.writerows({**row, 'step': int(row['step'])} for row in self.rows)
