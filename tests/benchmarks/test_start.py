"""The parts of a start, and their table."""

import types

import pytest

from benchmarks import start


def test_the_clock(monkeypatch):
  """Parts follow one another, and add up where they come again."""
  times = iter([11.0, 12.5, 16.0])
  monkeypatch.setattr(
    start, 'time', types.SimpleNamespace(monotonic=lambda: next(times))
  )
  clock = start.Clock(begun=10.0)
  for part in ('imports', 'first step', 'imports'):
    clock.end(part)
  assert clock.parts == {'imports': 4.5, 'first step': 1.5}


def test_the_table():
  """Medians of each part; what one does not have is 0."""
  lines = start.table(
    {
      'a': [{'imports': n, 'first step': 10 - n} for n in (1.0, 2.0, 9.0)],
      'b': [{'imports': 4.0}],
    }
  )
  cells = {line[:24].strip(): line[24:].split() for line in lines}
  assert cells['imports'] == ['2.0', '4.0']
  assert cells['first step'] == ['8.0', '0.0']
  assert cells['in all'] == ['10.0', '4.0']


@pytest.mark.slow
@pytest.mark.parametrize('kind', start.KINDS)
def test_starts(kind):
  found = start.measure(kind)
  assert set(found) <= set(start.PARTS) and found['first step'] > 0
