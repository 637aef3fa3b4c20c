"""Workers of which one is killed again and again end with the same bits.

Which one, and when, is random; the launcher starts all again. KILLS=20 (make
kills) kills more often than once, the default.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests import builders, test_kills
from tests.test_kills import KILLS, PATIENCE, ROOT, being_written, moment

pytestmark = pytest.mark.usefixtures('workplace')
WORKERS = 2

# Each worker says which process it is.
SCRIPT = """
import json, os, pathlib
index = json.loads(os.environ['TF_CONFIG'])['task']['index']
path = pathlib.Path(f'process-{index}')
path.with_suffix('.part').write_text(str(os.getpid()))
path.with_suffix('.part').rename(path)
"""

flags = test_kills.flags


@contextlib.contextmanager
def launched(flags, restarts=0, *options):
  """Yields the launcher of a training; it is gone afterwards."""
  pathlib.Path('train.py').write_text(SCRIPT + test_kills.SCRIPT)
  process = subprocess.Popen(
    [
      *(sys.executable, '-m', 'deployment.launch', f'--workers={WORKERS}'),
      *('--log_dir=logs', f'--max_restarts={restarts}', *options),
      *('--', 'train.py'),
      *(f'--{name}={value}' for name, value in flags.items()),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )
  try:
    yield process
  finally:
    process.kill()
    process.wait()


def finished(process):
  """Returns what was printed, when the launcher has ended well."""
  printed, _ = process.communicate(timeout=20 * PATIENCE)
  assert process.returncode == 0, printed
  return printed


def parent(pid):
  """The parent of a process that runs, None without one."""
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return None
  state, parent = stat.rpartition(')')[2].split()[:2]
  return None if state == 'Z' else int(parent)


def worker(launcher, index):
  """The process of a worker, None while there is none."""
  with contextlib.suppress(OSError, ValueError):
    pid = int(pathlib.Path(f'process-{index}').read_text())
    if parent(pid) == launcher.pid:
      return pid
  return None


def kill_at(launcher, index, come):
  """Kills a worker when a moment has come; whether it was still running."""
  deadline = time.monotonic() + PATIENCE
  while not (come() and (pid := worker(launcher, index))):
    if launcher.poll() is not None:
      return False
    assert time.monotonic() < deadline
    time.sleep(0.001)
  os.kill(pid, signal.SIGKILL)
  while worker(launcher, index) == pid:
    time.sleep(0.001)
  return True


@pytest.mark.slow
@pytest.mark.skipif(
  not os.path.exists('/proc/self/stat'), reason='needs /proc, of Linux'
)
@pytest.mark.usefixtures('uncompared', *['optimized'][: KILLS > 1])
def test_any_worker_at_any_moment(flags):
  flags = {**flags, 'batch_size': flags['batch_size'] // WORKERS}
  with launched({**flags, 'train_dir': 'whole'}) as launcher:
    finished(launcher)
  dice = random.Random(os.environ.get('SEED', KILLS))
  cut, deaths, victims = 0, 0, []
  kinds = (['writing', 'step', 'writing', 'time', 'step'] * KILLS)[:KILLS]
  with launched(flags, KILLS) as launcher:
    for kind in kinds:
      victims.append(dice.randrange(WORKERS))
      # The chief writes: who else dies leaves it no time to end.
      deaths += kill_at(launcher, victims[-1], moment(kind, dice))
      cut += bool(being_written())
    printed = finished(launcher)
  assert deaths >= KILLS - 1
  assert printed.count('was killed by SIGKILL') == deaths
  assert len(set(victims)) == min(KILLS, WORKERS)
  assert cut >= KILLS // 5, 'no checkpoint was being written at a kill'
  assert 'Resuming from run/model.ckpt-' in printed
  assert_equal('run', 'whole')
  assert not being_written()


@pytest.mark.slow
@pytest.mark.skipif(
  not os.path.exists('/proc/self/stat'), reason='needs /proc, of Linux'
)
@pytest.mark.usefixtures('uncompared')
def test_stopped_started_again_and_asked_to_end_twice(flags):
  """SIGSTOP of a worker, then Ctrl-C and SIGTERM, in whatever they interrupt.

  The second ends all without saving, if they have not saved by then.
  """
  flags = {
    **flags,
    'batch_size': flags['batch_size'] // WORKERS,
    'max_number_of_steps': 30,
    'worker_timeout_secs': 15,
  }
  with launched({**flags, 'train_dir': 'whole'}) as launcher:
    finished(launcher)

  def reaches(launcher, step):
    deadline = time.monotonic() + PATIENCE
    while test_kills.last_step() < step:
      assert launcher.poll() is None and time.monotonic() < deadline
      time.sleep(0.01)

  with launched(flags, 1) as launcher:
    reaches(launcher, 5)
    stopped = worker(launcher, 1)
    os.kill(stopped, signal.SIGSTOP)
    reaches(launcher, test_kills.last_step() + 5)
    launcher.send_signal(signal.SIGINT)
    launcher.send_signal(signal.SIGTERM)
    printed, _ = launcher.communicate(timeout=PATIENCE)
  assert launcher.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
  assert 'has not answered for 15 seconds' in printed
  assert 'All workers are started again: restart 1 of 1' in printed
  assert 'Stopping after this step or evaluation; Ctrl-C again' in printed
  assert worker(launcher, 1) is None and parent(stopped) is None
  with launched(flags) as launcher:
    assert 'Resuming from run/model.ckpt-' in finished(launcher)
  assert_equal('run', 'whole')


def assert_equal(one, other):
  """Asserts that two runs have found the same, to the bit."""
  assert test_kills.facts(one) == test_kills.facts(other)
  assert builders.differing(one, other) == []
  best = [sorted(os.listdir(f'{run}/best')) for run in (one, other)]
  assert best[0] == best[1]
  for name in best[0]:
    if name.endswith('.index'):
      name = name.removesuffix('.index')
      assert (
        builders.differing(f'{one}/best/{name}', f'{other}/best/{name}') == []
      )


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_two_workers_are_two_clones(flags):
  """What this compares with above is what one process computes."""
  flags = {
    **flags,
    'batch_size': flags['batch_size'] // WORKERS,
    # Workers sum their parts, and the statistics of their batches, before they
    # sum each other's; clones take turns.
    'num_micro_batches': 1,
    'recalibrate_batch_norm_batches': 0,
  }
  # As many threads: by them kernels share what they sum.
  with launched(flags, 0, '--cores_per_worker=0') as launcher:
    finished(launcher)
  test_kills.finish(
    {**flags, 'num_clones': WORKERS, 'clone_on_cpu': True}, 'clones'
  )
  rows, texts, _ = test_kills.facts('run')  # each worker's batches are its own
  assert (rows, texts) == test_kills.facts('clones')[:2]
  last = f'model.ckpt-{flags["max_number_of_steps"]}'
  assert builders.differing(f'run/{last}', f'clones/{last}') == []
