"""What happens around the training steps: lines, records, checkpoints."""

import contextlib
import glob
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from engine.checkpoints import locate
from engine.common import console, ending
from engine.replicas import workers
from engine.training.estimate import Estimate
from engine.training.metrics_log import MetricsLog

_STOPPING = (
  'Stopping after this step or evaluation; Ctrl-C again stops at once.'
)
_PATIENCE = 5  # seconds without a line, before the first row


def duration(seconds: float) -> str:
  """Returns '1:02:03' or '2:03'."""
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'


class Restored(tf.train.SessionRunHook):
  """Calls a function when all variables have their values.

  It is the first of the hooks: others may look for what it writes.
  """

  def __init__(self, function: Callable[[], None]):
    """Sets the function."""
    self._function = function

  def after_create_session(
    self, session: tf.Session, coord: tf.train.Coordinator
  ) -> None:
    self._function()


class Report(tf.train.SessionRunHook):
  """Prints and records a line every few steps.

  A line is also a row of metrics.csv and a point in TensorBoard. It shows
  means over the steps since the last one. Before the first of them the first
  step has a line of its own, and so do others that take long.

  Attributes:
    unread: whether nobody reads the lines any more, as behind a pipe whose
      other end is closed; training then stops, and is saved.
  """

  def __init__(
    self,
    fetches: dict[str, tf.Tensor],
    train_dir: str,
    start_step: int,
    total: int | None,
    every: int,
    batch_size: int,
    advice: str = '',
  ):
    """Prepares the report.

    Args:
      fetches: scalar tensors: step (after the step), loss, total_loss,
        accuracy, learning_rate and waiting (seconds).
      train_dir: where metrics.csv is written.
      start_step: the steps already done.
      total: the last step, None if there is none.
      every: steps between two lines.
      batch_size: examples in a step.
      advice: see `Estimate`.
    """
    # Of several workers the chief stops all; see `StopOnSignal`.
    self._alone = workers.current().count == 1
    self._fetches, self._train_dir = fetches, train_dir
    self._start, self._total, self._every = start_step, total, every
    self._batch_size = batch_size
    self._sums: dict[str, float] = {}
    self._count = 0
    self._timed, self._warming_up = 0, True
    self._begun = False
    self._estimate = Estimate(total, advice)
    self._said: float | None = None  # when; None from the first row on
    self.unread = False

  def begin(self) -> None:
    self._log = MetricsLog(
      self._train_dir,
      [
        'step',
        'loss',
        'total_loss',
        'accuracy',
        'learning_rate',
        'images_per_second',
        'waiting_seconds',
      ],
      self._start,
    )
    self._events = tf.summary.FileWriterCache.get(self._train_dir)
    self._bar = console.progress(self._total, self._start)
    self._time = time.perf_counter()
    self._said = -math.inf
    self._begun = True

  def before_run(
    self, run_context: tf.train.SessionRunContext
  ) -> tf.train.SessionRunArgs:
    return tf.train.SessionRunArgs(self._fetches)

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    values = run_values.results
    step = int(values['step'])
    self._bar.update(step - self._bar.n)
    now = time.perf_counter()
    is_first, self._warming_up = self._warming_up, False
    if is_first:  # it also prepares the graph
      self._time = now
      self._estimate.begin(now)
      values['waiting'] = 0
    else:
      self._timed += 1
    for name in ('loss', 'total_loss', 'accuracy', 'waiting'):
      self._sums[name] = self._sums.get(name, 0.0) + float(values[name])
    self._count += 1
    try:
      if step % self._every == 0 or step == self._total:
        self._line(step, float(values['learning_rate']))
      elif self._said is not None and now - self._said >= _PATIENCE:
        self._said = now
        self._say(step, values)
    except BrokenPipeError:
      self.unread = True
      if self._alone:
        run_context.request_stop()
    if not is_first:
      self._estimate.after(step, now)

  def exclude(self, seconds: float) -> None:
    """Leaves time that was no training out of what is said of the speed."""
    self._time += seconds
    self._estimate.exclude(seconds)

  def _say(self, step, values, more=''):
    """Prints the line of a step."""
    of = f' of {self._total}' if self._total else ''
    console.say(
      f'step {step}{of}: loss {values["loss"]:.4f}, accuracy '
      f'{values["accuracy"]:.1%}, learning rate {values["learning_rate"]:.3g}'
      f'{more}'
    )

  def _line(self, step, learning_rate):
    now = time.perf_counter()
    seconds, self._time = now - self._time, now
    mean = {name: value / self._count for name, value in self._sums.items()}
    pace = seconds / self._timed if self._timed else math.nan
    row = {
      'step': step,
      'loss': mean['loss'],
      'total_loss': mean['total_loss'],
      'accuracy': mean['accuracy'],
      'learning_rate': learning_rate,
      'images_per_second': self._batch_size / pace,
      'waiting_seconds': self._sums['waiting'],
    }
    self._log.add(row)
    self._events.add_summary(
      tf.Summary(
        value=[
          tf.Summary.Value(tag=name, simple_value=value)
          for name, value in row.items()
          if name != 'step'
        ]
      ),
      step,
    )
    speed, left = '', ''
    if self._timed:
      speed = (
        f', {row["images_per_second"]:.1f} images/s, '
        f'{row["waiting_seconds"] / seconds:.0%} of the time waiting '
        'for data'
      )
    if self._timed and self._total:
      left = f', {duration((self._total - step) * pace)} left'
    self._say(step, row, speed + left)
    self._sums, self._count, self._timed = {}, 0, 0
    self._said = None

  def end(self, session: tf.Session) -> None:
    self.close()

  def close(self) -> None:
    """Ends the progress bar and the files, if they have been begun."""
    if not self._begun:
      return
    self._bar.close()
    self._log.close()
    self._events.flush()


class Save(tf.train.SessionRunHook):
  """Saves every few seconds, and once at the end.

  The checkpoint of the last step is written after `finish`, so that whoever
  finds it finds it finished; after early stopping it is there before, and is
  written again. Weights that are not finite are not saved, but an error.

  Of several workers the chief saves; the others finish, and look at weights.
  """

  def __init__(
    self,
    saver: tf.train.Saver,
    path: str,
    seconds: float,
    step: tf.Tensor,
    is_last: Callable[[int], bool],
    finish: Callable[[tf.Session], None],
    explain: Callable[[tf.Session], str],
    start: int = 0,
  ):
    """Prepares to save.

    Args:
      saver: writes checkpoints.
      path: the prefix of the checkpoints.
      seconds: between two of them.
      step: int64 scalar, the step after a run.
      is_last: whether a step is the last.
      finish: called with the session when the last step is done.
      explain: called with the session where weights are not finite; says why.
      start: the steps already done.
    """
    together = workers.current()
    self._writes, self._alone = together.is_chief, together.count == 1
    self._saver, self._path, self._seconds = saver, path, seconds
    self._step, self._is_last, self._finish = step, is_last, finish
    self._explain = explain
    self._last = time.monotonic()
    self._now, self._saved = start, start or None

  def begin(self) -> None:
    self._variables = [v for v in tf.global_variables() if v.dtype.is_floating]

  def _is_finite(self, session):
    """Whether all variables are; by NumPy, which adds nothing to the graph."""
    return all(np.isfinite(v).all() for v in session.run(self._variables))

  def save(self, session: tf.Session, step: int) -> None:
    """Writes the checkpoint of a step; all workers call it, after that step.

    Raises:
      ValueError: weights are not finite.
      ending.Fault: the disk is full.
    """
    if not self._is_finite(session):
      raise ValueError(
        f'After step {step} some weights are not finite, and '
        f'are not saved: {self._explain(session)}'
      )
    if self._writes:
      self._write(session, step)
    self._last, self._saved = time.monotonic(), step

  def _save_in_time(self, session, step):
    """Saves where the time says so, which differs between workers.

    Others do not wait for what is found to be wrong here, nor say it with this
    one: the next step that all take, or the end, does.
    """
    if self._alone:
      self.save(session, step)
    elif self._writes and self._is_finite(session):
      self._write(session, step)
      self._last, self._saved = time.monotonic(), step

  def _write(self, session, step):
    try:
      self._saver.save(session, self._path, global_step=step)
    except (tf.errors.OpError, OSError) as error:
      self._discard(step)
      raise ending.Fault(
        f'The checkpoint of step {step} cannot be written to {self._path}: '
        f'{console.explain(error)} Those that are there are whole: make '
        'room, and the same command resumes from the newest.'
      ) from None

  def _discard(self, step):
    """Removes what there is of a checkpoint that could not be written.

    If its values could be, they stay: those before it may be removed by now.
    """
    name = f'{self._path}-{step}'
    rest = '.meta*' if locate.is_readable(name) else '.*'
    for path in glob.glob(glob.escape(name) + rest):
      with contextlib.suppress(OSError):
        os.remove(path)
    shutil.rmtree(f'{self._path}-{step}_temp', ignore_errors=True)

  def before_run(
    self, run_context: tf.train.SessionRunContext
  ) -> tf.train.SessionRunArgs:
    return tf.train.SessionRunArgs(self._step)

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    self._now = int(run_values.results)
    if self._is_last(self._now):
      run_context.request_stop()
    elif (
      time.monotonic() - self._last >= self._seconds
      and self._now != self._saved
    ):
      self._save_in_time(run_context.session, self._now)

  def end(self, session: tf.Session) -> None:
    if self._is_last(self._now):
      self._finish(session)
    elif self._now == self._saved:
      return
    self.save(session, self._now)


class Profile(tf.train.SessionRunHook):
  """Writes a profile of some steps for TensorBoard's profiler."""

  def __init__(self, train_dir: str, first: int, last: int, start_step: int):
    """Prepares to profile the steps `first` to `last`.

    Args:
      train_dir: below which it is written, in plugins/profile.
      first: the number of the first step, from 1.
      last: the number of the last step.
      start_step: the steps already done.
    """
    self._train_dir, self._first, self._last = train_dir, first, last
    self._step, self._active = start_step, False

  def before_run(self, run_context: tf.train.SessionRunContext) -> None:
    self._step += 1
    if self._step == self._first:
      tf2.profiler.experimental.start(self._train_dir)
      self._active = True

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    if self._active and self._step >= self._last:
      self._stop()

  def end(self, session: tf.Session) -> None:
    self._stop()

  def close(self) -> None:
    """Ends a profile that has been begun."""
    if self._active:
      self._active = False
      tf2.profiler.experimental.stop()

  def _stop(self):
    if not self._active:
      return
    self.close()
    console.say(
      f'A profile of steps {self._first} to {self._step} is in '
      f'{os.path.join(self._train_dir, "plugins", "profile")}; TensorBoard '
      'with tensorboard-plugin-profile shows it.'
    )


class StopOnSignal(tf.train.SessionRunHook):
  """Turns Ctrl-C and SIGTERM into a stop after the current step.

  A second one ends the process at once, as a kill does, which a run survives:
  files are written in whole or not at all.

  Python calls its handlers between two of its own instructions, so not while a
  step runs, which may take minutes. The signals are therefore also seen by a
  thread, at the other end of the pipe that `signal.set_wakeup_fd` writes to.

  Of several workers any may be asked, and all stop after the same step: each
  tells the others in the step itself, which sums what they say.

  Attributes:
    received: the signal's number, None if there was none; SIGTERM where another
      worker was asked.
  """

  def __init__(
    self,
    asked: tf.Tensor | None = None,
    stop: tf.Tensor | None = None,
    others: Callable[[], bool] = lambda: False,
  ):
    """Prepares to stop.

    Args:
      asked: float32 scalar to feed, 1 where this worker is to stop; None for a
        process alone.
      stop: float32 scalar, above 0 if any is to stop.
      others: whether this worker is to stop for another reason.
    """
    self.received: int | None = None
    self._asked, self._stop, self._others = asked, stop, others
    self._handlers: dict[int, Any] = {}

  def _receive(self, number, frame):
    self.received = number

  def begin(self) -> None:
    if threading.current_thread() is threading.main_thread():
      self._handlers = {
        number: signal.signal(number, self._receive)
        for number in (signal.SIGINT, signal.SIGTERM)
      }
      self._pipe, self._end = os.pipe()
      os.set_blocking(self._end, False)
      self._end_before = signal.set_wakeup_fd(self._end)
      self._thread = threading.Thread(target=self._watch, daemon=True)
      self._thread.start()

  def _watch(self):
    """Says what each signal does; returns when the pipe is closed."""
    seen = 0
    while found := os.read(self._pipe, 1):
      if found[0] not in self._handlers:
        continue
      seen += 1
      if seen > 1:
        console.interject('Stopped at once: what was saved before stays.')
        os._exit(128 + found[0])
      console.interject(_STOPPING)

  def after_run(
    self,
    run_context: tf.train.SessionRunContext,
    run_values: tf.train.SessionRunValues,
  ) -> None:
    if self._asked is None:
      if self.received is not None:
        run_context.request_stop()
    elif run_values.results > 0:
      self.received = self.received or signal.SIGTERM
      run_context.request_stop()

  def before_run(
    self, run_context: tf.train.SessionRunContext
  ) -> tf.train.SessionRunArgs | None:
    if self._asked is None:
      return None
    wanted = self.received is not None or self._others()
    return tf.train.SessionRunArgs(self._stop, {self._asked: float(wanted)})

  def close(self) -> None:
    """Puts back the handlers from before."""
    if not self._handlers:
      return
    for number, handler in self._handlers.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._end_before)
    os.close(self._end)
    self._thread.join()
    os.close(self._pipe)
    self._handlers = {}
