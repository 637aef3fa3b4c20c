"""A fake dataset of masks: coloured rectangles on noise.

PYTEST_DONT_REWRITE. A test module gets its fixtures by
`pytest_plugins = ["tests.shapes"]`; see
`tests.fakes`.
"""

import pathlib
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import dataset_utils
from tests import fakes

NAMES = ('background', 'red', 'green')
COLOURS = np.array([(128, 128, 128), (220, 30, 30), (30, 200, 30)])
IGNORED = 255


def shape(
  seed: int, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """An image and its mask: two rectangles, and a corner that is ignored."""
  random = np.random.RandomState(seed)
  height, width = size or (24 + 4 * (seed % 3), 32 - 4 * (seed % 2))
  mask = np.zeros((height, width), np.uint8)
  for value in (1, 2):
    y, x = random.randint(0, height - 10), random.randint(0, width - 10)
    mask[y : y + random.randint(8, 16), x : x + random.randint(8, 16)] = value
  noise = random.uniform(-20, 20, (height, width, 3))
  image = np.clip(COLOURS[mask] + noise, 0, 255).astype(np.uint8)
  mask[:3, :3] = IGNORED
  return image, mask


def example(seed: int, ignored: int = IGNORED) -> tf.train.Example:
  """The record of a shape, with another value where it is ignored."""
  image, mask = shape(seed)
  mask[mask == IGNORED] = ignored
  return dataset_utils.image_seg_to_tfexample(
    fakes.encode(Image.fromarray(image), 'png'),
    b'png',
    f'shape {seed}.png'.encode(),
    *mask.shape,
    3,
    fakes.encode(Image.fromarray(mask), 'png'),
  )


TRAIN, VAL = range(12), range(100, 107)


def write(
  folder: pathlib.Path, train=TRAIN, val=VAL, ignored: int = IGNORED
) -> str:
  """Writes the dataset; returns the folder, as --dataset_dir takes it."""
  folder.mkdir(parents=True, exist_ok=True)
  for split, seeds in (('train', train), ('val', val)):
    dataset_utils.write_tfrecord(
      folder / f'{split}-00000-of-00001.tfrecord',
      [example(seed, ignored) for seed in seeds],
    )
  dataset_utils.write_label_file(dict(enumerate(NAMES)), folder)
  return str(folder)


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> str:
  """The folder of the shapes, for --dataset_dir."""
  return write(tmp_path_factory.mktemp('data') / 'shapes')


@pytest.fixture(scope='session')
def shapes_run(tmp_path_factory, cache_home, shapes) -> types.SimpleNamespace:
  """A finished run of two steps on the shapes: folder, status, out, err."""
  return fakes.finished(
    tmp_path_factory.mktemp('runs') / 'shapes', cache_home, flags(shapes)
  )


def flags(shapes: str, **others) -> dict:
  """Flags of a short training on the shapes, in the folder 'run'."""
  return {
    'model_name': 'resnet_v1_small',
    'dataset_dir': shapes,
    'train_crop_size': 33,
    'output_stride': 8,
    'decoder': 'fcn',
    'decoder_depth': 8,
    'batch_size': 4,
    'max_number_of_steps': 2,
    'log_every_n_steps': 1,
    'train_dir': 'run',
    'learning_rate': 0.05,
    **others,
  }
