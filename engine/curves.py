"""curves.png: loss and accuracy over the steps of a run."""

import os

from engine import records, selection

# The column of metrics.csv -> what evaluations call it, as far as they have
# it, with what is written behind 'evaluation'; and the scale.
_PANELS = {
  'loss': ({'loss': ''}, 1),
  'accuracy': ({'accuracy': '', 'pixel_accuracy': '', 'miou': ', mIOU'}, 100),
}

CURVES_FILENAME = 'curves.png'


def draw(train_dir: str, evaluated: dict | None = None) -> str | None:
  """Draws the curves of the run in `train_dir`, from its CSV files.

  Args:
    train_dir: the run's folder.
    evaluated: the figures of an evaluation, drawn as points: step, split,
      loss and accuracy, or for masks pixel_accuracy and miou.

  Returns:
    The image's path; None if nothing has been recorded.
  """
  from matplotlib import figure

  rows = records.read_metrics(train_dir)
  if not rows:
    return None
  steps = [row['step'] for row in rows]
  evaluations = selection.read(train_dir)
  fig = figure.Figure(figsize=(9, 4), layout='constrained')
  for axes, (name, (figures, scale)) in zip(
    fig.subplots(1, 2), _PANELS.items(), strict=True
  ):
    axes.plot(
      steps,
      [scale * row[name] for row in rows],
      label='training',
      marker='.' if len(rows) < 3 else None,
    )
    for figure_name, more in figures.items():
      if evaluations and figure_name in evaluations[0]:
        axes.plot(
          [row['step'] for row in evaluations],
          [scale * row[figure_name] for row in evaluations],
          label=f'evaluation{more}',
          marker='.',
        )
      if evaluated and figure_name in evaluated:
        axes.plot(
          evaluated['step'],
          scale * evaluated[figure_name],
          'o',
          label=f'{evaluated["split"]}{more}',
        )
    axes.set(xlabel='step', ylabel=name + (' [%]' if scale > 1 else ''))
    axes.grid(alpha=0.3)
    axes.legend()
  path = os.path.join(train_dir, CURVES_FILENAME)
  fig.savefig(path, dpi=100)
  return path
