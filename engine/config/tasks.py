"""The registry of tasks: what --task takes, and what is known of each.

A task is a class that follows the protocol of engine/tasks/base.py, and one
entry here. Nothing here imports TensorFlow.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from engine.common.loading import load


class TaskEntry(NamedTuple):
  """What is known of a task before TensorFlow starts.

  Fields:
    implementation: where its class is, 'module:class'.
    metrics: the metrics of an evaluation that may decide which checkpoint is
      the best -> whether higher is better. The first decides by default.
    curves: the metrics that curves.png shows besides the loss -> the column
      of metrics.csv that is the same of the training, None for none.
  """

  implementation: str
  metrics: Mapping[str, bool]
  curves: Mapping[str, str | None]

  @property
  def main_metric(self) -> str:
    """The metric by which results are compared if nothing else is said."""
    return next(iter(self.metrics))


TASKS = {
  CLASSIFICATION: TaskEntry(
    'engine.tasks.classification.task:Classification',
    {
      'accuracy': True,
      'top_5_accuracy': True,
      'mean_recall': True,
      'mean_f1': True,
      'loss': False,
      'expected_calibration_error': False,
    },
    {'accuracy': 'accuracy'},
  ),
  SEGMENTATION: TaskEntry(
    'engine.tasks.segmentation.task:Segmentation',
    {
      'miou': True,
      'pixel_accuracy': True,
      'mean_accuracy': True,
      'frequency_weighted_iou': True,
      'boundary_f1': True,
      'mean_boundary_iou': True,
      'loss': False,
      'expected_calibration_error': False,
    },
    {'pixel_accuracy': 'accuracy', 'miou': None},
  ),
}


def metrics() -> dict[str, bool]:
  """Returns the metrics of all tasks -> whether higher is better."""
  return {
    name: higher
    for entry in TASKS.values()
    for name, higher in entry.metrics.items()
  }


# What people call a metric, where they have another name. These are ratios of
# areas, which people write in [0, 1]; others are shares, in percent.
_RATIOS = {'miou': 'mIOU'}


def is_ratio(metric: str) -> bool:
  """Whether people write a metric in [0, 1] instead of in percent."""
  return metric in _RATIOS


def display_name(metric: str) -> str:
  """Returns what people call a metric."""
  return _RATIOS.get(metric, metric)


def get_task(name: str) -> Any:
  """Returns the task of a name; see `engine.tasks.base.Task`."""
  return load(TASKS[name].implementation)()
