"""Images a second of exported networks, beside the checkpoint and others.

  python -m benchmarks.inference

Exports networks with random weights by the project's own script, and runs them

- from the checkpoint, in a session with variables, as evaluation does,
- as SavedModel, frozen graph, TFLite and ONNX, each in its own runtime, and in
  OpenVINO, which reads ONNX and frozen graphs,
- written in PyTorch, eager and compiled, and exported from there by
  torch.onnx: the same network as ONNX Runtime and OpenVINO have it natively,
- as keras.applications has the network for classification.

Each has a process of its own. All are alive and take turns, so that a slow
moment of the machine hits all alike; the table has medians of images a second,
and of the ratios within a turn: how many times as fast a row is as the
checkpoint's session, as Keras, and as the same network written natively.
Memory is the most that a process has had in use, from its start. What is not
installed is left out. All but Keras must say the same of the same images. All
together take 24 GB for 16 images of 513x513; --competitors takes some of them.

--images=N measures classify_image.py instead: a folder of N JPEGs of 500x375,
beside the bare network on arrays that are prepared.
"""

import argparse
import contextlib
import functools
import io
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Mapping
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import race, runtimes, turns
from benchmarks.race import Measured
from benchmarks.runtimes import CASES, KERAS, RIVALS, SESSION, Case

_TOLERANCE = 1e-3  # of the scale, between libraries


def batch_of(case: Case, size: int) -> np.ndarray:
  """Returns random images, float32 [size, height, width, 3]."""
  shape = size, case.size, case.size, 3
  return np.random.RandomState(1).uniform(-100, 100, shape).astype(np.float32)


def _load(name, folder, case):
  """Returns what measures one turn of a competitor, in its own process."""
  loaded = RIVALS[name].load(folder, case)
  fed: dict[int, Any] = {}

  def measure(size, least):
    if size not in fed:
      fed.clear()
      fed[size] = loaded.form(batch_of(case, size))
    return race.answer(
      lambda: loaded.channels_last(loaded.run(fed[size])), least
    )

  return measure


def table(measured: Mapping[str, Measured], batch: int) -> list[str]:
  """Returns the lines of the table.

  Args:
    measured: by the names in `RIVALS`.
    batch: the number of images that are computed at once.
  """
  heads = (
    'images/s',
    'x session',
    'x Keras',
    'x native',
    'peak MB',
    'of session',
  )
  lines = [f'{"":28}' + ''.join(f'{head:>11}' for head in heads)]

  def times(name, other):
    if other not in measured:
      return ''
    ratio = turns.times_as_fast(measured[name].seconds, measured[other].seconds)
    return f'{ratio:.2f}'

  for name, (seconds, peak) in measured.items():
    cells = [
      f'{batch / statistics.median(seconds):.1f}',
      times(name, SESSION),
      times(name, KERAS),
      times(name, RIVALS[name].beside),
      f'{peak:,.0f}',
      f'{peak / measured[SESSION].peak:.2f}' if SESSION in measured else '',
    ]
    lines.append(f'{name:28}' + ''.join(f'{cell:>11}' for cell in cells))
  return lines


def _able(names, case):
  """Returns the competitors that can be measured; names the others."""
  found = []
  for name in names:
    reason = runtimes.missing(name, case)
    if reason:
      print(f'Left out: {name}, since {reason}.', flush=True)
    else:
      found.append(name)
  return found


def compare(folder: str, case: Case, given: argparse.Namespace) -> None:
  """Prints a table for each batch size."""
  names = _able(given.competitors, case)
  runtimes.prepare(folder, case, names)
  loads = {name: (_load, name, folder, case) for name in names}
  with race.started(loads) as competitors:
    for batch in sorted(given.batch_sizes):  # memory only grows
      agreement = race.Agreement(_TOLERANCE, but=(KERAS,))
      measured = race.measure(competitors, given, batch, check=agreement)
      what = f'{case.model_name}, {case.size}x{case.size}, batch {batch}'
      print(race.title(what, measured))
      print('\n'.join(table(measured, batch)), flush=True)


# A folder of files.


def _bare(folder, images, case, batch):
  """Returns what measures the network, fed what it takes, in its process."""
  loaded = RIVALS[SESSION].load(folder, case)
  fed = batch_of(case, batch)
  loaded.run(fed)  # warms up

  def measure(count):
    seconds = turns.seconds_of(
      lambda: [loaded.run(fed) for _ in range(count // batch)], 0
    )
    return seconds / (count // batch) / batch

  return measure


def _script(folder, images, case, batch):
  """Returns what measures the function of classify_image.py, in its process.

  Seconds an image, from the end of the first batch on.
  """
  from engine import classify
  from engine.config.scripts import ClassifyConfig
  from engine.input import image_files

  config = ClassifyConfig(
    checkpoint_path=runtimes.checkpoint(folder),
    model_name=case.model_name,
    batch_size=batch,
  )

  def measure(count):
    ticks, show = [], image_files.show

    def timed(*arguments):
      ticks.append(time.perf_counter())
      show(*arguments)

    with (
      mock.patch.object(image_files, 'show', timed),
      contextlib.redirect_stdout(io.StringIO()),
    ):
      classify.classify(config, [images])
    return (ticks[-1] - ticks[batch - 1]) / (len(ticks) - batch)

  return measure


_OF_A_FOLDER = {'bare network': _bare, 'classify_image.py': _script}


def compare_folder(folder: str, case: Case, given: argparse.Namespace) -> None:
  """Prints what classify_image.py makes of a folder of JPEGs."""
  from benchmarks.input import make_photos

  images, batch = pathlib.Path(folder, 'images'), max(given.batch_sizes)
  images.mkdir()
  turns.alone(runtimes.write_checkpoint, folder, case)
  turns.alone(make_photos, images, given.images, 90)
  loads = {
    name: (load, folder, str(images), case, batch)
    for name, load in _OF_A_FOLDER.items()
  }
  with race.started(loads) as competitors:
    found = turns.take(
      {
        name: functools.partial(competitor.ask, given.images)
        for name, competitor in competitors.items()
      },
      given.budget,
      given.turns,
    )
  bare, *_ = found.values()
  print(
    f'{case.model_name}, {given.images} JPEGs of 500x375, batches of {batch}, '
    f'{os.cpu_count()} cores, medians of {len(bare)} turns'
  )
  for name, seconds in found.items():
    print(
      f'{name:28}{1 / statistics.median(seconds):8.1f} images/s'
      f'{turns.times_as_fast(seconds, bare):8.2f} of the bare network'
    )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--cases', nargs='+', choices=CASES, default=[*CASES])
  parser.add_argument('--batch_sizes', type=int, nargs='+', default=[1, 16])
  parser.add_argument(
    '--competitors', nargs='+', choices=RIVALS, default=[*RIVALS]
  )
  race.add_arguments(parser)
  parser.add_argument('--images', type=int, default=0)
  given = parser.parse_args()
  # TensorFlow turns oneDNN on by itself on some processors only.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  for name in given.cases[: 1 if given.images else None]:
    with tempfile.TemporaryDirectory() as folder:
      if given.images:
        compare_folder(folder, CASES[name], given)
      else:
        compare(folder, CASES[name], given)


if __name__ == '__main__':
  main()
