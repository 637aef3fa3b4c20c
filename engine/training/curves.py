"""curves.png: loss and accuracy over the steps of a run."""

import os
from collections.abc import Mapping
from typing import Any

from engine.config import runs, tasks
from engine.training import early_stopping, metrics_log
from metrics import reports

CURVES_FILENAME = 'curves.png'
_LOSS = 'loss'
_FEW = 30  # values, that are drawn as points too


def _panels(known):
  """Returns metric of an evaluation -> what the training has beside it.

  That is a column of metrics.csv, None if there is none. A metric that no
  evaluation has yet has no panel, but for the first of a task.

  Args:
    known: the names of the metrics of the evaluations.
  """
  panels: dict[str, str | None] = {_LOSS: _LOSS}
  for entry in tasks.TASKS.values():
    for metric, column in entry.curves.items():
      if metric in known:
        panels[metric] = column
  return panels if len(panels) > 1 else {**panels, 'accuracy': 'accuracy'}


def _by_split(train_dir, run, evaluated):
  """Returns the evaluations of each split, by their steps.

  Those within a training are of the split that its config.json names; the
  last one may be among them.
  """
  within = early_stopping.read(train_dir)
  split = run.get('eval_split_name') or 'evaluation'
  found = {split: {row['step']: row for row in within}} if within else {}
  if evaluated:
    found.setdefault(evaluated['split'], {})[evaluated['step']] = evaluated
  return found


def _title(train_dir, run):
  name = os.path.basename(os.path.abspath(train_dir))
  told = [run[key] for key in ('model_name', 'dataset_name') if run.get(key)]
  more = ' on '.join(told)
  return f'{name}: {more}' if more and name != '-'.join(told) else name


def draw(
  train_dir: str, evaluated: Mapping[str, Any] | None = None
) -> str | None:
  """Draws the curves of the run in `train_dir`, from its CSV files.

  Each metric has a panel, and each split a colour.

  Args:
    train_dir: the run's folder.
    evaluated: the metrics of the evaluation of the last step: step, split,
      loss and accuracy, or for masks pixel_accuracy and miou.

  Returns:
    The image's path; None if nothing has been recorded.
  """
  from matplotlib import figure  # which is slow to import

  rows = metrics_log.read_metrics(train_dir)
  if not rows:
    return None
  run = runs.read(train_dir)
  splits = _by_split(train_dir, run, evaluated)
  panels = _panels(
    {
      name
      for found in splits.values()
      for row in found.values()
      for name in row
    }
  )
  fig = figure.Figure(figsize=(4.5 * len(panels), 4), layout='constrained')
  for axes, (metric, column) in zip(
    fig.subplots(1, len(panels)), panels.items(), strict=True
  ):
    percent = metric != _LOSS and not tasks.is_ratio(metric)
    lines = {'training': {row['step']: row.get(column) for row in rows}}
    for split, found in splits.items():
      lines[split] = {step: found[step].get(metric) for step in sorted(found)}
    for number, (label, points) in enumerate(lines.items()):
      _plot(axes, label, f'C{number}', points, 100 if percent else 1)
    name = tasks.display_name(metric).replace('_', ' ')
    axes.set(xlabel='step', ylabel=name + (' [%]' if percent else ''))
    axes.grid(alpha=0.3)
    axes.legend()
  fig.suptitle(_title(train_dir, run), parse_math=False)
  path = os.path.join(train_dir, CURVES_FILENAME)
  reports.save_figure(fig, path)
  return path


def _plot(axes, label, color, points, scale):
  """Draws a line, of points where they are few, if there are any."""
  points = {step: y for step, y in points.items() if y is not None}
  if points:
    axes.plot(
      [*points],
      [scale * y for y in points.values()],
      color=color,
      label=label,
      marker='o' if len(points) == 1 else '.' if len(points) < _FEW else None,
    )
