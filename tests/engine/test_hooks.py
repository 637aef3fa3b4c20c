"""Records, reports and saves around the steps of a session."""
import signal

import pytest
import tensorflow.compat.v1 as tf

from engine import hooks

COLUMNS = ['step', 'loss']


def test_nothing_recorded(tmp_path):
  assert hooks.read_metrics(str(tmp_path)) == []
  assert hooks.read_metrics(str(tmp_path / 'nowhere')) == []


def test_records(tmp_path):
  records = hooks.Records(str(tmp_path), COLUMNS, 0)
  records.add({'step': 10, 'loss': 1 / 3})
  # Written at once, lest a kill loses it.
  assert (tmp_path / 'metrics.csv').read_text().split() == [
      'step,loss', '10,0.333333']
  records.add({'step': 1234567890, 'loss': 1e-9})
  records.close()
  assert hooks.read_metrics(str(tmp_path)) == [
      {'step': 10, 'loss': 0.333333}, {'step': 1234567890, 'loss': 1e-9}]


def test_restart_forgets_what_is_done_again(tmp_path):
  records = hooks.Records(str(tmp_path), COLUMNS, 0)
  for step in (10, 20, 30):
    records.add({'step': step, 'loss': step})
  records.close()
  records = hooks.Records(str(tmp_path), COLUMNS, 20)
  assert [row['step'] for row in hooks.read_metrics(str(tmp_path))] == [10, 20]
  records.add({'step': 30, 'loss': 0.5})
  records.close()
  assert hooks.read_metrics(str(tmp_path)) == [
      {'step': 10, 'loss': 10}, {'step': 20, 'loss': 20},
      {'step': 30, 'loss': 0.5}]


@pytest.mark.parametrize('rest', ['3', '30', '30,', '30,0.'])
def test_last_row_cut_short(tmp_path, rest):
  """By a full disk, or a machine that went down."""
  (tmp_path / 'metrics.csv').write_text(
      'step,loss,accuracy\n10,1,0.5\n20,2,0.25\n' + rest)
  assert hooks.read_metrics(str(tmp_path)) == [
      {'step': 10, 'loss': 1, 'accuracy': 0.5},
      {'step': 20, 'loss': 2, 'accuracy': 0.25}]


@pytest.mark.parametrize('seconds, text', [
    (0, '0:00'), (9.4, '0:09'), (59.6, '1:00'), (61, '1:01'), (600, '10:00'),
    (3599.4, '59:59'), (3600, '1:00:00'), (3723, '1:02:03'),
    (100 * 3600 + 61, '100:01:01')])
def test_duration(seconds, text):
  assert hooks.duration(seconds) == text


@pytest.fixture
def loop(graph, tmp_path):
  """loop(losses, other hooks, **options): runs a step for each loss."""
  step = tf.train.get_or_create_global_step()
  loss = tf.placeholder(tf.float32, [])
  with tf.control_dependencies([step.assign_add(1)]):
    done = tf.identity(step.read_value())

  def run(losses, others=lambda step, done: (), start=0, total=None, every=2):
    fetches = {'step': done, 'loss': loss * 1, 'total_loss': loss + 1,
               'accuracy': loss / 10, 'learning_rate': tf.constant(0.5),
               'waiting': tf.constant(0.25)}
    report = hooks.Report(fetches, str(tmp_path), start, total, every, 8)
    scaffold = tf.train.Scaffold()
    with tf.train.MonitoredSession(
        tf.train.ChiefSessionCreator(scaffold),
        [report, *others(scaffold, done)]) as session:
      for value in losses:
        if session.should_stop():
          break
        session.run(done, {loss: value})
    return hooks.read_metrics(str(tmp_path))
  return run


def test_report(loop, capsys):
  rows = loop([1, 2, 5, 6, 9], total=5)
  # Means over the steps since the last line; the last step has one.
  assert [(row['step'], row['loss'], row['total_loss']) for row in rows] == [
      (2, 1.5, 2.5), (4, 5.5, 6.5), (5, 9, 10)]
  assert [row['accuracy'] for row in rows] == pytest.approx([.15, .55, .9])
  assert [row['waiting_seconds'] for row in rows] == [.5, .5, .25]
  assert all(row['images_per_second'] > 0 for row in rows)
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 3
  assert lines[0].startswith('step 2 of 5: loss 1.5000, accuracy 15.0%, '
                             'learning rate 0.5, ')
  assert lines[0].endswith('0.50 s waiting for data, 0:00 left')


def test_report_without_an_end(loop, capsys):
  loop([1, 2, 3, 4])
  lines = capsys.readouterr().out.splitlines()
  assert [line.split(':')[0] for line in lines] == ['step 2', 'step 4']
  assert not any('left' in line for line in lines)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_report_stops_at_a_loss_that_is_no_number(loop, tmp_path, value):
  saved = []
  with pytest.raises(ValueError, match=f'The loss is {value} at step 3. '
                     'Training again continues from the last checkpoint: '
                     'lower --learning_rate, or check the images and labels'):
    loop([1, 2, value, 4], lambda scaffold, done: [hooks.Save(
        scaffold, str(tmp_path / 'model.ckpt'), 1e-9, done, 4, saved.append)])
  assert [row['step'] for row in hooks.read_metrics(str(tmp_path))] == [2]
  # Neither the step with the bad loss nor any later one is saved.
  assert tf.train.latest_checkpoint(str(tmp_path)).endswith('-2')
  assert saved == []


def _steps_saved(folder):
  return sorted(int(path.stem.rpartition('-')[2])
                for path in folder.glob('*.index'))


@pytest.mark.parametrize('seconds, steps', [(1000, [4]), (1e-9, [1, 2, 3, 4])])
def test_save(loop, tmp_path, seconds, steps):
  """Every few seconds, and at the end once it is finished."""
  seen = []

  def finish(session):
    seen.append(_steps_saved(tmp_path))
  loop(range(9), lambda scaffold, done: [hooks.Save(
      scaffold, str(tmp_path / 'model.ckpt'), seconds, done, 4, finish)])
  assert _steps_saved(tmp_path) == steps
  assert seen == [steps[:-1]]


def test_save_of_a_stopped_run(loop, tmp_path):
  """A stop before the end saves, and does not finish."""
  finished = []

  class StopAtTwo(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      self.count = getattr(self, 'count', 0) + 1
      if self.count == 2:
        run_context.request_stop()
  loop(range(9), lambda scaffold, done: [StopAtTwo(), hooks.Save(
      scaffold, str(tmp_path / 'model.ckpt'), 1000, done, 4, finished.append)])
  assert _steps_saved(tmp_path) == [2] and finished == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_after_the_step(loop, tmp_path, number):
  before = signal.getsignal(number)
  stop = hooks.StopOnSignal()

  class Raise(tf.train.SessionRunHook):
    def before_run(self, run_context):
      signal.raise_signal(number)
  try:
    loop(range(9), lambda scaffold, done: [stop, Raise(), hooks.Save(
        scaffold, str(tmp_path / 'model.ckpt'), 1000, done, 4,
        lambda session: None)])
    assert stop.received == number and _steps_saved(tmp_path) == [1]
    with pytest.raises(KeyboardInterrupt):  # asked twice
      signal.raise_signal(number)
  finally:
    stop.restore()
  assert signal.getsignal(number) is before
