"""The bottleneck networks of nets/resnet_v1.py, written in PyTorch.

Layers are called as the scopes of nets/resnet_v1.py are, so that they take the
values of its checkpoints.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nets import nets_factory, resnet_generator

_EPSILON = 1e-5


class _Layer(nn.Module):
  """A convolution, batch norm, and perhaps an activation."""

  def __init__(self, before, after, kernel, stride=1, rate=1, activates=True):
    super().__init__()
    self.convolution = nn.Conv2d(
      before,
      after,
      kernel,
      stride,
      padding=rate * (kernel // 2),
      dilation=rate,
      bias=False,
    )
    self.norm = nn.BatchNorm2d(after, _EPSILON)
    self.activates = activates

  def forward(self, inputs):
    found = self.norm(self.convolution(inputs))
    return functional.relu(found, inplace=True) if self.activates else found


class _Unit(nn.Module):
  """A unit of three convolutions."""

  def __init__(self, before, depth, depth_bottleneck, stride, rate):
    super().__init__()
    self.stride = stride
    self.conv1 = _Layer(before, depth_bottleneck, 1)
    self.conv2 = _Layer(depth_bottleneck, depth_bottleneck, 3, stride, rate)
    self.conv3 = _Layer(depth_bottleneck, depth, 1, activates=False)
    self.shortcut = None
    if before != depth:
      self.shortcut = _Layer(before, depth, 1, stride, activates=False)

  def forward(self, inputs):
    shortcut = inputs
    if self.shortcut is not None:
      shortcut = self.shortcut(inputs)
    elif self.stride > 1:
      shortcut = functional.max_pool2d(inputs, 1, self.stride)
    residual = self.conv3(self.conv2(self.conv1(inputs)))
    return functional.relu(residual + shortcut, inplace=True)


class Network(nn.Module):
  """A network, float32 [batch, 3, height, width] in.

  Logits come out, [batch, classes], or, without classes, features.
  """

  def __init__(
    self,
    model_name: str,
    num_classes: int | None = None,
    output_stride: int | None = None,
  ):
    """Builds the network.

    Args:
      model_name: one of bottleneck_v1 with a root of 7x7.
      num_classes: the number of logits, None for features.
      output_stride: the ratio of the image's resolution to that of the
        features, None for the nominal one.
    """
    super().__init__()
    ((_, depth, kernel, stride),) = resnet_generator.get_root(
      '7x7'
    ).convolutions
    self.conv1 = _Layer(3, depth, kernel, stride)
    self.blocks = nn.ModuleDict()
    reached, rate = 4, 1
    for block in nets_factory.get_network(model_name).blocks():
      units = nn.ModuleDict()
      for i, unit in enumerate(block.args):
        dense = reached == output_stride
        stride = 1 if dense else unit['stride']
        units[f'unit_{i + 1}'] = _Unit(
          depth, unit['depth'], unit['depth_bottleneck'], stride, rate
        )
        depth = unit['depth']
        rate *= unit['stride'] if dense else 1
        reached *= stride
      self.blocks[block.scope] = units
    self.logits = nn.Linear(depth, num_classes) if num_classes else None

  def forward(self, images):
    net = self.conv1(images)
    # Where a row is left over it is at the end, as in TensorFlow.
    net = functional.max_pool2d(
      net, 3, 2, padding=net.shape[2] % 2, ceil_mode=True
    )
    for units in self.blocks.values():
      for unit in units.values():
        net = unit(net)
    return net if self.logits is None else self.logits(net.mean((2, 3)))

  def load(self, values: Mapping[str, np.ndarray]) -> 'Network':
    """Takes the values of a checkpoint of nets/resnet_v1.py, by name."""
    known = {
      name.partition('/')[2]: torch.from_numpy(np.array(value))
      for name, value in values.items()
    }
    with torch.no_grad():
      for name, layer in self.named_modules():
        if isinstance(layer, _Layer):
          scope = _scope(name)
          weights = known[f'{scope}/weights'].permute(3, 2, 0, 1)
          layer.convolution.weight.copy_(weights)
          norm, own = f'{scope}/BatchNorm/', layer.norm
          own.weight.copy_(known[norm + 'gamma'])
          own.bias.copy_(known[norm + 'beta'])
          own.running_mean.copy_(known[norm + 'moving_mean'])
          own.running_var.copy_(known[norm + 'moving_variance'])
      if self.logits is not None:
        self.logits.weight.copy_(known['logits/weights'][0, 0].T)
        self.logits.bias.copy_(known['logits/biases'])
    return self


def _scope(name):
  """Returns the scope of a layer: 'blocks.block1.unit_1.conv1', for one."""
  block, *unit = name.removeprefix('blocks.').split('.')
  if not unit:
    return block
  return f'{block}/{unit[0]}/bottleneck_v1/{unit[1]}'
