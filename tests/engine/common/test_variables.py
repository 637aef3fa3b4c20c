"""Variables under scopes, and a few names of many."""

import pytest
import tensorflow.compat.v1 as tf

from engine.common.variables import assign, matching, some
from tests.engine.checkpoints import two_layers
from tests.engine.checkpoints.two_layers import CONV, LOGITS


def _names(variables):
  return [v.op.name for v in variables]


@pytest.mark.parametrize(
  'scopes, names',
  [
    ((), CONV + LOGITS),
    (None, CONV + LOGITS),
    (('net',), CONV + LOGITS),
    (('net/logits',), LOGITS),
    (('net/logits/',), LOGITS),
    (('net/logits', 'net/conv1/biases'), ('net/conv1/biases', *LOGITS)),
    (('net/logits', 'net/logits/biases'), LOGITS),
    (('net/conv1/weights',), CONV[:1]),
    (('net/conv*',), CONV),
    (('net/conv1/w*', 'net/log*'), (*CONV[:1], *LOGITS)),
  ],
)
def test_matching(graph, scopes, names):
  assert _names(matching(two_layers.build(), scopes, 'x')) == list(names)


@pytest.mark.parametrize(
  'scope, near',
  [
    ('net/logit', 'net/logits'),
    ('logits', 'net/logits'),
    ('ne', 'net'),
    ('net/conv', 'net/conv1'),
    ('zzz', 'net, net/conv1'),
  ],
)
def test_matching_nothing(graph, scope, near):
  """A scope is no prefix of a name: 'net/logit' is not 'net/logits'."""
  with pytest.raises(
    ValueError,
    match='--trainable_scopes: no variable is '
    f"under the scope '{scope}'. The nearest are:.*{near}",
  ):
    matching(two_layers.build(), ['net/conv1', scope], 'trainable_scopes')


def test_some():
  assert some(['a', 'b', 'c']) == 'a, b, c'
  assert some(['a', 'b', 'c', 'd', 'e']) == 'a, b, c and 2 more'
  assert some(['a', 'b'], 1, ' of them') == 'a and 1 more of them'


def test_assign(graph):
  first, second = two_layers.build()[:2]
  with tf.Session() as session:
    session.run([first.initializer, second.initializer])
    before = len(graph.get_operations())
    assign(session, {second: [1, 2, 3, 4, 5]})
    assert session.run(second).tolist() == [1, 2, 3, 4, 5]
    assert (session.run(first) == 1).all()
  assert len(graph.get_operations()) == before
