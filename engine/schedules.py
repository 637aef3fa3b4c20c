"""The registry of learning rate schedules.

TensorFlow is imported on use, so that flags can be checked without it.
"""


def _decay_steps(config, num_examples):
  steps = num_examples / config.batch_size * config.num_epochs_per_decay
  return max(int(steps), 1)


def fixed(config, num_examples, step):
  """The initial learning rate throughout."""
  import tensorflow.compat.v1 as tf
  return tf.constant(config.learning_rate, name='fixed_learning_rate')


def exponential(config, num_examples, step):
  """Falls by a factor every so many epochs, in stairs."""
  import tensorflow.compat.v1 as tf
  return tf.train.exponential_decay(
      config.learning_rate, step, _decay_steps(config, num_examples),
      config.learning_rate_decay_factor, staircase=True,
      name='exponential_decay_learning_rate')


def polynomial(config, num_examples, step):
  """Falls on a straight line to the end learning rate, and stays there."""
  import tensorflow.compat.v1 as tf
  return tf.train.polynomial_decay(
      config.learning_rate, step, _decay_steps(config, num_examples),
      config.end_learning_rate, power=1.0, cycle=False,
      name='polynomial_decay_learning_rate')


# Name -> function(config, num_examples, step) -> float32 scalar tensor.
SCHEDULES = {
    'fixed': fixed,
    'exponential': exponential,
    'polynomial': polynomial,
}


def build(config, num_examples: int, step):
  """Returns the learning rate of a `TrainConfig` as a float32 scalar.

  Args:
    config: the configuration.
    num_examples: the size of the data set.
    step: int64 scalar, the number of finished steps.
  """
  return SCHEDULES[config.learning_rate_decay_type](config, num_examples, step)
