"""The processes that train or evaluate together, as the engine sees them.

`deployment` makes those of a cluster and sets them by `use`; elsewhere a
process is alone.
"""

import contextlib
import contextvars
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

Arrays = dict[str, np.ndarray]


class Workers:
  """The processes: here one alone. A cluster's have the same methods.

  Attributes:
    count: how many there are.
    index: which this is; the first is the chief, which alone writes files.
    master: where sessions of a training run, as `tf.Session` takes it.
  """

  count = 1
  index = 0
  master = ''

  @property
  def is_chief(self) -> bool:
    """Whether this is the one that writes files."""
    return self.index == 0

  def session_config(self, config: tf.ConfigProto) -> tf.ConfigProto:
    """Returns the configuration of a session at `master`."""
    return config

  def exchange(self, data: bytes) -> list[bytes]:
    """Returns what each worker gives, in their order.

    All must call it; each waits for the others.
    """
    return [data]

  def gather(self, arrays: Arrays) -> list[Arrays]:
    """Returns the arrays of each worker, by name; see `exchange`."""
    if self.count == 1:
      return [arrays]
    return [_unpacked(each) for each in self.exchange(_packed(arrays))]

  def gather_json(self, value: Any) -> list[Any]:
    """Returns what each worker says, of what JSON holds; see `exchange`."""
    if self.count == 1:
      return [value]
    found = self.exchange(json.dumps(value).encode())
    return [json.loads(each) for each in found]

  def wait(self) -> None:
    """Returns when all workers have come here."""
    self.exchange(b'')


def _packed(arrays):
  file = io.BytesIO()
  np.savez(file, **arrays)
  return file.getvalue()


def _unpacked(data):
  with np.load(io.BytesIO(data), allow_pickle=False) as found:
    return {name: found[name] for name in found.files}


_ALONE = Workers()
_CURRENT: contextvars.ContextVar[Workers] = contextvars.ContextVar(
  'workers', default=_ALONE
)


def current() -> Workers:
  """Returns the workers that this process is one of."""
  return _CURRENT.get()


@contextlib.contextmanager
def use(workers: Workers) -> Iterator[None]:
  """Makes them the current ones."""
  token = _CURRENT.set(workers)
  try:
    yield
  finally:
    _CURRENT.reset(token)
