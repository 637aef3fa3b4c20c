"""The training as its evaluation sees it: weights, checkpoints, rate, time."""

from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.common.variables import assign
from engine.model.batch_norm import Recalibration
from engine.training.hooks import Report, Save
from nets.slim_compat import slim

Values = dict[str, np.ndarray]  # by the names of variables


class Snapshot(NamedTuple):
  """The weights at a step, with batch norm's statistics measured for them.

  Fields:
    raw: the network's variables.
    averaged: their moving averages by the variables' names, None if there are
      none.
    kept: both by their own names, as a checkpoint has them.
  """

  raw: Values
  averaged: Values | None
  kept: Values


class TrainingState:
  """What an evaluation within a training reads and changes.

  Attributes:
    step: int64 scalar, the number of finished steps after a run.
    names: the names in `Snapshot.kept`, and global_step.
  """

  def __init__(
    self,
    step: tf.Tensor,
    save: Save,
    report: Report | None,
    recalibration: Recalibration,
    shadows: dict[tf.Variable, tf.Variable],
    factor: tf.Variable,
  ):
    """Sets the parts of the training.

    Args:
      step: int64 scalar, the number of finished steps after a run.
      save: writes checkpoints.
      report: measures the time of steps; None where nobody does.
      recalibration: measures batch norm's statistics.
      shadows: the moving average of each of the network's variables, {}
        without.
      factor: float32 scalar variable that the learning rate is multiplied by.
    """
    self.step = step
    self._save, self._report, self._factor = save, report, factor
    self._recalibration, self._shadows = recalibration, shadows
    variables = [*slim.get_model_variables(), *shadows.values()]
    self.names = [*(v.op.name for v in variables), 'global_step']

  def save(self, session: tf.Session, step: int) -> None:
    """Writes the checkpoint of a step; see `Save.save`."""
    self._save.save(session, step)

  def exclude(self, seconds: float) -> None:
    """Leaves time that was no training out of the next line's speed."""
    if self._report:
      self._report.exclude(seconds)

  def multiply_learning_rate(self, session: tf.Session, factor: float) -> None:
    """Sets what the schedule's rate is multiplied by."""
    assign(session, {self._factor: factor})

  def snapshot(self, session: tf.Session) -> Snapshot:
    """Returns the network's present values, with measured statistics."""
    return snapshot(
      session, self._recalibration.measure(session), self._shadows
    )


def snapshot(
  session: tf.Session,
  measured: dict[tf.Variable, np.ndarray],
  shadows: dict[tf.Variable, tf.Variable],
) -> Snapshot:
  """Returns the network's present values, with other statistics.

  Args:
    session: the training's session.
    measured: values that replace those of their variables.
    shadows: the moving average of each of the network's variables.
  """
  variables = slim.get_model_variables()
  every = [*variables, *shadows.values()]
  now = dict(zip(every, session.run(every), strict=True))
  now.update(
    {
      variable: value.astype(variable.dtype.as_numpy_dtype)
      for variable, value in measured.items()
    }
  )
  raw = {variable.op.name: now[variable] for variable in variables}
  if not shadows:
    return Snapshot(raw, None, raw)
  averaged = {
    variable.op.name: now[shadow] for variable, shadow in shadows.items()
  }
  return Snapshot(raw, averaged, {v.op.name: value for v, value in now.items()})
