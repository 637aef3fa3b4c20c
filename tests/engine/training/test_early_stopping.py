"""The best, the end and the plateau, as functions of the evaluations."""

import math
import random

import pytest

from engine.checkpoints.ranking import ranked
from engine.config import tasks
from engine.config.scripts import TrainConfig
from engine.replicas import workers
from engine.training import early_stopping

NAN = math.nan


def rows_of(*values, metric='accuracy', every=10):
  """Evaluations at steps 10, 20, ... with these metrics."""
  return [
    {'step': every * (i + 1), metric: value} for i, value in enumerate(values)
  ]


@pytest.mark.parametrize(
  'metric, values, steps',
  [
    ('accuracy', (0.1, 0.3, 0.2), (20, 30, 10)),
    ('loss', (0.1, 0.3, 0.2), (10, 30, 20)),
    ('expected_calibration_error', (0.3, 0.1), (20, 10)),
    ('mean_recall', (0.3, 0.1), (10, 20)),
    # Of equal ones the earliest.
    ('accuracy', (0.3, 0.5, 0.5, 0.3), (20, 30, 10, 40)),
    ('loss', (0.3, 0.5, 0.5, 0.3), (10, 40, 20, 30)),
    # No number is worse than any.
    ('accuracy', (NAN, 0.0, NAN, 0.1), (40, 20, 10, 30)),
    ('loss', (NAN, 1e9, NAN, 0.1), (40, 20, 10, 30)),
    ('loss', (math.inf, 1.0), (20, 10)),
    ('loss', (NAN, NAN), (10, 20)),
    ('loss', (), ()),
  ],
)
def test_ranked(metric, values, steps):
  rows = rows_of(*values, metric=metric)
  for order in (rows, rows[::-1]):
    assert tuple(row['step'] for row in ranked(order, metric)) == steps


def test_what_an_older_version_did_not_measure_is_the_worst():
  old, new = {'step': 10.0, 'miou': 0.9}, {'step': 20.0, 'boundary_f1': 0.1}
  assert ranked([old, new], 'boundary_f1') == [new, old]


def test_every_metric_is_ranked():
  """The higher ones are better unless they are losses or errors."""
  assert {name for name, higher in tasks.metrics().items() if not higher} == {
    'loss',
    'expected_calibration_error',
  }


@pytest.mark.parametrize(
  'values, over',
  [
    ((), False),
    ((0.1,), False),
    ((0.1, 0.2, 0.3), False),
    ((0.3, 0.2), False),
    ((0.3, 0.2, 0.1), True),
    ((0.3, 0.3, 0.3), True),
    ((0.3, 0.2, 0.4), False),
    ((0.3, 0.2, 0.4, 0.1), False),
    ((0.3, 0.2, 0.4, 0.1, 0.4), True),
    ((0.1, NAN, NAN), True),
    ((NAN, NAN), False),
    ((NAN, NAN, NAN), True),
    ((NAN, NAN, 0.1), False),
  ],
)
def test_is_over_after_two_without_a_better_one(values, over):
  rows = rows_of(*values)
  assert early_stopping.is_over(rows, 'accuracy', 2) is over
  assert early_stopping.is_over(rows, 'accuracy', None) is False
  assert early_stopping.is_over(rows, 'accuracy', 9) is False


class KerasPlateau:
  """ReduceLROnPlateau of Keras with cooldown 0 and min_delta 0, restated."""

  def __init__(self, patience, factor, higher):
    self.patience, self.factor, self.higher = patience, factor, higher
    self.best = -math.inf if higher else math.inf
    self.wait, self.rate = 0, 1.0

  def on_epoch_end(self, current):
    if current > self.best if self.higher else current < self.best:
      self.best = current
      self.wait = 0
    else:
      self.wait += 1
      if self.wait >= self.patience:
        self.rate *= self.factor
        self.wait = 0
    return self.rate


@pytest.mark.parametrize('metric', ['loss', 'accuracy'])
@pytest.mark.parametrize('patience', [1, 2, 3])
def test_plateau_is_that_of_keras(metric, patience):
  draw, lowered = random.Random(patience), set()
  for _ in range(50):
    values = [draw.choice([0.1, 0.2, 0.3, 0.4, NAN]) for _ in range(12)]
    keras = KerasPlateau(patience, 0.3, tasks.metrics()[metric])
    for count, value in enumerate(values, 1):
      want = keras.on_epoch_end(value)
      lowered.add(want)
      assert (
        early_stopping.plateau_factor(
          rows_of(*values[:count], metric=metric), metric, patience, 0.3
        )
        == want
      )
  assert len(lowered) > 2


@pytest.mark.parametrize(
  'values, factor',
  [
    ((1.0,), 1),
    ((1.0, 1.0), 1),
    ((1.0, 1.0, 1.0), 0.5),
    ((1.0, 1.0, 0.9), 1),
    ((1.0, 2.0, 3.0, 2.0), 0.5),
    ((1.0, 2.0, 3.0, 2.0, 3.0), 0.25),
    # A rate that has been lowered stays low.
    ((1.0, 2.0, 3.0, 0.5, 0.4), 0.5),
  ],
)
def test_plateau_factor(values, factor):
  rows = rows_of(*values, metric='loss')
  assert early_stopping.plateau_factor(rows, 'loss', 2, 0.5) == factor
  assert early_stopping.plateau_factor(rows, 'loss', None, 0.5) == 1


@pytest.fixture
def evaluations(tmp_path):
  """evaluations(step, every, **flags): those in a run's folder."""

  def read(step=10**9, every=1, **flags):
    return early_stopping.Evaluations(
      TrainConfig(
        **{
          'train_dir': str(tmp_path),
          'evaluate_every': '1',
          'best_metric': 'accuracy',
          **flags,
        }
      ),
      step,
      every,
    )

  return read


def test_every_digit_survives(evaluations, tmp_path):
  written = evaluations()
  assert written.rows == [] and written.best is None and not written.over
  rows = [
    {'step': 2**40, 'accuracy': 0.1 + 0.2, 'loss': 1 / 3},
    {'step': 2**40 + 1, 'accuracy': 5e-324, 'loss': math.inf},
  ]
  for row in rows:
    written.add(row)
  assert written.rows == rows == evaluations(2**41).rows
  assert (tmp_path / 'evaluations.csv').read_text().splitlines() == [
    'step,accuracy,loss',
    '1099511627776,0.30000000000000004,0.3333333333333333',
    '1099511627777,5e-324,inf',
  ]
  assert [path.name for path in tmp_path.iterdir()] == ['evaluations.csv']


def test_rows_that_would_not_have_been_made(evaluations):
  """The end of a run that is now resumed, off the grid of evaluations.

  They stay, and may be the best; no patience ends by them.
  """
  written = evaluations()
  for step in 2, 3, 4, 7:
    written.add({'step': step, 'accuracy': 0.5 if step == 3 else 0.1})
  found = evaluations(every=2, early_stopping_patience=2)
  assert [row['step'] for row in found.rows] == [2, 3, 4, 7]
  assert [row['step'] for row in found.counted] == [2, 4]
  assert found.best['step'] == 3 and not found.over
  found.add({'step': 8, 'accuracy': 0.1})
  assert [row['step'] for row in evaluations().rows] == [2, 3, 4, 7, 8]
  ended = evaluations(
    7, every=2, max_number_of_steps=7, early_stopping_patience=2
  )
  assert [row['step'] for row in ended.counted] == [2, 4, 7] and ended.over
  assert evaluations(every=None).rows == []


def test_a_metric_that_some_rows_lack(evaluations):
  written = evaluations()
  written.add({'step': 1, 'loss': 2.0})
  written.add({'step': 2, 'loss': 1.0, 'raw_loss': 3.0})
  first, second = evaluations().rows
  assert math.isnan(first['raw_loss']) and second['raw_loss'] == 3


def test_rows_after_the_step_are_forgotten(evaluations):
  written = evaluations()
  for row in rows_of(0.1, 0.2, 0.3):
    written.add(row)
  assert [row['step'] for row in evaluations(30).rows] == [10, 20, 30]
  early = evaluations(29)
  assert early.rows == rows_of(0.1, 0.2)
  assert early.has(20) and not early.has(30)
  assert early.best == {'step': 20, 'accuracy': 0.2}
  early.add({'step': 25, 'accuracy': 0.0})
  assert [row['step'] for row in evaluations().rows] == [10, 20, 25]
  assert evaluations(0).rows == []


def test_the_same_step_is_replaced(evaluations):
  written = evaluations()
  for row in rows_of(0.1, 0.2, 0.3):
    written.add(row)
  written.add({'step': 20, 'accuracy': 0.9})
  assert written.rows == evaluations().rows == rows_of(0.1, 0.9, 0.3)


def test_rows_are_sorted_by_step(evaluations):
  written = evaluations()
  for row in rows_of(0.1, 0.2, 0.3)[::-1]:
    written.add(row)
  assert written.rows == evaluations().rows == rows_of(0.1, 0.2, 0.3)


def test_what_the_flags_say(evaluations):
  written = evaluations()
  for step, loss in enumerate([3.0, 1.0, 2.0, 4.0], 1):
    written.add({'step': step, 'accuracy': loss / 10, 'loss': loss})
  by_loss = evaluations(
    best_metric='loss',
    early_stopping_patience=2,
    plateau_patience=1,
    plateau_metric='accuracy',
    plateau_factor=0.5,
  )
  assert by_loss.best['step'] == 2 and by_loss.over
  assert by_loss.factor == 0.25  # after steps 2 and 3
  by_accuracy = evaluations(early_stopping_patience=2)
  assert by_accuracy.best['step'] == 4 and not by_accuracy.over
  assert by_accuracy.factor == 1


@pytest.mark.parametrize(
  'text',
  [
    'step,loss\n10,1.5\n20',
    'step,loss\n10,1.5,3\n',
    'step,loss\n10,x\n',
    'step,loss\n10,\n',
    'loss\n1.5\n',
    '\0\0\0\0',
    'step,loss\n\xff\xfe,1\n',
  ],
)
def test_a_damaged_file(evaluations, tmp_path, text):
  path = tmp_path / 'evaluations.csv'
  path.write_bytes(text.encode('latin-1'))
  with pytest.raises(ValueError) as error:
    evaluations()
  assert str(error.value) == (
    f'{path} is damaged: restore it, or remove it to go on as if nothing '
    'had been evaluated.'
  )


def test_an_empty_file(evaluations, tmp_path):
  """As good as none: the header is written with the first row."""
  (tmp_path / 'evaluations.csv').touch()
  assert evaluations().rows == []
  assert early_stopping.read(str(tmp_path / 'nowhere')) == []


def test_the_chief_writes(evaluations, tmp_path):
  class Other(workers.Workers):
    index = 1

  with workers.use(Other()):
    other = evaluations()
    for row in rows_of(0.1, 0.2):
      other.add(row)
    assert other.rows == rows_of(0.1, 0.2)
  assert list(tmp_path.iterdir()) == []
