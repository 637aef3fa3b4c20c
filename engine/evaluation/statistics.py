"""Batch norm's statistics for checkpoints in which they lag.

A training measures them at its end, and for its own evaluations; what it saves
in between has moving averages that have not caught up with the weights. Here
they are measured for such a checkpoint, on the batches at which the training
stood, as the training does.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import best, contents, locate
from engine.checkpoints.inference import InferenceSession
from engine.common import console
from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.config.tasks import get_task
from engine.input import pixel_mean
from engine.input.pipeline import training_stream
from engine.model.batch_norm import Recalibration
from engine.resolve import data
from engine.resolve.evaluation import Evaluation


def is_behind(run: Mapping[str, Any], checkpoint: str, step: int) -> bool:
  """Whether a checkpoint is of before the end of its run.

  Those in best/ are as they were evaluated, with measured statistics.

  Args:
    run: what the training wrote to its config.json, {} if there is none.
    checkpoint: its prefix.
    step: that of the checkpoint.
  """
  folder = os.path.dirname(os.path.abspath(checkpoint))
  total = run.get('max_number_of_steps')
  if (
    not run
    or runs.is_converted(run)
    or os.path.basename(folder) == best.BEST_DIR
    or (total is not None and step >= total)
  ):
    return False
  last = locate.listed(folder)[-1:] if best.is_finished(folder) else []
  return os.path.basename(checkpoint) not in map(os.path.basename, last)


def lag(run: Mapping[str, Any], checkpoint: str, step: int) -> bool:
  """Whether batch norm's statistics in a checkpoint lag behind its weights.

  A run that does not measure them at its end has none that do; see `is_behind`.
  """
  return (
    not run.get('freeze_batch_norm')
    and run.get('recalibrate_batch_norm_batches', 0) != 0
    and is_behind(run, checkpoint, step)
  )


def tell_lag(run: Mapping[str, Any], checkpoint: str) -> None:
  """Says on stderr where the statistics in a checkpoint lag; see `lag`."""
  if lag(run, checkpoint, contents.step(checkpoint) or 0):
    console.note(
      f'{checkpoint} is of before the end of its run, where the moving '
      'statistics of batch norm lag behind the weights: predictions may be far '
      'from what the network knows. Name RUN/best, or the run when it is done.',
      aside=True,
    )


class _Trained(InferenceSession):
  """The network as it was trained, on the batches that it was trained on.

  Attributes:
    config: that of the run.
    batches: over how many the statistics are measured.
  """

  def __init__(self, config: TrainConfig):
    """Builds the network and opens the training split.

    Args:
      config: of the run, complete, with the folder that the run is in now.

    Raises:
      ValueError: the data are not what the run was trained on, or not there.
    """
    self.config = config
    task = get_task(config.task)
    dataset = data.get(
      config.dataset_name, config.dataset_split_name, config.dataset_dir
    )
    task.prepare_dataset(config, dataset)
    if pixel_mean.is_needed(config):  # else it would be measured, and written
      pixel_mean.read(os.path.join(config.train_dir, pixel_mean.FILENAME))
    self._parts = config.num_micro_batches
    graph = tf.Graph()
    with graph.as_default():
      tf.set_random_seed(config.seed)
      source = task.open_training(config, dataset, True)
      self._stream = training_stream(config, source, 0)
      task.build(
        config,
        self._stream.batch.images,
        source.examples.classes,
        is_training=True,
      )
      self._recalibration = Recalibration.of(config, source, self._stream, {})
    self.batches = self._recalibration.batches
    super().__init__(graph)

  def measure(self, step: int, averages: bool) -> dict[str, np.ndarray]:
    """Returns the statistics by variable, for the weights that are set.

    Args:
      step: where the training stood.
      averages: whether the weights are moving averages, which a training
        measures on the batches behind those for the weights themselves.
    """
    begin = step * self._parts + (self.batches if averages else 0)
    self._stream.seek(self.session, begin)
    found = self._recalibration.measure(self.session)
    return {variable.op.name: value for variable, value in found.items()}


class Weights:
  """Sets weights from the checkpoints of a run, with measured statistics."""

  def __init__(self, evaluation: Evaluation):
    """Opens nothing yet.

    Args:
      evaluation: one of the checkpoints, with its run.

    Raises:
      ValueError: statistics are asked for, and there is no run.
    """
    self._run, self._given = evaluation.run, evaluation.config
    self._asked = self._given.recalibrate_batch_norm_batches
    self._folder = os.path.dirname(evaluation.checkpoint)
    self._trained: _Trained | None = None
    self._possible = not self._run.get('freeze_batch_norm')
    if self._asked and (not self._run or runs.is_converted(self._run)):
      raise ValueError(
        '--recalibrate_batch_norm_batches measures on the training split of '
        f'a run, and {evaluation.checkpoint} has no config.json beside it '
        'that names it: leave the flag out.'
      )

  def restore(
    self,
    predictor: InferenceSession,
    checkpoint: str,
    step: int,
    moving_averages: float | None,
  ) -> int:
    """Sets the variables of a network from a checkpoint.

    Args:
      predictor: the network.
      checkpoint: its prefix.
      step: that of the checkpoint.
      moving_averages: see `contents.read_values`.

    Returns:
      Over how many training batches batch norm's statistics were measured, 0
      where they are those of the checkpoint.

    Raises:
      ValueError: the checkpoint does not fit; or the training data are not
        there, and the flag asks for them.
    """
    predictor.restore(checkpoint, moving_averages)
    wanted = self._asked or (
      self._asked is None and lag(self._run, checkpoint, step)
    )
    trained = self._open() if wanted and self._possible else None
    if trained is None or not trained.batches:
      return 0
    trained.restore(checkpoint, moving_averages)
    predictor.update(trained.measure(step, bool(moving_averages)))
    return trained.batches

  def _open(self):
    """Returns the network on the training split, None if it cannot be had."""
    if self._trained is None:
      try:
        self._trained = _Trained(self._config())
      except ValueError as missing:
        if self._asked:
          raise
        self._possible = False
        console.note(
          "batch norm's moving statistics lag behind the weights in "
          'checkpoints of before the end of a run, and cannot be measured '
          f'without the data that it was trained on: {missing}'
        )
        return None
      self._introduce(self._trained)
    return self._trained

  def _introduce(self, trained):
    config, why = trained.config, ''
    if not self._asked:
      why = (
        ', for checkpoints of before the end of the run, in which its moving '
        'statistics lag behind the weights'
      )
    console.say(
      f'Batch norm is measured over {trained.batches} batches of '
      f'{config.dataset_name}, split {config.dataset_split_name}{why}.'
    )

  def _config(self):
    """Returns the configuration of the run, where it is now."""
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    own = {name: self._run[name] for name in names & self._run.keys()}
    return TrainConfig(
      **{
        **own,
        'train_dir': self._folder,
        'cache': None,
        'num_preprocessing_threads': self._given.num_preprocessing_threads,
        'recalibrate_batch_norm_batches': self._asked
        or own['recalibrate_batch_norm_batches'],
      }
    )

  def close(self) -> None:
    """Frees the network, if it has been opened."""
    if self._trained is not None:
      self._trained.close()

  def __enter__(self) -> 'Weights':
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()
