"""Starts a script several times on this machine, as workers of one cluster.

  python -m deployment.launch --workers=2 -- train_image_classifier.py ARGS

Every copy is told its place and the addresses of all by TF_CONFIG. Worker 0,
the chief, writes to the launcher's own output, the others to files. When one is
lost all are killed, as the others wait for it, and all are started again; not
after a mistake, of which the status is 1 or 2 (a fault that may pass has 75, as
of a full disk, or is a signal).

SIGTERM and Ctrl-C are passed to each worker as SIGTERM, once for each time they
come. Send them to the launcher alone: to the training script a second one says
to end without saving (of systemd, KillMode=mixed). The launcher ends with

  0        when all workers have,
  2        on bad input: nothing was started,
  128 + n  after signal n, to it or to a worker, once the workers have saved
           and ended,
  else     the status of the worker that failed, 128 + n if signal n killed it,
           and 1 if a worker did not end with the others.

On Linux, workers are killed with a launcher that is killed. Elsewhere they are
left, and are to be ended by hand. Nothing here imports TensorFlow or NumPy.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple

from datasets.text import one_line
from deployment import command, workers
from deployment.status import LOST
from engine.common import console

_MISTAKES = (1, 2)  # statuses of what would come again
# The statuses of workers that were asked to stop, and have saved.
_ASKED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_FROM_OUTSIDE = (signal.SIGTERM, getattr(signal, 'SIGKILL', None))
_POLL_SECS = 0.05
_SETTLE_SECS = 1  # in which the cause shows, after the first consequence


class End(NamedTuple):
  """How an attempt ended.

  Fields:
    status: what the launcher ends with, if nothing is started again.
    reason: why it failed; '' if it did not, or was stopped by a signal.
    may_pass: whether another attempt may end better.
  """

  status: int
  reason: str = ''
  may_pass: bool = False


class Signals:
  """Receives SIGTERM and Ctrl-C, until it is left.

  Attributes:
    received: their numbers, in order.
    since: when the first came, in seconds of `time.monotonic`.
  """

  def __init__(self):
    self.received: list[int] = []
    self.since = 0.0
    self._before: dict[int, Any] = {}

  def __enter__(self) -> 'Signals':
    for number in (signal.SIGINT, signal.SIGTERM):
      self._before[number] = signal.signal(number, self._receive)
    return self

  def __exit__(self, *error: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _receive(self, number: int, frame: FrameType | None) -> None:
    self.since = self.since or time.monotonic()
    self.received.append(number)

  @property
  def status(self) -> int:
    """What the launcher ends with."""
    return 128 + self.received[0]


def attempt(job: command.Job, signals: Signals) -> End:
  """Starts all workers; returns how they ended, when none runs any more.

  Raises:
    ValueError: one cannot be started.
  """
  started: list[workers.Worker] = []
  try:
    ports = workers.free_ports(job.workers)
    for index in range(job.workers):
      started.append(workers.Worker(job, index, ports))
    return _watch(started, job, signals)
  finally:
    for worker in started:
      worker.kill()
    for worker in started:
      worker.wait()


def _watch(started, job, signals):
  """Passes signals on until the attempt is over; some may still run then."""
  passed = 0
  while True:
    if passed < len(signals.received):  # two at once would be one to a worker
      passed += 1
      for worker in started:
        worker.terminate()
    for worker in started:
      worker.poll()
    if signals.received:
      end = _stopped(started, job, signals)
    else:
      end = _ended(started, job)
    if end:
      return end
    time.sleep(_POLL_SECS)


def _stopped(started, job, signals):
  """Returns the end after a signal, None while there is time to save."""
  late = [worker for worker in started if worker.status is None]
  if late and time.monotonic() - signals.since < job.grace_secs:
    return None
  if late:
    _note_killed(late, 'the signal', job)
  return End(signals.status)


def _note_killed(late, what, job):
  console.note(
    f'{_named(late)} had not ended {job.grace_secs:g} s after {what} '
    '(--grace_secs): killed.',
    aside=True,
  )


def _ended(started, job):
  """Returns the end by itself or by a fault, None while all is well."""
  now = time.monotonic()
  left = [worker for worker in started if worker.status is None]
  failed = [worker for worker in started if worker.status]
  asked = [worker for worker in failed if worker.status in _ASKED]
  causes = [
    worker for worker in failed if worker.status != LOST and worker not in asked
  ]
  if causes:
    # Of those seen at once: no worker is killed because another one ended.
    return _fault(min(causes, key=lambda worker: worker.status > 0), job)
  if asked:
    return _asked(asked, failed, left, job)
  if failed:
    settled = now - min(worker.ended for worker in failed) >= _SETTLE_SECS
    return _abandoned(failed, left) if settled or not left else None
  if not left:
    return End(0)
  done = [worker for worker in started if worker.status == 0]
  first = min(done, key=lambda worker: worker.ended, default=None)
  if first and now - first.ended >= job.grace_secs:
    reason = (
      f'{_named(left)} had not ended {job.grace_secs:g} s after worker '
      f'{first.index} (--grace_secs).'
    )
    return End(1, reason, may_pass=True)
  return None


def _asked(asked, failed, left, job):
  """Returns the end where a worker was asked to stop, and not the launcher.

  All stop then after the same step. None while there is time to save.
  """
  first = min(asked, key=lambda worker: worker.ended)
  late = time.monotonic() - first.ended >= job.grace_secs
  if left and not late:
    return None
  if len(failed) > len(asked):  # it did not wait for the others
    return _fault(first, job)
  if left:
    _note_killed(left, f'worker {first.index}', job)
  return End(first.status)


def _fault(worker, job):
  status, lines = worker.status, worker.last_lines()
  how = f'ended with status {status}'
  if status < 0:
    how = f'was killed by {_signal_name(-status)}'
  if lines and -status not in _FROM_OUTSIDE:
    what = [f'{how}; the last lines of its output:', *lines]
  else:
    what = [f'{how}.']
  return End(
    128 - status if status < 0 else status,
    '\n'.join([f'Worker {worker.index} {what[0]}', *what[1:]]),
    may_pass=status not in _MISTAKES,
  )


def _abandoned(failed, left):
  """The end where one is missed by others, and says nothing itself."""
  reason = f'{_named(failed)} lost another worker (status {LOST}).'
  if left:
    reason += f' {_named(left)} had not ended.'
  return End(LOST, reason, may_pass=True)


def _named(some):
  """Returns the names of workers, as a sentence begins with them."""
  *numbers, last = [str(worker.index) for worker in some]
  if not numbers:
    return f'Worker {last}'
  return f'Workers {", ".join(numbers)} and {last}'


def _signal_name(number):
  try:
    return signal.Signals(number).name
  except ValueError:  # of those without a name
    return f'signal {number}'


def run(job: command.Job, signals: Signals) -> int:
  """Starts the workers until they end well; returns the exit status.

  Raises:
    ValueError: one cannot be started.
  """
  restarts = 0
  while True:
    end = attempt(job, signals)
    if not end.reason:
      return end.status
    if signals.received:  # while the others were killed
      console.note(end.reason, aside=True)
      return signals.status
    if final := _why_final(end, restarts, job):
      console.error(f'{end.reason}\n{final}')
      return end.status
    restarts += 1
    console.note(
      f'{end.reason}\nAll workers are started again: restart {restarts} of '
      f'{job.max_restarts} (--max_restarts).',
      aside=True,
    )


def _why_final(end, restarts, job):
  """Returns why nothing is started again, '' if it is."""
  if not end.may_pass:
    return 'This would come again: nothing is started again.'
  if restarts == job.max_restarts:
    return f'Nothing is started again: --max_restarts={restarts} is reached.'
  return ''


def _begin(job):
  """Says what is started, and where its output is."""
  if job.workers == 1:
    console.say('Starting 1 worker.')
    return
  others = workers.log_path(one_line(job.log_dir), 1)
  if job.workers > 2:
    others += f' to worker-{job.workers - 1}.log'
  console.say(
    f'Starting {job.workers} workers. The output of worker 0 is here, that of '
    f'the others in {others}.'
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Starts what a command line says; returns the exit status.

  Args:
    argv: the arguments, without the program's name; the process's own if None.
  """
  with contextlib.ExitStack() as stack:
    try:
      job = command.read(sys.argv[1:] if argv is None else argv)
      stack.enter_context(workers.alone(job.log_dir))
      workers.empty_logs(job)
      signals = stack.enter_context(Signals())
      _begin(job)
    except ModuleNotFoundError as error:
      console.error(
        f'The module {error.name} is not installed. This installs all that the '
        "scripts need, in the folder of the project: pip install '.[scripts]'"
      )
      return 2
    except (ValueError, OSError) as error:  # such as a stdout that is full
      console.error(console.explain(error))
      return 2
    try:
      return run(job, signals)
    except ValueError as error:
      console.error(str(error))
      return 1


if __name__ == '__main__':
  sys.exit(main())
