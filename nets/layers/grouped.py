"""Grouped convolution: each group of filters sees a group of the channels.

  [1] Xie, Girshick, Dollár, Tu, He: Aggregated Residual Transformations for
      Deep Neural Networks. arXiv:1611.05431, 2016

TensorFlow's Conv2D groups by the shape of its kernel, and for inference it does
so everywhere. For the gradient it does on CPUs with oneDNN, and on GPUs.
Elsewhere the gradient is that of plain convolutions of a few groups each, whose
kernels are zero where groups do not meet.
"""

import functools
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from nets.layers import convolution
from nets.slim_compat import has_dilation_gradient

# So many groups are one plain convolution: of the two kinds of work that are
# wasted, multiplying by zeros and splitting, this is the least.
_TOGETHER = 4

# The name that TensorFlow finds the gradient by.
_GRADIENT = 'SlimResnetsGroupedConv2D'


def conv2d(
  inputs: tf.Tensor,
  num_outputs: int,
  kernel_size: int,
  groups: int,
  stride: int = 1,
  rate: int = 1,
  scope: str | None = None,
  **options: Any,
) -> tf.Tensor:
  """`slim.conv2d` in groups ([1], figure 3c).

  Obeys every arg_scope that is set for `slim.conv2d`.

  Args:
    inputs: float [batch, height, width, channels].
    num_outputs: the number of filters.
    kernel_size: height and width of the kernel, whose variable is
      [kernel_size, kernel_size, channels / groups, num_outputs].
    groups: the number of groups, a divisor of both numbers of channels.
    stride: the output stride.
    rate: the distance between neighbouring taps; one of `stride` and `rate`
      must be 1.
    scope: the variable scope, 'Conv' if None.
    **options: any of `convolution.OPTIONS`.

  Returns:
    Float [batch, height_out, width_out, num_outputs].

  Raises:
    ValueError: `groups` does not divide the channels.
    TypeError: an option, or an arg_scope's, that is not known here.
  """
  channels = inputs.shape.as_list()[-1]
  if channels % groups or num_outputs % groups:
    raise ValueError(
      f'groups={groups} does not divide the {channels} channels of the inputs '
      f'and the num_outputs={num_outputs}: give both a multiple of it.'
    )
  options = convolution.scoped(options)
  for option in sorted(options.keys() - convolution.OPTIONS):
    raise TypeError(
      f'A grouped convolution does not take {option!r}, which a call or an '
      'arg_scope of slim.conv2d gives it: leave it out.'
    )
  convolve = functools.partial(_convolve, stride=stride, rate=rate)
  return convolution.conv2d(
    convolve, inputs, num_outputs, kernel_size, scope, groups, **options
  )


def _convolve(inputs, weights, padding, stride, rate):
  own = {} if has_dilation_gradient() else {'Conv2D': _GRADIENT}
  with tf.get_default_graph().gradient_override_map(own):
    return tf.nn.conv2d(
      inputs, weights, strides=stride, padding=padding, dilations=rate
    )


def plain(
  inputs: tf.Tensor,
  weights: tf.Tensor,
  padding: str,
  stride: int = 1,
  rate: int = 1,
) -> tf.Tensor:
  """Returns a grouped convolution of operations that have gradients anywhere.

  Args:
    inputs: float [batch, height, width, channels].
    weights: float [height, width, channels / groups, num_outputs].
    padding: 'SAME' or 'VALID'.
    stride: the output stride.
    rate: the distance between neighbouring taps.
  """
  *size, inner, outer = weights.shape.as_list()
  groups = inputs.shape.as_list()[-1] // inner
  together = next(n for n in range(_TOGETHER, 0, -1) if groups % n == 0)
  parts = groups // together
  meet = np.kron(np.eye(together), np.ones((inner, outer // groups)))

  def convolve(values, filters):
    filters = tf.tile(filters, [1, 1, together, 1]) * tf.cast(
      meet, filters.dtype
    )
    return tf.nn.with_space_to_batch(
      values,
      [rate, rate],
      padding,
      lambda net, _, padding: tf.nn.conv2d(net, filters, stride, padding),
      filter_shape=size,
    )

  return tf.concat(
    [
      convolve(*each)
      for each in zip(
        tf.split(inputs, parts, 3), tf.split(weights, parts, 3), strict=True
      )
    ],
    3,
  )


@tf.RegisterGradient(_GRADIENT)
def _gradient(operation, gradient):
  # Of equal values, but not those of the operation, whose gradient this is.
  inputs, weights = (tf.identity(tensor) for tensor in operation.inputs)
  _, stride, *_ = operation.get_attr('strides')
  _, rate, *_ = operation.get_attr('dilations')
  padding = operation.get_attr('padding').decode()
  return tf.gradients(
    plain(inputs, weights, padding, stride, rate), [inputs, weights], gradient
  )
