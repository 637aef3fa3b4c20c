"""What a training step of a network costs."""

import resource
import statistics
import time
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.model import gradient_checkpointing
from nets import nets_factory

_WARM_UP = 2  # steps that allocate, and choose algorithms
_CLASSES = 10


class Cost(NamedTuple):
  """What a step costs; a megabyte is 10 ** 6 bytes.

  Fields:
    step_ms: the median of its time, in milliseconds.
    step_mb: the most megabytes of tensors that it holds at once, beside the
      variables.
    process_mb: the most megabytes that the process has had, of which
      TensorFlow itself, the graph and the variables are a part.
    build_s: the seconds in which the graph was built, and taken up by the
      first step.
  """

  step_ms: float
  step_mb: float
  process_mb: float
  build_s: float


def _train_op(network, batch_size, again):
  """Returns the op of one step, on one batch of noise."""
  network_fn = nets_factory.get_network_fn(
    network, _CLASSES, weight_decay=1e-4, is_training=True
  )
  size = network_fn.default_image_size
  random = np.random.RandomState(0)
  batch = {
    'images': random.standard_normal((batch_size, size, size, 3)).astype(
      np.float32
    ),
    'labels': random.randint(_CLASSES, size=batch_size),
  }
  # Variables: with constants TensorFlow might compute beforehand.
  images, labels = (
    tf.get_variable(name, initializer=value, trainable=False).read_value()
    for name, value in batch.items()
  )
  logits, _ = network_fn(images)
  tf.losses.sparse_softmax_cross_entropy(labels, logits)
  loss, variables = tf.losses.get_total_loss(), tf.trainable_variables()
  gradients = (
    gradient_checkpointing.gradients(loss, variables, images)
    if again
    else tf.gradients(loss, variables)
  )
  update = tf.train.MomentumOptimizer(1e-3, 0.9).apply_gradients(
    zip(gradients, variables, strict=True)
  )
  return tf.group(update, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))


def peak(session: tf.Session, op: tf.Operation) -> float:
  """Returns the most megabytes of tensors that a run holds at once."""
  record = tf.RunMetadata()
  session.run(
    op,
    options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
    run_metadata=record,
  )
  changes = sorted(
    (each.alloc_micros, each.alloc_bytes)
    for device in record.step_stats.dev_stats
    for node in device.node_stats
    for used in node.memory
    for each in used.allocation_records
  )
  return float(max(np.cumsum([size for _, size in changes]))) / 1e6


def measure(network: str, batch_size: int, steps: int, again: bool) -> Cost:
  """Measures training steps on images of noise.

  `process_mb` is that of the network alone in a process of its own.

  Args:
    network: its name in the registry.
    batch_size: the number of images, of the network's own size.
    steps: the number of steps whose time is taken.
    again: whether activations are computed again; see
      `engine.model.gradient_checkpointing`.
  """
  begin = time.perf_counter()
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(0)
    op = _train_op(network, batch_size, again)
    start = tf.global_variables_initializer()
    seconds = []
    with tf.Session(graph=graph) as session:
      session.run(start)
      session.run(op)
      build = time.perf_counter() - begin
      for _ in range(_WARM_UP - 1 + steps):
        before = time.perf_counter()
        session.run(op)
        seconds.append(time.perf_counter() - before)
      kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
      return Cost(
        1000 * statistics.median(seconds[_WARM_UP - 1 :]),
        peak(session, op),
        kilobytes * 1024 / 1e6,
        build,
      )
