"""What an evaluation of classification prints and writes."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from datasets.images import contact_sheet
from engine.common import console
from engine.tasks.base import EvaluatedSplit
from engine.tasks.classification.predictor import Predictions
from metrics import classification, reports

_MISTAKES = contact_sheet.COLUMNS * contact_sheet.ROWS


def brief(metrics: Mapping[str, Any]) -> str:
  """Returns accuracy and loss."""
  return f'accuracy {metrics["accuracy"]:.2%}, loss {metrics["loss"]:.4f}'


def lines(metrics: Mapping[str, Any], classes: int) -> list[str]:
  """Returns what is printed of an evaluation."""
  top_5 = f'top-5 {metrics["top_5_accuracy"]:.2%}, ' if classes > 5 else ''
  return [
    f'accuracy {metrics["accuracy"]:.2%}, {top_5}loss '
    f'{metrics["loss"]:.4f} ({metrics["examples"]:,} examples)',
    f'mean over the classes: recall {metrics["mean_recall"]:.2%}, F1 '
    f'{metrics["mean_f1"]:.2%}; probabilities differ from how often they '
    f'are right by {metrics["expected_calibration_error"]:.2%} (expected '
    'calibration error)',
  ]


def _shown(split, found, index):
  """Returns a mistake for the sheet, None if its record cannot be shown."""
  example = split.examples.example(int(found.records[index]))
  if example is None:
    return None
  return contact_sheet.Shown(
    example.image,
    *reports.describe_mistake(
      int(found.outcomes.labels[index]),
      int(found.outcomes.predicted[index]),
      float(found.outcomes.confidences[index]),
      split.names,
      split.config.labels_offset,
    ),
  )


def _draw_mistakes(path, split, found):
  """Draws the worst mistakes; returns whether there are any."""
  worst = classification.worst_mistakes(found.outcomes, _MISTAKES)
  shown = [_shown(split, found, index) for index in worst]
  shown = [each for each in shown if each is not None]
  if shown:
    contact_sheet.draw(path, shown)
  else:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)  # an earlier one's
  return bool(shown)


def write(
  split: EvaluatedSplit, found: Predictions, path: Callable
) -> list[str]:
  """Writes files to path(name).

  They are per_class.csv, confusion_matrix.png, predictions.csv and, if there
  are mistakes, worst_mistakes.png.

  Returns:
    The names of the files.
  """
  config, names = split.config, split.names
  confusion = classification.confusion_matrix(found.outcomes, found.classes)
  reports.write_per_class(
    path('per_class.csv'), confusion, names, config.labels_offset
  )
  reports.draw_confusion_matrix(path('confusion_matrix.png'), confusion, names)
  reports.write_predictions(
    path('predictions.csv'),
    found.outcomes,
    (
      (split.examples.filename(record), split.examples.name(record))
      for record in map(int, found.records)
    ),
    names,
    config.labels_offset,
  )
  written = ['per_class.csv', 'predictions.csv', 'confusion_matrix.png']
  if _draw_mistakes(path('worst_mistakes.png'), split, found):
    return [*written, 'worst_mistakes.png']
  console.say('There is no worst_mistakes.png, as there are no mistakes.')
  return written
