"""The experiment that compares shortcuts."""

import csv

import pytest

from experiments import comparing, shortcuts
from tests import builders
from tests.experiments import short


def call(**flags):
  return short.call(shortcuts, **{'model_name': 'cifar_residual_8', **flags})


@pytest.mark.slow
def test_each_option_is_trained(workplace):
  """B has a projection of 16 x 32 and one of 32 x 64, and their batch norm."""
  printed = call(shortcut='A,B', evaluate_every=2)
  assert printed.status == 0, printed.err
  rows = [line.split() for line in printed.out.splitlines()]
  count = {row[0]: row[1] for row in rows if row[0] in 'AB'}
  assert count == {'A': '75,290', 'B': f'{75290 + 512 + 2048 + 192:,}'}
  with open(workplace / 'out/curves.csv', newline='') as file:
    found = list(csv.DictReader(file))
  assert [(row['shortcut'], row['step']) for row in found] == [
    ('A', '2'),
    ('B', '2'),
  ]
  assert found[0]['test_loss'] != found[1]['test_loss']
  assert 'From the least test error to the greatest: ' in printed.out


@pytest.mark.parametrize(
  'flags, words',
  [
    ({'shortcut': 'A,E'}, ['E', 'A, B, C, D']),
    ({'shortcut': 'A,'}, ['--shortcut=A,']),
    ({'model_name': 'cifar_plain_8'}, ['--shortcut', 'cifar_plain_8']),
  ],
)
def test_mistakes(workplace, flags, words):
  builders.refused(call(**flags), *words)
  assert not (workplace / 'out').exists()


def claim(**errors):
  return shortcuts.ShortcutsConfig().claims(
    {
      option: comparing.Result(1, {'train_error': [0], 'test_error': error})
      for option, error in errors.items()
    }
  )


def test_claims():
  assert claim(A=[0.1]) == []
  (line,) = claim(A=[0.2, 0.3], B=[0.11, 0.11], C=[0.1, 0.1])
  assert 'greatest: C, B, A; 15.00 points' in line
  assert 'and the seeds of the two are apart' in line
  (line,) = claim(A=[0.1, 0.3], B=[0.1, 0.25])
  assert 'greatest: B, A; 2.50 points' in line
  assert 'and the seeds of the two overlap' in line
