"""The sum that a training on masks minimizes, against its parts."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.label_kinds import SEGMENTATION
from engine.config.scripts import TrainConfig
from engine.tasks.segmentation import losses
from metrics import segmentation, segmentation_losses
from nets.heads import auxiliary

CLASSES = 4


@pytest.fixture
def batch(graph):
  """Logits, coarser ones of an auxiliary head, and labels."""
  random = np.random.RandomState(0)
  labels = random.randint(0, CLASSES, [2, 9, 9])
  labels[:, :3] = 255
  return (
    tf.constant(random.normal(size=[2, 5, 5, CLASSES]), tf.float32),
    tf.constant(random.normal(size=[2, 3, 3, CLASSES]), tf.float32),
    tf.constant(labels, tf.int32),
  )


def configured(**flags):
  return TrainConfig(
    task=SEGMENTATION, train_crop_size=(9, 9), ignore_label=255, **flags
  )


def plain(logits, labels, upsample=True):
  """The logits and labels, at one size."""
  if upsample:
    return segmentation.resize_logits(logits, 9, 9), labels
  return logits, segmentation.resize_labels(
    labels, *logits.shape.as_list()[1:3]
  )


def evaluated(found, wanted):
  with tf.Session() as session:
    found, wanted = session.run([found, wanted])
  assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize('upsample', [True, False])
def test_the_sum(batch, upsample):
  """Of losses that take different flags."""
  logits, _, labels = batch
  weights = (1.0, 0.5, 2.0, 1.0)
  config = configured(
    segmentation_loss='cross_entropy:2,dice:0.5,focal,lovasz:3',
    class_weights=weights,
    top_k_percent_pixels=0.5,
    hard_example_mining_step=10,
    focal_gamma=1.5,
    upsample_logits=upsample,
  )
  found, accuracy = losses.loss(
    config, logits, {}, labels, tf.constant(5, tf.int64)
  )
  fitting = *plain(logits, labels, upsample), 255, weights
  share = tf.constant(0.75)
  evaluated(
    found,
    2 * segmentation_losses.cross_entropy(*fitting, share)
    + 0.5 * segmentation_losses.dice(*fitting)
    + segmentation_losses.focal(*fitting, share, 1.5)
    + 3 * segmentation_losses.lovasz_softmax(*fitting),
  )
  evaluated(accuracy, segmentation.accuracy(*fitting[:3]))


@pytest.mark.parametrize('upsample', [True, False])
def test_an_auxiliary_head(batch, upsample):
  logits, coarse, labels = batch
  config = configured(auxiliary_loss_weight=0.4, upsample_logits=upsample)
  found, _ = losses.loss(
    config, logits, {auxiliary.SCOPE: coarse}, labels, tf.constant(5, tf.int64)
  )
  main, more = (
    segmentation_losses.cross_entropy(*plain(each, labels, upsample))
    for each in (logits, coarse)
  )
  evaluated(found, main + 0.4 * more)
