"""How large a network is: its parameters and its multiply-adds.

Both are counted in a graph that has each kind of unit once: the units of a
block that are alike count as often as the network has them. A graph of
resnet_v2_200, or of cifar_resnet_v2_1001, is as small as that of
resnet_v2_50.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow.compat.v1 as tf

from nets import resnet_generator
from nets.resnet_utils import Block
from nets.slim_compat import slim

if TYPE_CHECKING:
  from nets.nets_factory import Network


class Size(NamedTuple):
  """How large a network is.

  Fields:
    parameters: how many numbers are trained; the moving averages of batch norm
      are none of them.
    multiply_adds: those of the convolutions for one image, the logits' too.
      Batch norm, activations, pooling and sums are left out.
  """

  parameters: int
  multiply_adds: int


_SCOPE = 'network'


def count(
  network: 'Network',
  num_classes: int | None = None,
  image_size: int | tuple[int, int] | None = None,
  channels: int = 3,
  output_stride: int | None = None,
  arg_scope_options: Mapping[str, Any] | None = None,
  **network_options: Any,
) -> Size:
  """Returns the size of a network without building it.

  Args:
    network: an entry of `nets_factory.NETWORKS`.
    num_classes: the number of logits; None or 0 for features alone.
    image_size: the height and width of the images, in pixels; a number for
      both, None for the network's default.
    channels: those of the images.
    output_stride: that of the network, None for the nominal one. With one the
      logits are counted at every position.
    arg_scope_options: those of its arg scope, such as `use_batch_norm`.
    **network_options: more arguments of the network, such as `root_block` or
      `depth_multiplier`.

  Raises:
    ValueError: an option is out of range.
    TypeError: the network has no such option.
  """
  size = image_size or network.default_image_size
  height, width = (size, size) if isinstance(size, int) else size
  options = {
    **vars(network.function)['unit_options'],
    # Those of an entry that is a functools.partial.
    **getattr(network.function, 'keywords', {}),
    **network_options,
  }
  root_block = options.pop('root_block', None) or network.root_block
  late = options.pop('store_non_strided_activations', False)
  *_, (_, entering, *_) = resnet_generator.get_root(root_block).convolutions
  blocks, times = _once(network.blocks(**options), entering)
  found = _sizes(
    network.generator,
    network.arg_scope,
    tuple(sorted((arg_scope_options or {}).items())),
    tuple(
      (block.scope, block.unit_fn, tuple(map(_frozen, block.args)))
      for block in blocks
    ),
    (height, width, channels),
    num_classes or 0,
    output_stride,
    root_block,
    late,
  )
  return Size(
    *(
      sum(times.get(part, 1) * size[i] for part, size in found.items())
      for i in range(2)
    )
  )


def _frozen(unit):
  return tuple(sorted(unit.items()))


def _once(
  blocks: Sequence[Block], channels: int
) -> tuple[list[Block], dict[str, int]]:
  """Returns blocks in which units that are alike stand once.

  Args:
    blocks: the network's.
    channels: what enters the first block has.

  Returns:
    The blocks, and how often each unit counts, by its scope in the network's.
  """
  found: list[Block] = []
  times: dict[str, int] = {}
  for block in blocks:
    kept: list[tuple[dict[str, Any], int]] = []
    for unit in block.args:
      # The one before sees what this one sees, if it changes nothing.
      unchanging = unit['depth'] == channels and unit.get('stride', 1) == 1
      if kept and unchanging and kept[-1] == (unit, channels):
        times[f'{block.scope}/unit_{len(kept)}'] += 1
      else:
        kept.append((unit, channels))
        times[f'{block.scope}/unit_{len(kept)}'] = 1
      channels = unit['depth']
    found.append(block._replace(args=[unit for unit, _ in kept]))
  return found, times


@functools.cache
def _sizes(
  generator: Callable,
  arg_scope: Callable[..., dict],
  arg_scope_options: tuple[tuple[str, Any], ...],
  blocks: tuple,
  shape: tuple[int, int, int],
  num_classes: int,
  output_stride: int | None,
  root_block: str,
  late: bool,
) -> dict[str, tuple[int, int]]:
  """Returns the size of each unit, and of all else, which is at ''."""
  found: dict[str, tuple[int, int]] = {}

  def add(name, parameters, multiply_adds):
    *_, inner = name.partition(f'{_SCOPE}/')
    block, unit = [*inner.split('/'), ''][:2]
    part = f'{block}/{unit}' if unit.startswith('unit_') else ''
    before = found.get(part, (0, 0))
    found[part] = before[0] + parameters, before[1] + multiply_adds

  with tf.Graph().as_default() as graph:
    with slim.arg_scope(arg_scope(**dict(arg_scope_options))):
      generator(
        tf.placeholder(tf.float32, [1, *shape]),
        [
          Block(scope, unit, [*map(dict, units)])
          for scope, unit, units in blocks
        ],
        num_classes,
        is_training=False,
        global_pool=output_stride is None,
        output_stride=output_stride,
        spatial_squeeze=False,
        store_non_strided_activations=late,
        scope=_SCOPE,
        root_block=root_block,
      )
    for variable in tf.trainable_variables():
      add(variable.op.name, variable.shape.num_elements(), 0)
    for operation in graph.get_operations():
      if operation.type in _PER_VALUE:
        add(operation.name, 0, _multiply_adds(operation))
  return found


# Of a kernel [height, width, channels, ...], as many dimensions take part in
# each value that a convolution returns. That of groups has the channels of one.
_PER_VALUE = {'Conv2D': 3, 'DepthwiseConv2dNative': 2}


def _multiply_adds(operation):
  """Returns those of a convolution."""
  output, kernel = operation.outputs[0], operation.inputs[1].shape.as_list()
  for consumer in output.consumers():
    if consumer.type == 'BatchToSpaceND':  # a dilated one, with its margin
      output = consumer.outputs[0]
  per_value = math.prod(kernel[: _PER_VALUE[operation.type]])
  return output.shape.num_elements() * per_value
