"""Experiments that take seconds."""

import types
from unittest import mock

from engine.evaluation import evaluator
from tests import builders

FLAGS = {
  'seeds': 1,
  'train_image_size': 8,
  'batch_size': 8,
  'max_number_of_steps': 2,
  'evaluate_every': 1,
  'log_every_n_steps': 1,
  'learning_rate_decay_type': 'fixed',
  'recalibrate_batch_norm_batches': 1,
  'output_dir': 'out',
}


def call(script, **flags) -> types.SimpleNamespace:
  """Runs a script's main with `FLAGS` and others; see `builders.call`.

  The last evaluation of a training leaves out the files that it would write.
  """
  with mock.patch.object(
    evaluator.Evaluator, 'finish', lambda *arguments: None
  ):
    return builders.call(script, **{**FLAGS, **flags})
