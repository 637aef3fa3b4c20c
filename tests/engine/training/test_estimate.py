"""How long a training takes, on a clock of the test."""

import pytest

from engine.training.estimate import Estimate


@pytest.fixture
def said(capsys):
  """said(total, seconds, ...): the lines after steps of so many seconds."""

  def run(total, seconds, start=0, excluded=0.0):
    estimate = Estimate(total, 'buy another.')
    now = 100.0
    estimate.after(start + 1, now)
    estimate.begin(now)
    for step in range(start + 2, start + 12):
      now += seconds + excluded
      estimate.exclude(excluded)
      estimate.after(step, now)
    return capsys.readouterr().out.splitlines()

  return run


@pytest.mark.parametrize(
  'total, seconds, excluded, lines',
  [
    (1000, 0.5, 0, []),  # eight minutes
    (100, 5, 0, []),
    (None, 50, 0, []),  # without an end
    (1000, 0.25, 50, []),  # the rest was no training
    (
      200,
      9,
      0,
      ['About 29 minutes at this rate: 196 more steps of 9 seconds.'],
    ),
    (
      1000,
      51,
      0,
      [
        'About 14 hours at this rate: 996 more steps of 51 seconds.',
        'note: buy another.',
      ],
    ),
  ],
)
def test_estimate(said, total, seconds, excluded, lines):
  """Once, after three measured steps, and only of a long training."""
  assert said(total, seconds, excluded=excluded) == lines


def test_fast_steps_are_measured_for_longer(said):
  """Three of a second each are no rate yet."""
  assert said(5000, 1)[0].startswith('About 83 minutes at this rate: 4,994 ')


def test_estimate_of_a_resumed_run(said):
  """It is of the steps that are left."""
  assert said(1000, 51, start=900) == [
    'About 82 minutes at this rate: 96 more steps of 51 seconds.'
  ]
