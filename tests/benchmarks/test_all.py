"""python -m benchmarks: what it runs, and what it says of failures."""

import importlib.util
import pathlib
import types

import pytest

import benchmarks
from benchmarks import __main__ as everything


def test_all_benchmarks_are_run():
  """All modules that a command line runs."""
  folder = pathlib.Path(everything.__file__).parent
  runnable = {
    path.stem
    for path in folder.glob('*.py')
    if '\ndef main(' in path.read_text() and path.stem != '__main__'
  }
  assert runnable == set(everything.RUNS)
  assert all(
    importlib.util.find_spec(f'{benchmarks.__name__}.{name}')
    for name in everything.RUNS
  )


def test_the_machine():
  line = everything.machine()
  assert 'cores of ' in line and 'tensorflow 2.' in line


@pytest.mark.parametrize('statuses, status', [((0, 0), 0), ((2, 0), 1)])
def test_one_that_fails_does_not_stop_the_others(
  monkeypatch, capsys, statuses, status
):
  left, commands = iter(statuses), []

  def run(command):
    commands.append(command[1:])
    return types.SimpleNamespace(returncode=next(left))

  monkeypatch.setattr(everything.subprocess, 'run', run)
  monkeypatch.setattr('sys.argv', ['benchmarks', '--only', 'dense', 'scaling'])
  assert everything.main() == status
  assert commands == [
    ['-m', 'benchmarks.dense'],
    ['-m', 'benchmarks.scaling', '--turns=3'],
  ]
  printed = capsys.readouterr().out
  assert ('failed with status 2' in printed) == bool(status)
