"""Records the norm of every kernel's gradient during trainings, and draws it.

The norm is the L2 norm of the gradient of the whole batch's loss, before it is
clipped. Kernels are in the order in which the network is built, from the image
to the logits; of a unit that has more than one path, those of the shortcut's
come where the unit builds them.
"""

import csv
import functools
import os
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.common import console
from experiments import comparing
from experiments.gradients import GradientsConfig
from metrics import reports

FILENAME = 'gradients.csv'
UNEVEN = 5  # times; what is called vanishing, or growing
_LEAST = 1e-30  # where a logarithm is taken; a gradient may be 0


def _log(norms):
  return np.log(np.maximum(norms, _LEAST))


class Norms(NamedTuple):
  """The norms of a network's gradients.

  Fields:
    kernels: the names of its kernels, from the image to the logits.
    steps: int [steps], the finished steps when they were measured.
    values: float [steps, kernels].
  """

  kernels: list[str]
  steps: np.ndarray
  values: np.ndarray

  def towards_input(self) -> np.ndarray:
    """Returns the norm in the first quarter of the kernels over the last's.

    Returns:
      float [steps], the ratio of the geometric means.
    """
    logs, part = _log(self.values), max(len(self.kernels) // 4, 1)
    return np.exp(logs[:, :part].mean(1) - logs[:, -part:].mean(1))


def read(train_dir: str, every: int) -> Norms:
  """Returns what a training has recorded in its folder.

  Args:
    train_dir: the folder.
    every: the steps between two measurements.

  Raises:
    ValueError: it has recorded nothing, or at other steps.
  """
  path = os.path.join(train_dir, FILENAME)
  if not os.path.exists(path):
    raise ValueError(
      f'The run in {train_dir} was trained without {FILENAME}: '
      'remove it, or name another --output_dir.'
    )
  with open(path, newline='') as file:
    header, *rows = csv.reader(file)
  table = np.array(rows, float).reshape(-1, len(header))
  if np.any(np.diff(table[:, 0]) != every):
    raise ValueError(
      f'The run in {train_dir} was not measured with '
      f'--measure_every={every}: pass what it was, or name '
      'another --output_dir.'
    )
  return Norms(header[1:], table[:, 0].astype(int), table[:, 1:])


class _Recorder:
  """Writes a run's norms; forgets what a restarted run does again."""

  def __init__(self, train_dir, kernels, every):
    self._path = os.path.join(train_dir, FILENAME)
    self._kernels, self._every = kernels, every
    found = (
      read(train_dir, every)
      if os.path.exists(self._path)
      else Norms(kernels, np.array([], int), np.zeros([0, len(kernels)]))
    )
    self._rows = dict(zip(found.steps.tolist(), found.values, strict=True))

  def __call__(self, step, norms):
    if step % self._every == 0:
      self._rows = {
        **{number: row for number, row in self._rows.items() if number < step},
        int(step): norms,
      }
      reports.write_table(
        self._path,
        ['step', *self._kernels],
        [[number, *row] for number, row in self._rows.items()],
      )


def _short(variable):
  """Returns a kernel's name without the network's and its own."""
  return variable.op.name.partition('/')[2].removesuffix('/weights')


def _recorder(run, every):
  """Returns what records a run's norms every so many steps."""

  def watch(gradients, step):
    kernels = [
      (gradient, variable)
      for gradient, variable in gradients
      if variable.shape.rank > 1
    ]
    write = _Recorder(
      run.config.train_dir, [_short(v) for _, v in kernels], every
    )
    return tf.numpy_function(
      write, [step.read_value(), tf.stack([tf.norm(g) for g, _ in kernels])], []
    )

  return watch


def _mean(runs, every):
  """Returns the geometric mean over seeds, at the steps that all have."""
  found = [read(run.config.train_dir, every) for run in runs]
  steps = sorted(set.intersection(*(set(each.steps) for each in found)))
  values = [each.values[np.isin(each.steps, steps)] for each in found]
  return Norms(
    found[0].kernels, np.array(steps), np.exp(np.mean(_log(values), 0))
  )


def _mark_gates(axes, kernels):
  """Marks the kernels of gates, whose gradients are smaller by themselves.

  A gate is a sigmoid that begins near 0, so that its slope is small, and the
  transformation that it lets through is small as well.
  """
  gates = [i for i, name in enumerate(kernels, 1) if _is_gate(name)]
  if gates:
    axes.plot(
      np.full(len(gates), 1.02),
      gates,
      '<',
      transform=axes.get_yaxis_transform(),
      clip_on=False,
      color='tab:red',
      markersize=3,
      label='gate; the others are of transformations',
    )
    axes.legend(loc='upper right', bbox_to_anchor=(1.05, -0.13), fontsize=8)


def _is_gate(name):
  return name.rpartition('/')[2] == 'gate'


def draw(path: str, title: str, found: dict[str, Norms]) -> None:
  """Draws a heat map for each network: kernels by steps, the norm as colour."""
  from matplotlib import colors, figure

  fig = figure.Figure(
    figsize=(1.5 + 3.6 * len(found), 4.6), layout='constrained'
  )
  every = np.concatenate([each.values.ravel() for each in found.values()])
  low, high = np.percentile(np.maximum(every, _LEAST), [1, 99])
  scale = colors.LogNorm(low, max(high, 1.01 * low))
  panels = fig.subplots(1, len(found), squeeze=False)[0]
  for axes, (name, norms) in zip(panels, found.items(), strict=True):
    mesh = axes.pcolormesh(
      norms.steps,
      np.arange(1, len(norms.kernels) + 1),
      norms.values.T,
      norm=scale,
      cmap='viridis',
      shading='nearest',
      rasterized=True,
    )
    axes.set(title=name, xlabel='step')
    axes.invert_yaxis()
    _mark_gates(axes, norms.kernels)
  panels[0].set_ylabel('kernel, from the image (1) to the logits')
  fig.colorbar(mesh, ax=panels, label='L2 norm of the gradient', extend='both')
  fig.suptitle(title)
  reports.save_figure(fig, path)


def _verdict(ratio):
  return (
    'vanish towards the image'
    if ratio < 1 / UNEVEN
    else 'grow towards the image'
    if ratio > UNEVEN
    else f'are even within a factor of {UNEVEN}'
  )


def sentence(name: str, norms: Norms) -> str:
  """Returns how a network's first gradients compare with its last ones, at the
  start and, in the median, over the steps."""
  ratios = norms.towards_input()
  start, usual = float(ratios[0]), float(np.median(ratios))
  return (
    f'{name}: at step {norms.steps[0]} gradients {_verdict(start)}, and '
    f'over the training they {_verdict(usual)}: in the first quarter of '
    f'the kernels they are {start:.3g} and {usual:.3g} times those in '
    'the last quarter.'
  )


def run(config: GradientsConfig) -> None:
  """Trains and compares the networks, and draws their gradients' norms.

  Raises:
    ValueError, SystemExit: as `comparing.run`.
  """
  runs = comparing.run(
    config, functools.partial(_recorder, every=config.measure_every)
  )
  found = {
    value: _mean(
      [run for run in runs if run.value == value], config.measure_every
    )
    for value in config.values()
  }
  reports.write_table(
    os.path.join(config.folder, FILENAME),
    [config.varies, 'step', 'number', 'kernel', 'gradient_norm'],
    [
      [name, step, number, kernel, value]
      for name, norms in found.items()
      for step, row in zip(norms.steps, norms.values, strict=True)
      for number, (kernel, value) in enumerate(
        zip(norms.kernels, row, strict=True), 1
      )
    ],
  )
  draw(
    os.path.join(config.folder, 'gradients.png'),
    comparing.title(runs, 'geometric mean'),
    found,
  )
  for name, norms in found.items():
    console.say(sentence(name, norms))
  console.say(f'{FILENAME} and gradients.png are in {config.folder}.')
