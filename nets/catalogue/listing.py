"""What there is to choose from: a table of networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nets import resnet_generator, resnet_utils
from nets.catalogue import complexity, pretrained_table

if TYPE_CHECKING:
  from nets.nets_factory import Network

# The logits that are counted, by the size of the images that a network is for:
# CIFAR-10's, and ImageNet's.
_CLASSES = {32: 10}
_MOST_CLASSES = 1000


class Weights(NamedTuple):
  """Weights that others have trained.

  Fields:
    name: what --checkpoint_path takes, such as 'tfslim:resnet_v1_50'.
    top1: their published accuracy on ImageNet in percent, None for none.
    top5: likewise, of the five likeliest classes.
  """

  name: str
  top1: float | None
  top5: float | None


class Listed(NamedTuple):
  """What is known of a network without building it.

  Fields:
    name: by which `nets_factory.get_network` finds it.
    parameters: how many numbers are trained, with those of the logits.
    multiply_adds: those of the convolutions for one image of `image_size`.
    image_size: the default height and width of its images, in pixels.
    num_classes: the number of logits that are counted: 1000 of ImageNet, or
      10 of CIFAR-10.
    strides: what `output_stride` can be; the last one is the nominal one.
    preprocessing: the one it was published with.
    pretrained: the weights there are.
  """

  name: str
  parameters: int
  multiply_adds: int
  image_size: int
  num_classes: int
  strides: tuple[int, ...]
  preprocessing: str
  pretrained: tuple[Weights, ...]


def of(network: 'Network') -> Listed:
  """Returns what is known of an entry of `nets_factory.NETWORKS`."""
  size = network.default_image_size
  classes = _CLASSES.get(size, _MOST_CLASSES)
  root = resnet_generator.get_root(network.root_block)
  return Listed(
    network.name,
    *complexity.count(network, classes),
    size,
    classes,
    tuple(resnet_utils.reachable_strides(network.blocks(), root.stride)),
    network.preprocessing,
    tuple(
      Weights(name, each.top1, each.top5)
      for name, each in pretrained_table.PRETRAINED.items()
      if each.network == network.name
    ),
  )


_HEADINGS = (
  'network',
  'parameters',
  'multiply-adds',
  'size',
  'output strides',
  'preprocessing',
  'pretrained (top-1/top-5 %)',
)
_TO_THE_RIGHT = slice(1, 4)  # numbers


def table(listed: Sequence[Listed]) -> str:
  """Returns a table for people, a line for each network.

  >>> print(table([Listed('net', 25557032, 3860000000, 224, 1000, (16, 32),
  ...   'vgg', (Weights('tfslim:net', 75.2, 92.2),))]))
  network  parameters  multiply-adds  size  output strides  preprocessing  \
pretrained (top-1/top-5 %)
  net          25.56M         3.860G   224  16 32           vgg            \
tfslim:net 75.2/92.2
  """
  rows = [_HEADINGS, *map(_cells, listed)]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  numbers = range(len(widths))[_TO_THE_RIGHT]
  return '\n'.join(
    '  '.join(
      cell.rjust(width) if i in numbers else cell.ljust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in rows
  )


def _cells(listed):
  return (
    listed.name,
    f'{listed.parameters / 1e6:.2f}M',
    f'{listed.multiply_adds / 1e9:.3f}G',
    str(listed.image_size),
    ' '.join(map(str, listed.strides)),
    listed.preprocessing,
    ', '.join(map(_weights, listed.pretrained)),
  )


def _weights(each):
  accuracies = [
    f'{accuracy:.1f}' if accuracy is not None else '?'
    for accuracy in (each.top1, each.top5)
  ]
  known = accuracies != ['?', '?']
  return each.name + (f' {"/".join(accuracies)}' if known else '')
