"""Summaries: when they are written, and of what."""

import collections
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common import tensorboard

Batch = collections.namedtuple('Batch', ['images', 'labels'])


@pytest.fixture
def events(graph, monkeypatch, tmp_path):
  """events(seconds): what five steps write, of a second each.

  A step fills a weight with its own number.
  """
  now = [0.0]
  monkeypatch.setattr(
    tensorboard, 'time', types.SimpleNamespace(monotonic=lambda: now[0])
  )
  step = tf.train.get_or_create_global_step()
  weight = tf.get_variable('weight', [6], initializer=tf.zeros_initializer())
  done = step.assign_add(1)
  done = weight.assign(tf.fill([6], tf.cast(done, tf.float32)))
  with tf.control_dependencies([done]):
    done = tf.identity(step.read_value())
  batch = Batch(tf.random.uniform([5, 4, 3, 3]), tf.range(5))
  logits = tf.zeros([5, 2])

  def show(few, logits):
    tf.summary.scalar('labels', tf.size(few.labels))
    tf.summary.scalar('logits', tf.shape(logits)[0])

  def run(seconds):
    hook = tensorboard.Summaries(
      show, batch, logits, done, str(tmp_path), seconds
    )
    with tf.train.MonitoredSession(hooks=[hook]) as session:
      for _ in range(5):
        session.run(done)
        now[0] += 1
    (path,) = tmp_path.glob('events*')
    return list(tf.train.summary_iterator(str(path)))

  return run


def values(events):
  """(step, tag) -> value."""
  return {
    (event.step, value.tag): value
    for event in events
    for value in event.summary.value
  }


@pytest.mark.parametrize(
  'seconds, steps',
  [(0, [1, 2, 3, 4, 5]), (2, [1, 3, 5]), (3, [1, 4]), (9, [1])],
)
def test_when(events, seconds, steps):
  """After the first step, and then when the seconds have passed."""
  found = events(seconds)
  assert sorted({step for step, _ in values(found)}) == steps
  begun = [each for each in found if each.HasField('session_log')]
  assert [(each.step, each.session_log.status) for each in begun] == [
    (1, tf.SessionLog.START)
  ]


def test_what(events):
  """The first three images, and the weights as the step has left them."""
  found = values(events(3))
  assert {tag for _, tag in found} == {
    'images/image/0',
    'images/image/1',
    'images/image/2',
    'labels',
    'logits',
    'weights/weight',
  }
  for step in (1, 4):
    assert found[step, 'labels'].simple_value == 3
    assert found[step, 'logits'].simple_value == 3
    image = found[step, 'images/image/2'].image
    assert (image.height, image.width) == (4, 3)
    histo = found[step, 'weights/weight'].histo
    assert (histo.min, histo.max, histo.num) == (step, step, 6)
    assert np.array(histo.bucket).tolist() == [6]
