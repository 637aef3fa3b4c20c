"""What TensorFlow logs is hidden, and heard again afterwards."""

import logging
import os
import pathlib
import subprocess
import sys
import warnings

import pytest

from engine.common import logs

ROOT = pathlib.Path(__file__).parents[3]


def _shout():
  os.write(2, b'from C\n')
  print('from Python', file=sys.stderr, flush=True)


@pytest.mark.parametrize('verbosity', [-1, 0])
def test_quiet(capfd, monkeypatch, verbosity):
  monkeypatch.setattr(sys, 'stderr', os.fdopen(os.dup(2), 'w'))
  before = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc') else 0
  with logs.stderr_hidden(verbosity):
    os.write(2, b'from C\n')
  os.write(2, b'after\n')
  assert capfd.readouterr().err == 'after\n'
  if before:
    assert len(os.listdir('/proc/self/fd')) == before


def test_quiet_restores_after_a_failure(capfd):
  with pytest.raises(ImportError):
    with logs.stderr_hidden(-1):
      _shout()
      raise ImportError
  os.write(2, b'after\n')
  assert 'from C' not in (text := capfd.readouterr().err)
  assert text.endswith('after\n')


def test_not_quiet(capfd):
  with logs.stderr_hidden(1):
    os.write(2, b'from C\n')
  assert capfd.readouterr().err == 'from C\n'


@pytest.mark.parametrize(
  'given, verbosity, level',
  [(None, -1, '3'), (None, 0, '1'), ('2', -1, '2'), (None, 1, None)],
)
def test_log_level(given, verbosity, level):
  """The user's own setting stays."""
  environment = {**os.environ}
  environment.pop('TF_CPP_MIN_LOG_LEVEL', None)
  if given:
    environment['TF_CPP_MIN_LOG_LEVEL'] = given
  code = (
    f'import os\nfrom engine.common import logs\n'
    f'with logs.quiet({verbosity}):\n'
    '  print(os.environ.get("TF_CPP_MIN_LOG_LEVEL"))'
  )
  found = subprocess.run(
    [sys.executable, '-c', code],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
    cwd=ROOT,
  )
  assert found.stdout.strip() == str(level)


def state():
  return (
    dict(os.environ),
    [logging.getLogger(name).level for name in ('tensorflow', 'absl')],
    list(warnings.filters),
  )


@pytest.mark.parametrize('verbosity', [-1, 0, 1])
def test_all_is_set_back(monkeypatch, verbosity):
  monkeypatch.delenv('TF_CPP_MIN_LOG_LEVEL', raising=False)
  before = state()
  with pytest.raises(RuntimeError):
    with logs.quiet(verbosity):
      assert (state() == before) == (verbosity > 0)
      raise RuntimeError
  assert state() == before
