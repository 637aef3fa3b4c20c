"""What every test shares: a quiet TensorFlow and a graph of its own."""

import gc
import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# TensorFlow turns oneDNN on by itself on some processors only. Without it there
# is no gradient of native dilation, and sums differ from the golden values'.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

import pytest  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402

pytest_plugins = ['tests.builders', 'tests.published']

# As the scripts do: halves the time in which a network's graph is built.
tf.disable_tensor_equality()


def pytest_collection_finish():
  """Spares the collector what stays: modules and tests.

  Graphs are full of cycles: left to itself it takes a sixth of the time.
  """
  gc.collect()
  gc.freeze()
  gc.disable()


def pytest_runtest_logfinish():
  """Frees the graphs of tests that have ended, once they are some."""
  if gc.get_count()[0] > 500_000:
    gc.collect()


@pytest.fixture
def graph():
  """A fresh, seeded default graph."""
  with tf.Graph().as_default() as new:
    tf.set_random_seed(1)
    yield new
