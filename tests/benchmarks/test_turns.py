"""Competitors in processes of their own, and how turns are counted."""

import operator
import os

import pytest

from benchmarks import turns


def adder(first):
  if first < 0:
    raise ValueError('a negative\nfirst')
  return lambda second: (first + second, os.getpid())


def leave():
  os._exit(3)


def test_a_competitor_has_a_process_of_its_own():
  competitor = turns.Competitor(adder, 1)
  try:
    (three, process), again = competitor.ask(2), competitor.ask(3)
  finally:
    competitor.close()
  assert (three, again) == (3, (4, process))
  assert process != os.getpid()


def test_failures_are_told():
  with pytest.raises(turns.Failed, match=r'^ValueError: a negative$'):
    turns.alone(adder, -1)
  with pytest.raises(turns.Failed, match=r'ended with status 3$'):
    turns.alone(leave)
  assert turns.alone(operator.add, 1, 2) == 3


@pytest.mark.parametrize(
  'times,found', [([4, 1, 0.5, 0.5], 0.5), ([20], 20), ([4, 2], 2)]
)
def test_a_short_run_is_repeated(times, found, monkeypatch):
  """And then the first one only warms up."""
  now, left = 0.0, list(times)

  def run():
    nonlocal now
    now += left.pop(0)

  monkeypatch.setattr(turns.time, 'perf_counter', lambda: now)
  assert turns.seconds_of(run, 2) == found
  assert left == []


def test_turns():
  """In turn who goes first; as many as there are seconds for, or at least."""
  order = []

  def competitor(name):
    return lambda: order.append(name) or len(order)

  found = turns.take({'a': competitor('a'), 'b': competitor('b')}, 0, 3)
  assert order == list('abbaab')
  assert found == {'a': [1, 4, 5], 'b': [2, 3, 6]}


def test_ratios_are_taken_within_a_turn():
  assert turns.times_as_fast([1, 10, 2], [2, 20, 1]) == 2


def test_peak_is_of_this_process():
  before = turns.peak()
  bytearray(64 << 20).count(1)
  assert 30 < before < turns.peak() + 1
