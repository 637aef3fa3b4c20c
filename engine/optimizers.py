"""The registry of optimizers, and what they make of gradients.

TensorFlow is imported on use, so that flags can be checked without it.
"""

import importlib

from engine import forms

# Name -> (the module of its class, the class,
#          {argument of the class: field of TrainConfig}).
_TF = 'tensorflow.compat.v1'
OPTIMIZERS = {
  'adadelta': (
    _TF,
    'train.AdadeltaOptimizer',
    {'rho': 'adadelta_rho', 'epsilon': 'opt_epsilon'},
  ),
  'adagrad': (
    _TF,
    'train.AdagradOptimizer',
    {'initial_accumulator_value': 'adagrad_initial_accumulator_value'},
  ),
  'adam': (
    _TF,
    'train.AdamOptimizer',
    {'beta1': 'adam_beta1', 'beta2': 'adam_beta2', 'epsilon': 'opt_epsilon'},
  ),
  'adamw': (
    'engine.decaying',
    'AdamWOptimizer',
    {
      'beta1': 'adam_beta1',
      'beta2': 'adam_beta2',
      'epsilon': 'opt_epsilon',
      'weight_decay': 'weight_decay',
      'decay_vectors': 'decay_norm_and_bias',
    },
  ),
  'ftrl': (
    _TF,
    'train.FtrlOptimizer',
    {
      'learning_rate_power': 'ftrl_learning_rate_power',
      'initial_accumulator_value': 'ftrl_initial_accumulator_value',
      'l1_regularization_strength': 'ftrl_l1',
      'l2_regularization_strength': 'ftrl_l2',
    },
  ),
  'lars': (
    'engine.decaying',
    'LARSOptimizer',
    {
      'momentum': 'momentum',
      'weight_decay': 'weight_decay',
      'trust_coefficient': 'lars_trust_coefficient',
      'decay_vectors': 'decay_norm_and_bias',
    },
  ),
  'momentum': (_TF, 'train.MomentumOptimizer', {'momentum': 'momentum'}),
  'rmsprop': (
    _TF,
    'train.RMSPropOptimizer',
    {
      'decay': 'rmsprop_decay',
      'momentum': 'rmsprop_momentum',
      'epsilon': 'opt_epsilon',
    },
  ),
  'sgd': (_TF, 'train.GradientDescentOptimizer', {}),
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


def _arguments(config):
  """Returns {argument: field} of the configuration's optimizer."""
  return OPTIMIZERS[config.optimizer][2]


def _decays_itself(config):
  """Whether the optimizer is told the weight decay, instead of the loss."""
  return 'weight_decay' in _arguments(config)


def _reaches_zero(config):
  """Returns the flag that lets the learning rate be 0 at some step, if any."""
  if (
    config.warmup
    and forms.length(config.warmup).number
    and (not config.warmup_learning_rate)
  ):
    return 'warmup_learning_rate'
  falls = config.learning_rate_decay_type in ('cosine', 'polynomial')
  return 'end_learning_rate' if falls and not config.end_learning_rate else None


def check(config) -> None:
  """Raises ValueError where flags of a `TrainConfig` contradict each other.

  Fields that are None are not known yet, and contradict nothing.
  """
  for field in _arguments(config).values():
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


def build(config, learning_rate):
  """Returns the optimizer of a `TrainConfig`.

  Args:
    config: the configuration.
    learning_rate: float scalar, number or tensor.
  """
  module, name, arguments = OPTIMIZERS[config.optimizer]
  found = importlib.import_module(module)
  for part in name.split('.'):
    found = getattr(found, part)
  return found(
    learning_rate,
    **{
      argument: getattr(config, field) for argument, field in arguments.items()
    },
  )


def regularizer_weight(config) -> float:
  """Returns the L2 weight that the network's kernels are built with.

  It is 0 where the optimizer decays the weights itself, which L2 in the loss
  would do a second time: adamw (arXiv:1711.05101) and lars (arXiv:1708.03888),
  whose trust ratio has the norms of gradient and decay apart.
  """
  return 0.0 if _decays_itself(config) else config.weight_decay


def regularization(config, variables):
  """Returns the L2 loss of what the network's own regularizer leaves out.

  Args:
    config: the configuration.
    variables: the trained variables. Those of rank 0 and 1 count: batch norm's
      gamma and beta, and biases.

  Returns:
    float32 scalar: weight_decay * sum(w ** 2) / 2 with `decay_norm_and_bias`,
    as `slim.l2_regularizer` has it for kernels; 0 without, and where the
    optimizer decays the weights itself.
  """
  import tensorflow.compat.v1 as tf

  losses = []
  if config.decay_norm_and_bias and regularizer_weight(config):
    losses = [tf.nn.l2_loss(v) for v in variables if v.shape.ndims <= 1]
  if not losses:
    return tf.constant(0.0)
  return config.weight_decay * tf.add_n(losses)


def _clipped(config, gradients):
  """Returns the gradients, first clipped by value, then by global norm."""
  import tensorflow.compat.v1 as tf

  size = config.clip_gradients_value
  if size:
    gradients = [tf.clip_by_value(g, -size, size) for g in gradients]
  if config.clip_gradients_norm:
    gradients, _ = tf.clip_by_global_norm(gradients, config.clip_gradients_norm)
  return gradients


def multipliers(config, variables) -> list[float]:
  """Returns the factor on the learning rate of each variable.

  Args:
    config: the configuration; of its scopes the longest counts.
    variables: the trained variables.

  Raises:
    ValueError: a scope that none of them is under; the nearest are named.
  """
  from engine import checkpoints

  flag = 'learning_rate_multipliers'
  text = config.learning_rate_multipliers
  factors = forms.factors(text) if text else {}
  found = {}
  for scope in sorted(factors, key=lambda scope: len(scope.rstrip('/'))):
    for variable in checkpoints.matching(variables, scope, flag):
      found[variable.op.name] = factors[scope]
  return [found.get(variable.op.name, 1.0) for variable in variables]


def apply_gradients(config, learning_rate, gradients: list, step):
  """Returns the op that makes one step of training.

  The gradients are clipped by value, then by the norm of all together. A
  variable under a scope of `learning_rate_multipliers` is trained at that
  multiple of the learning rate, whatever the optimizer; 0 leaves it alone.

  Args:
    config: the configuration.
    learning_rate: float scalar.
    gradients: pairs (gradient, variable); a gradient of None is passed over.
    step: the global step, int64; the op adds 1.

  Raises:
    ValueError: nothing is left to train, or a scope of the multipliers has no
      variable.
  """
  import tensorflow.compat.v1 as tf

  pairs = [(g, v) for g, v in gradients if g is not None]
  factors = multipliers(config, [v for _, v in pairs])
  if not any(factors):
    raise ValueError(
      'There is nothing to train: no variable that the loss '
      'depends on is left. See --trainable_scopes and '
      '--learning_rate_multipliers.'
    )
  clipped = _clipped(config, [g for g, _ in pairs])
  groups = {}
  for gradient, (_, variable), factor in zip(
    clipped, pairs, factors, strict=True
  ):
    groups.setdefault(factor, []).append((gradient, variable))
  updates = [
    build(
      config, learning_rate if factor == 1 else factor * learning_rate
    ).apply_gradients(groups[factor])
    # The order names what an optimizer keeps besides slots: beta1_power_1.
    for factor in sorted(groups, key=lambda factor: (factor != 1, factor))
    if factor
  ]
  with tf.control_dependencies(updates):
    return tf.group(tf.assign_add(step, 1))
