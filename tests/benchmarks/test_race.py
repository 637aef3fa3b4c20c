"""Competitors in turn: who is left out, what must agree, the table."""

import argparse

import numpy as np
import pytest

from benchmarks import race, turns
from benchmarks.race import Answer, Measured

GIVEN = argparse.Namespace(seconds=0, budget=0, turns=3)


class Competitor:
  """Answers with given seconds, one after the other."""

  def __init__(self, *seconds, values=(1.0, 2.0)):
    self._seconds, self._values = iter(seconds), np.array(values)
    self.asked, self.is_closed = [], False

  def ask(self, *arguments):
    self.asked.append(arguments)
    seconds = next(self._seconds)
    if isinstance(seconds, Exception):
      raise seconds
    return Answer(seconds, 10 * seconds, self._values)

  def close(self):
    self.is_closed = True


def test_turns_after_one_that_warms_up():
  given = argparse.Namespace(seconds=0.5, budget=0, turns=3)
  one, other = Competitor(9, 1, 2, 3), Competitor(9, 4, 5, 6)
  found = race.measure({'one': one, 'other': other}, given, 16)
  assert found == {
    'one': Measured([1, 2, 3], 30),
    'other': Measured([4, 5, 6], 60),
  }
  assert one.asked == [(16, 0), (16, 0.5), (16, 0.5), (16, 0.5)]


def test_who_fails_at_first_is_left_out(capsys):
  failing = Competitor(turns.Failed('it has no AMX'))
  competitors = {'one': Competitor(9, 1, 1, 1), 'other': failing}
  assert list(race.measure(competitors, GIVEN)) == ['one']
  assert failing.is_closed
  assert capsys.readouterr().out == 'Left out: other, since it has no AMX.\n'


def test_who_fails_later_ends_it():
  with pytest.raises(SystemExit, match='one stopped: no memory'):
    race.measure({'one': Competitor(9, turns.Failed('no memory'))}, GIVEN)


def test_all_must_agree():
  agreement = race.Agreement(1e-3, but=['Keras'])
  competitors = {
    'one': Competitor(*[1] * 4),
    'close': Competitor(*[1] * 4, values=(1.001, 2)),
    'Keras': Competitor(*[1] * 4, values=(7, 7)),
  }
  assert len(race.measure(competitors, GIVEN, check=agreement)) == 3
  for values in ((1.003, 2), (np.nan, 2)):
    with pytest.raises(SystemExit, match='far computes something else'):
      race.measure(
        {'far': Competitor(1, values=values)}, GIVEN, check=agreement
      )


def test_an_answer():
  found = race.answer(lambda: np.arange(5000.0).reshape(50, 100), 0)
  assert found.seconds > 0 and found.peak > 1
  np.testing.assert_array_equal(found.sample, np.arange(0, 5000, 5))


def test_the_table():
  measured = {
    'ours': Measured([1, 2, 4], 1500),
    'theirs': Measured([2, 3, 12], 400),
  }
  head, *lines = race.table(
    measured, 16, {'theirs': 'theirs', 'absent': 'absent'}
  )
  assert head.split() == ['ms', 'images/s', 'x', 'theirs', 'peak', 'MB']
  assert [line.split() for line in lines] == [
    ['ours', '2,000', '8.00', '2.00', '1,500'],
    ['theirs', '3,000', '5.33', '1.00', '400'],
  ]
  assert race.title('A step', measured).endswith('medians of 3 turns')


def test_what_is_not_installed(capsys):
  names = ['ours', 'theirs']
  needs = {'theirs': ['no_such_module', 'numpy']}
  assert race.able(names, needs) == ['ours']
  assert capsys.readouterr().out == (
    'Left out: theirs, since no_such_module is not installed.\n'
  )
