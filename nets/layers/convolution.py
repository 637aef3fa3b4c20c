"""A convolution as slim.conv2d makes it, by an operation of one's own."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from nets.slim_compat import slim


def scoped(options: dict[str, Any]) -> dict[str, Any]:
  """Returns options with those that an arg_scope sets for `slim.conv2d`."""
  key = slim.arg_scope_func_key(slim.conv2d)
  return {**slim.current_arg_scope().get(key, {}), **options}


def conv2d(
  convolve: Callable[[tf.Tensor, tf.Tensor, str], tf.Tensor],
  inputs: tf.Tensor,
  num_outputs: int,
  kernel_size: int,
  scope: str | None = None,
  groups: int = 1,
  *,
  padding: str = 'SAME',
  activation_fn: Callable | None = tf.nn.relu,
  normalizer_fn: Callable | None = None,
  normalizer_params: dict[str, Any] | None = None,
  weights_initializer: Callable = slim.xavier_initializer(),  # noqa: B008
  weights_regularizer: Callable | None = None,
  biases_initializer: Callable | None = tf.zeros_initializer(),  # noqa: B008
  biases_regularizer: Callable | None = None,
  reuse: bool | None = None,
  trainable: bool = True,
  outputs_collections: str | None = None,
) -> tf.Tensor:
  """`slim.conv2d` around another operation: the same variables and end points.

  No arg_scope is obeyed: pass what `scoped` returns, of `OPTIONS`.

  Args:
    convolve: the operation, `convolve(inputs, weights, padding)`.
    inputs: float [batch, height, width, channels].
    num_outputs: the number of filters.
    kernel_size: height and width of the kernel.
    scope: the variable scope, 'Conv' if None.
    groups: the weights have a `groups`-th of the input's channels.
    padding, ...: as of `slim.conv2d`.

  Returns:
    What `convolve` does, normalized and activated.
  """
  with tf.variable_scope(scope, 'Conv', [inputs], reuse=reuse) as sc:
    channels = inputs.shape.as_list()[-1] // groups
    weights = slim.model_variable(
      'weights',
      [kernel_size, kernel_size, channels, num_outputs],
      inputs.dtype.base_dtype,
      initializer=weights_initializer,
      regularizer=weights_regularizer,
      trainable=trainable,
    )
    net = convolve(inputs, weights, padding)
    if normalizer_fn is not None:
      net = normalizer_fn(net, **(normalizer_params or {}))
    elif biases_initializer is not None:
      biases = slim.model_variable(
        'biases',
        [num_outputs],
        inputs.dtype.base_dtype,
        initializer=biases_initializer,
        regularizer=biases_regularizer,
        trainable=trainable,
      )
      net = tf.nn.bias_add(net, biases)
    if activation_fn is not None:
      net = activation_fn(net)
    return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


# What `conv2d` understands of the options of slim.conv2d.
OPTIONS = frozenset(
  name
  for name, parameter in inspect.signature(conv2d).parameters.items()
  if parameter.kind is inspect.Parameter.KEYWORD_ONLY
)
