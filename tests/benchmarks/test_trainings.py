"""Trainings that are compared: their times, turns and means."""

import types

import pytest

from benchmarks import trainings


def test_the_clock(monkeypatch):
  """Two ticks of five steps each are timed: those after the first two."""
  times = iter([10.0, 11.0, 20.0, 20.5, 21.0, 30.0])
  monkeypatch.setattr(
    trainings, 'time', types.SimpleNamespace(perf_counter=lambda: next(times))
  )
  clock = trainings.Clock()
  for _ in range(4):
    clock.tick()
  assert clock.metrics(first=2, steps_each=5) == {
    'seconds': 20.0,
    'milliseconds': pytest.approx(100),
  }


def test_turns_and_means(capsys):
  trainings.compare(
    ['a', 'b'],
    [0, 1],
    lambda kind, seed: {'metric': 10 * seed + (kind == 'b')},
    lambda kind, seed, metrics: f'{kind} {seed} {metrics["metric"]:g}',
  )
  assert capsys.readouterr().out.splitlines() == [
    'a 0 0',
    'b 0 1',
    'b 1 11',
    'a 1 10',
    'a mean 5',
    'b mean 6',
  ]


@pytest.mark.slow
def test_a_training_that_fails():
  with pytest.raises(SystemExit, match=r'(?s)U-Net failed:\n.*--steps must be'):
    trainings.run('benchmarks.segmentation', 'Keras U-Net', steps=1)
