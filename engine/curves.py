"""curves.png: loss and accuracy over the steps of a run."""
import os

from engine import records, selection

CURVES_FILENAME = 'curves.png'


def draw(train_dir: str, evaluated: dict | None = None) -> str | None:
  """Draws the curves of the run in `train_dir`, from its CSV files.

  Args:
    train_dir: the run's folder.
    evaluated: the figures of an evaluation, drawn as a point: step, split,
      loss and accuracy.

  Returns:
    The picture's path; None if nothing has been recorded.
  """
  from matplotlib import figure
  rows = records.read_metrics(train_dir)
  if not rows:
    return None
  steps = [row['step'] for row in rows]
  evaluations = selection.read(train_dir)
  fig = figure.Figure(figsize=(9, 4), layout='constrained')
  for axes, name, scale in zip(fig.subplots(1, 2), ('loss', 'accuracy'),
                               (1, 100), strict=True):
    axes.plot(steps, [scale * row[name] for row in rows], label='training',
              marker='.' if len(rows) < 3 else None)
    if evaluations:
      axes.plot([row['step'] for row in evaluations],
                [scale * row[name] for row in evaluations],
                label='evaluation', marker='.')
    if evaluated:
      axes.plot(evaluated['step'], scale * evaluated[name], 'o',
                label=evaluated['split'])
    axes.set(xlabel='step', ylabel=name + (' [%]' if scale > 1 else ''))
    axes.grid(alpha=0.3)
    axes.legend()
  path = os.path.join(train_dir, CURVES_FILENAME)
  fig.savefig(path, dpi=100)
  return path
