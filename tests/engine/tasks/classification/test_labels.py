"""How the class of an image is read."""

import pytest
import tensorflow.compat.v1 as tf

from engine.tasks.classification.labels import ClassLabels


def test_labels_of_images(graph):
  labels = ClassLabels(lambda image, *size, seed: tf.constant(size), 8, 3, 1)
  with tf.Session() as session:
    size, label = session.run(
      labels.prepare(1.0, tf.constant(3, tf.int64), None)
    )
    assert size.tolist() == [8, 8] and label == 2
    for wrong in (0, 4):
      with pytest.raises(tf.errors.InvalidArgumentError, match='out of range'):
        session.run(labels.prepare(1.0, tf.constant(wrong, tf.int64), None))
