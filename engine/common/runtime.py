"""How TensorFlow is used: graphs, and the sessions that run them.

Nothing here changes a process for longer than it is used.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.framework import config as framework_config

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


def uses_gpu(allowed: bool = True) -> bool:
  """Whether a session that may use a GPU finds one."""
  return allowed and bool(tf.config.list_physical_devices('GPU'))


@contextlib.contextmanager
def arithmetic(tf32: bool, deterministic: bool) -> Iterator[None]:
  """Sets how a GPU computes in all graphs that are built and run within.

  Args:
    tf32: whether it may multiply float32 with 10 bits after the point, which
      it does from NVIDIA's Ampere on.
    deterministic: whether it takes only kernels that give the same bits each
      time. A graph has to be built within, too: TensorFlow has other
      operations for some.

  Raises:
    ValueError: there is no such kernel for an operation.
  """
  experimental = tf.config.experimental
  had = experimental.tensor_float_32_execution_enabled()
  was = is_deterministic()
  experimental.enable_tensor_float_32_execution(tf32)
  if deterministic:
    framework_config.enable_op_determinism()
  try:
    yield
  except tf.errors.UnimplementedError as error:
    if not deterministic or 'eterminis' not in error.message:
      raise
    raise ValueError(
      '--deterministic: TensorFlow has no kernel for the GPU that gives the '
      f'same bits each time: {error.message.splitlines()[0]} Pass '
      '--deterministic=false to do without.'
    ) from None
  finally:
    experimental.enable_tensor_float_32_execution(had)
    if not was:
      framework_config.disable_op_determinism()


def is_deterministic() -> bool:
  """Whether only kernels are taken that give the same bits each time."""
  return framework_config.is_op_determinism_enabled()


def timestamp() -> tf.Tensor:
  """Returns the seconds since the epoch when it is run, float64 scalar.

  TensorFlow's own operation is an error where all is to be deterministic.
  """
  if not is_deterministic():
    return tf.timestamp()
  return tf.ensure_shape(tf.numpy_function(time.time, [], tf.float64), [])


def session_config(
  precision: str = 'fp32',
  accelerator: Accelerator = ACCELERATOR,
  infers: bool = False,
) -> tf.ConfigProto:
  """Returns the configuration of a session.

  Variables are float32 in all precisions.

  Args:
    precision: 'fp32', 'bf16' or 'fp16'; see `engine.model.precision`.
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
    # A second pass takes half a second, and finds nothing in such a graph.
    found.graph_options.rewrite_options.meta_optimizer_iterations = (
      rewriter_config_pb2.RewriterConfig.ONE
    )
  if accelerator.keeps_layout:
    found.graph_options.rewrite_options.layout_optimizer = (
      rewriter_config_pb2.RewriterConfig.OFF
    )
  if accelerator.xla:
    found.graph_options.optimizer_options.global_jit_level = (
      tf.OptimizerOptions.ON_1
    )
  if precision == 'bf16' and not uses_gpu(accelerator.allowed):
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
