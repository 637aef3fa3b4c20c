"""What an evaluation prints and writes."""
import contextlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from datasets import contact_sheet
from datasets.dataset_factory import Dataset
from datasets.examples import Examples
from engine import console, options
from engine.config import EvalConfig
from engine.predictor import Predictions
from tasks import classification, reports

ALL_FILENAME = 'all_checkpoints.csv'
_MISTAKES = contact_sheet.COLUMNS * contact_sheet.ROWS


class Subject(NamedTuple):
  """What is evaluated.

  Fields:
    config: a complete configuration.
    dataset: the split.
    examples: its records.
    names: the name of each class.
  """
  config: EvalConfig
  dataset: Dataset
  examples: Examples
  names: Sequence[str]


def figures_of(subject: Subject, found: Predictions, **facts) -> dict:
  """Returns the figures of an evaluation, after `facts` about it."""
  return {**facts, 'dataset': subject.dataset.name,
          'split': subject.dataset.split_name,
          'image_size': subject.config.eval_image_size,
          **classification.metrics(found.logits, found.labels),
          'left_out': len(subject.examples.left_out)}


def brief(figures: dict) -> str:
  """Returns accuracy and loss."""
  return f'accuracy {figures["accuracy"]:.2%}, loss {figures["loss"]:.4f}'


def say(figures: dict, classes: int) -> None:
  """Prints the figures of an evaluation."""
  top_5 = f'top-5 {figures["top_5_accuracy"]:.2%}, ' if classes > 5 else ''
  console.say(
      f'accuracy {figures["accuracy"]:.2%}, {top_5}loss '
      f'{figures["loss"]:.4f} ({figures["examples"]:,} examples)')
  console.say(
      f'mean over the classes: recall {figures["mean_recall"]:.2%}, F1 '
      f'{figures["mean_f1"]:.2%}; probabilities differ from how often they '
      f'are right by {figures["expected_calibration_error"]:.2%} (expected '
      'calibration error)')


def _shown(subject, found, index, share):
  """Returns a mistake for the sheet, None if its record cannot be shown."""
  example = subject.examples.example(int(found.records[index]))
  if example is None:
    return None
  return contact_sheet.Shown(example.image, *reports.describe_mistake(
      int(found.labels[index]), int(found.logits[index].argmax()), share,
      subject.names, subject.config.labels_offset))


def _draw_mistakes(path, subject, found):
  """Draws the worst mistakes; returns whether there are any."""
  worst = classification.worst_mistakes(found.logits, found.labels, _MISTAKES)
  shares = classification.probabilities(
      found.logits[worst], found.logits[worst].argmax(-1))
  shown = [_shown(subject, found, index, share)
           for index, share in zip(worst, shares, strict=True)]
  shown = [each for each in shown if each is not None]
  if shown:
    contact_sheet.draw(path, shown)
  else:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)  # an earlier one's
  return bool(shown)


def write(subject: Subject, figures: dict, found: Predictions) -> None:
  """Writes all files of an evaluation to config.eval_dir.

  They are eval.json with the figures, per_class.csv, confusion_matrix.png,
  predictions.csv and, if there are mistakes, worst_mistakes.png.
  """
  config, names = subject.config, subject.names
  os.makedirs(config.eval_dir, exist_ok=True)

  def path(name):
    return os.path.join(config.eval_dir, name)

  confusion = classification.confusion_matrix(found.logits, found.labels)
  order = found.records.argsort()
  records = [int(record) for record in found.records[order]]
  reports.write_per_class(path('per_class.csv'), confusion, names,
                          config.labels_offset)
  reports.draw_confusion_matrix(path('confusion_matrix.png'), confusion, names)
  reports.write_predictions(
      path('predictions.csv'), found.logits[order], found.labels[order],
      ((subject.examples.filename(record), subject.examples.name(record))
       for record in records), names, config.labels_offset)
  mistakes = _draw_mistakes(path('worst_mistakes.png'), subject, found)
  options.write_json(path('eval.json'), figures)
  if mistakes:
    console.say('eval.json, per_class.csv, predictions.csv, '
                'confusion_matrix.png and worst_mistakes.png are in '
                f'{config.eval_dir}.')
  else:
    console.say('eval.json, per_class.csv, predictions.csv and '
                f'confusion_matrix.png are in {config.eval_dir}. There is no '
                'worst_mistakes.png, as there are no mistakes.')


def write_all(eval_dir: str, rows: Sequence[dict]) -> None:
  """Writes all_checkpoints.csv, a row for the figures of each checkpoint."""
  os.makedirs(eval_dir, exist_ok=True)
  columns = [name for name, value in rows[0].items()
             if isinstance(value, (int, float))
             and not isinstance(value, bool)]
  reports.write_table(
      os.path.join(eval_dir, ALL_FILENAME), ['checkpoint', *columns],
      [[row['checkpoint'], *(row[name] for name in columns)] for row in rows])
