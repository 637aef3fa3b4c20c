"""Evaluation while training: in the same process, on a graph of its own."""

import time
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import best, opening
from engine.checkpoints.ranking import Row
from engine.common import console
from engine.config import tasks
from engine.config.scripts import TrainConfig
from engine.evaluation import report
from engine.evaluation.validator import Validator
from engine.replicas import workers
from engine.training.early_stopping import Evaluations
from engine.training.state import TrainingState


def row_of(task: str, metrics: dict[str, Any], step: int) -> Row:
  """Returns the row of evaluations.csv for the metrics of an evaluation.

  Args:
    task: its name.
    metrics: those of the evaluation.
    step: the number of finished steps.
  """
  entry = tasks.TASKS[task]
  row = {
    'step': step,
    **{name: metrics[name] for name in tasks.metrics() if name in metrics},
  }
  raw = metrics.get('raw_weights', {})
  return {
    **row,
    **{
      f'raw_{name}': raw[name]
      for name in (entry.main_metric, 'loss')
      if name in raw
    },
  }


class Validation(tf.train.SessionRunHook):
  """Evaluates every few steps, keeps the best checkpoints, decides the end.

  The checkpoint of a step is saved before it is evaluated. What follows from
  the evaluations is a function of evaluations.csv; one that a kill has cut
  off is repeated on restart.
  """

  def __init__(
    self,
    config: TrainConfig,
    every: int,
    evaluations: Evaluations,
    state: TrainingState,
  ):
    """Prepares to evaluate.

    Args:
      config: the complete configuration.
      every: steps between two evaluations.
      evaluations: those that have been made.
      state: the training.
    """
    self._config, self._every = config, every
    self._evaluations, self._state = evaluations, state
    self._entry = tasks.TASKS[config.task]
    self._task = tasks.get_task(config.task)
    self._workers = workers.current()
    self._best = best.Best(
      config.train_dir, config.best_metric, config.keep_best
    )
    self._validator = Validator(config)

  def begin(self) -> None:
    if not self._workers.is_chief:
      return
    self._best.settle(self._evaluations.rows)
    self._events = tf.summary.FileWriterCache.get(self._config.train_dir)

  def after_create_session(
    self, session: tf.Session, coord: tf.train.Coordinator
  ) -> None:
    self._state.multiply_learning_rate(session, self._evaluations.factor)
    step = int(session.run(tf.train.get_global_step(session.graph)))
    if step and self._is_due(step) and not self._evaluations.has(step):
      self._evaluate(session, step)

  def before_run(
    self, run_context: tf.train.SessionRunContext
  ) -> tf.train.SessionRunArgs:
    return tf.train.SessionRunArgs(self._state.step)

  def _is_due(self, step):
    return step % self._every == 0 and step != self._config.max_number_of_steps

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    step = int(run_values.results)
    if not self._is_due(step):
      return
    begin = time.perf_counter()
    self._state.save(run_context.session, step)
    self._evaluate(run_context.session, step)
    self._state.exclude(time.perf_counter() - begin)
    if self._evaluations.over:
      run_context.request_stop()

  def _evaluate(self, session, step):
    raw, averaged, kept = self._state.snapshot(session)
    before = self._evaluations.factor
    metrics = self._validator.evaluate(raw, averaged)
    # The chief's, by which all decide alike.
    row = self._workers.gather_json(row_of(self._task.name, metrics, step))[0]
    if self._workers.is_chief:
      is_best = self._record(row, {**kept, 'global_step': np.int64(step)})
      self._say(row, is_best)
    else:
      self._evaluations.add(row)
    if self._evaluations.factor != before:
      console.say(
        f'No better {self._config.plateau_metric} in '
        f'{self._config.plateau_patience} evaluations: the learning rate '
        f'is multiplied by {self._evaluations.factor:.3g} from here on.'
      )
    self._state.multiply_learning_rate(session, self._evaluations.factor)

  def _record(self, row, kept, finished=False):
    """Writes an evaluation, and its checkpoint if it is among the best.

    The checkpoint first: what a kill leaves of it then belongs to no row.
    """
    others = [
      old for old in self._evaluations.rows if old['step'] != row['step']
    ]
    is_best = self._best.offer(row, others, kept)
    self._evaluations.add(row)
    self._best.settle(self._evaluations.rows, finished)
    return is_best

  def _say(self, row, is_best):
    metric, main = self._config.best_metric, self._entry.main_metric
    also = '' if metric in (main, 'loss') else f', {metric} {row[metric]:.4f}'
    if f'raw_{main}' in row:
      raw = report.shown(main, row[f'raw_{main}'])
      also += f' ({raw} without moving averages)'
    console.say(
      f'evaluation at step {row["step"]}: {self._task.brief(row)}{also}'
      + (', the best so far' if is_best else '')
    )
    self._events.add_summary(
      report.summary(
        {name: value for name, value in row.items() if name != 'step'}
      ),
      row['step'],
    )
    first = self._evaluations.best
    if first is not None and self._evaluations.over:
      console.say(
        f'Stopping: no better {tasks.display_name(metric)} than '
        f'{first[metric]:.4f} at step {int(first["step"])} in '
        f'{self._config.early_stopping_patience} evaluations.'
      )

  def conclude(self, metrics: dict[str, Any]) -> None:
    """Adds the evaluation of the last checkpoint, which `evaluate` made."""
    reader = opening.reader(metrics['checkpoint'])
    kept = {name: reader.get_tensor(name) for name in self._state.names}
    row = row_of(self._task.name, metrics, metrics['step'])
    self._record(row, kept, finished=True)
    first = self._evaluations.best
    assert first is not None  # as one was recorded
    there = self._best.kept(self._evaluations.rows)
    where = f'is in {self._best.folder}'
    if first not in there:
      where = f'is gone, and that of step {int(there[0]["step"])} {where}'
    console.say(
      f'The best {tasks.display_name(self._config.best_metric)} was '
      f'{first[self._config.best_metric]:.4f} at step {int(first["step"])}; '
      f'its checkpoint {where}.'
    )

  def close(self) -> None:
    """Frees what the evaluations needed."""
    self._validator.close()
