"""The registry of optimizers, and which flags contradict each other.

Nothing here imports TensorFlow; engine/training/optimizers.py builds them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.config import schedules


class OptimizerEntry(NamedTuple):
  """What is known of an optimizer.

  Fields:
    implementation: where its class is, 'module:class'.
    arguments: argument of the class -> field of the configuration.
  """

  implementation: str
  arguments: Mapping[str, str]

  @property
  def decays_weights(self) -> bool:
    """Whether it is told the weight decay, which the loss then leaves out."""
    return 'weight_decay' in self.arguments


_TF = 'tensorflow.compat.v1:train.'
_OURS = 'engine.training.decay_optimizers:'

OPTIMIZERS = {
  'adadelta': OptimizerEntry(
    _TF + 'AdadeltaOptimizer', {'rho': 'adadelta_rho', 'epsilon': 'opt_epsilon'}
  ),
  'adagrad': OptimizerEntry(
    _TF + 'AdagradOptimizer',
    {'initial_accumulator_value': 'adagrad_initial_accumulator_value'},
  ),
  'adam': OptimizerEntry(
    _TF + 'AdamOptimizer',
    {'beta1': 'adam_beta1', 'beta2': 'adam_beta2', 'epsilon': 'opt_epsilon'},
  ),
  'adamw': OptimizerEntry(
    _OURS + 'AdamWOptimizer',
    {
      'beta1': 'adam_beta1',
      'beta2': 'adam_beta2',
      'epsilon': 'opt_epsilon',
      'weight_decay': 'weight_decay',
      'decay_vectors': 'decay_norm_and_bias',
    },
  ),
  'ftrl': OptimizerEntry(
    _TF + 'FtrlOptimizer',
    {
      'learning_rate_power': 'ftrl_learning_rate_power',
      'initial_accumulator_value': 'ftrl_initial_accumulator_value',
      'l1_regularization_strength': 'ftrl_l1',
      'l2_regularization_strength': 'ftrl_l2',
    },
  ),
  'lars': OptimizerEntry(
    _OURS + 'LARSOptimizer',
    {
      'momentum': 'momentum',
      'weight_decay': 'weight_decay',
      'trust_coefficient': 'lars_trust_coefficient',
      'decay_vectors': 'decay_norm_and_bias',
    },
  ),
  'momentum': OptimizerEntry(
    _TF + 'MomentumOptimizer', {'momentum': 'momentum'}
  ),
  'rmsprop': OptimizerEntry(
    _TF + 'RMSPropOptimizer',
    {
      'decay': 'rmsprop_decay',
      'momentum': 'rmsprop_momentum',
      'epsilon': 'opt_epsilon',
    },
  ),
  'sgd': OptimizerEntry(_TF + 'GradientDescentOptimizer', {}),
}

# What an optimizer keeps of its past; with 1 nothing new would ever count.
_SHARES = (
  'adadelta_rho',
  'adam_beta1',
  'adam_beta2',
  'momentum',
  'rmsprop_decay',
  'rmsprop_momentum',
)


def _reaches_zero(config):
  """Returns the flag that lets the learning rate be 0 at some step, if any."""
  if config.warmup and config.warmup.number and not config.warmup_learning_rate:
    return 'warmup_learning_rate'
  falls = schedules.falls_to_end(config.learning_rate_decay_type)
  return 'end_learning_rate' if falls and not config.end_learning_rate else None


def check(config: Any) -> None:
  """Raises ValueError where flags of a `TrainConfig` contradict each other.

  Fields that are None are not known yet, and contradict nothing.
  """
  for field in OPTIMIZERS[config.optimizer].arguments.values():
    if field in _SHARES and getattr(config, field) >= 1:
      raise ValueError(
        f'--{field}={getattr(config, field)} must be below 1 for '
        f'--optimizer={config.optimizer}: it is the share of the past that '
        'a step keeps.'
      )
  if config.decay_norm_and_bias and not config.weight_decay:
    raise ValueError(
      '--decay_norm_and_bias does nothing with '
      '--weight_decay=0: leave one of both out.'
    )
  zero = _reaches_zero(config)
  if config.optimizer == 'ftrl' and zero:
    raise ValueError(
      f'--optimizer=ftrl divides by the learning rate: pass --{zero} above 0.'
    )
