"""What becomes of a training by two workers when one of them is at fault.

Each test runs the training script in two processes. None may hang, be aborted
or end with a stack trace, and one of them says what was wrong.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from deployment.workers import free_ports
from engine.common import ending
from engine.training import metrics_log
from tests import builders

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('workplace')]
ROOT = pathlib.Path(__file__).parents[2]
LOST = 138
LIMIT = 10  # seconds without an answer; both cores may be busy
PATIENCE = 120

# The training script with the tiny networks; {} is what one worker does else.
SCRIPT = """
import sys
import train_image_classifier
from tests import builders
builders.register_tiny_networks()
{}
with builders.unoptimized():
  sys.exit(train_image_classifier.main(sys.argv))
"""


class Pair:
  """Two workers, started one by one; see `start`."""

  def __init__(self, flags):
    self._flags, self._processes = flags, []
    self.addresses = [f'127.0.0.1:{port}' for port in free_ports(2)]

  def start(self, index, change='', addresses=None, **flags):
    """Starts a worker; `change` is Python, which runs in it first."""
    flags = {
      **self._flags,
      'worker_timeout_secs': LIMIT,
      'worker_hosts': ','.join(addresses or self.addresses),
      'task_index': index,
      **flags,
    }
    path = pathlib.Path(f'said-{len(self._processes)}')
    with path.open('w') as file:
      process = subprocess.Popen(
        [
          *(sys.executable, '-c', SCRIPT.format(change)),
          *(f'--{name}={value}' for name, value in flags.items()),
        ],
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=file,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
      )
    process.path = path
    self._processes.append(process)
    return process

  def both(self, change=('', ''), **flags):
    """Starts both; returns what `ends` does for each."""
    started = [self.start(i, change[i], **flags) for i in range(2)]
    return [ends(process) for process in started]

  def close(self):
    for process in self._processes:
      process.kill()
      process.wait()


def ends(process, patience=PATIENCE):
  """Returns the status and the output of a worker, which ends by itself."""
  status = process.wait(patience)
  said = process.path.read_text()
  for word in ('Traceback', 'terminate called', 'FATAL', 'core dumped'):
    assert word not in said, said
  assert status >= 0, (status, said)
  return status, said


def until(condition):
  end = time.monotonic() + PATIENCE
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.05)


def steps():
  return len(metrics_log.read_metrics('run'))


@pytest.fixture
def flags(colours):
  return {**builders.fast(colours), 'batch_size': 4}


@pytest.fixture
def pair(flags):
  with contextlib.closing(Pair(flags)) as both:
    yield both


def assert_lost(process, index):
  status, said = ends(process)
  assert status == LOST, said
  assert f'error: worker {index} (127.0.0.1:' in said
  assert f'has not answered for {LIMIT} seconds' in said


def test_a_worker_that_is_stopped(pair):
  """SIGSTOP; it finds that it is alone when it goes on."""
  chief = pair.start(0, max_number_of_steps=10**6)
  other = pair.start(1, max_number_of_steps=10**6)
  until(lambda: steps() > 3)
  other.send_signal(signal.SIGSTOP)
  begin = time.monotonic()
  assert_lost(chief, 1)
  assert time.monotonic() - begin < 2 * LIMIT + 5
  other.send_signal(signal.SIGCONT)
  assert_lost(other, 0)


def test_a_worker_that_comes_back_in_time(pair):
  """It waits at the start, where the other has been: neither goes on."""
  more = {'max_number_of_steps': 10**6, 'worker_timeout_secs': 90}
  chief, other = pair.start(0, **more), pair.start(1, **more)
  until(lambda: steps() > 3)
  other.kill()
  other.wait()
  pair.start(1, **more)
  status, said = ends(chief)
  assert status == LOST, said
  assert 'worker 1 (' in said and 'has been started again, without' in said


class Proxy:
  """Passes on what comes to a port, until it is cut."""

  def __init__(self, target):
    self._target, self._open, self._cut = target, [], False
    self._listener = socket.create_server(('127.0.0.1', 0))
    self.address = f'127.0.0.1:{self._listener.getsockname()[1]}'
    threading.Thread(target=self._accept, daemon=True).start()

  def _accept(self):
    with contextlib.suppress(OSError):
      while True:
        near, _ = self._listener.accept()
        if self._cut:
          self._open.append(near)  # and answers nothing
          continue
        try:
          far = socket.create_connection(self._target)
        except OSError:
          near.close()
          continue
        self._open += [near, far]
        for pair in ((near, far), (far, near)):
          threading.Thread(target=self._pass, args=pair, daemon=True).start()

  def _pass(self, source, target):
    with contextlib.suppress(OSError):
      while data := source.recv(1 << 16):
        while self._cut:
          time.sleep(0.1)
        target.sendall(data)
      target.shutdown(socket.SHUT_WR)

  def cut(self):
    self._cut = True


def test_a_network_that_is_cut(pair):
  """No packet comes through any more, and no connection is closed."""
  host, port = pair.addresses[1].split(':')
  proxy = Proxy((host, int(port)))
  more = {'max_number_of_steps': 10**6}
  chief = pair.start(0, addresses=[pair.addresses[0], proxy.address], **more)
  other = pair.start(1, **more)
  until(lambda: steps() > 3)
  proxy.cut()
  assert_lost(chief, 1)
  assert_lost(other, 0)


FULL = """
import errno
import tensorflow.compat.v1 as tf
def fail(*arguments, **options):
  raise OSError(errno.ENOSPC, 'No space left on device')
tf.train.Saver.save = fail
"""


def test_a_full_disk(pair):
  """The chief says it, and the other ends, as one that lost another."""
  chief, other = pair.start(0, FULL), pair.start(1)
  status, said = ends(chief)
  assert status == ending.MAY_PASS
  assert 'error: The checkpoint of step 2 cannot be written' in said
  assert ': No space left on device. Those that are there are whole' in said
  assert_lost(other, 0)


NAN = """
import tensorflow as tf
from engine.input import pipeline
plain = pipeline.Source._batches
def spoiled(*arguments):
  return plain(*arguments).map(
    lambda images, *rest: (images * float('nan'), *rest)
  )
pipeline.Source._batches = spoiled
"""


def test_nan_in_the_data_of_one(pair):
  """Both say it, and the file names the images of both."""
  for status, said in pair.both(('', NAN)):
    assert status == 1
    assert 'error: The loss is not finite: the first NaN or infinity' in said
    assert 'run/non_finite.json names the 8 images' in said
  found = json.loads(pathlib.Path('run/non_finite.json').read_text())
  assert len(found['pictures']) == 8 and found['step'] == 1


@pytest.fixture
def damaged(workplace, flags):
  """Data with a bad record, which comes in one worker's share of a step."""
  folder = builders.write_colours(workplace / 'data', 16, 12)
  return {
    'named': builders.damage_colours(folder),
    'flags': {
      **flags,
      'dataset_dir': folder,
      'max_number_of_steps': 4,
      'recalibrate_batch_norm_batches': 0,
    },
  }


def test_a_bad_record(damaged):
  """Who reads it says which; none waits for it without end."""
  with contextlib.closing(Pair(damaged['flags'])) as pair:
    found = pair.both()
  assert sorted(status for status, _ in found)[0] == 1
  assert any(damaged['named'] in said for _, said in found)
  for status, said in found:
    assert status in (1, LOST) and 'error: ' in said


def test_a_bad_record_that_is_left_out(damaged):
  """It is as in one process."""
  flags = {**damaged['flags'], 'skip_bad_examples': 1}
  with contextlib.closing(Pair(flags)) as pair:
    found = pair.both()
  assert [status for status, _ in found] == [0, 0], found
  assert any(f'left out: {damaged["named"]}' in said for _, said in found)
  printed = builders.train(
    **{**flags, 'train_dir': 'one', 'num_clones': 2}, clone_on_cpu=True
  )
  assert printed.status == 0, printed.err
  assert builders.differing('run', 'one') == []


def test_a_late_worker(pair):
  chief = pair.start(0)
  time.sleep(20)
  other = pair.start(1)
  assert (ends(chief)[0], ends(other)[0]) == (0, 0)


def test_a_worker_that_never_starts(pair):
  status, said = ends(pair.start(0, worker_timeout_secs=5))
  assert status == ending.MAY_PASS
  assert 'error: There is no answer from worker 1 (127.0.0.1:' in said


def test_two_of_one_index(pair):
  first = pair.start(0)
  until(lambda: 'Waiting for worker 1' in first.path.read_text())
  status, said = ends(pair.start(0))
  assert status == ending.MAY_PASS
  assert 'error: Worker 0 cannot listen at its address' in said
  assert 'another worker has the same index' in said


TOLD = {
  'flags': ('', {'learning_rate': 0.5}, 'Worker 1 has --learning_rate 0.5'),
  'folder': ('', {'train_dir': 'other'}, 'Worker 1 does not see'),
  'software': (
    'from engine.replicas import agreement\n'
    "agreement.software = lambda: {'TensorFlow': '1.0'}",
    {},
    'TensorFlow 1.0, not ',
  ),
}


@pytest.mark.parametrize('what', TOLD)
def test_what_differs_is_told_by_both(pair, what):
  change, flags, sentence = TOLD[what]
  started = [pair.start(0), pair.start(1, change, **flags)]
  for status, said in map(ends, started):
    assert status == 1
    assert sentence in said


def test_other_data(pair, workplace):
  other = builders.write_colours(workplace / 'other', 70)
  started = [pair.start(0), pair.start(1, dataset_dir=other)]
  for status, said in map(ends, started):
    assert status == 1
    assert 'error: Worker 1 has' in said and 'same data' in said


@pytest.mark.parametrize('index', [0, 1])
def test_a_signal_to_one(pair, index):
  """All stop after the same step, and the chief saves."""
  started = [pair.start(i, max_number_of_steps=10**6) for i in range(2)]
  until(lambda: steps() > 3)
  started[index].send_signal(signal.SIGTERM)
  for status, said in map(ends, started):
    assert status == 128 + signal.SIGTERM
    assert 'Stopped and saved' in said
  assert list(pathlib.Path('run').glob('model.ckpt-*.index'))


def test_others_wait_for_the_chief(pair):
  """It evaluates or draws for longer than a worker may be silent."""
  slow = """
import time
from engine.training import curves
draw = curves.draw
curves.draw = lambda *given: (time.sleep(25), draw(*given))[1]
"""
  assert [status for status, _ in pair.both((slow, ''))] == [0, 0]
