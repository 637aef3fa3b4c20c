"""curves.png: loss and accuracy over the steps of a run."""

import os
from collections.abc import Mapping
from typing import Any

from matplotlib import figure

from engine.config.tasks import TASKS
from engine.training import early_stopping, metrics_log
from metrics import reports

CURVES_FILENAME = 'curves.png'


def _panels():
  """Returns the column of metrics.csv -> its metrics, and the scale.

  The metrics are those of evaluations, as far as they have them, with what is
  written behind 'evaluation'.
  """
  accuracies: dict[str, str] = {}
  for entry in TASKS.values():
    accuracies.update(entry.accuracies)
  return {'loss': ({'loss': ''}, 1), 'accuracy': (accuracies, 100)}


def draw(
  train_dir: str, evaluated: Mapping[str, Any] | None = None
) -> str | None:
  """Draws the curves of the run in `train_dir`, from its CSV files.

  Args:
    train_dir: the run's folder.
    evaluated: the metrics of an evaluation, drawn as points: step, split,
      loss and accuracy, or for masks pixel_accuracy and miou.

  Returns:
    The image's path; None if nothing has been recorded.
  """
  rows = metrics_log.read_metrics(train_dir)
  if not rows:
    return None
  steps = [row['step'] for row in rows]
  evaluations = early_stopping.read(train_dir)
  fig = figure.Figure(figsize=(9, 4), layout='constrained')
  for axes, (name, (metrics, scale)) in zip(
    fig.subplots(1, 2), _panels().items(), strict=True
  ):
    axes.plot(
      steps,
      [scale * row[name] for row in rows],
      label='training',
      marker='.' if len(rows) < 3 else None,
    )
    for metric, more in metrics.items():
      if evaluations and metric in evaluations[0]:
        axes.plot(
          [row['step'] for row in evaluations],
          [scale * row[metric] for row in evaluations],
          label=f'evaluation{more}',
          marker='.',
        )
      if evaluated and metric in evaluated:
        axes.plot(
          evaluated['step'],
          scale * evaluated[metric],
          'o',
          label=f'{evaluated["split"]}{more}',
        )
    axes.set(xlabel='step', ylabel=name + (' [%]' if scale > 1 else ''))
    axes.grid(alpha=0.3)
    axes.legend()
  path = os.path.join(train_dir, CURVES_FILENAME)
  reports.save_figure(fig, path)
  return path
