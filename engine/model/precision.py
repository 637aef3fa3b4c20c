"""The precision of computing: float32, or bfloat16 where that is faster.

TensorFlow's graph rewriter computes convolutions and what lies between them in
bfloat16 and leaves variables and sums of many terms in float32, as mixed
precision does (arXiv:1905.12322). Nothing in the graph that is saved differs.
"""

import os

import tensorflow.compat.v1 as tf

from engine.common import processor

# With AVX512_BF16 and no AMX a step of resnet_v1_50 takes 1.5 times as long.
_INSTRUCTIONS = 'amx_bf16'
_INSTEAD = 'Leave the flag out.'


def check(precision: str) -> None:
  """Raises ValueError where a precision would be slower, or not supported.

  Looks at the processor, the environment and TensorFlow's list of GPUs; the
  last is asked only where bfloat16 would do on the processor.

  Args:
    precision: 'fp32' or 'bf16'.
  """
  if precision == 'fp32':
    return
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
  if tf.config.list_physical_devices('GPU'):
    raise ValueError(
      "--precision=bf16 is for CPUs: TensorFlow's rewriter has no "
      'bfloat16 for the GPU that is there, and none has been measured. '
      f'{_INSTEAD}'
    )
