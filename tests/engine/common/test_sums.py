"""A sum of tensors adds two at a time, from the first on."""

import numpy as np
import tensorflow.compat.v1 as tf

from engine.common import runtime, sums


def test_total():
  """To the bit, of numbers of which another order gives another sum."""
  numbers = np.random.default_rng(0).normal(size=(9, 50)).astype(np.float32)
  wanted = numbers[0]
  for each in numbers[1:]:
    wanted = wanted + each
  assert (wanted != numbers[::-1].cumsum(0)[-1]).any()
  with tf.Graph().as_default() as graph:
    found = sums.total([tf.placeholder_with_default(n, [50]) for n in numbers])
    assert not [op for op in graph.get_operations() if op.type == 'AddN']
    with tf.Session(config=runtime.session_config()) as session:
      np.testing.assert_array_equal(session.run(found), wanted)
