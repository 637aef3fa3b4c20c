"""How TensorFlow is used: graphs, and the sessions that run them.

Nothing here changes a process for longer than it is used.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

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


class Accelerator(NamedTuple):
  """How a session uses GPUs.

  Fields:
    allowed: whether it may use one at all.
    allow_growth: whether it takes memory as it needs it, and shares a GPU with
      whoever else is on it.
    keeps_layout: whether activations stay channels last; TensorFlow else
      changes them to channels first where that is faster.
    xla: whether parts of the graph are compiled by XLA.
  """

  allowed: bool = True
  allow_growth: bool = True
  keeps_layout: bool = False
  xla: bool = False


ACCELERATOR = Accelerator()  # where nothing is said of GPUs


def session_config(
  precision: str = 'fp32',
  accelerator: Accelerator = ACCELERATOR,
  infers: bool = False,
) -> tf.ConfigProto:
  """Returns the configuration of a session.

  Variables are float32 in both precisions.

  Args:
    precision: 'fp32' or 'bf16'; see `engine.model.precision`.
    accelerator: how it uses GPUs.
    infers: whether the session runs a network for inference.
  """
  found = tf.ConfigProto(
    gpu_options=tf.GPUOptions(allow_growth=accelerator.allow_growth),
    device_count={} if accelerator.allowed else {'GPU': 0},
  )
  if not infers:
    # It joins sums into AddN of many inputs, which adds them in an order that
    # follows from when their buffers are free: other bits each time.
    found.graph_options.rewrite_options.arithmetic_optimization = (
      rewriter_config_pb2.RewriterConfig.OFF
    )
  if accelerator.keeps_layout:
    found.graph_options.rewrite_options.layout_optimizer = (
      rewriter_config_pb2.RewriterConfig.OFF
    )
  if accelerator.xla:
    found.graph_options.optimizer_options.global_jit_level = (
      tf.OptimizerOptions.ON_1
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
    gpu: whether the session may use a GPU.
    infers: see `session_config`.
  """
  return tf.Session(
    graph=graph,
    config=session_config(precision, Accelerator(allowed=gpu), infers),
  )
