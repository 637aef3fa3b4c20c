"""Whether the other workers are alive, while this one waits for them.

A sum over workers waits without end, and without a word, for one that is gone.
So each worker asks the others' servers from time to time to run an operation
that does nothing. One that was killed, stopped or cut off does not answer; then
this process ends, as a kill would end it, and says which it was. So it does
when another server has come in place of one: that worker was started again, and
waits where this one has been before. A training that is started again resumes
from the last checkpoint.
"""

import os
import threading
import time
from collections.abc import Sequence

import tensorflow.compat.v1 as tf

from deployment.status import LOST
from engine.common import console, ending

_TICK = 0.25  # seconds
_ASLEEP = 3.0  # seconds without a tick: this process itself was stopped
_START = 5  # as many times the limit until all have begun
_PATIENCE = 10.0  # seconds for an answer, and so for the last one at the end
_TELL = 10.0  # seconds of waiting for another before that is said


class _Peer:
  """Another worker: asks it, in a thread, whether it is there."""

  def __init__(self, index: int, address: str, seconds: float):
    self.name = f'worker {index} ({address})'
    self.seen: float | None = None
    self.reason = ''
    self.replaced = False
    self._server: int | None = None  # which one has answered
    self._session: tf.Session | None = None
    self._target = f'grpc://{address}'
    self._every = min(max(seconds / 10, 0.5), 5.0)
    self._options = tf.RunOptions(
      timeout_in_ms=int(1000 * min(seconds, _PATIENCE))
    )
    self._config = tf.ConfigProto(device_filters=[f'/job:worker/task:{index}'])
    self._graph = tf.Graph()
    with self._graph.as_default(), tf.device(f'/job:worker/task:{index}/CPU:0'):
      self._nothing = tf.no_op()
    self._stopped = threading.Event()
    # Python waits for it at its end: a thread that came back from an operation
    # after that would abort the process.
    self._thread = threading.Thread(target=self._ask)
    self._thread.start()

  def _ask(self):
    used = []
    while not self._stopped.is_set():
      used.append(
        ending.never_closed(
          tf.Session(self._target, graph=self._graph, config=self._config)
        )
      )
      try:
        while not self._stopped.is_set():
          used[-1].run(self._nothing, options=self._options)
          self._compare(used[-1])
          self.seen = time.monotonic()
          self._stopped.wait(self._every)
      except tf.errors.OpError as error:
        self.reason = type(error).__name__.removesuffix('Error')
        self._stopped.wait(self._every)

  def _compare(self, session):
    """Looks whether it is the server of before, of which its sessions are."""
    if self._server is None or session is not self._session:
      found = session.list_devices()[0].incarnation
      self.replaced = self._server not in (None, found)
      self._server, self._session = found, session

  def stop(self) -> None:
    """Asks no more, after the answer that is waited for."""
    self._stopped.set()


class Watch:
  """Ends the process when another worker has not answered for some time."""

  def __init__(
    self, addresses: Sequence[str], index: int, seconds: float, hint: str = ''
  ):
    """Begins to ask the others.

    Args:
      addresses: of all workers.
      index: which this is.
      seconds: without an answer after which a worker counts as lost.
      hint: what may be wrong with this worker's own address, '' for nothing.
    """
    self._seconds, self._hint = seconds, hint
    self._peers = [
      _Peer(i, address, seconds)
      for i, address in enumerate(addresses)
      if i != index
    ]
    self._stopped = threading.Event()

  def wait_for_all(self) -> None:
    """Returns when all workers have answered; watches them from then on.

    Raises:
      ending.Fault: one has not answered for long.
    """
    begin, told = time.monotonic(), False
    while missing := [peer for peer in self._peers if peer.seen is None]:
      names = ', '.join(peer.name for peer in missing)
      waited = time.monotonic() - begin
      if waited > _START * self._seconds:
        raise ending.Fault(
          f'There is no answer from {names} within '
          f'{_START * self._seconds:.0f} seconds ({missing[0].reason or "none"}'
          '): is it running, with this index, at this address, and may this '
          f'machine reach it?{self._hint}'
        )
      if waited > _TELL and not told:
        told = True
        console.say(f'Waiting for {names}.')
      time.sleep(_TICK)
    threading.Thread(target=self._look, daemon=True).start()

  def _look(self):
    last = time.monotonic()
    while not self._stopped.wait(_TICK):
      now = time.monotonic()
      if now - last > _ASLEEP:  # then the others are not to blame
        for peer in self._peers:
          peer.seen = now
      last = now
      for peer in self._peers:
        if peer.replaced:
          self._end(f'{peer.name} has been started again, without this one.')
        if now - (peer.seen or now) > self._seconds:
          self._end(
            f'{peer.name} has not answered for {self._seconds:.0f} seconds: '
            'it has ended, hangs, or cannot be reached. Its own output may say '
            'why.'
          )

  def _end(self, reason):
    console.interject(
      f'error: {reason} Start all workers again; a training resumes from the '
      'last checkpoint.'
    )
    os._exit(LOST)

  def await_verdict(self) -> None:
    """Returns after the time in which a lost worker is found."""
    time.sleep(self._seconds + 5)

  def stop(self) -> None:
    """Looks no more."""
    self._stopped.set()
    for peer in self._peers:
      peer.stop()
