"""The session of a training, and the values that its variables begin with."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.replicas.opening import Opening

SHAPE = [3, 2]


@pytest.fixture
def opening(graph):
  """Of a graph whose variables are drawn at random, by a seed."""
  tf.set_random_seed(1)
  return Opening('', tf.ConfigProto(), stays=False)


def build():
  """Yields after each of the variables, the last of which is local."""
  tf.get_variable('first', SHAPE)
  yield
  tf.get_variable('second', SHAPE)
  yield
  tf.get_local_variable('third', initializer=tf.zeros(SHAPE) + 5)
  yield


def values(session):
  variables = [*tf.global_variables(), *tf.local_variables()]
  return session.run({v.op.name: v for v in variables})


@pytest.fixture
def wanted():
  """The values of one initialization after all is built."""
  with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(1)
    list(build())
    session.run(tf.global_variables_initializer())
    session.run(tf.local_variables_initializer())
    return values(session)


@pytest.mark.parametrize('early', range(4))
def test_values_do_not_depend_on_when_they_are_drawn(opening, wanted, early):
  for i, _ in enumerate(build()):
    if i < early:
      opening.initialize()
  with opening.create_session() as session:
    found = values(session)
  assert set(found) == set(wanted) == {'first', 'second', 'third'}
  assert len({tuple(value.ravel()) for value in wanted.values()}) == 3
  for name, value in wanted.items():
    np.testing.assert_array_equal(found[name], value)


def test_restored_values_need_no_initializers(opening, wanted):
  """Those that are replaced after that are not restored."""
  list(build())
  first, second = tf.global_variables()

  def restore(session):
    first.load(np.full(SHAPE, 1), session)
    second.load(np.full(SHAPE, 2), session)

  opening.restore = restore
  opening.replace = lambda session: second.load(np.full(SHAPE, 3), session)
  with opening.create_session() as session:
    found = values(session)
  assert {name: value.mean() for name, value in found.items()} == {
    'first': 1,
    'second': 3,
    'third': 5,
  }


def test_the_graph_is_as_it_stays(opening):
  list(build())
  opening.create_session().close()
  with pytest.raises(RuntimeError, match='finalized'):
    tf.constant(0)


def test_an_initializer_that_fails(opening):
  """Its error is raised where the session is asked for."""
  value = tf.debugging.check_numerics(tf.constant(np.nan), 'Bad value')
  tf.get_variable('bad', initializer=value)
  opening.initialize()
  with pytest.raises(tf.errors.InvalidArgumentError, match='Bad value'):
    opening.create_session()


class Counting(tf.Session):
  """Counts how often it is closed."""

  closed = 0

  def close(self):
    self.closed += 1
    super().close()


@pytest.mark.parametrize('stays', [False, True])
def test_a_session_is_opened_once(graph, monkeypatch, stays):
  """A training that lost a worker does not begin anew by itself."""
  monkeypatch.setattr(tf, 'Session', Counting)
  opening = Opening('', tf.ConfigProto(), stays)
  opened = opening.create_session()
  opened.close()
  assert opened.closed == (0 if stays else 1)
  with pytest.raises(tf.errors.InternalError, match='worker was lost'):
    opening.create_session()
