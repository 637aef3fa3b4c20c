"""The examples of segmentation, for training and for evaluation."""

import functools
from collections.abc import Callable

import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets.records.examples import Examples
from engine.config.parts.resizing import ResizingConfig
from engine.config.scripts import (
  DataConfig,
  EvalConfig,
  FilesConfig,
  TrainConfig,
)
from engine.input.pipeline import Source, open_source
from engine.tasks.segmentation.labels import MaskLabels
from preprocessing import preprocessing_factory, segmentation_preprocessing


def open_examples(
  config: DataConfig,
  dataset: Dataset,
  preprocess: Callable,
  size: tuple[int, int] | None,
  examples: Examples | None = None,
) -> Source:
  """Returns a split's examples.

  Args:
    config: complete.
    dataset: the split.
    preprocess: see `MaskLabels`.
    size: height and width of the network's input; None for those of each
      image.
    examples: the records, if they are open already.
  """
  labels = MaskLabels(
    preprocess,
    size,
    dataset.num_classes,
    dataset.ignore_label,
    config.max_image_pixels,
  )
  return open_source(config, dataset, labels, examples)


def _range(config):
  """Returns the range that images are resized to, None for none."""
  if not isinstance(config, ResizingConfig):
    return None
  return segmentation_preprocessing.Range.of(
    config.min_resize_value, config.max_resize_value, config.resize_factor
  )


def for_evaluation(config: EvalConfig) -> Callable:
  """Returns what prepares image and mask for evaluation; see its factory."""
  return functools.partial(
    preprocessing_factory.get_segmentation_preprocessing(
      config.preprocessing_name, False, config.use_grayscale
    ),
    resize_to=_range(config),
  )


def prepared(config: EvalConfig | FilesConfig, image: tf.Tensor) -> tf.Tensor:
  """Returns the network's input, float32, for uint8 images without a mask."""
  return segmentation_preprocessing.normalized(
    image, config.use_grayscale, config.preprocessing_name, _range(config)
  )


def open_training(config: TrainConfig, dataset: Dataset) -> Source:
  """Returns crops, augmented as the flags say, with their masks."""
  preprocess = functools.partial(
    preprocessing_factory.get_segmentation_preprocessing(
      config.preprocessing_name, True, config.use_grayscale
    ),
    min_scale_factor=config.min_scale_factor,
    max_scale_factor=config.max_scale_factor,
    scale_factor_step_size=config.scale_factor_step_size,
    ignore_label=config.ignore_label,
    flip=config.random_flip,
    photometric=config.photometric,
    resize_to=_range(config),
  )
  return open_examples(config, dataset, preprocess, config.train_crop_size)
