"""An auxiliary head: logits of an inner block, for a second loss in training.

The gradient of its loss reaches the blocks before it by a shorter way (Zhao,
Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network. arXiv:1612.01105, section
3.3). Nothing else needs it, so a network is evaluated and exported without.
"""

from typing import Any

import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator, resnet_utils
from nets.slim_compat import slim

SCOPE = 'auxiliary'  # of its variables, and the end point of its logits


def owns(variable: str) -> bool:
  """Whether a variable is of such a head, by its name."""
  return variable.startswith(f'{SCOPE}/')


def add(
  network_name: str,
  end_points: dict[str, tf.Tensor],
  num_classes: int,
  is_training: bool,
  weight_decay: float = 0.0,
  **arg_scope_options: Any,
) -> None:
  """Adds the logits of a head on the last block but one to the end points.

  That is block3 of networks with four blocks. The head is a 3x3 convolution
  to a quarter of its channels, batch norm, the activation, dropout if the arg
  scope has it, and a 1x1 convolution, under the network's arg scope.

  Args:
    network_name: a key of `nets_factory.NETWORKS`.
    end_points: of the network, built in the variable scope in force; gets
      `SCOPE`, float [batch, height, width, num_classes] at the resolution of
      the block.
    num_classes: the number of logits.
    is_training: whether batch norm uses the batch's statistics.
    weight_decay: the L2 weight of the convolutions' kernels.
    **arg_scope_options: see `nets_factory.get_arg_scope`.
  """
  network = nets_factory.get_network(network_name)
  block = f'{network.default_scope}/{network.blocks()[-2].scope}'
  net = resnet_utils.end_point(end_points, block)
  arg_scope = nets_factory.get_arg_scope(
    network_name, weight_decay=weight_decay, **arg_scope_options
  )
  with (
    slim.arg_scope(arg_scope),
    slim.arg_scope([slim.batch_norm], is_training=is_training),
    tf.variable_scope(SCOPE, values=[net]),
  ):
    channels = max(1, net.shape.as_list()[-1] // 4)
    net = slim.conv2d(net, channels, [3, 3], scope='conv')
    end_points[SCOPE] = slim.conv2d(
      resnet_utils.dropout(net, resnet_generator.LOGITS),
      num_classes,
      [1, 1],
      activation_fn=None,
      normalizer_fn=None,
      scope=resnet_generator.LOGITS,
    )
