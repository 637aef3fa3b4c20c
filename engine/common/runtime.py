"""How TensorFlow is used: graphs, and the sessions that run them.

Nothing here changes a process for longer than it is used.
"""

import contextlib
from collections.abc import Iterator

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from engine.common import processor
from nets.slim_compat import uses_onednn


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


def _joins_slowly() -> bool:
  """Whether batch norm is slow as a part of the convolution before it.

  TensorFlow makes it that in a graph for inference, where it computes by
  oneDNN, which has fast kernels for both in one with AVX-512 alone: without
  it a ResNet-50 takes 30 times as long as by both apart.
  """
  known = processor.instructions()
  return bool(known) and 'avx512f' not in known and uses_onednn()


def session_config(
  precision: str = 'fp32', gpu: bool = True, infers: bool = False
) -> tf.ConfigProto:
  """Returns the configuration of a session.

  Variables are float32 in both precisions. A GPU is shared with whoever else
  is on it.

  Args:
    precision: 'fp32' or 'bf16'; see `engine.model.precision`.
    gpu: whether the session may use a GPU.
    infers: whether the session runs a network for inference.
  """
  found = tf.ConfigProto(
    gpu_options=tf.GPUOptions(allow_growth=True),
    device_count={} if gpu else {'GPU': 0},
  )
  if precision == 'bf16':
    found.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = (
      rewriter_config_pb2.RewriterConfig.ON
    )
  if infers and _joins_slowly():
    found.graph_options.rewrite_options.remapping = (
      rewriter_config_pb2.RewriterConfig.OFF
    )
  return found


def session(
  graph: tf.Graph | None = None,
  precision: str = 'fp32',
  gpu: bool = True,
  infers: bool = False,
) -> tf.Session:
  """Opens a session; every session of the engine is opened here.

  Args:
    graph: the current graph if None.
    precision: see `session_config`.
    gpu: see `session_config`.
    infers: see `session_config`.
  """
  return tf.Session(graph=graph, config=session_config(precision, gpu, infers))
