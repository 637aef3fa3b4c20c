"""The ResNet20v1 of Keras's CIFAR script, trained by Keras and by this project.

  python -m benchmarks.learning
  python -m benchmarks.learning --defaults --dataset_name=mnist \
      --source=IDX --steps=800 --batch_size=64 --seeds 0 1 2 3 4

Both train the network of 274,442 parameters on the handwritten digits, or on
--source: a folder of MNIST's or Fashion-MNIST's IDX files, or of CIFAR's binary
files. They take as many steps of the same batch, and are evaluated on the test
split after the last: Keras by `fit` and `evaluate` on arrays, this project by
the function that the training script calls, which decodes records, writes
checkpoints and reports, and draws. Each training has a process of its own, and
they take turns by seed.

Without --defaults both have the same pixels and optimizer and nothing
augmented. Two things differ, which each has by default: batch norm's statistics
are measured for the evaluation here and moving averages in Keras, and the last
layer has L2 here. With --defaults this project learns as its training script
does where no flag says how, and Keras stays as it is, which is the script's own
way: Adam at 1e-3, nothing augmented.

The table has the accuracy, the time of a step after the first tenth, and the
seconds of the whole job: building the network, training, evaluation. Imports
do not count, nor does what it takes to make Keras's arrays. Keras compiles with
XLA on a GPU, and by itself not on a CPU; --kinds adds Keras with XLA.
"""

import argparse
import contextlib
import json
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
from engine import convert, train
from engine.config import scripts
from engine.input import pipeline
from engine.tasks.classification.labels import ClassLabels
from engine.training import step
from preprocessing import preprocessing_factory

DEPTH, PARAMETERS = 20, 274_442
MODEL = f'cifar_resnet_v1_{DEPTH}'
PREPROCESSING = 'unaugmented'
LEARNING_RATE, L2 = 1e-3, 1e-4  # the script's, as in keras_cifar
EPSILON, DECAY = 1e-7, 0.99  # Keras's, of Adam and of batch norm
PARTS = 10  # of a training; the first is not timed
SOURCES = ('mnist', 'fashion_mnist', 'cifar10', 'cifar100')


def convert_source(given: argparse.Namespace, folder: str) -> None:
  """Writes the TFRecords of --source to the folder."""
  with contextlib.redirect_stdout(sys.stderr):
    convert.convert(
      scripts.ConvertConfig(
        dataset_name=given.dataset_name, source=given.source, dataset_dir=folder
      )
    )


def make_arrays(given: argparse.Namespace, path: str) -> None:
  """Writes what this project trains and is evaluated on, for Keras.

  Args:
    given: has the dataset and the size.
    path: of the file, which gets images, float32 [n, size, size, 3], and
      labels, int64 [n], by names such as train_images.
  """
  found = {}
  for split in ('train', 'test'):
    with tf.Graph().as_default(), tf.Session() as session:
      dataset = dataset_factory.get_dataset(
        given.dataset_name, split, given.dataset_dir
      )
      prepare = preprocessing_factory.get_preprocessing(PREPROCESSING, False)
      source = pipeline.Source(
        dataset, ClassLabels(prepare, given.size, dataset.num_classes)
      )
      stream = source.evaluation(source.num_examples)
      session.run(stream.initializer)
      found[f'{split}_images'], found[f'{split}_labels'] = session.run(
        stream.batch[:2]
      )
  np.savez(path, **found)


def parts(steps: int) -> list[int]:
  """Returns the numbers of steps of the parts of a training.

  >>> parts(25)
  [3, 3, 3, 3, 3, 2, 2, 2, 2, 2]
  """
  return [len(part) for part in np.array_split(range(steps), PARTS)]


def drawn(examples: int, count: int, seed: int) -> np.ndarray:
  """Returns the numbers of `count` examples, each once an epoch, shuffled."""
  generator = np.random.default_rng(seed)
  epochs = -(-count // examples)
  return np.concatenate(
    [generator.permutation(examples) for _ in range(epochs)]
  )[:count]


def by_keras(given: argparse.Namespace, jit: bool | str) -> dict[str, float]:
  """Trains and evaluates in Keras; returns the metrics."""
  import keras

  from benchmarks.rivals import keras_cifar

  data = np.load(given.data)
  images, labels = data['train_images'], data['train_labels']
  clock, lengths = trainings.Clock(), parts(given.steps)
  keras.utils.set_random_seed(given.seeds[0])
  classes = int(labels.max()) + 1
  model = keras_cifar.network(1, DEPTH, given.size, classes)
  assert classes != 10 or model.count_params() == PARAMETERS
  model.compile(
    keras.optimizers.Adam(LEARNING_RATE),
    'sparse_categorical_crossentropy',
    metrics=['accuracy'],
    jit_compile=jit,
  )
  order = drawn(len(labels), given.steps * given.batch_size, given.seeds[0])
  # In parts: a callback of every step would make Keras wait.
  for part in np.split(order, np.cumsum(lengths[:-1]) * given.batch_size):
    model.fit(
      images[part], labels[part], given.batch_size, verbose=0, shuffle=False
    )
    clock.tick()
  _, accuracy = model.evaluate(
    data['test_images'], data['test_labels'], verbose=0
  )
  each = (given.steps - lengths[0]) / (PARTS - 1)
  return {'accuracy': accuracy, **clock.metrics(steps_each=each)}


def learning(given: argparse.Namespace) -> dict[str, object]:
  """Returns how this project learns: the flags of Keras's way, or none."""
  if given.defaults:
    return {}
  return {
    'preprocessing_name': PREPROCESSING,
    'optimizer': 'adam',
    'learning_rate': LEARNING_RATE,
    'learning_rate_decay_type': 'fixed',
    'opt_epsilon': EPSILON,
    # TensorFlow's L2 is half of Keras's.
    'weight_decay': 2 * L2,
    'batch_norm_decay': DECAY,
  }


def by_us(given: argparse.Namespace) -> dict[str, float]:
  """Trains and evaluates by this project; returns the metrics."""
  with (
    tempfile.TemporaryDirectory() as folder,
    contextlib.redirect_stdout(sys.stderr),
  ):
    clock, take = trainings.Clock(), step.TrainStep.take

    def timed(*arguments):
      take(*arguments)
      clock.tick()

    with mock.patch.object(step.TrainStep, 'take', timed):
      metrics = train.train(
        scripts.TrainConfig(
          model_name=MODEL,
          dataset_name=given.dataset_name,
          dataset_dir=given.dataset_dir,
          train_dir=folder,
          train_image_size=given.size,
          batch_size=given.batch_size,
          max_number_of_steps=given.steps,
          seed=given.seeds[0],
          **learning(given),
        )
      )
    first = parts(given.steps)[0]
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
    f'{MODEL}, {given.dataset_name} at {given.size}x{given.size}, '
    f'{given.steps} steps of {given.batch_size}, '
    f'{"each by its defaults" if given.defaults else "the same optimizer"}, '
    f'{os.cpu_count()} cores\n'
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
      **{
        name: getattr(given, name)
        for name in ('data', 'dataset_name', 'steps', 'batch_size', 'size')
      },
      **({'dataset_dir': given.dataset_dir} if given.dataset_dir else {}),
      **({'defaults': 'true'} if given.defaults else {}),
    ),
    line,
  )


def _arguments():
  """Returns what the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument(
    '--dataset_name', choices=('digits', *SOURCES), default='digits'
  )
  parser.add_argument('--source', help='folder of IDX or binary CIFAR files')
  parser.add_argument(
    '--defaults',
    nargs='?',
    const='true',
    choices=('true',),
    help='let this project learn by its defaults',
  )
  parser.add_argument('--steps', type=int, default=450)
  parser.add_argument('--batch_size', type=int, default=32)
  parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
  parser.add_argument('--size', type=int, help='height and width in pixels')
  parser.add_argument(
    '--kinds', nargs='+', choices=KINDS, default=['ours', 'Keras']
  )
  # Where records and arrays are: given to the process of one training.
  for name in ('data', 'dataset_dir'):
    parser.add_argument(f'--{name}', help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.steps < 2 * PARTS:
    parser.error(f'--steps must be {2 * PARTS} or more: a tenth is not timed.')
  if not given.data and (given.dataset_name == 'digits') == bool(given.source):
    parser.error(
      f'--source is the folder of {", ".join(SOURCES)}: pass it with one of '
      'them as --dataset_name.'
    )
  given.size = given.size or (28 if 'mnist' in given.dataset_name else 32)
  return given


def main() -> None:
  """Measures as the command line says."""
  given = _arguments()
  if given.data:
    print(json.dumps(KINDS[given.kinds[0]](given)))
    return
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  with tempfile.TemporaryDirectory() as folder:
    if given.source:
      given.dataset_dir = str(pathlib.Path(folder, 'records'))
      convert_source(given, given.dataset_dir)
    given.data = str(pathlib.Path(folder, 'arrays.npz'))
    make_arrays(given, given.data)
    compare(given)


if __name__ == '__main__':
  main()
