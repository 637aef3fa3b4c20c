"""Which checkpoints are evaluated: the best, all, new ones as they appear."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from engine.config.scripts import EvalConfig
from engine.evaluation import choice
from tests import builders

pytestmark = pytest.mark.usefixtures('folder')


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """An empty folder to work in."""
  monkeypatch.chdir(tmp_path)


def given(**flags):
  return EvalConfig(**flags)


def save(step, folder='run'):
  pathlib.Path(folder).mkdir(exist_ok=True)
  builders.add_checkpoint(folder, step, {'w': np.float32([step])})


def write(name, **values):
  pathlib.Path('run').mkdir(exist_ok=True)
  pathlib.Path('run', name).write_text(json.dumps(values))


def test_step():
  save(7)
  assert choice.step_of('run/model.ckpt-7') == 7
  builders.write_checkpoint('none.ckpt', {'w': np.float32([1])})
  assert choice.step_of('none.ckpt') == 0


def test_the_best():
  save(5)
  save(9, 'run/best')
  save(3, 'run/best')
  write(
    'best.json',
    metric='accuracy',
    best=[
      {'step': step, 'value': 0.9, 'checkpoint': f'best/model.ckpt-{step}'}
      for step in (9, 3)
    ],
  )
  flags = given(checkpoints='best')
  assert choice.ONE['best'](flags, 'run') == 'run/best/model.ckpt-9'
  shutil.rmtree('run/best')
  with pytest.raises(ValueError, match='no checkpoint run/best/model.ckpt-9'):
    choice.ONE['best'](flags, 'run')
  for no_best in (
    lambda: write('best.json', best=[]),
    lambda: os.remove('run/best.json'),
  ):
    no_best()
    with pytest.raises(
      ValueError,
      match=(
        'There is no best checkpoint in run, where best.json would name it: '
        'train with --evaluate_every, or leave --checkpoints=best out'
      ),
    ):
      choice.ONE['best'](flags, 'run')


@pytest.mark.parametrize('checkpoints', ['best', 'all', 'new'])
def test_a_checkpoint_where_a_folder_is_needed(checkpoints):
  save(5)
  find = {
    'best': choice.ONE['best'],
    'all': choice.find_all,
    'new': lambda *given: next(choice.new(*given)),
  }[checkpoints]
  with pytest.raises(
    ValueError,
    match=(
      f'--checkpoints={checkpoints} looks in the folder of a run, and '
      '--checkpoint_path=run/model.ckpt-5 is a checkpoint: name its folder'
    ),
  ):
    find(given(checkpoints=checkpoints), 'run/model.ckpt-5')


def test_all(capsys):
  for step in 2, 4, 9, 6:  # 6: begun anew
    save(step)
  path = pathlib.Path('run/model.ckpt-4.index')
  path.write_bytes(path.read_bytes()[:20])
  assert choice.find_all(given(), 'run') == [
    f'run/model.ckpt-{step}' for step in (2, 9, 6)
  ]
  assert capsys.readouterr().out == (
    'note: run/model.ckpt-4 cannot be read, and is passed over.\n'
  )
  with pytest.raises(ValueError, match='no checkpoint none'):
    choice.find_all(given(), 'none')
  os.mkdir('empty')
  with pytest.raises(ValueError, match='no readable checkpoint in empty'):
    choice.find_all(given(), 'empty')


@pytest.fixture
def arrivals(monkeypatch):
  """arrivals(*events, **flags): the steps that appear, one event a wait.

  None is a wait in which nothing happens.
  """

  def follow(*events, folder='run', **flags):
    waiting = iter(events)
    monkeypatch.setattr(
      choice, '_wait', lambda: (next(waiting) or (lambda: None))()
    )
    found = [
      choice.step_of(path) for path in choice.new(given(**flags), folder)
    ]
    assert list(waiting) == []  # it waited for all of them
    return found

  return follow


def test_new_ones_until_the_last_step(arrivals, capsys):
  """Of a folder that does not exist yet; each once, the oldest first."""

  def two():
    save(4)
    save(6)

  assert arrivals(
    None,
    lambda: write('config.json', max_number_of_steps=9),
    None,
    lambda: save(2),
    None,
    two,
    lambda: save(9),
  ) == [2, 4, 6, 9]
  out = capsys.readouterr().out.splitlines()
  assert len(out) == 2 and out[1] == 'The run in run is done.'


def test_a_run_without_its_config(arrivals):
  """Its checkpoints wait for it, unless --model_name tells the network."""

  def config():
    write('config.json', max_number_of_steps=2)

  save(2)
  assert arrivals(None, config) == [2]
  os.remove('run/config.json')
  end = lambda: write('best.json', finished=True)  # noqa: E731
  assert arrivals(None, end, model_name='resnet_v1_50') == [2]


def test_a_run_that_stopped_early(arrivals):
  write('config.json', max_number_of_steps=100)
  write('best.json', finished=False)

  def last():
    save(8)
    write('best.json', finished=True)

  assert arrivals(lambda: save(4), None, last) == [4, 8]
  assert arrivals() == [4, 8]  # a run that is done


def test_an_endless_run_ends_by_the_time_out(arrivals, monkeypatch, capsys):
  """Counted from the last new checkpoint."""
  now = [0.0]
  monkeypatch.setattr(choice.time, 'monotonic', lambda: now[0])

  def later(seconds, then=lambda: None):
    def event():
      now[0] += seconds
      then()

    return event

  write('config.json', max_number_of_steps=None)
  assert arrivals(
    later(9), later(0, lambda: save(3)), later(9), later(1), timeout_secs=10
  ) == [3]
  assert capsys.readouterr().out.endswith(
    'No new checkpoint in run for 10 seconds, so this ends here.\n'
  )
  assert arrivals(later(10), folder='none', timeout_secs=10) == []


def test_one_that_is_damaged_or_gone(arrivals, capsys):
  write('config.json', max_number_of_steps=9)

  def damage():
    save(2)
    path = pathlib.Path('run/model.ckpt-2.index')
    path.write_bytes(path.read_bytes()[:20])

  def remove():
    save(3)
    for path in pathlib.Path('run').glob('model.ckpt-3.*'):
      path.unlink()

  assert arrivals(damage, remove, lambda: save(9)) == [9]
  assert [
    line for line in capsys.readouterr().out.splitlines() if 'note' in line
  ] == ['note: run/model.ckpt-2 cannot be read, and is passed over.']


def test_new_ones_in_a_folder_whose_name_is_a_pattern(arrivals):
  with pytest.raises(ValueError, match=r'=run\[1\]: TensorFlow takes \[ in'):
    arrivals(folder='run[1]')


def test_one_that_is_written_again(arrivals):
  write('config.json', max_number_of_steps=9)

  def again():
    save(2)
    os.utime('run/model.ckpt-2.index', ns=(1, 1))

  assert arrivals(lambda: save(2), again, lambda: save(9)) == [2, 2, 9]
