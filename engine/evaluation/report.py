"""What an evaluation prints and writes, for every task."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from engine.common import console, files
from engine.config import tasks
from engine.tasks.base import EvaluatedSplit, Found, Task
from metrics import reports

ALL_FILENAME = 'all_checkpoints.csv'


def shown(metric: str, value: float) -> str:
  """Returns a share as people write it: accuracy in percent, mIOU in [0, 1]."""
  return f'{value:.4f}' if tasks.is_ratio(metric) else f'{value:.2%}'


def metrics_of(
  task: Task, split: EvaluatedSplit, found: Found, **facts: Any
) -> dict[str, Any]:
  """Returns the metrics of an evaluation, after `facts` about it."""
  return {
    **facts,
    'dataset': split.dataset.name,
    'split': split.dataset.split_name,
    **task.sizes(split.config),
    **found.metrics(),
    **task.more_metrics(split, found),
    'left_out': len(split.examples.left_out),
  }


def say(task: Task, split: EvaluatedSplit, metrics: Mapping[str, Any]) -> None:
  """Prints the metrics of an evaluation."""
  for line in task.lines(metrics, len(split.names)):
    console.say(line)


def draw(task: Task, split: EvaluatedSplit, found: Found) -> list[str]:
  """Writes tables and images to config.eval_dir; returns their names.

  The network must have the weights that were evaluated.
  """
  folder = split.config.eval_dir
  os.makedirs(folder, exist_ok=True)
  return task.write_report(
    split, found, lambda name: os.path.join(folder, name)
  )


def write(
  split: EvaluatedSplit, metrics: dict[str, Any], written: Sequence[str]
) -> None:
  """Writes eval.json, and says what else was written."""
  folder = split.config.eval_dir
  files.write_json(os.path.join(folder, 'eval.json'), metrics)
  *others, last = ['eval.json', *written]
  names = f'{", ".join(others)} and {last} are' if others else f'{last} is'
  console.say(f'{names} in {folder}.')


def write_all(eval_dir: str, rows: Sequence[Mapping[str, Any]]) -> None:
  """Writes all_checkpoints.csv, a row for the metrics of each checkpoint."""
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
