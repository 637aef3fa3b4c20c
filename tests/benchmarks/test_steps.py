"""Steps of the competitors that are installed."""

import pytest

from benchmarks import steps

CASE = steps.Case('resnet_v1_50', 64, 4)


@pytest.mark.slow
@pytest.mark.parametrize('name', [steps.OURS, steps.SLIM, steps.KERAS])
def test_a_step_learns(name):
  """The same images again and again: their loss falls."""
  run = steps.RIVALS[name](CASE)
  losses = [float(run()) for _ in range(6)]
  assert losses[-1] < losses[0] < 20
