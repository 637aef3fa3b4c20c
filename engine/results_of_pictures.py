"""What an evaluation of classification prints and writes."""

import contextlib
import os
from collections.abc import Callable

from datasets.images import contact_sheet
from engine import console
from engine.predictor import Predictions
from engine.subject import Subject
from tasks import classification, reports

_MISTAKES = contact_sheet.COLUMNS * contact_sheet.ROWS


def brief(figures: dict) -> str:
  """Returns accuracy and loss."""
  return f'accuracy {figures["accuracy"]:.2%}, loss {figures["loss"]:.4f}'


def lines(figures: dict, classes: int) -> list[str]:
  """Returns what is printed of an evaluation."""
  top_5 = f'top-5 {figures["top_5_accuracy"]:.2%}, ' if classes > 5 else ''
  return [
    f'accuracy {figures["accuracy"]:.2%}, {top_5}loss '
    f'{figures["loss"]:.4f} ({figures["examples"]:,} examples)',
    f'mean over the classes: recall {figures["mean_recall"]:.2%}, F1 '
    f'{figures["mean_f1"]:.2%}; probabilities differ from how often they '
    f'are right by {figures["expected_calibration_error"]:.2%} (expected '
    'calibration error)',
  ]


def more(subject: Subject, found: Predictions) -> dict:
  """Returns no more figures than there are."""
  del subject, found
  return {}


def _shown(subject, found, index, share):
  """Returns a mistake for the sheet, None if its record cannot be shown."""
  example = subject.examples.example(int(found.records[index]))
  if example is None:
    return None
  return contact_sheet.Shown(
    example.image,
    *reports.describe_mistake(
      int(found.labels[index]),
      int(found.logits[index].argmax()),
      share,
      subject.names,
      subject.config.labels_offset,
    ),
  )


def _draw_mistakes(path, subject, found):
  """Draws the worst mistakes; returns whether there are any."""
  worst = classification.worst_mistakes(found.logits, found.labels, _MISTAKES)
  shares = classification.probabilities(
    found.logits[worst], found.logits[worst].argmax(-1)
  )
  shown = [
    _shown(subject, found, index, share)
    for index, share in zip(worst, shares, strict=True)
  ]
  shown = [each for each in shown if each is not None]
  if shown:
    contact_sheet.draw(path, shown)
  else:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)  # an earlier one's
  return bool(shown)


def write(subject: Subject, found: Predictions, path: Callable) -> list[str]:
  """Writes files to path(name).

  They are per_class.csv, confusion_matrix.png, predictions.csv and, if there
  are mistakes, worst_mistakes.png.

  Returns:
    The names of the files.
  """
  config, names = subject.config, subject.names
  confusion = classification.confusion_matrix(found.logits, found.labels)
  order = found.records.argsort()
  records = [int(record) for record in found.records[order]]
  reports.write_per_class(
    path('per_class.csv'), confusion, names, config.labels_offset
  )
  reports.draw_confusion_matrix(path('confusion_matrix.png'), confusion, names)
  reports.write_predictions(
    path('predictions.csv'),
    found.logits[order],
    found.labels[order],
    (
      (subject.examples.filename(record), subject.examples.name(record))
      for record in records
    ),
    names,
    config.labels_offset,
  )
  written = ['per_class.csv', 'predictions.csv', 'confusion_matrix.png']
  if _draw_mistakes(path('worst_mistakes.png'), subject, found):
    return [*written, 'worst_mistakes.png']
  console.say('There is no worst_mistakes.png, as there are no mistakes.')
  return written
