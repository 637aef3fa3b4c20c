"""The mean image of a training split, which some preprocessing subtracts.

It belongs to the weights that were trained with it, and so it lies beside the
run's checkpoints.
"""

import functools
import os
import zipfile
from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine import console, options
from engine.config import TrainConfig
from engine.input_pipeline import Source, open_source
from engine.segmentation import SEGMENTATION, ModelConfig
from preprocessing import preprocessing_factory

FILENAME = 'per_pixel_mean.npy'
_BATCH = 100  # images at once


def is_needed(config: ModelConfig) -> bool:
  """Whether the preprocessing of a configuration subtracts a mean image."""
  return config.task != SEGMENTATION and preprocessing_factory.needs_mean(
    config.preprocessing_name
  )


def check(config: ModelConfig, folder: str = '') -> None:
  """Makes sure that the flag --per_pixel_mean fits, if it is given.

  Args:
    config: a complete configuration.
    folder: that of a run, whose own mean image comes first.

  Raises:
    ValueError: it names no mean image, or there is no use for one.
  """
  if config.per_pixel_mean and is_needed(config):
    own = os.path.join(folder, FILENAME)
    read(own if folder and os.path.exists(own) else config.per_pixel_mean)
  elif config.per_pixel_mean:
    raise ValueError(
      f'--per_pixel_mean={config.per_pixel_mean}: the preprocessing '
      f'{config.preprocessing_name} subtracts no mean image. Leave the '
      'flag out.'
    )


def read(path: str) -> np.ndarray:
  """Returns the mean image in a file, [height, width, 1 or 3] in [0, 1].

  Raises:
    ValueError: it is not there, or something else.
  """
  try:
    mean = np.load(path)
    if not (
      isinstance(mean, np.ndarray)
      and mean.ndim == 3
      and mean.shape[2] in (1, 3)
      and np.all((mean >= 0) & (mean <= 1))
    ):
      raise ValueError
  except FileNotFoundError:
    raise ValueError(
      f'There is no {path}, the mean image of the training that the '
      'preprocessing subtracts: copy it from the folder of the run, or name '
      'it with --per_pixel_mean.'
    ) from None
  except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
    raise ValueError(
      f'{path} is no mean image, which is a NumPy array of floats in '
      '[0, 1] of the shape [height, width, channels]: copy it again from the '
      'folder of the run, or, to go on with a training, remove it, and it '
      'is measured again.'
    ) from None
  return mean


def found(config: ModelConfig, checkpoint: str) -> ModelConfig:
  """Returns the configuration with the mean image that lies beside.

  Args:
    config: complete but for per_pixel_mean, of evaluation or classification.
    checkpoint: its prefix.

  Raises:
    ValueError: the preprocessing needs one, and there is none.
  """
  if is_needed(config) and not config.per_pixel_mean:
    config = config.replace(
      per_pixel_mean=os.path.join(os.path.dirname(checkpoint), FILENAME)
    )
  check(config)
  return config


def preprocessing(config: ModelConfig) -> Callable:
  """Returns what prepares an image for evaluation; see its factory.

  Args:
    config: a complete configuration of classification.
  """
  prepare = preprocessing_factory.get_preprocessing(
    config.preprocessing_name, False, config.use_grayscale
  )
  if not is_needed(config):
    return prepare
  return functools.partial(prepare, per_pixel_mean=read(config.per_pixel_mean))


def measure(source: Source) -> np.ndarray:
  """Returns the mean of a split's images as they are prepared.

  Args:
    source: the examples, without augmentation; bad ones do not count.

  Returns:
    float32 [height, width, channels], the same bits every time.
  """
  total, good = 0.0, 0
  with tf.Graph().as_default():
    stream = source.evaluation(_BATCH)
    with (
      tf.Session() as session,
      console.progress(source.num_examples, unit='image') as bar,
    ):
      bar.set_description('mean image')
      stream.seek(session)
      for _ in range(-(-source.num_examples // _BATCH)):
        images, _, records = stream.run(session, stream.batch)
        images = images[records >= 0]  # else one stands in for a bad one
        total += images.sum(0, dtype=np.float64)
        good += len(images)
        bar.update(len(records))
  return (total / good).astype(np.float32)


def _of_training(config, source, continues):
  path = os.path.join(config.train_dir, FILENAME)
  if continues and os.path.exists(path):
    return read(path)
  if config.per_pixel_mean:
    mean = read(config.per_pixel_mean)
  else:
    console.say('Measuring the mean image of the training split.')
    mean = measure(source)
  with options.whole(path, 'wb') as file:
    np.save(file, mean)
  return mean


def source(
  config: TrainConfig, dataset: Dataset, prepare: Callable, continues: bool
) -> Source:
  """Returns the examples of a training; their mean is kept with the run.

  Args:
    config: complete, with a preprocessing that needs the mean.
    dataset: the split.
    prepare: the preprocessing, which takes per_pixel_mean.
    continues: whether the run has begun before; its own mean is then taken.
  """
  plain = open_source(
    config,
    dataset,
    functools.partial(
      preprocessing_factory.get_preprocessing(
        config.preprocessing_name, False, config.use_grayscale
      ),
      per_pixel_mean=0.0,
    ),
    config.train_image_size,
  )
  mean = _of_training(config, plain, continues)
  return plain.prepared_by(functools.partial(prepare, per_pixel_mean=mean))
