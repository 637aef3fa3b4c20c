"""What an evaluation prints and writes, for every task."""

import glob
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from engine.common import console, files
from engine.config import tasks
from engine.replicas import workers
from engine.tasks.base import EvaluatedSplit, Found, Task
from metrics import reports

FILENAME = 'eval.json'
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

  The network must have the weights that were evaluated. Of several workers the
  chief alone writes, here and below.
  """
  if not workers.current().is_chief:
    return []
  folder = split.config.eval_dir
  os.makedirs(folder, exist_ok=True)
  return task.write_report(
    split, found, lambda name: os.path.join(folder, name)
  )


def write(
  split: EvaluatedSplit, metrics: dict[str, Any], written: Sequence[str]
) -> None:
  """Writes eval.json, and says what else was written."""
  if not workers.current().is_chief:
    return
  folder = split.config.eval_dir
  files.write_json(os.path.join(folder, FILENAME), metrics)
  *others, last = [FILENAME, *written]
  names = f'{", ".join(others)} and {last} are' if others else f'{last} is'
  console.say(f'{names} in {folder}.')


def _numbers(metrics):
  """Returns the numbers among metrics, and those of the batch statistics."""
  both = metrics.get('batch_statistics', {})
  named = {f'batch_statistics_{name}': value for name, value in both.items()}
  return {
    name: value
    for name, value in {**metrics, **named}.items()
    if isinstance(value, (int, float)) and not isinstance(value, bool)
  }


def write_all(eval_dir: str, rows: Sequence[Mapping[str, Any]]) -> None:
  """Writes all_checkpoints.csv, a row for the metrics of each checkpoint.

  Those by the statistics of each batch are in columns of their own.
  """
  if not workers.current().is_chief:
    return
  os.makedirs(eval_dir, exist_ok=True)
  numbers = [_numbers(row) for row in rows]
  reports.write_table(
    os.path.join(eval_dir, ALL_FILENAME),
    ['checkpoint', *numbers[0]],
    [
      [row['checkpoint'], *(each[name] for name in numbers[0])]
      for row, each in zip(rows, numbers, strict=True)
    ],
  )


def summarize(eval_dir: str, metrics: Mapping[str, Any]) -> None:
  """Writes the metrics of a checkpoint for TensorBoard, at its step.

  They have the tags of the evaluations within a training. Those of an earlier
  evaluation of the step are removed.
  """
  if not workers.current().is_chief:
    return
  ending = f'.evaluation-{metrics["step"]}'
  for path in glob.glob(
    os.path.join(glob.escape(eval_dir), f'events.out.tfevents.*{ending}')
  ):
    os.remove(path)
  found = {name: metrics[name] for name in tasks.metrics() if name in metrics}
  with (
    tf.Graph().as_default(),  # the writer refuses to be made eagerly
    tf.summary.FileWriter(eval_dir, filename_suffix=ending) as writer,
  ):
    writer.add_summary(summary(found), metrics['step'])


def summary(metrics: Mapping[str, float]) -> tf.Summary:
  """Returns what TensorBoard is given of the metrics of an evaluation."""
  return tf.Summary(
    value=[
      tf.Summary.Value(tag=f'evaluation/{name}', simple_value=value)
      for name, value in metrics.items()
    ]
  )
