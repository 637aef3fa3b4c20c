"""What an evaluation prints and writes, for every task."""

import os
from collections.abc import Sequence

from engine import console, options, results_of_masks, results_of_pictures
from engine.predictor import Predictions
from engine.segmentation import CLASSIFICATION, SEGMENTATION
from engine.segmenter import Segmented
from engine.subject import Subject
from tasks import reports

ALL_FILENAME = 'all_checkpoints.csv'
_SHORT_NAMES = {'miou': 'mIOU'}  # of figures, where people have another
_OF = {CLASSIFICATION: results_of_pictures, SEGMENTATION: results_of_masks}


def short(metric: str) -> str:
  """Returns what people call a figure."""
  return _SHORT_NAMES.get(metric, metric)


def shown(metric: str, value: float) -> str:
  """Returns a share as people write it: accuracy in percent, mIOU in [0, 1]."""
  return f'{value:.4f}' if metric in _SHORT_NAMES else f'{value:.2%}'


def figures_of(
  subject: Subject, found: Predictions | Segmented, **facts
) -> dict:
  """Returns the figures of an evaluation, after `facts` about it."""
  config = subject.config
  size = (
    {
      'eval_crop_size': config.eval_crop_size,
      'output_stride': config.output_stride,
    }
    if config.task == SEGMENTATION
    else {'image_size': config.eval_image_size}
  )
  return {
    **facts,
    'dataset': subject.dataset.name,
    'split': subject.dataset.split_name,
    **size,
    **found.metrics(),
    **_OF[config.task].more(subject, found),
    'left_out': len(subject.examples.left_out),
  }


def brief(task: str, figures: dict) -> str:
  """Returns the most important figures."""
  return _OF[task].brief(figures)


def say(subject: Subject, figures: dict) -> None:
  """Prints the figures of an evaluation."""
  for line in _OF[subject.config.task].lines(figures, len(subject.names)):
    console.say(line)


def draw(subject: Subject, found: Predictions | Segmented) -> list[str]:
  """Writes tables and images to config.eval_dir; returns their names.

  The network must have the weights that were evaluated.
  """
  folder = subject.config.eval_dir
  os.makedirs(folder, exist_ok=True)
  return _OF[subject.config.task].write(
    subject, found, lambda name: os.path.join(folder, name)
  )


def write(subject: Subject, figures: dict, written: Sequence[str]) -> None:
  """Writes eval.json, and says what else was written."""
  folder = subject.config.eval_dir
  options.write_json(os.path.join(folder, 'eval.json'), figures)
  console.say(
    f'eval.json, {", ".join(written[:-1])} and {written[-1]} are in {folder}.'
  )


def write_all(eval_dir: str, rows: Sequence[dict]) -> None:
  """Writes all_checkpoints.csv, a row for the figures of each checkpoint."""
  os.makedirs(eval_dir, exist_ok=True)
  columns = [
    name
    for name, value in rows[0].items()
    if isinstance(value, (int, float)) and not isinstance(value, bool)
  ]
  reports.write_table(
    os.path.join(eval_dir, ALL_FILENAME),
    ['checkpoint', *columns],
    [[row['checkpoint'], *(row[name] for name in columns)] for row in rows],
  )
