"""This project and a plain Keras U-Net, trained from scratch on masks.

  python -m benchmarks.segmentation

Both are trained on the scenes of digits that are made without a download, on
as many examples, and are evaluated on all test scenes at their own size: Keras
by `fit` on arrays with its Adam, this project by the function that the
training script calls, with the flags of recipes/DATASET_resnet_v1_18.cfg, which
decodes records, augments, writes checkpoints and reports. Each training has a
process of its own, and they take turns by seed.

Keras sees the images as they are, or windows of them where a side is no
multiple of 8; for the evaluation such images are padded.

The table has the mIOU, the milliseconds of a step, without those that the first
ten took, and the seconds of the whole job: building, training, evaluation.
Imports do not count, nor does what it takes to make Keras's arrays.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks import trainings
from datasets import dataset_factory
from engine import train
from engine.config import flags, scripts
from engine.training import step

DATASETS = 'digit_scenes', 'photo_scenes'
CLASSES = 11
BATCH = 16
ADAM = 1e-3  # Keras's default learning rate
_FIRST = 10  # steps that are not timed
_GRID = 8  # the U-Net takes sides that are multiples of it


def make_arrays(path: str, name: str) -> None:
  """Writes images, uint8 [n, side, side, 3], and masks, uint8, for Keras.

  Args:
    path: of the file; the arrays' names are such as train_images.
    name: of the dataset.
  """
  found = {}
  for split in ('train', 'test'):
    dataset = dataset_factory.get_dataset(name, split)
    with tf.Graph().as_default(), tf.Session() as session:
      record = tf.placeholder(tf.string, [])
      image, mask = dataset.decoder.decode(record, ['image', 'labels_class'])
      read = session.make_callable([image, mask], [record])
      images, masks = zip(
        *(
          read(each)
          for file in dataset.data_sources
          for each in tf.io.tf_record_iterator(file)
        ),
        strict=True,
      )
    found[f'{split}_images'] = np.stack(images)
    found[f'{split}_masks'] = np.stack(masks)[..., 0]
  np.savez(path, **found)


def _batches(images, masks, steps, seed):
  """Yields so many batches of float32 images and int32 masks for Keras."""
  random = np.random.default_rng(seed)
  side = images.shape[1] // _GRID * _GRID
  order = np.concatenate(
    [
      random.permutation(len(images))
      for _ in range(-(-steps * BATCH // len(images)))
    ]
  )
  for chosen in np.split(order[: steps * BATCH], steps):
    top, left = random.integers(0, images.shape[1] - side + 1, 2)
    window = (chosen, slice(top, top + side), slice(left, left + side))
    yield images[window].astype('f'), masks[window].astype('i')


def _miou(predicted, masks):
  """Returns the mean over the classes, all of which are there."""
  counts = np.bincount(
    masks.ravel().astype(int) * CLASSES + predicted.ravel(),
    minlength=CLASSES**2,
  ).reshape(CLASSES, CLASSES)
  hits = np.diag(counts)
  return float(np.mean(hits / (counts.sum(0) + counts.sum(1) - hits)))


def by_keras(given: argparse.Namespace) -> dict[str, float]:
  """Trains and evaluates in Keras; returns the metrics."""
  import keras

  from benchmarks.rivals import keras_unet

  data = np.load(given.data)
  clock = trainings.Clock()
  keras.utils.set_random_seed(given.seeds[0])
  model = keras_unet.network(CLASSES)
  model.compile(
    keras.optimizers.Adam(ADAM),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
  )
  model.fit(
    _batches(
      data['train_images'], data['train_masks'], given.steps, given.seeds[0]
    ),
    steps_per_epoch=given.steps,
    verbose=0,
    callbacks=[
      keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: clock.tick()
      )
    ],
  )
  images, masks = data['test_images'], data['test_masks']
  side = images.shape[1]
  missing = -side % _GRID
  padded = np.pad(
    images, [(0, 0), (0, missing), (0, missing), (0, 0)], 'reflect'
  )
  logits = model.predict(padded.astype('f'), batch_size=BATCH, verbose=0)
  miou = _miou(logits[:, :side, :side].argmax(-1), masks)
  return {'mIOU': miou, **clock.metrics(_FIRST)}


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

    config, _ = flags.parse(
      scripts.TrainConfig,
      [
        'train_image_classifier.py',
        f'--flagfile=recipes/{given.dataset}_resnet_v1_18.cfg',
        f'--train_dir={folder}',
        f'--max_number_of_steps={given.steps}',
        f'--seed={given.seeds[0]}',
      ],
    )
    with mock.patch.object(step.TrainStep, 'take', timed):
      metrics = train.train(config)
    return {'mIOU': metrics['miou'], **clock.metrics(_FIRST)}


KINDS = {'ours': by_us, 'Keras U-Net': by_keras}


def line(dataset: str, kind: str, seed: str, metrics: dict[str, float]) -> str:
  """Returns a line of the table."""
  return (
    f'{dataset:<14}{kind:<12}{seed:>6}{metrics["mIOU"]:>8.3f}'
    f'{metrics["milliseconds"]:>12.0f}{metrics["seconds"]:>10.0f}'
  )


def _arguments():
  """Returns what the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--steps', type=int, default=400)
  parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
  parser.add_argument('--datasets', nargs='+', default=DATASETS)
  parser.add_argument('--kinds', nargs='+', choices=KINDS, default=[*KINDS])
  # Where the arrays are: given to the process of one training.
  parser.add_argument('--data', help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.steps < _FIRST + 2:
    parser.error(
      f'--steps must be {_FIRST + 2} or more: the first are untimed.'
    )
  return given


def main() -> None:
  """Measures as the command line says."""
  given = _arguments()
  given.dataset = given.datasets[0]
  if given.data:
    print(json.dumps(KINDS[given.kinds[0]](given)))
    return
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  print(
    f'{given.steps} steps of {BATCH}, {os.cpu_count()} cores\n'
    f'{"":<14}{"":<12}{"seed":>6}{"mIOU":>8}{"ms a step":>12}{"seconds":>10}',
    flush=True,
  )
  for dataset in given.datasets:
    given.dataset = dataset
    with tempfile.TemporaryDirectory() as folder:
      given.data = str(pathlib.Path(folder, 'scenes.npz'))
      make_arrays(given.data, given.dataset)
      trainings.compare(
        given.kinds,
        given.seeds,
        lambda kind, seed: trainings.run(
          'benchmarks.segmentation',
          kind,
          seeds=seed,
          data=given.data,
          steps=given.steps,
          datasets=given.dataset,
        ),
        functools.partial(line, given.dataset),
      )


if __name__ == '__main__':
  main()
