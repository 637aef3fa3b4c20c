"""deployment/launch.py: what workers are told, how they end, and what follows.

Each test runs the launcher in a process of its own, on workers of a few lines.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from deployment import launch
from engine.common import ending

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 60  # seconds for a process to come to where it is waited for

# Every worker begins with it: its index, what it is told, and its files.
BEGIN = """
import json, os, pathlib, signal, sys, time
told = json.loads(os.environ['TF_CONFIG'])
index = told['task']['index']
def write(name, text=''):
  path = pathlib.Path(f'{name}-{index}')
  path.with_suffix('.part').write_text(str(text))
  path.with_suffix('.part').rename(path)
def wait_for(*names):
  while not all(map(os.path.exists, names)):
    time.sleep(0.01)
first = not os.path.exists(f'begun-{index}')
write('begun', os.getpid())
"""


@pytest.fixture
def start(tmp_path):
  """Starts the launcher on a script; ends it after the test."""
  with contextlib.ExitStack() as stack:

    def begin(script, *flags, workers=2, arguments=()):
      (tmp_path / 'worker.py').write_text(BEGIN + script)
      variables = {**os.environ, 'PYTHONPATH': str(ROOT)}
      variables.pop('TF_CONFIG', None)
      process = subprocess.Popen(
        [
          *(sys.executable, '-m', 'deployment.launch', f'--workers={workers}'),
          *(*flags, '--', 'worker.py', *arguments),
        ],
        cwd=tmp_path,
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
      )
      stack.enter_context(process)
      stack.callback(process.kill)
      return process

    yield begin


@pytest.fixture
def run(start):
  """Runs the launcher on a script; returns its status, stdout and stderr."""

  def whole(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err

  return whole


def until(condition):
  end = time.monotonic() + PATIENCE
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


def begun(folder, count=2):
  """The process ids of the workers, once all have begun."""
  paths = [folder / f'begun-{index}' for index in range(count)]
  until(lambda: all(path.exists() for path in paths))
  return [int(path.read_text()) for path in paths]


def runs(pid):
  """Whether a process is there, and no zombie."""
  try:
    status = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return False
  return status.rpartition(')')[2].split()[0] != 'Z'


def test_each_worker_is_told_its_place(run, tmp_path):
  status, out, err = run('print(json.dumps(told))', workers=3)
  assert (status, err) == (0, '')
  said, chief = out.splitlines()
  assert said == (
    'Starting 3 workers. The output of worker 0 is here, that of the others in '
    'runs/workers/worker-1.log to worker-2.log.'
  )
  logs = tmp_path / 'runs' / 'workers'
  told = [json.loads(chief)] + [
    json.loads((logs / f'worker-{index}.log').read_text()) for index in (1, 2)
  ]
  assert [each['task'] for each in told] == [
    {'type': 'worker', 'index': index} for index in range(3)
  ]
  (addresses,) = {tuple(each['cluster']['worker']) for each in told}
  ports = [int(re.fullmatch(r'127\.0\.0\.1:(\d+)', a)[1]) for a in addresses]
  assert len(set(ports)) == 3 and min(ports) > 0


def test_what_comes_after_the_script_is_its_own(run, tmp_path):
  arguments = ['--workers=9', '--', "a 'b", '', '--help']
  script = 'write("given", json.dumps(sys.argv[1:]))'
  assert run(script, workers=1, arguments=arguments) == (
    *(0, 'Starting 1 worker.\n', ''),
  )
  assert json.loads((tmp_path / 'given-0').read_text()) == arguments


def test_a_module_is_run_from_the_current_folder(tmp_path):
  (tmp_path / 'inner').mkdir()
  (tmp_path / 'inner' / 'worker.py').write_text(
    'import sys; print(__name__, __package__, sys.argv[1:])'
  )
  command = (sys.executable, '-m', 'deployment.launch', '--workers=1')
  result = subprocess.run(
    [*command, '--', '-m', 'inner.worker', '--flag'],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert result.stdout.splitlines()[1] == "__main__ inner ['--flag']"


def test_logs_are_of_the_last_launcher(run, tmp_path):
  folder = tmp_path / 'logs'
  for text in ('before', 'now'):
    script = f'print("{text}"); print("{text}", file=sys.stderr)'
    assert run(script, '--log_dir=logs')[0] == 0
  assert sorted((folder / 'worker-1.log').read_text().split()) == ['now'] * 2


@pytest.mark.skipif(
  not hasattr(os, 'sched_getaffinity') or len(os.sched_getaffinity(0)) < 2,
  reason='cannot pin, or has one core',
)
@pytest.mark.parametrize('flag', [None, 1, 0])
def test_cores_are_shared_out(run, tmp_path, flag):
  flags = [] if flag is None else [f'--cores_per_worker={flag}']
  assert run('write("cores", os.sched_getaffinity(0))', *flags)[0] == 0
  cores = [eval((tmp_path / f'cores-{index}').read_text()) for index in (0, 1)]
  every = os.sched_getaffinity(0)
  if flag == 0:
    assert cores == [every, every]
  else:
    each = flag or len(every) // 2
    assert [len(some) for some in cores] == [each, each]
    assert not cores[0] & cores[1] and cores[0] | cores[1] <= every


def test_gpus_are_shared_out(run, tmp_path, monkeypatch):
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,2,7,3')
  script = 'write("gpus", os.environ["CUDA_VISIBLE_DEVICES"])'

  def found(*flags):
    assert run(script, *flags)[0] == 0
    return [(tmp_path / f'gpus-{index}').read_text() for index in (0, 1)]

  assert found('--gpus_per_worker=2') == ['5,2', '7,3']
  assert found() == ['5,2,7,3'] * 2


# Faults.


def test_a_worker_that_was_killed(run, tmp_path):
  """All are started again, with other ports; the log keeps both attempts."""
  script = """
print(index, told['cluster'], flush=True)
if index == 1 and first:
  wait_for('waiting-0')
  os.kill(os.getpid(), signal.SIGKILL)
if index == 0 and first:
  write('waiting', os.getpid())
  time.sleep(600)
"""
  status, out, err = run(script)
  assert status == 0
  assert err == (
    'note: Worker 1 was killed by SIGKILL.\n'
    'All workers are started again: restart 1 of 3 (--max_restarts).\n'
  )
  told = (tmp_path / 'runs/workers/worker-1.log').read_text().splitlines()
  assert len(set(told)) == 2
  assert [line[1:] for line in out.splitlines()[1:]] == [
    line[1:] for line in told
  ]
  assert not runs(int((tmp_path / 'waiting-0').read_text()))


@pytest.mark.parametrize('status', [1, 2])
def test_a_mistake_is_final(run, tmp_path, status):
  """However long it has run; the last lines of the log say which."""
  script = f"""
if index == 0:
  time.sleep(600)
wait_for('begun-0')
print(*range(30), sep='\\n')
sys.exit({status})
"""
  found, _, err = run(script)
  assert found == status
  assert err.splitlines() == [
    f'error: Worker 1 ended with status {status}; the last lines of its '
    'output:',
    *map(str, range(10, 30)),
    'This would come again: nothing is started again.',
  ]
  assert not runs(begun(tmp_path)[0])


@pytest.mark.parametrize('status', [3, ending.MAY_PASS])
def test_a_failure_that_may_not_come_again(run, status):
  script = f"""
with open('attempts', 'a+') as file:
  file.write('again\\n')
  file.seek(0)
  sys.exit(0 if len(file.readlines()) == 3 else {status})
"""
  found, _, err = run(script, workers=1)
  assert found == 0
  assert err == ''.join(
    f'note: Worker 0 ended with status {status}.\n'
    f'All workers are started again: restart {restart} of 3 '
    '(--max_restarts).\n'
    for restart in (1, 2)
  )


@pytest.mark.parametrize(
  'death, status, said',
  [
    ('sys.exit(77)', 77, 'ended with status 77'),
    ('os.abort()', 134, 'was killed by SIGABRT'),
    ('os.kill(os.getpid(), 42)', 170, 'was killed by signal 42'),
  ],
)
def test_after_the_last_restart(run, tmp_path, death, status, said):
  """The status is the worker's; each attempt's last lines are its own."""
  script = f"""
if index == 0:
  time.sleep(600)
with open('attempts', 'a+') as file:
  file.write('again\\n')
  file.seek(0)
  print('attempt', len(file.readlines()), flush=True)
{death}
"""
  found, _, err = run(script, '--max_restarts=1')
  assert found == status
  said = f'Worker 1 {said}; the last lines of its output:'
  assert err.splitlines() == [
    f'note: {said}',
    'attempt 1',
    'All workers are started again: restart 1 of 1 (--max_restarts).',
    f'error: {said}',
    'attempt 2',
    'Nothing is started again: --max_restarts=1 is reached.',
  ]


def test_the_cause_is_told_and_not_the_consequence(run):
  """Even where the consequence is seen first."""
  script = f"""
if index == 1:
  wait_for('begun-0')
  write('lost')
  sys.exit({launch.LOST})
wait_for('lost-1')
time.sleep(0.2)
sys.exit(9)
"""
  status, _, err = run(script, '--max_restarts=0')
  assert status == 9
  assert err.splitlines()[0] == 'error: Worker 0 ended with status 9.'


def test_a_worker_that_was_stopped(run, tmp_path):
  """Others miss it, and it cannot end by itself: it is killed."""
  script = f"""
if first and index == 1:
  os.kill(os.getpid(), signal.SIGSTOP)
if first:
  wait_for('begun-0', 'begun-1', 'begun-2')
  sys.exit({launch.LOST})
"""
  status, _, err = run(script, '--max_restarts=1', workers=3)
  assert status == 0
  assert err == (
    'note: Workers 0 and 2 lost another worker (status 138). Worker 1 had not '
    'ended.\n'
    'All workers are started again: restart 1 of 1 (--max_restarts).\n'
  )


def test_workers_that_miss_each_other(run):
  script = f"""
wait_for('begun-0', 'begun-1')
sys.exit({launch.LOST})
"""
  status, _, err = run(script, '--max_restarts=0')
  assert status == launch.LOST
  assert err == (
    'error: Workers 0 and 1 lost another worker (status 138).\n'
    'Nothing is started again: --max_restarts=0 is reached.\n'
  )


def test_a_worker_that_goes_on_alone(run, tmp_path):
  script = """
wait_for('begun-1')
if index == 1:
  time.sleep(0.3 if os.path.exists('short') else 600)
"""
  status, _, err = run(script, '--grace_secs=0.1', '--max_restarts=0')
  assert status == 1
  assert err == (
    'error: Worker 1 had not ended 0.1 s after worker 0 (--grace_secs).\n'
    'Nothing is started again: --max_restarts=0 is reached.\n'
  )
  assert not runs(begun(tmp_path)[1])
  (tmp_path / 'short').touch()
  assert run(script, '--grace_secs=50', '--max_restarts=0')[::2] == (0, '')


# Signals.

# Counts them, and ends at the last.
COUNT = """
received = []
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
signal.signal(signal.SIGINT, lambda number, frame: write('interrupted'))
write('ready')
while len(received) < {count}:
  time.sleep(0.02)
  write('received', len(received))
time.sleep(0.2)
write('received', len(received))
sys.exit(143)
"""


def received(folder):
  found = []
  for index in (0, 1):
    path = folder / f'received-{index}'
    found.append(int(path.read_text()) if path.exists() else 0)
  return found


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once(start, tmp_path, number):
  process = start(COUNT.format(count=1))
  for index in (0, 1):
    until((tmp_path / f'ready-{index}').exists)
  process.send_signal(number)
  _, err = process.communicate(timeout=PATIENCE)
  assert (process.returncode, err) == (128 + number, '')
  assert received(tmp_path) == [1, 1]
  assert not list(tmp_path.glob('interrupted-*'))


def test_a_second_signal_is_passed_on_too(start, tmp_path):
  process = start(COUNT.format(count=2))
  for index in (0, 1):
    until((tmp_path / f'ready-{index}').exists)
  process.send_signal(signal.SIGINT)
  until(lambda: received(tmp_path) == [1, 1])
  assert process.poll() is None
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=PATIENCE)
  assert (process.returncode, err) == (130, '')
  assert received(tmp_path) == [2, 2]


def test_workers_that_do_not_end_are_killed(start, tmp_path):
  script = """
if index == 1:
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
write('ready')
time.sleep(600)
"""
  process = start(script, '--grace_secs=0.3')
  for index in (0, 1):
    until((tmp_path / f'ready-{index}').exists)
  process.terminate()
  _, err = process.communicate(timeout=PATIENCE)
  assert process.returncode == 143
  assert err == (
    'note: Worker 1 had not ended 0.3 s after the signal (--grace_secs): '
    'killed.\n'
  )
  assert not any(runs(pid) for pid in begun(tmp_path))


@pytest.mark.skipif(
  not sys.platform.startswith('linux'), reason='only Linux can do it'
)
def test_workers_die_with_the_launcher(start, tmp_path):
  process = start('time.sleep(600)')
  pids = begun(tmp_path)
  assert all(runs(pid) for pid in pids)
  process.kill()
  until(lambda: not any(runs(pid) for pid in pids))


@pytest.mark.skipif(not hasattr(os, 'killpg'), reason='has no process groups')
def test_what_workers_start_is_killed_with_them(run, tmp_path):
  script = """
import subprocess
if index == 0:
  child = subprocess.Popen(['sleep', '60'])
  write('child', child.pid)
  time.sleep(600)
wait_for('child-0')
sys.exit(3)
"""
  assert run(script, '--max_restarts=0')[0] == 3
  child = int((tmp_path / 'child-0').read_text())
  until(lambda: not runs(child))


# What is refused.


def test_a_second_launcher_on_the_folder_is_refused(start, run, tmp_path):
  start('print("first", flush=True); time.sleep(600)')
  begun(tmp_path)
  log = tmp_path / 'runs/workers/worker-1.log'
  until(lambda: log.read_text() == 'first\n')
  folder = os.path.join('runs', 'workers')
  assert run('time.sleep(600)') == (
    2,
    '',
    f'error: Another launcher is writing to {folder}: wait for it, stop it, or '
    'name another --log_dir.\n',
  )
  assert log.read_text() == 'first\n'
  assert run('', f'--log_dir={tmp_path / "other"}')[0] == 0


def make_file(path):
  path.write_text('mine')


def make_file_above(path):
  make_file(path.parent)


def make_folder_of_log(path):
  (path / 'worker-1.log').mkdir(parents=True)


def make_pipe(path):
  path.mkdir()
  os.mkfifo(path / 'worker-1.log')


@pytest.mark.parametrize(
  'make, said',
  [
    (make_file, '{} cannot be written (File exists). Change that, or'),
    (make_file_above, '{} cannot be written (Not a directory). Change that,'),
    (make_folder_of_log, '{}/worker-1.log is a folder, and no file: put a'),
    (make_pipe, '{}/worker-1.log is a pipe, and no file: put a file in'),
  ],
)
def test_a_folder_that_cannot_be_written(tmp_path, capfd, make, said):
  script = tmp_path / 'worker.py'
  script.write_text(f'open({str(tmp_path / "begun")!r}, "w")')
  folder = tmp_path / 'above' / 'logs'
  folder.parent.mkdir()
  if make is make_file_above:
    folder.parent.rmdir()
  make(folder)
  flags = ['--workers=2', f'--log_dir={folder}']
  assert launch.main([*flags, '--', str(script)]) == 2
  out, err = capfd.readouterr()
  assert not out and err.startswith(f'error: {said.format(folder)}')
  assert not (tmp_path / 'begun').exists()


def test_bad_flags_end_with_a_sentence(capsys):
  assert launch.main(['--workers=0', '--', 'train.py']) == 2
  assert capsys.readouterr() == (
    '',
    'error: --workers=0 must be a whole number of at least 1. --help lists the '
    'flags.\n',
  )


def test_it_loads_neither_tensorflow_nor_numpy(tmp_path):
  (tmp_path / 'worker.py').write_text('')
  code = (
    'import sys; from deployment import launch; '
    'assert launch.main(["--workers=2", "--", "worker.py"]) == 0; '
    'print(sorted({"numpy", "tensorflow"} & set(sys.modules)))'
  )
  result = subprocess.run(
    [sys.executable, '-c', code],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert result.stdout.splitlines()[1:] == ['[]']


def test_a_stop_that_a_worker_was_asked_for_is_no_fault(run, tmp_path):
  """All save, at their own pace, and nothing is started again."""
  status, _, err = run(
    """
if index == 1:
  sys.exit(128 + signal.SIGTERM)
time.sleep(2)
write('saved')
sys.exit(128 + signal.SIGTERM)
"""
  )
  assert (status, err) == (128 + signal.SIGTERM, '')
  assert (tmp_path / 'saved-0').exists()


def test_one_that_did_not_save_with_the_others_is_a_fault(run):
  """A second SIGTERM ends a worker at once; the others lose it."""
  status, _, err = run(
    """
if first:
  sys.exit(128 + signal.SIGTERM if index else 138)
"""
  )
  assert status == 0
  assert 'Worker 1 ended with status 143' in err and 'restart 1 of 3' in err


def test_one_that_goes_on_after_a_stop_is_killed(run):
  status, _, err = run(
    """
if index == 1:
  sys.exit(128 + signal.SIGTERM)
time.sleep(600)
""",
    '--grace_secs=1',
  )
  assert status == 128 + signal.SIGTERM
  assert err == (
    'note: Worker 0 had not ended 1 s after worker 1 (--grace_secs): killed.\n'
  )


def test_a_kill_at_once_is_no_mistake(run):
  """Whatever the others end with."""
  status, _, err = run(
    """
if first:
  wait_for('begun-0')
  os.kill(os.getpid(), signal.SIGKILL) if index else time.sleep(600)
"""
  )
  assert status == 0, err
  assert 'Worker 1 was killed by SIGKILL' in err and 'restart 1 of 3' in err
