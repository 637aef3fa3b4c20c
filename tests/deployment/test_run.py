"""How the workers of a cluster part."""

import threading

import pytest
import tensorflow.compat.v1 as tf

from deployment import run


class Together:
  """Workers whose waits do something else each time."""

  def __init__(self, *waits):
    self._waits = iter(waits)

  def wait(self):
    next(self._waits)()


class Watch:
  """Has it been stopped?"""

  stopped = False

  def stop(self):
    self.stopped = True


def gone():
  raise tf.errors.UnavailableError(None, None, 'Socket closed')


def test_who_is_gone_at_the_end_has_done_all():
  watch = Watch()

  def second():
    assert watch.stopped
    gone()

  run._part(Together(lambda: None, second), watch)
  assert watch.stopped


def test_the_last_wait_is_not_long(monkeypatch):
  monkeypatch.setattr(run, '_PARTING', 0.05)
  never = threading.Event()
  run._part(Together(lambda: None, never.wait), Watch())
  never.set()


def test_who_is_gone_before_is_lost():
  watch = Watch()
  with pytest.raises(tf.errors.UnavailableError):
    run._part(Together(gone), watch)
  assert not watch.stopped
