"""Evaluates weights while a training goes on, on a graph of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.checkpoints import locate
from engine.config.parts.pipeline import PipelineConfig
from engine.config.scripts import EvalConfig, TrainConfig
from engine.resolve.evaluation import evaluation
from engine.tasks.predictor import SplitPredictor

Values = Mapping[str, np.ndarray]  # by the names of the network's variables


def eval_config(config: TrainConfig) -> EvalConfig:
  """Returns the configuration that evaluates a run as it was trained.

  That of the newest checkpoint; why it is that one has been said.
  """
  shared = [field.name for field in dataclasses.fields(PipelineConfig)]
  return EvalConfig(
    checkpoint_path=(locate.newest(config.train_dir) or config.train_dir,),
    recalibrate_batch_norm_batches=0,  # the training has done it
    **{name: getattr(config, name) for name in shared},
  )


class Validator:
  """Evaluates values of the network's variables, again and again.

  The graph is built on first use, when the run's first checkpoint is there.
  """

  def __init__(self, config: TrainConfig):
    """Sets the run, by its complete configuration."""
    self._config = config
    self._predictor: SplitPredictor | None = None

  def _open(self):
    if self._predictor is None:
      found = evaluation(eval_config(self._config))
      self._predictor = found.task.open_split(
        found.config,
        found.dataset,
        found.dataset.num_classes - found.config.labels_offset,
      )
    return self._predictor

  def evaluate(self, values: Values, averaged: Values | None) -> dict[str, Any]:
    """Returns the metrics; of the averages, if there are any, with the raw."""
    predictor = self._open()

    def metrics(of):
      predictor.load(of)
      return predictor.predict().metrics()

    if averaged is None:
      return metrics(values)
    return {**metrics(averaged), 'raw_weights': metrics(values)}

  def close(self) -> None:
    """Frees the graph and its memory."""
    if self._predictor is not None:
      self._predictor.close()
