"""The registry of optimizers.

TensorFlow is imported on use, so that flags can be checked without it.
"""

# Name -> (class in tf.compat.v1.train, {its argument: field of TrainConfig}).
OPTIMIZERS = {
    'adadelta': ('AdadeltaOptimizer', {
        'rho': 'adadelta_rho', 'epsilon': 'opt_epsilon'}),
    'adagrad': ('AdagradOptimizer', {
        'initial_accumulator_value': 'adagrad_initial_accumulator_value'}),
    'adam': ('AdamOptimizer', {
        'beta1': 'adam_beta1', 'beta2': 'adam_beta2',
        'epsilon': 'opt_epsilon'}),
    'ftrl': ('FtrlOptimizer', {
        'learning_rate_power': 'ftrl_learning_rate_power',
        'initial_accumulator_value': 'ftrl_initial_accumulator_value',
        'l1_regularization_strength': 'ftrl_l1',
        'l2_regularization_strength': 'ftrl_l2'}),
    'momentum': ('MomentumOptimizer', {'momentum': 'momentum'}),
    'rmsprop': ('RMSPropOptimizer', {
        'decay': 'rmsprop_decay', 'momentum': 'rmsprop_momentum',
        'epsilon': 'opt_epsilon'}),
    'sgd': ('GradientDescentOptimizer', {}),
}


def build(config, learning_rate):
  """Returns the optimizer of a `TrainConfig`.

  Args:
    config: the configuration.
    learning_rate: float scalar, number or tensor.
  """
  import tensorflow.compat.v1 as tf
  name, arguments = OPTIMIZERS[config.optimizer]
  return getattr(tf.train, name)(learning_rate, **{
      argument: getattr(config, field)
      for argument, field in arguments.items()})
