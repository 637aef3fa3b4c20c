"""Fixtures of the network tests."""

import pytest
import tensorflow.compat.v1 as tf

from tests import golden


@pytest.fixture
def run(graph):
  """run(fetches, feed): their values under the golden weights."""

  def run(fetches, feed=None, fill=golden.fill):
    with tf.Session() as session:
      variables = tf.global_variables()
      # Feeding an initializer its value adds no operation to the graph.
      session.run(
        [v.initializer for v in variables],
        {
          v.initializer.inputs[1]: fill(v.op.name, v.shape.as_list())
          for v in variables
        },
      )
      return session.run(fetches, feed)

  return run
