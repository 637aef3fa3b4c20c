"""The session of a training: opened once, with values in all variables."""

from collections.abc import Callable
from concurrent import futures

import tensorflow.compat.v1 as tf

from engine.common import ending


class Opening(tf.train.SessionCreator):
  """Opens one session, and no other when that fails.

  A MonitoredSession would begin anew by itself when a worker is lost, at the
  checkpoint it began with, while the others are elsewhere.

  Variables of a new training get their values while the rest of the graph is
  built, since Python builds on one core.

  Attributes:
    restore: gives all global variables values in place of their initializers;
      None in a new training.
    replace: gives some of them others, after that; None for none.
  """

  def __init__(self, master: str, config: tf.ConfigProto, stays: bool):
    """Prepares.

    Args:
      master: the server that runs it, '' for this process.
      config: of the session.
      stays: whether it is never closed: TensorFlow's server may hang when one
        is closed while another worker waits in a collective operation.
    """
    self._master, self._config, self._stays = master, config, stays
    self._session: tf.Session | None = None
    self._asked = False
    self._thread = futures.ThreadPoolExecutor(1)
    self._begun: list[futures.Future] = []
    self._initialized: set[str] = set()
    self.restore: Callable[[tf.Session], None] | None = None
    self.replace: Callable[[tf.Session], None] | None = None

  def initialize(self) -> None:
    """Begins to initialize the global variables that are new in the graph.

    One thread does, in the order of the calls; `create_session` waits for it.
    Where the session is never closed, only `create_session` opens it.
    """
    if not self._stays:
      self._begin()

  def _begin(self):
    new = [v for v in tf.global_variables() if v.name not in self._initialized]
    if not new:
      return
    self._initialized.update(v.name for v in new)
    operation = tf.group(*(v.initializer for v in new))
    session = self._open()
    self._begun.append(self._thread.submit(session.run, operation))

  def _open(self):
    if self._session is None:
      self._session = tf.Session(self._master, config=self._config)
      if self._stays:
        ending.never_closed(self._session)
    return self._session

  def create_session(self) -> tf.Session:
    """Returns the session; nothing is added to the graph any more.

    Raises:
      InternalError: it was opened before.
    """
    if self._asked:
      raise tf.errors.InternalError(
        None, None, 'Another worker was lost, or its server does not answer.'
      )
    self._asked = True
    session = self._open()
    if self.restore is None:
      self._begin()
    local = tf.group(tf.local_variables_initializer(), tf.tables_initializer())
    session.graph.finalize()
    for each in self._begun:
      each.result()
    self._thread.shutdown()
    for fill in (self.restore, self.replace):
      if fill:
        fill(session)
    session.run(local)
    return session
