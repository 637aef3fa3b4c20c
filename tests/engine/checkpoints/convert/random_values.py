"""Random values for networks of ours, with which activations stay in range."""

import math
import re

import numpy as np
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator
from nets.slim_compat import slim
from tests import builders

# What ends a unit.
_LAST = re.compile(
  r'.*(bottleneck_v1/conv3/BatchNorm/gamma|basic_v1/conv2/BatchNorm/gamma'
  r'|bottleneck_v2/conv3/weights)'
)
SYMMETRIC = {'root_block': '7x7_symmetric'}


def register(monkeypatch) -> None:
  """Adds networks of one or two units a block, an eighth as wide."""
  for depth, units in builders.UNITS.items():
    monkeypatch.setitem(resnet_generator.UNITS, depth, units)
  builders.register_tiny_networks(monkeypatch.setitem)


def of_network(
  name: str, num_classes: int | None = 7, seed: int = 0, **options
) -> dict[str, np.ndarray]:
  """Returns {variable without the scope of the network: its value}.

  Nothing is as it is initialized; units add a little each, so that deep
  networks stay in range.
  """
  with tf.Graph().as_default():
    nets_factory.get_network_fn(name, num_classes)(
      tf.zeros([1, 64, 64, 3]), **options
    )
    shapes = {
      v.op.name.partition('/')[2]: v.shape.as_list()
      for v in slim.get_model_variables()
    }
  random = np.random.RandomState(seed)
  values = {}
  for variable, shape in shapes.items():
    if variable.endswith('weights'):
      found = random.randn(*shape) * math.sqrt(2 / math.prod(shape[:3]))
    elif variable.endswith(('gamma', 'moving_variance')):
      found = random.uniform(0.5, 1.5, shape)
    else:
      found = random.randn(*shape) * 0.1
    if _LAST.fullmatch(variable):
      found *= 0.3
    values[variable] = found.astype(np.float32)
  return values


def with_scope(name: str, values: dict) -> dict[str, np.ndarray]:
  """Returns the values by the whole names of a network's variables."""
  scope = nets_factory.get_network(name).default_scope
  return {f'{scope}/{variable}': value for variable, value in values.items()}
