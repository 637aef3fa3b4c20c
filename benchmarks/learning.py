"""The ResNet20v1 of Keras's CIFAR script, trained by Keras and by this project.

  python -m benchmarks.learning

Both train the network of 274,442 parameters on the handwritten digits at
32x32, with the same pixels, epochs, batch and optimizer and nothing
augmented, and are evaluated on the 360 test digits after the last epoch: Keras
by `fit` and `evaluate` on arrays, this project by the function that the
training script calls, which decodes records, writes checkpoints and reports,
and draws. Each training has a process of its own, and they take turns by seed.

Two things differ, which each has by default: batch norm's statistics are
measured for the evaluation here and moving averages in Keras, and the last
layer has L2 here.

The table has the accuracy, the time of a step after the first epoch, and the
seconds of the whole job: building the network, training, evaluation. Imports
do not count, nor does what it takes to make Keras's arrays. Keras compiles with
XLA on a GPU, and by itself not on a CPU; --kinds adds Keras with XLA.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import sys
import tempfile
from unittest import mock

import matplotlib.pyplot  # noqa: F401  (what is drawn at the end needs it)
import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks import trainings
from datasets import dataset_factory
from engine import train
from engine.config import scripts
from engine.input import pipeline
from engine.training import step
from preprocessing import preprocessing_factory

DEPTH, PARAMETERS = 20, 274_442
MODEL = f'cifar_resnet_v1_{DEPTH}'
PREPROCESSING = 'unaugmented'
LEARNING_RATE, L2 = 1e-3, 1e-4  # the script's, as in keras_cifar
EPSILON, DECAY = 1e-7, 0.99  # Keras's, of Adam and of batch norm


def make_arrays(path: str, size: int) -> None:
  """Writes what this project trains and is evaluated on, for Keras.

  Args:
    path: of the file, which gets images, float32 [n, size, size, 3], and
      labels, int64 [n], by names such as train_images.
    size: height and width, in pixels.
  """
  found = {}
  for split in ('train', 'test'):
    with tf.Graph().as_default(), tf.Session() as session:
      source = pipeline.Source(
        dataset_factory.get_dataset('digits', split),
        preprocessing_factory.get_preprocessing(PREPROCESSING, False),
        size,
      )
      stream = source.evaluation(source.num_examples)
      session.run(stream.initializer)
      found[f'{split}_images'], found[f'{split}_labels'] = session.run(
        stream.batch[:2]
      )
  np.savez(path, **found)


def by_keras(given: argparse.Namespace, jit: bool | str) -> dict[str, float]:
  """Trains and evaluates in Keras; returns the metrics."""
  import keras

  from benchmarks.rivals import keras_cifar

  data = np.load(given.data)
  clock = trainings.Clock()
  keras.utils.set_random_seed(given.seeds[0])
  model = keras_cifar.network(1, DEPTH, given.size)
  assert model.count_params() == PARAMETERS
  model.compile(
    keras.optimizers.Adam(LEARNING_RATE),
    'sparse_categorical_crossentropy',
    metrics=['accuracy'],
    jit_compile=jit,
  )
  model.fit(
    data['train_images'],
    data['train_labels'],
    given.batch_size,
    given.epochs,
    verbose=0,
    callbacks=[
      # Of an epoch: one of every step would make Keras wait.
      keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: clock.tick()
      )
    ],
  )
  _, accuracy = model.evaluate(
    data['test_images'], data['test_labels'], verbose=0
  )
  steps = math.ceil(len(data['train_labels']) / given.batch_size)
  return {'accuracy': accuracy, **clock.metrics(steps_each=steps)}


def by_us(given: argparse.Namespace) -> dict[str, float]:
  """Trains and evaluates by this project; returns the metrics."""
  with (
    tempfile.TemporaryDirectory() as folder,
    contextlib.redirect_stdout(sys.stderr),
  ):
    clock, take = trainings.Clock(), step.TrainStep.take
    first = math.ceil(
      len(np.load(given.data)['train_labels']) / given.batch_size
    )

    def timed(*arguments):
      take(*arguments)
      clock.tick()

    with mock.patch.object(step.TrainStep, 'take', timed):
      metrics = train.train(
        scripts.TrainConfig(
          model_name=MODEL,
          dataset_name='digits',
          train_dir=folder,
          preprocessing_name=PREPROCESSING,
          train_image_size=given.size,
          batch_size=given.batch_size,
          num_epochs=given.epochs,
          seed=given.seeds[0],
          optimizer='adam',
          learning_rate=LEARNING_RATE,
          learning_rate_decay_type='fixed',
          opt_epsilon=EPSILON,
          # TensorFlow's L2 is half of Keras's.
          weight_decay=2 * L2,
          batch_norm_decay=DECAY,
        )
      )
    return {'accuracy': metrics['accuracy'], **clock.metrics(first)}


KINDS = {
  'ours': by_us,
  'Keras': lambda given: by_keras(given, 'auto'),
  'Keras, XLA': lambda given: by_keras(given, True),
}


def line(kind: str, seed: str, metrics: dict[str, float]) -> str:
  """Returns a line of the table."""
  return (
    f'{kind:<12}{seed:>6}{metrics["accuracy"]:>10.2%}'
    f'{metrics["milliseconds"]:>12.1f}{metrics["seconds"]:>10.1f}'
  )


def compare(given: argparse.Namespace) -> None:
  """Trains all and prints the table."""
  print(
    f'{MODEL}, digits at {given.size}x{given.size}, {given.epochs} epochs '
    f'in batches of {given.batch_size}, {os.cpu_count()} cores\n'
    f'{"":<12}{"seed":>6}{"accuracy":>10}{"ms a step":>12}'
    f'{"seconds":>10}',
    flush=True,
  )
  trainings.compare(
    given.kinds,
    given.seeds,
    lambda kind, seed: trainings.run(
      'benchmarks.learning',
      kind,
      seeds=seed,
      data=given.data,
      epochs=given.epochs,
      batch_size=given.batch_size,
      size=given.size,
    ),
    line,
  )


def _arguments():
  """Returns what the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--epochs', type=int, default=10)
  parser.add_argument('--batch_size', type=int, default=32)
  parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
  parser.add_argument('--size', type=int, default=32)
  parser.add_argument(
    '--kinds', nargs='+', choices=KINDS, default=['ours', 'Keras']
  )
  # Where the arrays are: given to the process of one training.
  parser.add_argument('--data', help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.epochs < 2:
    parser.error('--epochs must be 2 or more: steps are timed after the first.')
  return given


def main() -> None:
  """Measures as the command line says."""
  given = _arguments()
  if given.data:
    print(json.dumps(KINDS[given.kinds[0]](given)))
    return
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  with tempfile.TemporaryDirectory() as folder:
    given.data = str(pathlib.Path(folder, 'digits.npz'))
    make_arrays(given.data, given.size)
    compare(given)


if __name__ == '__main__':
  main()
