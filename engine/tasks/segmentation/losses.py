"""What a training on masks minimizes: a sum of losses, of one head or two."""

from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from engine.common.loading import load
from engine.config.losses import LOSSES
from engine.config.scripts import TrainConfig
from metrics import segmentation, segmentation_losses
from nets.heads import auxiliary, image_pyramid


def _of_one_size(config, logits, labels):
  """Returns both, the logits enlarged or the labels reduced."""
  if config.upsample_logits:
    return (segmentation.resize_logits(logits, *config.train_crop_size), labels)
  return logits, segmentation.resize_labels(
    labels, *logits.shape.as_list()[1:3]
  )


def _total(config, logits, labels, step):
  """Returns the sum of --segmentation_loss, of logits and labels of a size."""
  share = segmentation_losses.mined_share(
    step, config.top_k_percent_pixels, config.hard_example_mining_step
  )
  total = 0.0
  for name, weight in config.segmentation_loss:
    entry = LOSSES[name]
    arguments = {
      argument: share
      if field == 'top_k_percent_pixels'
      else getattr(config, field)
      for argument, field in entry.arguments.items()
    }
    total += weight * load(entry.implementation)(
      logits, labels, config.ignore_label, **arguments
    )
  return total


def loss(
  config: TrainConfig,
  logits: tf.Tensor,
  end_points: Mapping[str, tf.Tensor],
  labels: tf.Tensor,
  step: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the loss without regularization, and the share of right pixels.

  That of an image pyramid is the sum over the logits and those of each scale,
  as in DeepLab.

  Args:
    config: complete.
    logits: float32 [batch, height, width, classes], at the network's size.
    end_points: with the logits of each scale of a pyramid, and those of an
      auxiliary head, whose loss is added with its weight.
    labels: int32 [batch, height, width], at the size of the crops.
    step: the global step.
  """
  fitting, fitted = _of_one_size(config, logits, labels)
  heads = [(1.0, each) for each in image_pyramid.scale_logits(end_points)]
  if auxiliary.SCOPE in end_points:
    heads.append((config.auxiliary_loss_weight, end_points[auxiliary.SCOPE]))
  total = _total(config, fitting, fitted, step)
  for weight, each in heads:
    more = _of_one_size(config, each, labels)
    total += weight * _total(config, more[0], more[1], step)
  return total, segmentation.accuracy(fitting, fitted, config.ignore_label)
