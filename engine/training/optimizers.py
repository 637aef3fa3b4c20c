"""Optimizers: how they are built, and what they make of gradients."""

from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from engine.common.loading import load
from engine.common.variables import matching
from engine.config.optimizers import OPTIMIZERS
from engine.config.parts.optimization import OptimizationConfig


def build(
  config: OptimizationConfig, learning_rate: float | tf.Tensor
) -> tf.train.Optimizer:
  """Returns the optimizer of a configuration.

  Args:
    config: the configuration.
    learning_rate: float scalar, number or tensor.
  """
  entry = OPTIMIZERS[config.optimizer]
  return load(entry.implementation)(
    learning_rate,
    **{
      argument: getattr(config, field)
      for argument, field in entry.arguments.items()
    },
  )


def regularizer_weight(config: OptimizationConfig) -> float:
  """Returns the L2 weight that the network's kernels are built with.

  It is 0 where the optimizer decays the weights itself, which L2 in the loss
  would do a second time: adamw (arXiv:1711.05101) and lars (arXiv:1708.03888),
  whose trust ratio has the norms of gradient and decay apart.
  """
  decays_weights = OPTIMIZERS[config.optimizer].decays_weights
  return 0.0 if decays_weights else config.weight_decay


def _is_regularized(variable):
  """Whether it is a kernel that a network's own regularizer is of."""
  return variable.op.name.endswith('/weights')


def regularization(
  config: OptimizationConfig,
  variables: Sequence[tf.Variable],
  kernels: bool = False,
) -> tf.Tensor:
  """Returns the L2 loss of what the network's own regularizer leaves out.

  Args:
    config: the configuration.
    variables: the trained variables. With `config.decay_norm_and_bias` those of
      rank 0 and 1 count: batch norm's gamma and beta, and biases.
    kernels: whether the network has no regularizer, and its kernels count too.

  Returns:
    float32 scalar: weight_decay * sum(w ** 2) / 2, as `slim.l2_regularizer` has
    it for kernels; 0 where the optimizer decays the weights itself.
  """
  losses = []
  if regularizer_weight(config):
    losses = [
      tf.nn.l2_loss(v)
      for v in variables
      if (config.decay_norm_and_bias and v.shape.ndims <= 1)
      or (kernels and _is_regularized(v))
    ]
  if not losses:
    return tf.constant(0.0)
  return config.weight_decay * tf.add_n(losses)


def _clipped(config, gradients):
  """Returns the gradients, first clipped by value, then by global norm."""
  size = config.clip_gradients_value
  if size:
    gradients = [tf.clip_by_value(g, -size, size) for g in gradients]
  if config.clip_gradients_norm:
    gradients, _ = tf.clip_by_global_norm(gradients, config.clip_gradients_norm)
  return gradients


def multipliers(
  config: OptimizationConfig, variables: Sequence[tf.Variable]
) -> list[float]:
  """Returns the factor on the learning rate of each variable.

  Args:
    config: the configuration; of its scopes the longest counts.
    variables: the trained variables.

  Raises:
    ValueError: a scope that none of them is under; the nearest are named.
  """
  flag = 'learning_rate_multipliers'
  factors = config.learning_rate_multipliers or {}
  found = {}
  for scope in sorted(factors, key=lambda scope: len(scope.rstrip('/'))):
    for variable in matching(variables, [scope], flag):
      found[variable.op.name] = factors[scope]
  return [found.get(variable.op.name, 1.0) for variable in variables]


def apply_gradients(
  config: OptimizationConfig,
  learning_rate: float | tf.Tensor,
  gradients: Sequence[tuple[tf.Tensor | None, tf.Variable]],
  step: tf.Variable,
) -> tf.Operation:
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
  pairs = [(g, v) for g, v in gradients if g is not None]
  factors = multipliers(config, [v for _, v in pairs])
  if not any(factors):
    raise ValueError(
      'There is nothing to train: no variable that the loss '
      'depends on is left. See --trainable_scopes and '
      '--learning_rate_multipliers.'
    )
  clipped = _clipped(config, [g for g, _ in pairs])
  groups: dict[float, list[tuple[tf.Tensor, tf.Variable]]] = {}
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
