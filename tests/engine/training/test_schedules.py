"""Learning rates at some steps, by hand and by NumPy."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config import scripts
from engine.config.schedules import SCHEDULES, check
from engine.training import schedules

ROOT = pathlib.Path(__file__).parents[3]

# 100 examples in batches of 10: 10 steps an epoch.
CONFIG = scripts.TrainConfig(
  learning_rate=0.5,
  batch_size=10,
  num_epochs_per_decay=2.0,
  end_learning_rate=0.1,
  learning_rate_decay_factor=0.2,
)


def _rates(steps, num_examples=100, factor=None, **changes):
  step = tf.placeholder(tf.int64, [])
  if factor is not None:
    factor = tf.constant(factor, tf.float32)
  rate = schedules.build(CONFIG.replace(**changes), num_examples, step, factor)
  assert rate.dtype == tf.float32 and rate.shape == ()
  with tf.Session() as session:
    return [float(session.run(rate, {step: value})) for value in steps]


@pytest.mark.parametrize(
  'kind, rates',
  [
    ('fixed', {0: 0.5, 19: 0.5, 10**9: 0.5}),
    # In stairs of 20 steps.
    ('exponential', {0: 0.5, 19: 0.5, 20: 0.1, 39: 0.1, 40: 0.02, 60: 0.004}),
    # A line over 20 steps.
    (
      'polynomial',
      {0: 0.5, 5: 0.4, 10: 0.3, 19: 0.12, 20: 0.1, 21: 0.1, 10**9: 0.1},
    ),
  ],
)
def test_rates(graph, kind, rates):
  np.testing.assert_allclose(
    _rates(rates, learning_rate_decay_type=kind),
    list(rates.values()),
    rtol=1e-5,
  )


@pytest.mark.parametrize('warmup', [0, 4])
@pytest.mark.parametrize('power, end', [(0.9, 0.0), (2.0, 0.1), (1.0, 0.1)])
def test_power(graph, power, end, warmup):
  """DeepLab's poly, in steps, whatever an epoch is; it begins behind a warm-up.

  By its formula: end + (begin - end) * (1 - step / steps) ** power.
  """
  flags = {'warmup': f'{warmup}', 'warmup_type': 'constant'} if warmup else {}
  found = _rates(
    range(20),
    learning_rate_decay_type='polynomial',
    learning_power=power,
    num_steps_per_decay=16 - warmup,
    end_learning_rate=end,
    warmup_learning_rate=0.7,  # above the rate, as DeepLab's may be
    **flags,
  )
  left = 1 - np.minimum(np.arange(20 - warmup) / (16 - warmup), 1)
  np.testing.assert_allclose(
    found, [0.7] * warmup + [*(end + (0.5 - end) * left**power)], rtol=1e-6
  )


def test_decay_steps_of_stairs(graph):
  found = _rates(
    [0, 6, 7, 14], learning_rate_decay_type='exponential', num_steps_per_decay=7
  )
  np.testing.assert_allclose(found, [0.5, 0.5, 0.1, 0.02], rtol=1e-6)


@pytest.mark.parametrize(
  'flags, missing',
  [
    ({'warmup_learning_rate': 0.1}, 'needs --warmup:'),
    ({'warmup': '4'}, 'needs --warmup_learning_rate:'),
  ],
)
def test_a_constant_warmup_needs_steps_and_a_rate(flags, missing):
  with pytest.raises(ValueError, match=missing):
    CONFIG.replace(warmup_type='constant', **flags)


@pytest.mark.parametrize(
  'end, rates',
  [
    (
      0.1,
      {
        0: 0.5,
        25: 0.1 + 0.2 * (1 + 0.5**0.5),
        50: 0.3,
        100: 0.1,
        101: 0.1,
        10**15: 0.1,
      },
    ),
    (0.0, {0: 0.5, 50: 0.25, 99: 0.25 * (1 + np.cos(0.99 * np.pi)), 100: 0}),
  ],
)
def test_cosine(graph, end, rates):
  """Half a wave over 100 steps."""
  np.testing.assert_allclose(
    _rates(
      rates,
      learning_rate_decay_type='cosine',
      max_number_of_steps=100,
      end_learning_rate=end,
    ),
    list(rates.values()),
    rtol=1e-6,
    atol=1e-9,
  )


@pytest.mark.parametrize(
  'flags, rates',
  [
    (
      {'learning_rate_boundaries': '10,20,40'},
      {
        0: 0.5,
        9: 0.5,
        10: 0.05,
        19: 0.05,
        20: 0.005,
        39: 0.005,
        40: 0.0005,
        10**15: 0.0005,
      },
    ),
    # 10 steps an epoch.
    (
      {'learning_rate_boundaries': '1.5epochs,3epochs'},
      {0: 0.5, 14: 0.5, 15: 0.05, 29: 0.05, 30: 0.005},
    ),
    (
      {'learning_rate_boundaries': '2, 4', 'learning_rate_factors': '0.5, 2'},
      {0: 0.5, 1: 0.5, 2: 0.25, 3: 0.25, 4: 1.0, 5: 1.0},
    ),
    # They count from the start, whatever the warm-up.
    (
      {'learning_rate_boundaries': '10,20', 'warmup': '5'},
      {0: 0, 1: 0.1, 4: 0.4, 5: 0.5, 9: 0.5, 10: 0.05, 19: 0.05, 20: 0.005},
    ),
    (
      {'learning_rate_boundaries': '5', 'warmup': '5'},
      {4: 0.4, 5: 0.05, 6: 0.05},
    ),
  ],
)
def test_piecewise(graph, flags, rates):
  np.testing.assert_allclose(
    _rates(rates, learning_rate_decay_type='piecewise', **flags),
    list(rates.values()),
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  'kind, flags',
  [
    ('fixed', {}),
    ('exponential', {}),
    ('polynomial', {}),
    ('cosine', {'max_number_of_steps': 98}),
  ],
)
@pytest.mark.parametrize('begin', [0.0, 0.05])
def test_warmup(graph, kind, flags, begin):
  """A line over 8 steps; then what there is without, 8 steps later."""
  flags = {'learning_rate_decay_type': kind, **flags}
  steps = list(range(90))
  plain = _rates(steps, **flags)
  if kind == 'cosine':  # it still ends with the training
    flags['max_number_of_steps'] += 8
  found = _rates(range(98), warmup='8', warmup_learning_rate=begin, **flags)
  np.testing.assert_allclose(
    found[:8], begin + (0.5 - begin) * np.arange(8) / 8, rtol=1e-6
  )
  assert found[8:] == plain
  assert found[0] == pytest.approx(begin) and found[8] == 0.5


def test_warmup_of_epochs(graph):
  """105 examples in batches of 10, for 0.5 epochs: 5.25 steps, or 5."""
  found = _rates(
    range(7), 105, learning_rate_decay_type='fixed', warmup='0.5epochs'
  )
  np.testing.assert_allclose(
    found, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5], rtol=1e-6
  )


def test_training_within_the_warmup(graph):
  """A trial of a few steps needs no other flags."""
  found = _rates(
    [0, 1], learning_rate_decay_type='fixed', warmup='10', max_number_of_steps=2
  )
  np.testing.assert_allclose(found, [0, 0.05], rtol=1e-6)


def test_no_warmup(graph):
  assert _rates([0], learning_rate_decay_type='fixed', warmup='0') == [0.5]


DECAYS = {  # NumPy's, of float64 and Python's whole numbers
  'fixed': lambda t: 0.5,
  'exponential': lambda t: 0.5 * 0.999 ** (t // 7),
  'polynomial': lambda t: 0.1 + 0.4 * (1 - min(t, 7) / 7),
  'cosine': lambda t: 0.1 + 0.2 * (1 + np.cos(np.pi * min(t, 2**40) / 2**40)),
  'piecewise': lambda t: (
    0.5 * 10.0 ** -sum(t >= b for b in (2**24, 2**24 + 1, 2**33 + 1))
  ),
}


@pytest.mark.parametrize('kind', DECAYS)
def test_many_steps(graph, kind):
  """Where float32 has no whole numbers any more, beyond 2 ** 24, too."""
  random = np.random.RandomState(0)
  steps = [
    *range(30),
    *range(2**24 - 4, 2**24 + 4),
    *range(2**33 - 1, 2**33 + 3),
    2**40 - 1,
    2**40,
    2**60,
    *(int(2**x) for x in random.uniform(0, 50, 40)),
  ]
  boundaries = f'{2**24},{2**24 + 1},{2**33 + 1}'
  found = _rates(
    steps,
    70,
    learning_rate_decay_type=kind,
    num_epochs_per_decay=1.0,
    learning_rate_decay_factor=0.999,
    max_number_of_steps=2**40,
    learning_rate_boundaries=boundaries if kind == 'piecewise' else None,
  )
  expected = np.array([DECAYS[kind](step) for step in steps], np.float32)
  np.testing.assert_array_max_ulp(np.float32(found), expected, 1)


def test_all_are_tested():
  assert list(DECAYS) == list(SCHEDULES)


@pytest.mark.parametrize(
  'factor, end, expected',
  [
    (1.0, 1e-3, [0, 0.1, 0.5, 0.5]),
    (0.5, 1e-3, [0, 0.05, 0.25, 0.25]),
    # Not below the end; but a warm-up that is there is not raised to it.
    (0.5, 0.3, [0, 0.1, 0.3, 0.3]),
    (0.01, 0.3, [0, 0.1, 0.3, 0.3]),
  ],
)
def test_plateau(graph, factor, end, expected):
  found = _rates(
    [0, 1, 5, 1000],
    factor=factor,
    warmup='5',
    learning_rate_decay_type='fixed',
    plateau_end_learning_rate=end,
  )
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_plateau_never_raises(graph):
  """A schedule that is below the plateau's end already stays there."""
  flags = {
    'learning_rate_decay_type': 'exponential',
    'plateau_end_learning_rate': 0.05,
  }
  plain = _rates(range(0, 200, 10), **flags)
  assert _rates(range(0, 200, 10), factor=1.0, **flags) == plain
  lowered = _rates(range(0, 200, 10), factor=0.3, **flags)
  expected = [min(p, max(0.3 * p, 0.05)) for p in plain]
  np.testing.assert_allclose(lowered, expected, rtol=1e-6)
  assert plain[-1] < 0.05 and lowered[-1] == plain[-1]


def test_fractions_of_epochs(graph):
  """105 examples in batches of 10, for 1.5 epochs: 15.75 steps, cut to 15."""
  found = _rates(
    [14, 15],
    105,
    learning_rate_decay_type='exponential',
    num_epochs_per_decay=1.5,
  )
  np.testing.assert_allclose(found, [0.5, 0.1], rtol=1e-5)


def test_batch_beyond_the_data(graph):
  """At least a step between two decays, instead of a division by zero."""
  for kind, rates in (
    ('exponential', [0.5, 0.1, 0.02]),
    ('polynomial', [0.5, 0.1, 0.1]),
  ):
    found = _rates([0, 1, 2], 3, learning_rate_decay_type=kind)
    np.testing.assert_allclose(found, rates, rtol=1e-5)


def test_digits_end_with_their_steps(graph):
  """The suggestions for the digits decay over the 200 suggested steps."""
  from datasets import dataset_factory

  suggestions = dict(dataset_factory.DATASETS['digits'].suggestions)
  total = suggestions['max_number_of_steps']
  rates = _rates(
    [0, total - 2, total], 1437, end_learning_rate=1e-4, **suggestions
  )
  assert rates[0] == pytest.approx(suggestions['learning_rate'])
  assert rates[1] > 2 * rates[2] and rates[2] == pytest.approx(1e-4)


PIECEWISE = {'learning_rate_decay_type': 'piecewise'}


@pytest.mark.parametrize(
  'flags, text',
  [
    (
      PIECEWISE,
      '--learning_rate_decay_type=piecewise needs '
      '--learning_rate_boundaries, such as 30epochs,60epochs.',
    ),
    (
      {
        **PIECEWISE,
        'learning_rate_boundaries': '3,5',
        'learning_rate_factors': '0.1',
      },
      '--learning_rate_factors=0.1 must have one factor for each of the 2 of '
      '--learning_rate_boundaries=3,5.',
    ),
    (
      {'learning_rate_decay_type': 'fixed', 'learning_rate_boundaries': '3'},
      '--learning_rate_boundaries belongs to '
      '--learning_rate_decay_type=piecewise, not fixed: leave one of both '
      'out.',
    ),
    (
      {'learning_rate_decay_type': 'cosine', 'learning_rate_factors': '3'},
      '--learning_rate_factors belongs to '
      '--learning_rate_decay_type=piecewise, not cosine: leave one of both '
      'out.',
    ),
    (
      {'learning_rate': 0.1, 'warmup': '5', 'warmup_learning_rate': 0.2},
      '--warmup_learning_rate=0.2 is above --learning_rate=0.1, and a warm-up '
      'rises: lower it.',
    ),
    (
      {'learning_rate': 1e-5, 'learning_rate_decay_type': 'cosine'},
      '--end_learning_rate=0.0001 is above --learning_rate=1e-05, and the '
      'schedule falls: lower it.',
    ),
    (
      {'learning_rate': 1e-7, 'plateau_patience': 3, 'evaluate_every': '1'},
      '--plateau_end_learning_rate=5e-07 is above --learning_rate=1e-07, and a '
      'plateau lowers: lower it.',
    ),
  ],
)
def test_contradictions(flags, text):
  with pytest.raises(ValueError) as error:
    check(scripts.TrainConfig().replace(**flags))
  assert str(error.value) == text


@pytest.mark.parametrize(
  'flags',
  [
    {},
    {'learning_rate_boundaries': '3'},
    {'learning_rate': 1e-7},
    {'learning_rate_decay_type': 'cosine'},
    {'warmup': '5', 'warmup_learning_rate': 5.0},
    {**PIECEWISE, 'learning_rate_boundaries': '3'},
  ],
)
def test_what_is_not_known_contradicts_nothing(flags):
  check(scripts.TrainConfig().replace(**flags))


@pytest.mark.parametrize(
  'flags, text',
  [
    (
      {'learning_rate_decay_type': 'cosine'},
      '--learning_rate_decay_type=cosine falls until the end of the training, '
      'which is not known: pass --max_number_of_steps or --num_epochs.',
    ),
    (
      {
        'learning_rate_decay_type': 'cosine',
        'warmup': '2epochs',
        'max_number_of_steps': 20,
      },
      '--warmup=2epochs is 20 steps, and with 20 steps of training leaves none '
      'for the cosine: shorten it, or train longer.',
    ),
    (
      {**PIECEWISE, 'learning_rate_boundaries': '19,30', 'warmup': '2epochs'},
      '--learning_rate_boundaries begin at step 19, inside of the warm-up of '
      '20 steps: shorten --warmup.',
    ),
    (PIECEWISE, '--learning_rate_decay_type=piecewise needs '),
  ],
)
def test_contradictions_of_lengths(graph, flags, text):
  with pytest.raises(ValueError) as error:
    _rates([0], **flags)
  assert str(error.value).startswith(text)


def test_checks_need_no_tensorflow():
  code = (
    'import sys; from engine.config import optimizers, schedules, scripts; '
    'c = scripts.TrainConfig(optimizer="lars", warmup="5"); '
    'optimizers.check(c); schedules.check(c); '
    'sys.exit("tensorflow" in sys.modules)'
  )
  found = subprocess.run([sys.executable, '-c', code], check=False, cwd=ROOT)
  assert found.returncode == 0
