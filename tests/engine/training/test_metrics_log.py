"""metrics.csv: what is written, and what a restart leaves of it."""

import pytest

from engine.training import metrics_log

COLUMNS = ['step', 'loss']


def test_nothing_recorded(tmp_path):
  assert metrics_log.read_metrics(str(tmp_path)) == []
  assert metrics_log.read_metrics(str(tmp_path / 'nowhere')) == []


def test_records(tmp_path):
  found = metrics_log.MetricsLog(str(tmp_path), COLUMNS, 0)
  found.add({'step': 10, 'loss': 1 / 3})
  # Written at once, lest a kill loses it.
  assert (tmp_path / 'metrics.csv').read_text().split() == [
    'step,loss',
    '10,0.333333',
  ]
  found.add({'step': 1234567890, 'loss': 1e-9})
  found.close()
  assert metrics_log.read_metrics(str(tmp_path)) == [
    {'step': 10, 'loss': 0.333333},
    {'step': 1234567890, 'loss': 1e-9},
  ]


def test_restart_forgets_what_is_done_again(tmp_path):
  found = metrics_log.MetricsLog(str(tmp_path), COLUMNS, 0)
  for step in (10, 20, 30):
    found.add({'step': step, 'loss': step})
  found.close()
  found = metrics_log.MetricsLog(str(tmp_path), COLUMNS, 20)
  assert [row['step'] for row in metrics_log.read_metrics(str(tmp_path))] == [
    10,
    20,
  ]
  found.add({'step': 30, 'loss': 0.5})
  found.close()
  assert metrics_log.read_metrics(str(tmp_path)) == [
    {'step': 10, 'loss': 10},
    {'step': 20, 'loss': 20},
    {'step': 30, 'loss': 0.5},
  ]


@pytest.mark.parametrize('rest', ['3', '30', '30,', '30,0.'])
def test_last_row_cut_short(tmp_path, rest):
  """By a full disk, or a machine that went down."""
  (tmp_path / 'metrics.csv').write_text(
    'step,loss,accuracy\n10,1,0.5\n20,2,0.25\n' + rest
  )
  assert metrics_log.read_metrics(str(tmp_path)) == [
    {'step': 10, 'loss': 1, 'accuracy': 0.5},
    {'step': 20, 'loss': 2, 'accuracy': 0.25},
  ]
