"""Dilated convolution by TensorFlow's native kernels, as slim.conv2d makes it.

slim.conv2d(rate=r) copies the activations into r x r smaller ones and back
around a plain convolution (SpaceToBatchND). The native kernels compute the same
values without the copies, and the variables have the same names.
"""

import functools
import logging
from typing import Any

import tensorflow.compat.v1 as tf

from nets.layers import convolution
from nets.slim_compat import has_dilation_gradient, slim


@functools.cache
def use_native() -> bool:
  """Whether dilated convolutions are native; if not, a warning is logged once.

  They are where `slim_compat.has_dilation_gradient()` is true.
  """
  native = has_dilation_gradient()
  if not native:
    logging.getLogger(__name__).warning(
      'This machine has no gradient kernel for dilated convolutions (on '
      'CPUs it comes with oneDNN; is TF_ENABLE_ONEDNN_OPTS=0 set?): they '
      'run through SpaceToBatch instead, slower, with the same values.'
    )
  return native


def conv2d(
  inputs: tf.Tensor,
  num_outputs: int,
  kernel_size: int,
  rate: int = 1,
  scope: str | None = None,
  **options: Any,
) -> tf.Tensor:
  """`slim.conv2d` of stride 1 that dilates with a native kernel if it can.

  Obeys every arg_scope that is set for `slim.conv2d` and makes the same
  variables and end points. Dilated convolution is described by Chen et al.,
  Rethinking Atrous Convolution for Semantic Image Segmentation,
  arXiv:1706.05587, section 3.1.

  Args:
    inputs: float [batch, height, width, channels].
    num_outputs: the number of filters.
    kernel_size: height and width of the kernel.
    rate: distance between neighbouring taps, 1 for a plain convolution.
    scope: the variable scope, 'Conv' if None.
    **options: any other argument of `slim.conv2d`.

  Returns:
    Float [batch, height_out, width_out, num_outputs], where height and width
    are those of `inputs` for 'SAME' padding.
  """
  scoped = convolution.scoped(options)
  if rate > 1 and convolution.OPTIONS.issuperset(scoped) and use_native():
    return convolution.conv2d(
      functools.partial(_convolve, rate=rate),
      inputs,
      num_outputs,
      kernel_size,
      scope,
      **scoped,
    )
  return slim.conv2d(
    inputs,
    num_outputs,
    kernel_size,
    stride=1,
    rate=rate,
    scope=scope,
    **options,
  )


def _convolve(inputs, weights, padding, rate):
  return tf.nn.conv2d(
    inputs, weights, strides=1, padding=padding, dilations=rate
  )
