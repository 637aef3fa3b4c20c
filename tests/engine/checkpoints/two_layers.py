"""A network of two layers, as variables alone."""

import tensorflow.compat.v1 as tf

from nets.slim_compat import slim

CONV = ('net/conv1/weights', 'net/conv1/biases')
LOGITS = ('net/logits/weights', 'net/logits/biases')


def build(scale=1.0, classes=3, more=False):
  """Makes the variables of a network of two layers, filled by `scale`."""

  def variable(name, shape):
    return slim.model_variable(
      name, shape, initializer=tf.constant_initializer(scale)
    )

  with tf.variable_scope('net'):
    found = [
      variable('conv1/weights', [4, 5]),
      variable('conv1/biases', [5]),
      variable('logits/weights', [5, classes]),
      variable('logits/biases', [classes]),
    ]
    if more:
      found.append(variable('conv2/weights', [2]))
  return found
