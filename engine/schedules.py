"""The registry of learning rate schedules.

A schedule is a function of the number of finished steps. It is computed in
float64 from whole steps, so that it is exact however long the training.

TensorFlow is imported on use, so that flags can be checked without it.
"""

from typing import NamedTuple

from engine import forms


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


def _steps(text, steps_per_epoch):
  """Returns the steps of each length in a flag's text."""
  return [
    length.steps(steps_per_epoch)
    for length in (forms.lengths(text) if text else [])
  ]


def _plan(config, num_examples):
  """Returns the `Plan`; raises ValueError where there can be none."""
  steps_per_epoch = num_examples / config.batch_size
  warmup, total = 0, config.max_number_of_steps
  if config.warmup:
    warmup = forms.length(config.warmup).steps(steps_per_epoch)
  if config.learning_rate_decay_type == 'cosine':
    if total is None:
      raise ValueError(
        '--learning_rate_decay_type=cosine falls until the end of the '
        'training, which is not known: pass --max_number_of_steps or '
        '--num_epochs.'
      )
    if warmup >= total:
      raise ValueError(
        f'--warmup={config.warmup} is {warmup} steps, and with '
        f'{total} steps of training leaves none for the cosine: shorten it, '
        'or train longer.'
      )
  boundaries = _steps(config.learning_rate_boundaries, steps_per_epoch)
  if boundaries and boundaries[0] < warmup:
    raise ValueError(
      '--learning_rate_boundaries begin at step '
      f'{boundaries[0]}, inside of the warm-up of {warmup} steps: shorten '
      '--warmup.'
    )
  return Plan(
    warmup,
    max(int(steps_per_epoch * config.num_epochs_per_decay), 1),
    boundaries,
    (total or 0) - warmup,
  )


def _factors(config):
  """Returns what the initial rate is multiplied by after each boundary."""
  if config.learning_rate_factors:
    return forms.positives(config.learning_rate_factors)
  count = len(forms.lengths(config.learning_rate_boundaries))
  return [10.0 ** -(i + 1) for i in range(count)]


def _float(number):
  import tensorflow.compat.v1 as tf

  return tf.cast(number, tf.float64)


def _falling(config, share):
  """Returns the rate at a share of the way from the initial to the end rate."""
  begin, end = config.learning_rate, config.end_learning_rate
  return end + (begin - end) * share


def _progress(step, total):
  """Returns how much of `total` steps is done, in [0, 1]."""
  import tensorflow.compat.v1 as tf

  return _float(tf.minimum(step, total)) / total


def fixed(config, plan: Plan, step):
  """The initial learning rate throughout."""
  import tensorflow.compat.v1 as tf

  return tf.constant(config.learning_rate, tf.float64)


def exponential(config, plan: Plan, step):
  """Falls by a factor every so many epochs, in stairs."""
  import tensorflow.compat.v1 as tf

  factor = tf.constant(config.learning_rate_decay_factor, tf.float64)
  return config.learning_rate * factor ** _float(step // plan.decay)


def polynomial(config, plan: Plan, step):
  """Falls on a straight line to the end learning rate, and stays there."""
  return _falling(config, 1 - _progress(step, plan.decay))


def cosine(config, plan: Plan, step):
  """Falls on half a wave to the end rate (arXiv:1608.03983, no restarts)."""
  import tensorflow.compat.v1 as tf

  angle = tf.constant(3.141592653589793, tf.float64)
  return _falling(config, (1 + tf.cos(angle * _progress(step, plan.total))) / 2)


def piecewise(config, plan: Plan, step):
  """Changes at boundaries, which count from the start of the training."""
  import tensorflow.compat.v1 as tf

  passed = tf.reduce_sum(
    tf.cast(
      step + plan.warmup >= tf.constant(plan.boundaries, tf.int64), tf.int32
    )
  )
  rates = [config.learning_rate * f for f in (1.0, *_factors(config))]
  return tf.gather(tf.constant(rates, tf.float64), passed)


# Name -> function(config, plan, steps since the warm-up) -> float64 scalar.
SCHEDULES = {
  'fixed': fixed,
  'exponential': exponential,
  'polynomial': polynomial,
  'cosine': cosine,
  'piecewise': piecewise,
}


def _check_piecewise(config):
  if config.learning_rate_decay_type != 'piecewise':
    for flag in ('learning_rate_boundaries', 'learning_rate_factors'):
      if getattr(config, flag):
        raise ValueError(
          f'--{flag} belongs to --learning_rate_decay_type=piecewise, not '
          f'{config.learning_rate_decay_type}: leave one of both out.'
        )
    return
  if not config.learning_rate_boundaries:
    raise ValueError(
      '--learning_rate_decay_type=piecewise needs '
      '--learning_rate_boundaries, such as 30epochs,60epochs.'
    )
  boundaries = len(forms.lengths(config.learning_rate_boundaries))
  if len(_factors(config)) != boundaries:
    raise ValueError(
      f'--learning_rate_factors={config.learning_rate_factors} must have '
      f'one factor for each of the {boundaries} of '
      f'--learning_rate_boundaries={config.learning_rate_boundaries}.'
    )


# Flag -> (what it is, when it counts): none may be above --learning_rate.
_BELOW = {
  'warmup_learning_rate': ('a warm-up rises', lambda config: config.warmup),
  'end_learning_rate': (
    'the schedule falls',
    lambda config: config.learning_rate_decay_type in ('cosine', 'polynomial'),
  ),
  'plateau_end_learning_rate': (
    'a plateau lowers',
    lambda config: config.plateau_patience,
  ),
}


def check(config) -> None:
  """Raises ValueError where flags of a `TrainConfig` contradict each other.

  Fields that are None are not known yet, and contradict nothing.
  """
  if config.learning_rate_decay_type is not None:
    _check_piecewise(config)
  for flag, (reason, counts) in _BELOW.items():
    value = getattr(config, flag)
    if (
      config.learning_rate is not None
      and counts(config)
      and (value > config.learning_rate)
    ):
      raise ValueError(
        f'--{flag}={value} is above --learning_rate='
        f'{config.learning_rate}, and {reason}: lower it.'
      )


def build(config, num_examples: int, step, factor=None):
  """Returns the learning rate of a `TrainConfig` as a float32 scalar.

  A warm-up goes on a straight line from `warmup_learning_rate` at step 0 to
  what the schedule begins with (arXiv:1706.02677, section 2.2). The schedule
  follows it: its own first step is the one behind the warm-up. Only boundaries
  and the end of a cosine count from the start of the training.

  Args:
    config: the complete configuration.
    num_examples: the size of the dataset.
    step: int64 scalar, the number of finished steps.
    factor: float32 scalar in (0, 1] that reduce-on-plateau has worked out; the
      rate is multiplied by it, not below `plateau_end_learning_rate`.

  Raises:
    ValueError: flags contradict each other, or the lengths that they give.
  """
  import tensorflow.compat.v1 as tf

  check(config)
  plan = _plan(config, num_examples)
  step = tf.cast(tf.convert_to_tensor(step), tf.int64)
  schedule = SCHEDULES[config.learning_rate_decay_type]
  rate = schedule(config, plan, tf.maximum(step - plan.warmup, 0))
  if plan.warmup:
    begin = config.warmup_learning_rate
    rising = begin + (config.learning_rate - begin) * _progress(
      step, plan.warmup
    )
    rate = tf.where(step < plan.warmup, rising, rate)
  if factor is not None:
    factor = _float(factor)
    lowered = tf.maximum(rate * factor, config.plateau_end_learning_rate)
    rate = tf.where(factor < 1, tf.minimum(rate, lowered), rate)
  return tf.cast(rate, tf.float32, name='learning_rate')
