"""Seconds from the start of a process to the end of its first training step.

  python -m benchmarks.start

A resnet_v1_101 begins to train on batches of 8 images of 224x224,

- by train_image_classifier.py, on the digits that come with scikit-learn,
- as the same graph of TF-Slim's layers in a plain session, on noise,
- as keras.applications.ResNet101, on noise.

Each start is a process of its own. They take turns, so that a slow moment of
the machine hits all alike; the table has the medians of each part. What runs
beside another part counts in the part that waits for it.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks import turns

MODEL, BATCH, SIZE, CLASSES = 'resnet_v1_101', 8, 224, 10
PARTS = (
  'imports',
  'configuration and data',
  'forward graph',
  'gradients and update',
  'checks, savers, reports',
  'initialization',
  'first step',
)
Parts = dict[str, float]


class Clock:
  """Notes which part of a start has taken how long."""

  def __init__(self, begun: float):
    """Begins with the first part.

    Args:
      begun: when the process was started, by time.monotonic.
    """
    self._last = begun
    self.parts: Parts = {}

  def end(self, part: str) -> None:
    """Notes that a part ends, which began where the one before ended."""
    now = time.monotonic()
    self.parts[part] = self.parts.get(part, 0.0) + now - self._last
    self._last = now

  def finish(self) -> None:
    """Prints the parts, and ends the process."""
    self.end('first step')
    print(json.dumps(self.parts), flush=True)
    os._exit(0)


def _ours(clock):
  """The training script, with a look at the clock between its phases."""
  import train_image_classifier
  from engine.config import flags

  load = flags.load

  def watched(place):
    function = load(place)
    clock.end('imports')
    _watch(clock)
    return function

  flags.load = watched
  with tempfile.TemporaryDirectory() as folder:
    train_image_classifier.main(
      [
        'train_image_classifier.py',
        f'--model_name={MODEL}',
        f'--batch_size={BATCH}',
        f'--train_image_size={SIZE}',
        f'--train_dir={folder}',
      ]
    )


def _watch(clock):
  """Makes the phases of a training tell when they end."""
  from engine import train
  from engine.training import hooks, step

  def after(owner, name, do):
    phase = getattr(owner, name)

    def told(*arguments, **options):
      found = phase(*arguments, **options)
      do()
      return found

    setattr(owner, name, told)

  run = train.TrainingRun
  for name, part in {
    'open_data': 'configuration and data',
    'build_model': 'forward graph',
    'build_step': 'gradients and update',
    'prepare_hooks': 'checks, savers, reports',
  }.items():
    after(run, name, lambda part=part: clock.end(part))
  after(
    hooks.Restored, 'after_create_session', lambda: clock.end('initialization')
  )
  after(step.TrainStep, 'take', clock.finish)


def _slim(clock):
  """TF-Slim's layers in a graph of its own."""
  import numpy as np
  import tensorflow.compat.v1 as tf

  from nets import nets_factory

  clock.end('imports')
  with tf.Graph().as_default():
    images = tf.constant(
      np.random.RandomState(0).normal(size=(BATCH, SIZE, SIZE, 3)), tf.float32
    )
    labels = tf.range(BATCH) % CLASSES
    clock.end('configuration and data')
    network = nets_factory.get_network_fn(
      MODEL, CLASSES, weight_decay=1e-4, is_training=True
    )
    logits, _ = network(images)
    clock.end('forward graph')
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(updates):
      step = tf.train.MomentumOptimizer(0.01, 0.9).minimize(
        tf.losses.get_total_loss()
      )
    clock.end('gradients and update')
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      clock.end('initialization')
      session.run(step)
      clock.finish()


def _keras(clock):
  """The network and the fit of Keras."""
  import keras
  import numpy as np

  keras.ops.zeros(())
  clock.end('imports')
  images = np.random.RandomState(0).normal(size=(BATCH, SIZE, SIZE, 3))
  labels = np.arange(BATCH) % CLASSES
  clock.end('configuration and data')
  model = keras.applications.ResNet101(weights=None, classes=CLASSES)
  clock.end('forward graph')
  model.compile(
    keras.optimizers.SGD(0.01, 0.9), 'sparse_categorical_crossentropy'
  )
  clock.end('gradients and update')
  model.fit(images.astype(np.float32), labels, batch_size=BATCH, verbose=0)
  clock.finish()


KINDS: Mapping[str, Callable[[Clock], None]] = {
  'train_image_classifier.py': _ours,
  "TF-Slim's graph": _slim,
  'Keras': _keras,
}


def measure(kind: str) -> Parts:
  """Returns the seconds of each part of a start, in a process of its own."""
  result = subprocess.run(
    [
      sys.executable,
      '-m',
      'benchmarks.start',
      f'--kind={kind}',
      f'--begun={time.monotonic()}',
    ],
    cwd=pathlib.Path(__file__).parents[1],
    env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
    capture_output=True,
    text=True,
  )
  if result.returncode:
    raise SystemExit(f'{kind} failed:\n{result.stderr}')
  return json.loads(result.stdout.splitlines()[-1])


def table(found: Mapping[str, Sequence[Parts]]) -> list[str]:
  """Returns the lines of the table: medians of the parts, and of the sums.

  Args:
    found: by what was started, the parts of each of its starts.
  """
  lines = [f'{"seconds":24}' + ''.join(f'{kind:>28}' for kind in found)]

  def row(name, seconds):
    cells = [
      f'{statistics.median(map(seconds, each)):28.1f}'
      for each in found.values()
    ]
    return f'{name:24}' + ''.join(cells)

  lines += [
    row(part, lambda parts, part=part: parts.get(part, 0.0)) for part in PARTS
  ]
  return [*lines, row('in all', lambda parts: sum(parts.values()))]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument('--kinds', nargs='+', choices=KINDS, default=[*KINDS])
  parser.add_argument('--kind', choices=KINDS, help=argparse.SUPPRESS)
  parser.add_argument('--begun', type=float, help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.kind:
    KINDS[given.kind](Clock(given.begun))
  found = turns.take(
    {kind: lambda kind=kind: measure(kind) for kind in given.kinds},
    0,
    given.turns,
  )
  print(
    f'{MODEL}, {SIZE}x{SIZE}, batch {BATCH}, medians of {given.turns} starts:'
  )
  print('\n'.join(table(found)))


if __name__ == '__main__':
  main()
