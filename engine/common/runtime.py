"""How TensorFlow is used: graphs, and the sessions that run them.

Nothing here changes a process for longer than it is used.
"""

import contextlib
from collections.abc import Iterator

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2


@contextlib.contextmanager
def graph_building() -> Iterator[None]:
  """Builds graphs in half the time: tensors compare as Python objects.

  With TensorFlow 2's comparison, each lookup of a tensor in a set or dict asks
  it for its equality. The setting belongs to the process; it is set back.
  """
  was_enabled = getattr(tf.Tensor, '_USE_EQUALITY', True)
  tf.disable_tensor_equality()
  try:
    yield
  finally:
    if was_enabled:
      tf.enable_tensor_equality()


def session_config(precision: str = 'fp32', gpu: bool = True) -> tf.ConfigProto:
  """Returns the configuration of a session.

  Variables are float32 in both precisions. A GPU is shared with whoever else
  is on it.

  Args:
    precision: 'fp32' or 'bf16'; see `engine.model.precision`.
    gpu: whether the session may use a GPU.
  """
  found = tf.ConfigProto(
    gpu_options=tf.GPUOptions(allow_growth=True),
    device_count={} if gpu else {'GPU': 0},
  )
  if precision == 'bf16':
    found.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = (
      rewriter_config_pb2.RewriterConfig.ON
    )
  return found


def session(
  graph: tf.Graph | None = None, precision: str = 'fp32', gpu: bool = True
) -> tf.Session:
  """Opens a session; every session of the engine is opened here.

  Args:
    graph: the current graph if None.
    precision: see `session_config`.
    gpu: see `session_config`.
  """
  return tf.Session(graph=graph, config=session_config(precision, gpu))
