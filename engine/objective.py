"""What a training step minimizes, and tells, of each task."""

import tensorflow.compat.v1 as tf

from engine import forms
from engine.config import TrainConfig
from tasks import classification, segmentation


def _of_pictures(config, logits, labels, step):
  del step
  return (
    classification.loss(logits, labels, config.label_smoothing),
    classification.accuracy(logits, labels),
  )


def _of_pixels(config, logits, labels, step):
  if config.upsample_logits:
    logits = segmentation.resize_logits(logits, *config.crop)
  else:
    labels = segmentation.resize_labels(labels, *logits.shape.as_list()[1:3])
  weights = config.class_weights and forms.weights(config.class_weights)
  share = segmentation.mined_share(
    step, config.top_k_percent_pixels, config.hard_example_mining_step
  )
  return (
    segmentation.loss(logits, labels, config.ignore_label, weights, share),
    segmentation.accuracy(logits, labels, config.ignore_label),
  )


_TASKS = {'classification': _of_pictures, 'segmentation': _of_pixels}


def build(
  config: TrainConfig, logits: tf.Tensor, labels: tf.Tensor, step: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the loss without regularization, and the accuracy, of a batch.

  Args:
    config: the complete configuration.
    logits: float32 [batch, classes] or [batch, height, width, classes].
    labels: as in `input_pipeline.Batch`.
    step: the global step.

  Returns:
    Two float32 scalars; the accuracy is the share of images, or of pixels
    that are not ignored, in [0, 1].
  """
  return _TASKS[config.task](config, logits, labels, step)
