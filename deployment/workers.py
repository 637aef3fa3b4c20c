"""The processes of a cluster on this machine, and where they write.

Nothing here imports TensorFlow.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from datasets.files import check_regular
from deployment import command
from engine.common import console

LOCK_FILENAME = '.lock'
_SHOWN_LINES, _SHOWN_BYTES = 20, 1 << 16  # of a log
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def alone(log_dir: str) -> Iterator[None]:
  """Holds the folder, which is made if need be, for this launcher alone.

  The hold ends with the process, however that ends.

  Raises:
    ValueError: another launcher holds it, or nothing can be written there.
  """
  import filelock

  lock = filelock.FileLock(os.path.join(log_dir, LOCK_FILENAME))
  try:
    os.makedirs(log_dir, exist_ok=True)
    lock.acquire(blocking=False)
  except filelock.Timeout:
    raise ValueError(
      f'Another launcher is writing to {log_dir}: wait for it, stop it, or '
      'name another --log_dir.'
    ) from None
  except OSError as error:
    raise ValueError(_unwritable(log_dir, error)) from None
  try:
    yield
  finally:
    lock.release()


def _unwritable(path, error):
  return (
    f'{path} cannot be written ({error.strerror}). Change that, or name '
    'another --log_dir.'
  )


def log_path(log_dir: str, index: int) -> str:
  """Returns the file of a worker's output."""
  return os.path.join(log_dir, f'worker-{index}.log')


def empty_logs(job: command.Job) -> None:
  """Removes what an earlier launcher's workers wrote, and tries to write.

  Raises:
    ValueError: something is in the way, or nothing can be written.
  """
  for index in range(1, job.workers):
    path = log_path(job.log_dir, index)
    check_regular(path)
    try:
      open(path, 'wb').close()
    except OSError as error:
      raise ValueError(_unwritable(path, error)) from None


def free_ports(count: int) -> list[int]:
  """Returns ports of this machine that nothing listens on; all differ.

  Raises:
    ValueError: there are not as many.
  """
  with contextlib.ExitStack() as sockets:
    try:
      # All are open at once, so that none is given twice.
      found = [
        sockets.enter_context(contextlib.closing(socket.socket()))
        for _ in range(count)
      ]
      for each in found:
        each.bind(('127.0.0.1', 0))
    except OSError as error:
      raise ValueError(
        f'{count} ports of this machine cannot be had ({error.strerror}): '
        'name fewer --workers.'
      ) from None
    return [each.getsockname()[1] for each in found]


def _environment(job, index, ports):
  told = {
    'cluster': {'worker': [f'127.0.0.1:{port}' for port in ports]},
    'task': {'type': 'worker', 'index': index},
  }
  variables = {**os.environ, 'TF_CONFIG': json.dumps(told)}
  if job.gpus is not None:
    variables['CUDA_VISIBLE_DEVICES'] = ','.join(job.gpus[index])
  return variables


def _prctl():
  """Returns the function of Linux, None where there is none."""
  if not sys.platform.startswith('linux'):
    return None
  try:
    function = ctypes.CDLL(None).prctl
  except (OSError, AttributeError):  # a Python that is linked statically
    return None
  function.argtypes = [ctypes.c_int, ctypes.c_ulong]
  return function


def _in_child(cores):
  """Returns what a child does before it becomes the script, None for nothing.

  All that it needs is loaded before the fork, and the launcher has one thread,
  which is the one that the kernel sends a child's signal of death for.
  """
  prctl, launcher = _prctl(), os.getpid()
  if not cores and not prctl:
    return None

  def prepare():
    if cores:
      os.sched_setaffinity(0, cores)
    if prctl:
      prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
      if os.getppid() != launcher:  # it was killed before
        os._exit(1)

  return prepare


class Worker:
  """A process of the cluster, which is started.

  Attributes:
    index: in the cluster, from 0.
    status: what it has ended with, -n if signal n killed it; None until then.
    ended: when it was seen to have ended, in seconds of `time.monotonic`.
  """

  def __init__(self, job: command.Job, index: int, ports: Sequence[int]):
    """Starts it.

    Raises:
      ValueError: it cannot be started.
    """
    self.index = index
    self.status: int | None = None
    self.ended = 0.0
    self._log = log_path(job.log_dir, index) if index else None
    self._log_begin = 0
    with contextlib.ExitStack() as opened:
      try:
        file = None
        if self._log:
          file = opened.enter_context(open(self._log, 'ab'))
          self._log_begin = file.tell()
        self._process = subprocess.Popen(
          [sys.executable, *job.command],
          env=_environment(job, index, ports),
          stdin=subprocess.DEVNULL,
          stdout=file,
          stderr=file,
          # A terminal's Ctrl-C is for the launcher, which passes it on.
          start_new_session=True,
          preexec_fn=_in_child(job.cores and job.cores[index]),
        )
      except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(
          f'Worker {index} cannot be started: {console.explain(error)}'
        ) from None

  def poll(self) -> None:
    """Sets `status` and `ended` if it has ended."""
    if self.status is None:
      self.status = self._process.poll()
      if self.status is not None:
        self.ended = time.monotonic()

  def terminate(self) -> None:
    """Asks it to save and to end."""
    self._process.terminate()

  def kill(self) -> None:
    """Ends it, even if it is stopped, and all that it has started."""
    if self._process.poll() is None:
      with contextlib.suppress(ProcessLookupError):
        if hasattr(os, 'killpg'):
          os.killpg(self._process.pid, signal.SIGKILL)
        else:
          self._process.kill()

  def wait(self) -> None:
    """Returns when it has ended."""
    self._process.wait()

  def last_lines(self) -> list[str]:
    """Returns the end of what it has written to its log; [] of the chief."""
    if not self._log:
      return []
    with contextlib.suppress(OSError), open(self._log, 'rb') as file:
      size = file.seek(0, os.SEEK_END)
      file.seek(max(self._log_begin, size - _SHOWN_BYTES))
      text = file.read(_SHOWN_BYTES).decode('utf-8', 'replace')
      return text.rstrip().splitlines()[-_SHOWN_LINES:]
    return []
