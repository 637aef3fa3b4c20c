"""Sessions that decode records and images."""

import tensorflow.compat.v1 as tf


def on_cpu(graph: tf.Graph) -> tf.Session:
  """Opens a session that never takes a GPU, which a training may need whole.

  Args:
    graph: what it runs.
  """
  return tf.Session(graph=graph, config=tf.ConfigProto(device_count={'GPU': 0}))
