"""Trains every variant of an experiment with several seeds, and compares them.

The training error of a step is the mean over the batches since the evaluation
before, as they were trained on: augmented, with the weights of their time and
the statistics of the batch. The test error is that of the evaluation, with
batch norm's statistics measured for the step. Both are shares in [0, 1].
"""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.checkpoints import best, inspection, locate
from engine.common import console
from engine.config.scripts import TrainConfig
from engine.resolve.training import training
from engine.train import train
from engine.training import early_stopping, hooks, metrics_log, resume
from engine.training import step as train_step
from experiments import common
from metrics import reports

ERRORS = {'train_error': 'training error', 'test_error': 'test error'}
COLUMNS = ('seed', 'step', *ERRORS, 'train_loss', 'test_loss')


class Run(NamedTuple):
  """One training.

  Fields:
    value: what the varied field is in it.
    seed: its seed.
    config: its complete configuration.
  """

  value: str
  seed: int
  config: TrainConfig

  def __str__(self) -> str:
    return f'{self.value}, seed {self.seed}'


class Result(NamedTuple):
  """What the trainings of one variant came to.

  Fields:
    parameters: of the network.
    errors: for each of `ERRORS` the last one of every seed, in [0, 1].
  """

  parameters: int
  errors: dict[str, list[float]]

  def mean(self, name: str) -> float:
    """Returns the mean of an error over the seeds."""
    return statistics.fmean(self.errors[name])


def prepare(
  given: common.ExperimentConfig, value: str, seed: int, train_dir: str
) -> Run:
  """Returns a training that fits its data and what is in its folder.

  Raises:
    ValueError: it does not; the sentence says what to do.
  """
  config, _ = training(given.training(value, train_dir, seed=seed))
  return Run(value, seed, config)


def is_finished(config: TrainConfig) -> bool:
  """Whether a run has been trained, and evaluated, to its end.

  Raises:
    ValueError: what is in its folder was begun with other flags, or has gone
      on for longer.
  """
  try:
    resume.check(config)
  except ValueError as error:
    raise ValueError(
      str(error).replace('--train_dir', '--output_dir')
    ) from None
  rows = early_stopping.read(config.train_dir)
  last = int(rows[-1]['step']) if rows else 0
  if last > config.max_number_of_steps:
    raise ValueError(
      f'The run in {config.train_dir} has been trained to step {last}, '
      f'further than --max_number_of_steps={config.max_number_of_steps}: '
      'raise it, or name another --output_dir.'
    )
  return last == config.max_number_of_steps or (
    best.is_finished(config.train_dir)
    and early_stopping.is_over(
      rows, config.best_metric, config.early_stopping_patience
    )
  )


def read(run: Run) -> list[dict[str, Any]]:
  """Returns a row, with the names of `COLUMNS`, for every evaluation."""
  rows, before = [], 0
  metrics = metrics_log.read_metrics(run.config.train_dir)
  for evaluation in early_stopping.read(run.config.train_dir):
    step = int(evaluation['step'])
    since = [row for row in metrics if before < row['step'] <= step]
    if since:
      rows.append(
        {
          'seed': run.seed,
          'step': step,
          'train_error': 1 - statistics.fmean(row['accuracy'] for row in since),
          'test_error': 1 - evaluation['accuracy'],
          'train_loss': statistics.fmean(row['loss'] for row in since),
          'test_loss': evaluation['loss'],
        }
      )
    before = step
  return rows


def _last(run):
  rows = read(run)
  if not rows:
    raise ValueError(
      f'The run in {run.config.train_dir} has lost its metrics.csv or its '
      'evaluations.csv: restore it, or remove that folder to train again.'
    )
  return rows[-1]


@contextlib.contextmanager
def _told_to(folder):
  """Lets what a training tells be written to log.txt in its folder."""
  os.makedirs(folder, exist_ok=True)
  with (
    open(os.path.join(folder, 'log.txt'), 'a') as log,
    contextlib.redirect_stdout(log),
  ):
    yield


def _train(run, watcher):
  begin = time.monotonic()
  try:
    with _told_to(run.config.train_dir):
      train(run.config, watcher and watcher(run))
  except SystemExit:
    console.say('Stopped and saved; the same command resumes from here.')
    raise
  last = _last(run)
  errors = ', '.join(
    f'{text} {last[name]:.1%}' for name, text in ERRORS.items()
  )
  console.say(
    f'{run}: {errors} at step {last["step"]} '
    f'({hooks.duration(time.monotonic() - begin)})'
  )


def title(runs: Sequence[Run], figure: str) -> str:
  """Returns the title of an image: the data, and what is shown of seeds."""
  config, seeds = runs[0].config, len({run.seed for run in runs})
  side = config.train_image_size
  return (
    f'{config.dataset_name} at {side}x{side}, batches of '
    f'{config.batch_size}, '
    + ('1 seed' if seeds == 1 else f'{figure} of {seeds} seeds')
  )


def _draw(path, text, found):
  """Draws the errors of each variant: means, and from least to greatest."""
  from matplotlib import figure

  fig = figure.Figure(figsize=(10, 4.2), layout='constrained')
  panels = fig.subplots(1, len(ERRORS), sharey=True)
  for axes, (name, error) in zip(panels, ERRORS.items(), strict=True):
    for value, rows in found.items():
      steps = sorted({row['step'] for row in rows})
      errors = [
        [100 * row[name] for row in rows if row['step'] == step]
        for step in steps
      ]
      (line,) = axes.plot(
        steps,
        [statistics.fmean(each) for each in errors],
        marker='.',
        label=value,
      )
      axes.fill_between(
        steps,
        [min(each) for each in errors],
        [max(each) for each in errors],
        color=line.get_color(),
        alpha=0.15,
        linewidth=0,
      )
    axes.set(xlabel='step', title=error, ylim=(0, None))
    axes.grid(alpha=0.3)
  panels[0].set_ylabel('error [%]')
  panels[-1].legend()
  fig.suptitle(text)
  reports.save_figure(fig, path)


def _write(config, runs):
  """Writes the table and the image of what the runs have come to so far."""
  found = {}
  for run in runs:
    rows = read(run)
    if rows:
      found.setdefault(run.value, []).extend(rows)
  if not found:
    return
  reports.write_table(
    os.path.join(config.folder, 'curves.csv'),
    [config.varies, *COLUMNS],
    [
      [value, *(row[name] for name in COLUMNS)]
      for value, rows in found.items()
      for row in rows
    ],
  )
  _draw(
    os.path.join(config.folder, 'curves.png'),
    title(runs, 'mean and range'),
    found,
  )


def _result(runs):
  last = [_last(run) for run in runs]
  told = inspection.describe(locate.find(runs[0].config.train_dir))
  return Result(
    told['parameters'], {name: [row[name] for row in last] for name in ERRORS}
  )


def percent(errors: Sequence[float]) -> str:
  """Returns the mean of errors, and their range if there are several."""
  mean = f'{100 * statistics.fmean(errors):.2f} %'
  if len(errors) == 1:
    return mean
  return f'{mean} ({100 * min(errors):.2f} to {100 * max(errors):.2f})'


def _runs(config):
  return [
    prepare(
      config, value, seed, os.path.join(config.folder, f'{value}-seed{seed}')
    )
    for seed in range(config.seed, config.seed + config.seeds)
    for value in config.values()
  ]


def run(
  config: common.ComparisonConfig,
  watcher: Callable[[Run], train_step.Watch] | None = None,
) -> list[Run]:
  """Trains what is not finished yet; prints and writes the comparison.

  Args:
    config: the experiment.
    watcher: returns what watches the gradients of a training.

  Returns:
    All of the trainings.

  Raises:
    ValueError: a training does not fit its data, its folder or its flags.
    SystemExit: stopped by a signal, after saving.
  """
  runs = _runs(config)
  left = [run for run in runs if not is_finished(run.config)]
  done = len(runs) - len(left)
  console.say(f'{done} of {len(runs)} runs are finished, in {config.folder}.')
  with console.progress(len(runs), done, 'run') as bar:
    for run in left:
      bar.set_description(str(run))
      _train(run, watcher)
      _write(config, runs)
      bar.update()
  _write(config, runs)
  results = {
    value: _result([run for run in runs if run.value == value])
    for value in config.values()
  }
  common.say_table(
    [config.varies, 'parameters', *ERRORS.values()],
    [
      [
        value,
        f'{result.parameters:,}',
        *(percent(result.errors[name]) for name in ERRORS),
      ]
      for value, result in results.items()
    ],
  )
  for line in config.claims(results):
    console.say(line)
  console.say(f'curves.csv and curves.png are in {config.folder}.')
  return runs
