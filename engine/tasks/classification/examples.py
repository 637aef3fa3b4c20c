"""The examples of classification, for training and for evaluation."""

import functools
import os
from collections.abc import Callable

import numpy as np
from tf_slim.data.dataset import Dataset

from datasets.files import atomic
from engine.common import console
from engine.config.scripts import (
  DataConfig,
  EvalConfig,
  ExtractConfig,
  FilesConfig,
  TrainConfig,
)
from engine.input import pixel_mean
from engine.input.pipeline import Source, open_source
from engine.tasks.classification.labels import ClassLabels
from preprocessing import preprocessing_factory


def open_examples(
  config: DataConfig, dataset: Dataset, preprocess: Callable, size: int
) -> Source:
  """Returns a split's examples.

  Args:
    config: complete.
    dataset: the split.
    preprocess: see `ClassLabels`.
    size: height and width of the network's input, in pixels.
  """
  return open_source(
    config, dataset, _labels(config, dataset, preprocess, size)
  )


def _labels(config, dataset, preprocess, size):
  offset = config.labels_offset
  return ClassLabels(preprocess, size, dataset.num_classes - offset, offset)


def for_evaluation(
  config: EvalConfig | ExtractConfig | FilesConfig,
) -> Callable:
  """Returns what prepares an image for evaluation; see its factory."""
  prepare = preprocessing_factory.get_preprocessing(
    config.preprocessing_name, False, config.use_grayscale
  )
  if not config.per_pixel_mean:
    return prepare
  return functools.partial(
    prepare, per_pixel_mean=pixel_mean.read(config.per_pixel_mean)
  )


def open_training(
  config: TrainConfig, dataset: Dataset, resumes: bool
) -> Source:
  """Returns the examples of a training; see `engine.tasks.base.Task`.

  The mean image, where the preprocessing needs one, is kept with the run.
  """
  prepare = functools.partial(
    preprocessing_factory.get_preprocessing(
      config.preprocessing_name, True, config.use_grayscale
    ),
    rand_augment_layers=config.rand_augment_layers,
    rand_augment_magnitude=config.rand_augment_magnitude,
    random_erasing=config.random_erasing,
  )
  size = config.train_image_size
  if not pixel_mean.is_needed(config):
    return open_examples(config, dataset, prepare, size)
  plain = open_examples(
    config,
    dataset,
    functools.partial(
      preprocessing_factory.get_preprocessing(
        config.preprocessing_name, False, config.use_grayscale
      ),
      per_pixel_mean=0.0,
    ),
    size,
  )
  mean = _mean(config, plain, resumes)
  return plain.prepared_by(
    _labels(
      config, dataset, functools.partial(prepare, per_pixel_mean=mean), size
    )
  )


def _mean(config, plain, resumes):
  """Returns the mean image of a training, and keeps it in the run's folder."""
  path = os.path.join(config.train_dir, pixel_mean.FILENAME)
  if resumes and os.path.exists(path):
    return pixel_mean.read(path)
  if config.per_pixel_mean:
    mean = pixel_mean.read(config.per_pixel_mean)
  else:
    console.say('Measuring the mean image of the training split.')
    mean = pixel_mean.measure(plain)
  with atomic(path, 'wb') as file:
    np.save(file, mean)
  return mean
