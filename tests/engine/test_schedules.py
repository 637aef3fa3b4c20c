"""Learning rates at some steps, by hand."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine import config, schedules

# 100 examples in batches of 10: 10 steps an epoch.
CONFIG = config.TrainConfig(learning_rate=0.5, batch_size=10,
                            num_epochs_per_decay=2.0, end_learning_rate=0.1,
                            learning_rate_decay_factor=0.2)


def _rates(steps, num_examples=100, **changes):
  step = tf.placeholder(tf.int64, [])
  rate = schedules.build(CONFIG.replace(**changes), num_examples, step)
  assert rate.dtype == tf.float32 and rate.shape == ()
  with tf.Session() as session:
    return [float(session.run(rate, {step: value})) for value in steps]


@pytest.mark.parametrize('kind, rates', [
    ('fixed', {0: .5, 19: .5, 10 ** 9: .5}),
    # In stairs of 20 steps.
    ('exponential', {0: .5, 19: .5, 20: .1, 39: .1, 40: .02, 60: .004}),
    # A line over 20 steps.
    ('polynomial', {0: .5, 5: .4, 10: .3, 19: .12, 20: .1, 21: .1,
                    10 ** 9: .1}),
])
def test_rates(graph, kind, rates):
  np.testing.assert_allclose(
      _rates(rates, learning_rate_decay_type=kind), list(rates.values()),
      rtol=1e-5)


def test_all_are_tested():
  assert sorted(schedules.SCHEDULES) == ['exponential', 'fixed', 'polynomial']


def test_fractions_of_epochs(graph):
  """105 examples in batches of 10, for 1.5 epochs: 15.75 steps, cut to 15."""
  found = _rates([14, 15], 105, learning_rate_decay_type='exponential',
                 num_epochs_per_decay=1.5)
  np.testing.assert_allclose(found, [.5, .1], rtol=1e-5)


def test_batch_beyond_the_data(graph):
  """At least a step between two decays, instead of a division by zero."""
  for kind, rates in (('exponential', [.5, .1, .02]),
                      ('polynomial', [.5, .1, .1])):
    found = _rates([0, 1, 2], 3, learning_rate_decay_type=kind)
    np.testing.assert_allclose(found, rates, rtol=1e-5)


def test_digits_end_with_their_steps(graph):
  """The suggestions for the digits decay over the 200 suggested steps."""
  from datasets import dataset_factory
  suggestions = dict(dataset_factory.DATASETS['digits'].suggestions)
  total = suggestions['max_number_of_steps']
  rates = _rates([0, total - 2, total], 1437, end_learning_rate=1e-4,
                 **suggestions)
  assert rates[0] == pytest.approx(suggestions['learning_rate'])
  assert rates[1] > 2 * rates[2] and rates[2] == pytest.approx(1e-4)
