"""Learning rate schedules; engine/config/schedules.py is their registry.

A schedule is a function of the number of finished steps. It is computed in
float64 from whole steps, so that it is exact however long the training.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from engine.common.loading import load
from engine.config.parts.optimization import OptimizationConfig
from engine.config.schedules import (
  SCHEDULES,
  check,
  ends_with_training,
  factors,
)
from engine.config.scripts import TrainConfig


class Plan(NamedTuple):
  """The steps at which something happens.

  Fields:
    warmup: the length of the warm-up, 0 for none.
    decay: between two decays, or of all of a polynomial one.
    boundaries: where a piecewise rate changes.
    total: the steps of a cosine, which begins after the warm-up.
  """

  warmup: int
  decay: int
  boundaries: list[int]
  total: int


def _plan(config, num_examples):
  """Returns the `Plan`; raises ValueError where there can be none."""
  steps_per_epoch = num_examples / config.examples_per_step
  warmup, total = 0, config.max_number_of_steps
  if config.warmup:
    warmup = config.warmup.steps(steps_per_epoch)
  if ends_with_training(config.learning_rate_decay_type):
    if total is None:
      raise ValueError(
        '--learning_rate_decay_type=cosine falls until the end of the '
        'training, which is not known: pass --max_number_of_steps or '
        '--num_epochs.'
      )
    if warmup >= total:
      raise ValueError(
        f'--warmup={config.text("warmup")} is {warmup} steps, and with '
        f'{total} steps of training leaves none for the cosine: shorten it, '
        'or train longer.'
      )
  boundaries = [
    boundary.steps(steps_per_epoch)
    for boundary in config.learning_rate_boundaries or ()
  ]
  if boundaries and boundaries[0] < warmup:
    raise ValueError(
      '--learning_rate_boundaries begin at step '
      f'{boundaries[0]}, inside of the warm-up of {warmup} steps: shorten '
      '--warmup.'
    )
  return Plan(
    warmup,
    config.num_steps_per_decay
    or max(int(steps_per_epoch * config.num_epochs_per_decay), 1),
    boundaries,
    (total or 0) - warmup,
  )


def _float(number):
  return tf.cast(number, tf.float64)


def _falling(config, share):
  """Returns the rate at a share of the way from the initial to the end rate."""
  begin, end = config.learning_rate, config.end_learning_rate
  return end + (begin - end) * share


def _progress(step, total):
  """Returns how much of `total` steps is done, in [0, 1]."""
  return _float(tf.minimum(step, total)) / total


def fixed(config: OptimizationConfig, plan: Plan, step: tf.Tensor) -> tf.Tensor:
  """The initial learning rate throughout."""
  return tf.constant(config.learning_rate, tf.float64)


def exponential(
  config: OptimizationConfig, plan: Plan, step: tf.Tensor
) -> tf.Tensor:
  """Falls by a factor every so many epochs or steps, in stairs."""
  factor = tf.constant(config.learning_rate_decay_factor, tf.float64)
  return config.learning_rate * factor ** _float(step // plan.decay)


def polynomial(
  config: OptimizationConfig, plan: Plan, step: tf.Tensor
) -> tf.Tensor:
  """Falls to the end learning rate by a power of what is left; stays there."""
  left = 1 - _progress(step, plan.decay)
  if config.learning_power != 1:  # 1 is exact
    left **= config.learning_power
  return _falling(config, left)


def cosine(
  config: OptimizationConfig, plan: Plan, step: tf.Tensor
) -> tf.Tensor:
  """Falls on half a wave to the end rate (arXiv:1608.03983, no restarts)."""
  angle = tf.constant(3.141592653589793, tf.float64)
  return _falling(config, (1 + tf.cos(angle * _progress(step, plan.total))) / 2)


def piecewise(
  config: OptimizationConfig, plan: Plan, step: tf.Tensor
) -> tf.Tensor:
  """Changes at boundaries, which count from the start of the training."""
  passed = tf.reduce_sum(
    tf.cast(
      step + plan.warmup >= tf.constant(plan.boundaries, tf.int64), tf.int32
    )
  )
  rates = [config.learning_rate * f for f in (1.0, *factors(config))]
  return tf.gather(tf.constant(rates, tf.float64), passed)


def build(
  config: TrainConfig,
  num_examples: int,
  step: tf.Tensor | tf.Variable,
  factor: tf.Tensor | tf.Variable | None = None,
) -> tf.Tensor:
  """Returns the learning rate of a `TrainConfig` as a float32 scalar.

  A linear warm-up goes on a straight line from `warmup_learning_rate` at step 0
  to what the schedule begins with (arXiv:1706.02677, section 2.2), a constant
  one stays there (DeepLab's slow start). The schedule follows it: its own first
  step is the one behind the warm-up. Only boundaries and the end of a cosine
  count from the start of the training.

  Args:
    config: the complete configuration.
    num_examples: the size of the dataset.
    step: int64 scalar, the number of finished steps.
    factor: float32 scalar in (0, 1] that reduce-on-plateau has worked out; the
      rate is multiplied by it, not below `plateau_end_learning_rate`.

  Raises:
    ValueError: flags contradict each other, or the lengths that they give.
  """
  check(config)
  plan = _plan(config, num_examples)
  step = tf.cast(tf.convert_to_tensor(step), tf.int64)
  schedule = load(SCHEDULES[config.learning_rate_decay_type].implementation)
  rate = schedule(config, plan, tf.maximum(step - plan.warmup, 0))
  if plan.warmup:
    begin = config.warmup_learning_rate
    warm = tf.constant(begin, tf.float64)
    if config.warmup_type == 'linear':
      warm += (config.learning_rate - begin) * _progress(step, plan.warmup)
    rate = tf.where(step < plan.warmup, warm, rate)
  if factor is not None:
    factor = _float(factor)
    lowered = tf.maximum(rate * factor, config.plateau_end_learning_rate)
    rate = tf.where(factor < 1, tf.minimum(rate, lowered), rate)
  return tf.cast(rate, tf.float32, name='learning_rate')
