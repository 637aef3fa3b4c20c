"""The mean image of a training split, which some preprocessing subtracts.

It belongs to the weights that were trained with it, and so it lies beside the
run's checkpoints.
"""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import arrays, files
from engine.common import console, runtime
from engine.config.scripts import Inference, NetworkConfig
from engine.input.pipeline import Source
from preprocessing import preprocessing_factory

FILENAME = 'per_pixel_mean.npy'
_BATCH = 100  # images at once


def is_needed(config: NetworkConfig) -> bool:
  """Whether the preprocessing of a configuration subtracts a mean image."""
  return preprocessing_factory.needs_mean(config.preprocessing_name)


def check(config: NetworkConfig, folder: str = '') -> None:
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
    mean = arrays.read(path)
    if mean.ndim != 3 or mean.shape[2] not in (1, 3) or not mean.size:
      raise ValueError(f'its shape is {mean.shape}')
    if not np.all((mean >= 0) & (mean <= 1)):
      raise ValueError('it has values beyond [0, 1]')
  except FileNotFoundError:
    raise ValueError(
      f'There is no {path}, the mean image of the training that the '
      'preprocessing subtracts: copy it from the folder of the run, or name '
      'it with --per_pixel_mean.'
    ) from None
  except files.Irregular:
    raise
  except (OSError, ValueError) as error:
    reason = error.strerror if isinstance(error, OSError) else error
    raise ValueError(
      f'{path} is no mean image ({reason}), which is a NumPy array of floats '
      'in [0, 1] of the shape [height, width, channels]: copy it again from '
      'the folder of the run, or, to resume a training, remove it, and it '
      'is measured again.'
    ) from None
  return mean


def found(config: Inference, checkpoint: str) -> Inference:
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


def measure(source: Source) -> np.ndarray:
  """Returns the mean of a split's images as they are prepared.

  Args:
    source: the examples, without augmentation; bad ones do not count.

  Returns:
    float32 [height, width, channels], the same bits every time.
  """
  total: np.ndarray = np.zeros(())
  good = 0
  with tf.Graph().as_default():
    stream = source.evaluation(_BATCH)
    with (
      runtime.session(gpu=False) as session,
      console.progress(source.num_examples, unit='image') as bar,
    ):
      bar.set_description('mean image')
      stream.seek(session)
      for _ in range(-(-source.num_examples // _BATCH)):
        images, _, records = stream.run(session, stream.batch)
        images = images[records >= 0]  # else one stands in for a bad one
        total = total + images.sum(0, dtype=np.float64)
        good += len(images)
        bar.update(len(records))
  return (total / good).astype(np.float32)
