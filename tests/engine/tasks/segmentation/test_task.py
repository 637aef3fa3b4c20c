"""The loss of a training on masks."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.scripts import TrainConfig
from engine.config.tasks import get_task
from metrics import segmentation, segmentation_losses
from nets.heads import image_pyramid


@pytest.mark.parametrize('upsampled', [True, False])
def test_every_scale_of_a_pyramid_has_a_loss(graph, upsampled):
  """Beside the merged logits, which the accuracy is of."""
  random = np.random.RandomState(0)
  whole, half, full = random.normal(0, 3, (3, 2, 5, 5, 3)).astype(np.float32)
  labels = tf.constant(random.randint(0, 3, (2, 9, 9)))
  config = TrainConfig(
    train_crop_size='9', ignore_label=255, upsample_logits=upsampled
  )
  points = {
    image_pyramid.scale_name(0.5): tf.constant(half),
    image_pyramid.scale_name(1): tf.constant(full),
    'logits/semantic': tf.constant(half),
  }
  step = tf.constant(0, tf.int64)
  task = get_task('segmentation')
  loss, accuracy = task.loss(config, tf.constant(whole), points, labels, step)
  alone = [
    task.loss(config, tf.constant(each), {}, labels, step)
    for each in (whole, half, full)
  ]
  if upsampled:
    by_hand = segmentation_losses.cross_entropy(
      segmentation.resize_logits(tf.constant(whole), 9, 9), labels
    )
  else:
    by_hand = segmentation_losses.cross_entropy(
      tf.constant(whole), labels[:, ::2, ::2]
    )
  with tf.Session() as session:
    found, alone, by_hand = session.run([(loss, accuracy), alone, by_hand])
  assert found[0] == pytest.approx(sum(loss for loss, _ in alone), rel=1e-5)
  assert found[1] == alone[0][1]
  assert alone[0][0] == pytest.approx(by_hand, rel=1e-5)
