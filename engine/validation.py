"""Evaluation while training: in the same process, on a graph of its own."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf

from engine import best, console, opening, resolve, results, selection
from engine.config import EvalConfig, PipelineConfig, TrainConfig
from nets.slim_compat import slim

Values = dict[str, np.ndarray]  # by the names of the network's variables


def eval_config(config: TrainConfig) -> EvalConfig:
  """Returns the configuration that evaluates a run as it was trained."""
  shared = [field.name for field in dataclasses.fields(PipelineConfig)]
  return EvalConfig(
    checkpoint_path=config.train_dir,
    **{name: getattr(config, name) for name in shared},
  )


def row_of(figures: dict, step: int) -> selection.Row:
  """Returns the row of evaluations.csv for the figures of an evaluation."""
  row = {
    'step': step,
    **{name: figures[name] for name in selection.METRICS if name in figures},
  }
  raw = figures.get('raw_weights', {})
  return {
    **row,
    **{
      f'raw_{name}': raw[name]
      for name in ('accuracy', 'miou', 'loss')
      if name in raw
    },
  }


def snapshot(
  session: tf.Session,
  measured: dict[tf.Variable, np.ndarray],
  shadows: dict[tf.Variable, tf.Variable],
) -> tuple[Values, Values | None, Values]:
  """Returns the network's present values, with other statistics.

  Args:
    session: the training's session.
    measured: values that replace those of their variables.
    shadows: the moving average of each of the network's variables.

  Returns:
    The variables; their moving averages by the variables' names, None if
    there are none; and both by their own names, as a checkpoint has them.
  """
  variables = slim.get_model_variables()
  found = session.run(dict(enumerate([*variables, *shadows.values()])))
  now = dict(zip([*variables, *shadows.values()], found.values(), strict=True))
  now.update(
    {
      variable: value.astype(variable.dtype.as_numpy_dtype)
      for variable, value in measured.items()
    }
  )
  raw = {variable.op.name: now[variable] for variable in variables}
  if not shadows:
    return raw, None, raw
  averaged = {
    variable.op.name: now[shadow] for variable, shadow in shadows.items()
  }
  return raw, averaged, {v.op.name: value for v, value in now.items()}


class Trial:
  """Evaluates values of the network's variables, again and again.

  The graph is built on first use, when the run's first checkpoint is there.
  """

  def __init__(self, config: TrainConfig):
    self._config, self._predictor = config, None

  def _open(self):
    if self._predictor is None:
      evaluation = resolve.evaluation(eval_config(self._config))
      dataset = evaluation.dataset
      self._predictor = opening.open_split(
        evaluation.config,
        dataset,
        dataset.num_classes - evaluation.config.labels_offset,
      )
    return self._predictor

  def __call__(self, values: Values, averaged: Values | None) -> dict:
    """Returns the figures; of the averages, if there are any, with the raw."""
    opened = self._open()

    def figures(of):
      opened.load(of)
      return opened.predict().metrics()

    if averaged is None:
      return figures(values)
    return {**figures(averaged), 'raw_weights': figures(values)}

  def close(self) -> None:
    """Frees the graph and its memory."""
    if self._predictor is not None:
      self._predictor.close()


class Validation(tf.train.SessionRunHook):
  """Evaluates every few steps, keeps the best checkpoints, decides the end.

  The checkpoint of a step is saved before it is evaluated. What follows from
  the evaluations is a function of evaluations.csv; one that a kill has cut
  off is done again on the next start.
  """

  def __init__(
    self,
    config: TrainConfig,
    every: int,
    evaluations: selection.Evaluations,
    step: tf.Tensor,
    save: Callable,
    values: Callable,
    set_factor: Callable,
    names: list[str],
    exclude: Callable[[float], None],
  ):
    """Prepares to evaluate.

    Args:
      config: the complete configuration.
      every: steps between two evaluations.
      evaluations: those that have been made.
      step: int64 scalar, the number of finished steps after a run.
      save: save(session, step) writes a checkpoint.
      values: values(session) returns the network's variables and, if there
        are any, their moving averages, as `Trial` takes them, and all that a
        checkpoint of the best has to hold, by its name.
      set_factor: set_factor(session, factor) multiplies the learning rate.
      names: the names in such a checkpoint.
      exclude: exclude(seconds) tells how long an evaluation took.
    """
    self._config, self._every, self._step = config, every, step
    self._evaluations, self._save = evaluations, save
    self._values, self._set_factor = values, set_factor
    self._names, self._exclude = [*names, 'global_step'], exclude
    self._best = best.Best(
      config.train_dir, config.best_metric, config.keep_best
    )
    self._trial = Trial(config)

  def begin(self):
    self._best.settle(self._evaluations.rows)
    self._events = tf.summary.FileWriterCache.get(self._config.train_dir)

  def after_create_session(self, session, coord):
    self._set_factor(session, self._evaluations.factor)
    step = int(session.run(tf.train.get_global_step(session.graph)))
    if step and self._is_due(step) and not self._evaluations.has(step):
      self._evaluate(session, step)

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._step)

  def _is_due(self, step):
    return step % self._every == 0 and step != self._config.max_number_of_steps

  def after_run(self, run_context, run_values):
    step = int(run_values.results)
    if not self._is_due(step):
      return
    begin = time.perf_counter()
    self._save(run_context.session, step)
    self._evaluate(run_context.session, step)
    self._exclude(time.perf_counter() - begin)
    if self._evaluations.over:
      run_context.request_stop()

  def _evaluate(self, session, step):
    values, averaged, kept = self._values(session)
    before = self._evaluations.factor
    row = row_of(self._trial(values, averaged), step)
    is_best = self._record(row, {**kept, 'global_step': np.int64(step)})
    self._say(row, is_best)
    if self._evaluations.factor != before:
      console.say(
        f'No better {self._config.plateau_metric} in '
        f'{self._config.plateau_patience} evaluations: the learning rate '
        f'is multiplied by {self._evaluations.factor:.3g} from here on.'
      )
    self._set_factor(session, self._evaluations.factor)

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
    metric, task = self._config.best_metric, self._config.task
    main = selection.main_metric(task)
    also = '' if metric in (main, 'loss') else f', {metric} {row[metric]:.4f}'
    if f'raw_{main}' in row:
      raw = results.shown(main, row[f'raw_{main}'])
      also += f' ({raw} without moving averages)'
    console.say(
      f'evaluation at step {row["step"]}: {results.brief(task, row)}{also}'
      + (', the best so far' if is_best else '')
    )
    self._events.add_summary(
      tf.Summary(
        value=[
          tf.Summary.Value(tag=f'evaluation/{name}', simple_value=value)
          for name, value in row.items()
          if name != 'step'
        ]
      ),
      row['step'],
    )
    if self._evaluations.over:
      first = self._evaluations.best
      console.say(
        f'Stopping: no better {results.short(metric)} than '
        f'{first[metric]:.4f} at step {int(first["step"])} in '
        f'{self._config.early_stopping_patience} evaluations.'
      )

  def conclude(self, figures: dict) -> None:
    """Adds the evaluation of the last checkpoint, which `evaluate` made."""
    reader = tf.train.load_checkpoint(figures['checkpoint'])
    kept = {name: reader.get_tensor(name) for name in self._names}
    self._record(row_of(figures, figures['step']), kept, finished=True)
    first = self._evaluations.best
    console.say(
      f'The best {results.short(self._config.best_metric)} was '
      f'{first[self._config.best_metric]:.4f} at step {int(first["step"])}; '
      f'its checkpoint is in {self._best.folder}.'
    )

  def close(self) -> None:
    """Frees what the evaluations needed."""
    self._trial.close()
