"""The precision of computing: float32, or half its bits.

Variables, batch norm's statistics, logits and losses are float32 in each, as
in mixed precision (arXiv:1710.03740, arXiv:1905.12322).

On a processor TensorFlow's graph rewriter computes convolutions and what lies
between them in bfloat16; nothing in the graph that is saved differs. For GPUs
it knows float16 alone, so there the network is built on images of half
precision, and reads its variables in that: one way for bfloat16 and float16,
and what it computes can be compared on a processor.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from engine.common import processor, runtime

_DTYPES = {'bf16': tf.bfloat16, 'fp16': tf.float16}

# With AVX512_BF16 and no AMX a step of resnet_v1_50 takes 1.5 times as long.
_INSTRUCTIONS = 'amx_bf16'
# The first compute capabilities with such units: Ampere and Volta.
_CAPABILITIES = {'bf16': (8, 0), 'fp16': (7, 0)}
_INSTEAD = 'Leave the flag out.'


def check(precision: str, gpu: bool) -> None:
  """Raises ValueError where a precision would be slower, or not supported.

  Args:
    precision: 'fp32', 'bf16' or 'fp16'.
    gpu: whether a GPU computes; else the processor and the environment are
      looked at.
  """
  if precision == 'fp32':
    return
  if gpu:
    _check_gpus(precision)
    return
  if precision == 'fp16':
    raise ValueError(
      '--precision=fp16 is for GPUs, and none is used here: a processor would '
      f'be slower by it. {_INSTEAD} Where a processor has AMX, '
      '--precision=bf16 is faster.'
    )
  if _INSTRUCTIONS not in processor.instructions():
    raise ValueError(
      '--precision=bf16 would be slower than float32 here: '
      f'{processor.CPUINFO} lists no {_INSTRUCTIONS} instructions. {_INSTEAD}'
    )
  if os.environ.get('TF_ENABLE_ONEDNN_OPTS', '').lower() in ('0', 'false'):
    raise ValueError(
      '--precision=bf16 needs oneDNN, which TF_ENABLE_ONEDNN_OPTS='
      f'{os.environ["TF_ENABLE_ONEDNN_OPTS"]} turns off: unset that, or '
      'leave the flag out.'
    )


def _check_gpus(precision):
  """Refuses GPUs without units for a precision; a new kind is taken as able."""
  least = _CAPABILITIES[precision]
  for gpu in tf.config.list_physical_devices('GPU'):
    details = tf.config.experimental.get_device_details(gpu)
    found = details.get('compute_capability', least)
    if tuple(found) < least:
      raise ValueError(
        f'--precision={precision} needs GPUs of compute capability '
        f'{least[0]}.{least[1]}, and {details.get("device_name", gpu)} has '
        f'{found[0]}.{found[1]}. {_INSTEAD}'
      )


def half(precision: str, gpu: bool = True) -> tf.DType | None:
  """Returns what a GPU computes a network in, None for float32.

  Args:
    precision: see `check`.
    gpu: whether one may be used. Without, TensorFlow's rewriter does it all;
      see `runtime.session_config`.
  """
  if precision == 'fp32' or not runtime.uses_gpu(gpu):
    return None
  return _DTYPES[precision]


@contextlib.contextmanager
def variables_read_as(dtype: tf.DType | None) -> Iterator[None]:
  """Has layers read float32 variables where they ask for those of a dtype.

  Batch norm asks for float32 whatever its input is. The regularizer of a
  kernel would be of what is read, and be there once for each time that it is:
  `optimizers.regularization` has that of the variables.

  Args:
    dtype: of the network's input; None leaves all as it is.
  """
  if dtype is None:
    yield
    return

  def read(getter: Any, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get('dtype') != dtype:
      return getter(*args, **kwargs)
    return tf.cast(getter(*args, **{**kwargs, 'dtype': tf.float32}), dtype)

  scope = tf.get_variable_scope()
  with tf.variable_scope(scope, custom_getter=read, auxiliary_name_scope=False):
    yield


def cast(images: tf.Tensor, dtype: tf.DType | None) -> tf.Tensor:
  """Returns images in a dtype; as they are if it is None."""
  return images if dtype is None else tf.cast(images, dtype)


def in_float32(end_points: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Returns end points, those of half precision as float32."""
  return {
    name: tf.cast(each, tf.float32) if each.dtype.is_floating else each
    for name, each in end_points.items()
  }
