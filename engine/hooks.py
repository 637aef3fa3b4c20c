"""What happens around the training steps: lines, records, checkpoints."""
import csv
import math
import os
import signal
import threading
import time
from collections.abc import Callable

import tensorflow.compat.v1 as tf

from engine import console

METRICS_FILENAME = 'metrics.csv'


def read_metrics(train_dir: str) -> list[dict[str, float]]:
  """Returns the rows of a run's metrics.csv, [] if there is none."""
  path = os.path.join(train_dir, METRICS_FILENAME)
  if not os.path.exists(path):
    return []
  rows = []
  with open(path, newline='') as file:
    for row in csv.DictReader(file):
      try:
        rows.append({name: float(value) for name, value in row.items()})
      except (TypeError, ValueError):  # cut short by a crash or a full disk
        continue
  return rows


class Records:
  """Appends to metrics.csv, and forgets what a restarted run does again."""

  def __init__(self, train_dir: str, columns: list[str], start_step: int):
    rows = [row for row in read_metrics(train_dir) if row['step'] <= start_step]
    path = os.path.join(train_dir, METRICS_FILENAME)
    self._file = open(f'{path}.tmp', 'w', newline='')
    self._writer = csv.DictWriter(self._file, columns, restval='nan',
                                  extrasaction='ignore')
    self._writer.writeheader()
    for row in rows:
      self.add(row)
    os.replace(f'{path}.tmp', path)  # the open file goes along

  def add(self, row: dict[str, float]) -> None:
    self._writer.writerow({
        **{name: f'{value:.6g}' for name, value in row.items()},
        'step': int(row['step'])})
    self._file.flush()

  def close(self) -> None:
    self._file.close()


def duration(seconds: float) -> str:
  """Returns '1:02:03' or '2:03'."""
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return (f'{hours}:{minutes:02}:{rest:02}' if hours
          else f'{minutes}:{rest:02}')


class Report(tf.train.SessionRunHook):
  """Prints and records a line every few steps; stops if the loss is no number.

  A line is also a row of metrics.csv and a point in TensorBoard. It shows
  means over the steps since the last one.
  """

  def __init__(self, fetches: dict[str, tf.Tensor], train_dir: str,
               start_step: int, total: int | None, every: int,
               batch_size: int):
    """Prepares the report.

    Args:
      fetches: scalar tensors: step (after the step), loss, total_loss,
        accuracy, learning_rate and waiting (seconds).
      train_dir: where metrics.csv is written.
      start_step: the steps already done.
      total: the last step, None if there is none.
      every: steps between two lines.
      batch_size: examples in a step.
    """
    self._fetches, self._train_dir = fetches, train_dir
    self._start, self._total, self._every = start_step, total, every
    self._batch_size = batch_size
    self._sums, self._count = {}, 0
    self._timed, self._warming_up = 0, True

  def begin(self):
    self._records = Records(
        self._train_dir, ['step', 'loss', 'total_loss', 'accuracy',
                          'learning_rate', 'images_per_second',
                          'waiting_seconds'], self._start)
    self._events = tf.summary.FileWriterCache.get(self._train_dir)
    self._bar = console.progress(self._total, self._start)
    self._time = time.perf_counter()

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._fetches)

  def after_run(self, run_context, run_values):
    values = run_values.results
    step = int(values['step'])
    if not math.isfinite(values['total_loss']):
      self._close()
      raise ValueError(
          f'The loss is {values["total_loss"]} at step {step}. Training again '
          'continues from the last checkpoint: lower --learning_rate, or '
          'check the images and labels.')
    self._bar.update(step - self._bar.n)
    if self._warming_up:  # the first step also prepares the graph
      self._warming_up, self._time = False, time.perf_counter()
    else:
      self._timed += 1
    for name in ('loss', 'total_loss', 'accuracy', 'waiting'):
      self._sums[name] = self._sums.get(name, 0.0) + float(values[name])
    self._count += 1
    if step % self._every == 0 or step == self._total:
      self._line(step, float(values['learning_rate']))

  def _line(self, step, learning_rate):
    now = time.perf_counter()
    seconds, self._time = now - self._time, now
    mean = {name: value / self._count for name, value in self._sums.items()}
    pace = seconds / self._timed if self._timed else math.nan
    row = {'step': step, 'loss': mean['loss'],
           'total_loss': mean['total_loss'], 'accuracy': mean['accuracy'],
           'learning_rate': learning_rate,
           'images_per_second': self._batch_size / pace,
           'waiting_seconds': self._sums['waiting']}
    self._records.add(row)
    self._events.add_summary(tf.Summary(value=[
        tf.Summary.Value(tag=name, simple_value=value)
        for name, value in row.items() if name != 'step']), step)
    of = f' of {self._total}' if self._total else ''
    speed, left = '', ''
    if self._timed:
      speed = f'{row["images_per_second"]:.1f} images/s, '
    if self._timed and self._total:
      left = f', {duration((self._total - step) * pace)} left'
    console.say(
        f'step {step}{of}: loss {row["loss"]:.4f}, accuracy '
        f'{row["accuracy"]:.1%}, learning rate {learning_rate:.3g}, '
        f'{speed}{row["waiting_seconds"]:.2f} s waiting for data{left}')
    self._sums, self._count, self._timed = {}, 0, 0

  def _close(self):
    self._bar.close()
    self._records.close()
    self._events.flush()

  def end(self, session):
    self._close()


class Save(tf.train.SessionRunHook):
  """Saves every few seconds, and once at the end.

  The checkpoint of the last step is written once, after `finish`, so that
  whoever finds it finds it finished. Weights that are not finite are not
  saved, but an error.
  """

  def __init__(self, scaffold: tf.train.Scaffold, path: str, seconds: float,
               step: tf.Tensor, total: int | None,
               finish: Callable[[tf.Session], None]):
    """Prepares to save.

    Args:
      scaffold: whose saver is used.
      path: the prefix of the checkpoints.
      seconds: between two of them.
      step: int64 scalar, the step after a run.
      total: the last step, None if there is none.
      finish: called with the session when the last step is done.
    """
    self._scaffold, self._path, self._seconds = scaffold, path, seconds
    self._step, self._total, self._finish = step, total, finish
    self._last = time.monotonic()
    self._saved = None

  def begin(self):
    self._finite = tf.reduce_all(tf.stack([
        tf.reduce_all(tf.math.is_finite(variable))
        for variable in tf.global_variables() if variable.dtype.is_floating
    ] or [True]))

  def _save(self, session, step):
    if not session.run(self._finite):
      raise ValueError(
          f'After step {step} some weights are no longer finite, and are not '
          'saved. Training again continues from the last checkpoint: lower '
          '--learning_rate, or check the images and labels.')
    self._scaffold.saver.save(session, self._path, global_step=step)
    self._last, self._saved = time.monotonic(), step

  def after_create_session(self, session, coord):
    self._now = int(session.run(tf.train.get_global_step(session.graph)))
    self._saved = self._now if self._now else None

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._step)

  def after_run(self, run_context, run_values):
    self._now = int(run_values.results)
    if self._total is not None and self._now >= self._total:
      run_context.request_stop()
    elif time.monotonic() - self._last >= self._seconds:
      self._save(run_context.session, self._now)

  def end(self, session):
    if self._now == self._saved:
      return
    if self._now == self._total:
      self._finish(session)
    self._save(session, self._now)


class StopOnSignal(tf.train.SessionRunHook):
  """Turns Ctrl-C and SIGTERM into a stop after the current step.

  Attributes:
    received: the signal's number, None if there was none.
  """

  def __init__(self):
    self.received = None
    self._handlers = {}

  def _receive(self, number, frame):
    if self.received is not None:  # asked twice: at once
      raise KeyboardInterrupt
    self.received = number

  def begin(self):
    if threading.current_thread() is threading.main_thread():
      self._handlers = {number: signal.signal(number, self._receive)
                        for number in (signal.SIGINT, signal.SIGTERM)}

  def after_run(self, run_context, run_values):
    if self.received is not None:
      run_context.request_stop()

  def restore(self) -> None:
    """Puts back the handlers from before."""
    for number, handler in self._handlers.items():
      signal.signal(number, handler)
