"""The best checkpoints: which are kept, and what best.json says of them."""

import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import best, locate
from engine.config import runs
from engine.config.scripts import TrainConfig
from tests import builders


@pytest.fixture
def run(tmp_path):
  """A run's folder."""
  folder = tmp_path / 'run'
  folder.mkdir()
  runs.write(TrainConfig(model_name='resnet_v1_50'), str(folder))
  return folder


def evaluate(kept, losses):
  """Offers evaluations at steps 10, 20, ...; returns whether each is best."""
  rows, firsts = [], []
  for number, loss in enumerate(losses, 1):
    row = {'step': 10 * number, 'loss': loss}
    firsts.append(
      kept.offer(
        row,
        rows,
        {
          'weight': np.float32([loss, number]),
          'global_step': np.int64(10 * number),
        },
      )
    )
    rows.append(row)
    kept.settle(rows)
  return rows, firsts


def steps_of(folder):
  return sorted(
    int(path.stem.rpartition('-')[2])
    for path in folder.glob('model.ckpt-*.index')
  )


def test_the_best_are_kept(run):
  kept = best.Best(str(run), 'loss', 2)
  assert kept.folder == str(run / 'best')
  _, firsts = evaluate(kept, [0.5, 0.3, 0.4, 0.9, 0.3, 0.2])
  assert firsts == [True, True, False, False, False, True]
  assert steps_of(run / 'best') == [20, 60]  # of equal ones the earlier
  assert best.read(str(run)) == {
    'metric': 'loss',
    'finished': False,
    'best': [
      {'step': 60, 'value': 0.2, 'checkpoint': 'best/model.ckpt-60'},
      {'step': 20, 'value': 0.3, 'checkpoint': 'best/model.ckpt-20'},
    ],
  }
  assert sorted(os.listdir(run / 'best')) == sorted(
    ['checkpoint', 'config.json']
    + [
      f'model.ckpt-{step}.{end}'
      for step in (20, 60)
      for end in ('data-00000-of-00001', 'index')
    ]
  )
  for step, loss in (20, 0.3), (60, 0.2):
    found = builders.tensors(str(run / f'best/model.ckpt-{step}'))
    np.testing.assert_array_equal(
      found['weight'], np.float32([loss, step / 10])
    )
    assert found['global_step'] == step
  assert runs.read(str(run / 'best')) == runs.read(str(run))


def test_a_folder_means_the_best(run):
  """Though a later checkpoint has been written to it, of the second best."""
  evaluate(best.Best(str(run), 'loss', 3), [0.5, 0.1, 0.3, 0.4])
  assert steps_of(run / 'best') == [20, 30, 40]
  want = str(run / 'best/model.ckpt-20')
  assert tf.train.latest_checkpoint(str(run / 'best')) == want
  assert locate.find(str(run / 'best')) == want
  assert [
    path.rpartition('-')[2] for path in locate.listed(str(run / 'best'))
  ] == ['40', '30', '20']
  os.rename(run, run.parent / 'moved')
  assert locate.find(str(run.parent / 'moved/best')) == str(
    run.parent / 'moved/best/model.ckpt-20'
  )


def test_fewer_are_kept_later(run):
  rows, _ = evaluate(best.Best(str(run), 'loss', 3), [0.5, 0.1, 0.3])
  best.Best(str(run), 'loss', 1).settle(rows)
  assert steps_of(run / 'best') == [20]
  assert [each['step'] for each in best.read(str(run))['best']] == [20]


def test_an_evaluation_that_is_no_number(run):
  rows, firsts = evaluate(
    best.Best(str(run), 'loss', 1), [float('nan'), 0.5, float('nan')]
  )
  assert firsts == [True, True, False] and steps_of(run / 'best') == [20]
  assert best.read(str(run))['best'][0]['value'] == 0.5


def test_best_json_is_json_though_nothing_is_a_number(run):
  evaluate(best.Best(str(run), 'loss', 1), [float('nan')])

  def refuse(constant):
    raise AssertionError(f'{constant} is not JSON')

  json.loads((run / 'best.json').read_text(), parse_constant=refuse)


def test_files_that_have_vanished(run):
  """best.json names what is there; the next best is kept where it is."""
  kept = best.Best(str(run), 'loss', 2)
  rows, _ = evaluate(kept, [0.5, 0.1, 0.3])
  for path in (run / 'best').glob('model.ckpt-20.*'):
    path.unlink()
  (run / 'best.json').unlink()
  kept.settle(rows)
  assert [each['step'] for each in best.read(str(run))['best']] == [30]
  assert tf.train.latest_checkpoint(str(run / 'best')).endswith('ckpt-30')


def test_a_kill_before_the_row_was_written(run):
  """A checkpoint that no evaluation explains goes, as do parts of one."""
  kept = best.Best(str(run), 'loss', 2)
  rows, _ = evaluate(kept, [0.5, 0.1])
  kept.offer({'step': 30, 'loss': 0.2}, rows, {'weight': np.float32(7)})
  stale = [
    'model.ckpt-40.data-00000-of-00001.tempstate1234',
    'model.ckpt-20.index.tempstate99',
  ]
  for name in stale:
    (run / 'best' / name).write_bytes(b'part')
  assert steps_of(run / 'best') == [10, 20, 30]
  kept.settle(rows)
  assert steps_of(run / 'best') == [10, 20]
  assert not set(stale) & set(os.listdir(run / 'best'))
  assert builders.tensors(str(run / 'best'))['global_step'] == 20


def test_all_evaluations_forgotten(run):
  """As when training resumes from before the first one, and makes it again."""
  kept = best.Best(str(run), 'loss', 2)
  rows, _ = evaluate(kept, [0.5, 0.1])
  before = best.read(str(run))
  kept.settle([])
  assert best.read(str(run)) == before and steps_of(run / 'best') == [10, 20]
  for path in (run / 'best').glob('model.ckpt-20.*'):
    path.unlink()
  kept.settle([])
  assert [each['step'] for each in best.read(str(run))['best']] == [10]
  kept.offer(rows[1], [], {'weight': np.float32(7)})
  kept.settle(rows[1:])
  assert [each['step'] for each in best.read(str(run))['best']] == [20]
  assert steps_of(run / 'best') == [20]


def test_the_only_one_left_is_kept(run):
  """Though a better one was there, whose files are gone."""
  kept = best.Best(str(run), 'loss', 1)
  rows, _ = evaluate(kept, [0.1])
  for path in (run / 'best').glob('model.ckpt-*'):
    path.unlink()
  worse = {'step': 20, 'loss': 0.4}
  assert not kept.offer(worse, rows, {'weight': np.float32(7)})
  kept.settle([*rows, worse])
  assert kept.kept([*rows, worse]) == [worse]
  assert [each['step'] for each in best.read(str(run))['best']] == [20]
  assert steps_of(run / 'best') == [20]


def test_nothing_is_written_for_nothing(run):
  best.Best(str(run), 'loss', 2).settle([])
  assert os.listdir(run) == ['config.json']
  assert best.read(str(run)) == {} and not best.is_finished(str(run))


def test_finished(run):
  kept = best.Best(str(run), 'loss', 1)
  rows, _ = evaluate(kept, [0.5])
  assert not best.is_finished(str(run))
  kept.settle(rows, finished=True)
  assert best.is_finished(str(run))
  kept.settle(rows)
  assert not best.is_finished(str(run))


def test_a_damaged_best_json(run):
  (run / 'best.json').write_text('{"finished"')
  with pytest.raises(
    ValueError,
    match=f'{run}/best.json is not the JSON object that training wrote',
  ):
    best.is_finished(str(run))
