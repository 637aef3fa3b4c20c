"""Reports, saves, profiles and stops around the steps of a session."""

import math
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time
import types

import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import locate
from engine.common import ending
from engine.replicas import workers
from engine.training import hooks, metrics_log

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize(
  'seconds, text',
  [
    (0, '0:00'),
    (9.4, '0:09'),
    (59.6, '1:00'),
    (61, '1:01'),
    (600, '10:00'),
    (3599.4, '59:59'),
    (3600, '1:00:00'),
    (3723, '1:02:03'),
    (100 * 3600 + 61, '100:01:01'),
  ],
)
def test_duration(seconds, text):
  assert hooks.duration(seconds) == text


@pytest.fixture
def loop(graph, tmp_path):
  """loop(losses, other hooks, **options): runs a step for each loss."""
  step = tf.train.get_or_create_global_step()
  loss = tf.placeholder(tf.float32, [])
  weight = tf.get_variable('weight', [100000], use_resource=True)
  with tf.control_dependencies(
    [step.assign_add(1), weight.assign(tf.fill([100000], loss))]
  ):
    done = tf.identity(step.read_value())

  def run(
    losses,
    others=lambda saver, done: (),
    start=0,
    total=None,
    every=2,
    advice='',
  ):
    fetches = {
      'step': done,
      'loss': loss * 1,
      'total_loss': loss + 1,
      'accuracy': loss / 10,
      'learning_rate': tf.constant(0.5),
      'waiting': tf.constant(0.25),
    }
    report = hooks.Report(
      fetches, str(tmp_path), start, total, every, 8, advice
    )
    saver = tf.train.Saver()
    with tf.train.MonitoredSession(
      hooks=[report, *others(saver, done)]
    ) as session:
      for value in losses:
        if session.should_stop():
          break
        session.run(done, {loss: value})
    return metrics_log.read_metrics(str(tmp_path))

  return run


def test_report(loop, capsys):
  rows = loop([1, 2, 5, 6, 9], total=5)
  # Means over the steps since the last line; the last step has one.
  assert [(row['step'], row['loss'], row['total_loss']) for row in rows] == [
    (2, 1.5, 2.5),
    (4, 5.5, 6.5),
    (5, 9, 10),
  ]
  assert [row['accuracy'] for row in rows] == pytest.approx([0.15, 0.55, 0.9])
  # Not that for the first batch, before which the pipeline has to start.
  assert [row['waiting_seconds'] for row in rows] == [0.25, 0.5, 0.25]
  assert all(row['images_per_second'] > 0 for row in rows)
  first, *lines = capsys.readouterr().out.splitlines()
  assert first == (
    'step 1 of 5: loss 1.0000, accuracy 10.0%, learning rate 0.5'
  )
  assert len(lines) == 3
  assert lines[0].startswith(
    'step 2 of 5: loss 1.5000, accuracy 15.0%, learning rate 0.5, '
  )
  assert re.search(
    r' images/s, \d+% of the time waiting for data, 0:00 left$', lines[0]
  )


def test_report_without_an_end(loop, capsys):
  loop([1, 2, 3, 4])
  lines = capsys.readouterr().out.splitlines()
  assert [line.split(':')[0] for line in lines] == [
    'step 1',
    'step 2',
    'step 4',
  ]
  assert not any('left' in line for line in lines)


@pytest.fixture
def clock(monkeypatch):
  """The time that the reports see, in a list."""
  now = [100.0]
  monkeypatch.setattr(
    hooks,
    'time',
    types.SimpleNamespace(
      perf_counter=lambda: now[0], monotonic=time.monotonic
    ),
  )
  return now


class Each(tf.train.SessionRunHook):
  """Calls a function with the number of each step, before it."""

  def __init__(self, function):
    self._function, self._step = function, 0

  def before_run(self, run_context):
    self._step += 1
    self._function(self._step)


def test_report_of_the_speed(loop, clock, capsys):
  """Without the first step, which also prepares the graph."""

  def pass_time(step):
    clock[0] += 50 if step == 1 else 2

  rows = loop([1, 2, 3, 4], lambda saver, done: [Each(pass_time)], total=9)
  assert [row['images_per_second'] for row in rows] == [4, 4]
  _, *lines = capsys.readouterr().out.splitlines()
  assert lines[0].endswith(
    ', 4.0 images/s, 12% of the time waiting for data, 0:14 left'
  )
  assert lines[1].endswith(
    ', 4.0 images/s, 12% of the time waiting for data, 0:10 left'
  )


def test_report_of_slow_steps(loop, clock, capsys):
  """Each has a line, until the first row; then how long it will take."""

  def pass_time(step):
    clock[0] += 50 if step == 1 else 10

  rows = loop(
    [1, 2, 3, 4, 5, 6, 7],
    lambda saver, done: [Each(pass_time)],
    total=1000,
    every=5,
    advice='buy another.',
  )
  assert [row['step'] for row in rows] == [5]
  lines = capsys.readouterr().out.splitlines()
  assert [line.partition(':')[0] for line in lines] == [
    *(f'step {step} of 1000' for step in (1, 2, 3, 4)),
    'About 3 hours at this rate',
    'note',
    'step 5 of 1000',
  ]
  assert lines[4].endswith(': 996 more steps of 10 seconds.')
  assert lines[5] == 'note: buy another.'


def test_report_of_the_first_step_alone(loop, capsys):
  """It says nothing of a speed."""
  (row,) = loop([1], total=9, every=1)
  assert capsys.readouterr().out == (
    'step 1 of 9: loss 1.0000, accuracy 10.0%, learning rate 0.5\n'
  )
  assert math.isnan(row['images_per_second']) and row['waiting_seconds'] == 0


def test_report_leaves_out_excluded_time(graph, tmp_path, clock, capsys):
  step = tf.train.get_or_create_global_step()
  done = step.assign_add(1)
  fetches = {
    name: tf.constant(0.25)
    for name in ('loss', 'total_loss', 'accuracy', 'learning_rate', 'waiting')
  }
  report = hooks.Report({**fetches, 'step': done}, str(tmp_path), 0, 4, 2, 8)

  class Evaluate(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      clock[0] += 2
      if report._timed == 0:  # as after an evaluation of 30 seconds
        clock[0] += 30
        report.exclude(30)

  with tf.train.MonitoredSession(hooks=[Evaluate(), report]) as session:
    for _ in range(4):
      session.run(done)
  assert [
    row['images_per_second'] for row in metrics_log.read_metrics(str(tmp_path))
  ] == [4, 4]
  assert capsys.readouterr().out.count(' 4.0 images/s, ') == 2


def test_report_closes_twice_or_unbegun(loop, tmp_path):
  report = hooks.Report({}, str(tmp_path), 0, None, 2, 8)
  report.close()
  report.begin()
  for _ in range(2):
    report.close()
  assert metrics_log.read_metrics(str(tmp_path)) == []


def _steps_saved(folder):
  return sorted(
    int(path.stem.rpartition('-')[2]) for path in folder.glob('*.index')
  )


@pytest.fixture
def save(tmp_path):
  """save(seconds, finish=...): what `loop` takes, to save up to step 4."""

  def make(seconds, finish=lambda session: None):
    return lambda saver, done: [
      hooks.Save(
        saver,
        str(tmp_path / 'model.ckpt'),
        seconds,
        done,
        lambda step: step == 4,
        finish,
        lambda session: 'because of it.',
      )
    ]

  return make


@pytest.mark.parametrize('seconds, steps', [(1000, [4]), (1e-9, [1, 2, 3, 4])])
def test_save(loop, tmp_path, save, seconds, steps):
  """Every few seconds, and at the end once it is finished."""
  seen = []
  loop(
    range(9), save(seconds, lambda session: seen.append(_steps_saved(tmp_path)))
  )
  assert _steps_saved(tmp_path) == steps
  assert seen == [steps[:-1]]


def test_save_of_a_stopped_run(loop, tmp_path, save):
  """A stop before the end saves, and does not finish."""
  finished = []

  class StopAtTwo(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      self.count = getattr(self, 'count', 0) + 1
      if self.count == 2:
        run_context.request_stop()

  loop(
    range(9), lambda *given: [StopAtTwo(), *save(1000, finished.append)(*given)]
  )
  assert _steps_saved(tmp_path) == [2] and finished == []


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('bad', [3, 4])
def test_weights_that_are_not_finite_are_not_saved(
  loop, tmp_path, save, bad, value
):
  losses = [value if step == bad else 0.5 for step in (1, 2, 3, 4)]
  with pytest.raises(ValueError) as error:
    loop(losses, save(1e-9))
  assert str(error.value) == (
    f'After step {bad} some weights are not finite, and are not saved: '
    'because of it.'
  )
  assert _steps_saved(tmp_path) == list(range(1, bad))


class OfTwo(workers.Workers):
  """One of two workers, as far as it does not ask the other."""

  count = 2

  def __init__(self, index):
    self.index = index


@pytest.mark.parametrize('index', [0, 1])
def test_several_workers_look_at_weights_together(loop, tmp_path, save, index):
  """When to save is the chief's own time, and to explain takes all."""
  nan = float('nan')
  with workers.use(OfTwo(index)):
    loop([1, nan, nan, 4], save(1e-9))
    assert _steps_saved(tmp_path) == ([] if index else [1, 4])
    with pytest.raises(ValueError, match='After step 4 some weights are not'):
      loop([1, 2, 3, nan], save(1e-9))


@pytest.fixture
def small_disk():
  """small_disk(bytes): no file can be longer until the test ends."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  yield lambda size: resource.setrlimit(
    resource.RLIMIT_FSIZE, (size, before[1])
  )
  resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_save_on_a_full_disk(loop, tmp_path, save, small_disk):
  """The older checkpoints are whole, and no part of the new one is left."""
  path = tmp_path / 'model.ckpt'

  def fill(step):
    if step == 3:
      small_disk(100000)  # a checkpoint has four times as many bytes

  with pytest.raises(ending.Fault) as error:
    loop([1, 2, 3, 4], lambda *given: [Each(fill), *save(1e-9)(*given)])
  text = str(error.value)
  assert (
    text.startswith(f'The checkpoint of step 3 cannot be written to {path}: ')
    and '\n' not in text
  )
  assert text.endswith(
    '. Those that are there are whole: make room, and the same command '
    'resumes from the newest.'
  )
  assert not list(tmp_path.glob('model.ckpt-3*'))
  assert not list(tmp_path.glob('*tempstate*'))
  assert tf.train.latest_checkpoint(str(tmp_path)) == f'{path}-2'
  for step in (1, 2):
    weight = tf.train.load_checkpoint(f'{path}-{step}').get_tensor('weight')
    assert (weight == step).all()


def test_full_disk_at_the_meta_graph(loop, tmp_path, save, monkeypatch):
  """It is written last, when those before may have been removed.

  The values are whole, and stay.
  """
  export = tf.train.Saver.export_meta_graph

  def fail(saver, filename, **options):
    if 'ckpt-3' in filename:
      pathlib.Path(filename).write_bytes(b'part')
      raise tf.errors.ResourceExhaustedError(None, None, 'No space left')
    return export(saver, filename, **options)

  monkeypatch.setattr(tf.train.Saver, 'export_meta_graph', fail)
  with pytest.raises(ValueError, match='step 3 cannot .*No space left'):
    loop([1, 2, 3, 4], save(1e-9))
  assert not list(tmp_path.glob('model.ckpt-3.meta*'))
  assert locate.newest(str(tmp_path)) == str(tmp_path / 'model.ckpt-3')


@pytest.fixture
def profiled(monkeypatch):
  """What was done about the profiler, which works nevertheless."""
  done = []
  profiler = hooks.tf2.profiler.experimental
  start, stop = profiler.start, profiler.stop
  monkeypatch.setattr(
    profiler, 'start', lambda folder: (done.append('start'), start(folder))
  )
  monkeypatch.setattr(profiler, 'stop', lambda: (done.append('stop'), stop()))
  return done


@pytest.mark.parametrize(
  'first, last, start, want',
  [
    (2, 3, 0, [1, 'start', 2, 3, 'stop', 4, 5]),
    (4, 4, 0, [1, 2, 3, 'start', 4, 'stop', 5]),
    (2, 3, 1, ['start', 1, 2, 'stop', 3, 4, 5]),  # the run's second and third
    (5, 9, 0, [1, 2, 3, 4, 'start', 5, 'stop']),
    (2, 3, 3, [1, 2, 3, 4, 5]),
  ],
)
def test_profile(loop, tmp_path, profiled, capsys, first, last, start, want):
  loop(
    range(5),
    lambda saver, done: [
      hooks.Profile(str(tmp_path), first, last, start),
      Each(profiled.append),
    ],
    every=9,
  )
  assert profiled == want
  files = list(tmp_path.glob('plugins/profile/*/*.xplane.pb'))
  assert [file.stat().st_size > 0 for file in files] == [True] * want.count(
    'start'
  )
  told = [
    line
    for line in capsys.readouterr().out.splitlines()
    if not line.startswith('step ')
  ]
  assert (
    told
    == [
      f'A profile of steps {first} to {min(last, start + 5)} is in '
      f'{tmp_path}/plugins/profile; TensorBoard with '
      'tensorboard-plugin-profile shows it.'
    ][: len(files)]
  )


def test_profile_of_a_training_that_fails(loop, tmp_path, profiled):
  """The profiler is free for the next training in the process."""

  def fail(step):
    if step == 3:
      raise ZeroDivisionError

  profile = hooks.Profile(str(tmp_path), 2, 4, 0)
  with pytest.raises(ZeroDivisionError):
    loop(range(5), lambda saver, done: [profile, Each(fail)])
  assert profiled == ['start']
  profile.close()
  profile.close()
  assert profiled == ['start', 'stop']


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_after_the_step(loop, tmp_path, save, number):
  before = signal.getsignal(number)
  stop = hooks.StopOnSignal()

  class Raise(tf.train.SessionRunHook):
    def before_run(self, run_context):
      signal.raise_signal(number)

  try:
    loop(range(9), lambda *given: [stop, Raise(), *save(1000)(*given)])
    assert stop.received == number and _steps_saved(tmp_path) == [1]
  finally:
    stop.close()
  assert signal.getsignal(number) is before
  assert signal.set_wakeup_fd(-1) == -1


# A run of two steps, of which the second does not end by itself.
LONG_STEP = """
import sys, time
import tensorflow.compat.v1 as tf
from engine.training import hooks

tf.disable_eager_execution()
number = tf.train.get_or_create_global_step()
weight = tf.get_variable('weight', [100000])

def work(done):
  if done:
    print('working', flush=True)
    time.sleep(600)
  return done

with tf.control_dependencies([tf.py_func(work, [number], tf.int64)]):
  step = number.assign_add(1)
save = hooks.Save(
  tf.train.Saver(), sys.argv[1], 1e-9, step, lambda step: False, None, None
)
with tf.train.MonitoredSession(hooks=[save, hooks.StopOnSignal()]) as session:
  for _ in range(2):
    session.run(step)
"""


@pytest.mark.slow
def test_signals_during_a_long_step(tmp_path):
  """The first is answered at once, the second ends the process at once."""
  process = subprocess.Popen(
    [sys.executable, '-c', LONG_STEP, tmp_path / 'model.ckpt'],
    cwd=ROOT,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )
  try:
    assert process.stdout.readline() == 'working\n'
    process.send_signal(signal.SIGTERM)
    for line in process.stderr:
      if not line.startswith('Stopping'):
        continue  # TensorFlow's
      assert line == (
        'Stopping after this step or evaluation; Ctrl-C again stops at once.\n'
      )
      process.send_signal(signal.SIGINT)
      break
    _, rest = process.communicate(timeout=60)
  finally:
    process.kill()
    process.wait()
  assert rest == 'Stopped at once: what was saved before stays.\n'
  assert process.returncode == 128 + signal.SIGINT
  assert locate.newest(str(tmp_path)) == str(tmp_path / 'model.ckpt-1')
