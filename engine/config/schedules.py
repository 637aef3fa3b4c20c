"""The registry of learning rate schedules, and which flags belong together.

Nothing here imports TensorFlow; engine/training/schedules.py has the functions.
"""

from typing import Any, NamedTuple


class ScheduleEntry(NamedTuple):
  """What is known of a schedule.

  Fields:
    implementation: where its function is, 'module:function'.
    falls_to_end: whether it falls to --end_learning_rate.
    ends_with_training: whether it depends on the number of steps to train.
    has_boundaries: whether it needs --learning_rate_boundaries.
  """

  implementation: str
  falls_to_end: bool = False
  ends_with_training: bool = False
  has_boundaries: bool = False


_OURS = 'engine.training.schedules:'

SCHEDULES = {
  'fixed': ScheduleEntry(_OURS + 'fixed'),
  'exponential': ScheduleEntry(_OURS + 'exponential'),
  'polynomial': ScheduleEntry(_OURS + 'polynomial', falls_to_end=True),
  'cosine': ScheduleEntry(
    _OURS + 'cosine', falls_to_end=True, ends_with_training=True
  ),
  'piecewise': ScheduleEntry(_OURS + 'piecewise', has_boundaries=True),
}

WARMUPS = ('linear', 'constant')


def falls_to_end(name: str | None) -> bool:
  """Whether a schedule, None if it is not known, falls to the end rate."""
  return name is not None and SCHEDULES[name].falls_to_end


def ends_with_training(name: str | None) -> bool:
  """Whether a schedule, None if not known, depends on the steps to train."""
  return name is not None and SCHEDULES[name].ends_with_training


def factors(config: Any) -> tuple[float, ...]:
  """Returns what the initial rate is multiplied by after each boundary."""
  if config.learning_rate_factors:
    return config.learning_rate_factors
  count = len(config.learning_rate_boundaries)
  return tuple(10.0 ** -(i + 1) for i in range(count))


def _check_boundaries(config):
  if not SCHEDULES[config.learning_rate_decay_type].has_boundaries:
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
  boundaries = len(config.learning_rate_boundaries)
  if len(factors(config)) != boundaries:
    raise ValueError(
      f'--learning_rate_factors={config.text("learning_rate_factors")} must '
      f'have one factor for each of the {boundaries} of '
      '--learning_rate_boundaries='
      f'{config.text("learning_rate_boundaries")}.'
    )


# Flag -> (what it is, when it counts): none may be above --learning_rate.
_BELOW = {
  'warmup_learning_rate': (
    'a warm-up rises',
    lambda config: config.warmup and config.warmup_type == 'linear',
  ),
  'end_learning_rate': (
    'the schedule falls',
    lambda config: falls_to_end(config.learning_rate_decay_type),
  ),
  'plateau_end_learning_rate': (
    'a plateau lowers',
    lambda config: config.plateau_patience,
  ),
}


def _check_warmup(config):
  if config.warmup_type != 'constant':
    return
  for flag in ('warmup', 'warmup_learning_rate'):
    if not getattr(config, flag):
      raise ValueError(
        f'--warmup_type=constant needs --{flag}: steps at one rate above 0 '
        'before the schedule.'
      )


def check(config: Any) -> None:
  """Raises ValueError where flags of a `TrainConfig` contradict each other.

  Fields that are None are not known yet, and contradict nothing.
  """
  if config.learning_rate_decay_type is not None:
    _check_boundaries(config)
  _check_warmup(config)
  for flag, (reason, counts) in _BELOW.items():
    value = getattr(config, flag)
    if (
      config.learning_rate is not None
      and counts(config)
      and value > config.learning_rate
    ):
      raise ValueError(
        f'--{flag}={value} is above --learning_rate='
        f'{config.learning_rate}, and {reason}: lower it.'
      )
