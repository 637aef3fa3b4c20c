"""Which network a checkpoint is of, told by the names and shapes in it.

No graph is built for that: units in a block, the names inside of a unit, the
root and the shapes tell a network, whatever the scope is that it was saved in.
What to look for are facts of the registries of networks and decoders.
"""

import collections
import re
from collections.abc import Mapping
from typing import NamedTuple

from engine.checkpoints.contents import Shapes
from nets import decoders, deeplab, nets_factory, resnet_generator

_UNIT = re.compile(r'^(|.*?/)block(\d+)/unit_(\d+)/([^/]+)/(.*)$')


class Decoder(NamedTuple):
  """What makes dense logits, told by its variables.

  Fields:
    name: a key of `decoders.DECODERS`.
    depth: the channels of its layers, None if it has none.
    rates: how many atrous convolutions it has beside each other.
    stages: how many low-level features it joins, one after the other.
    options: those of `deeplab.Options` that it takes and its variables tell.
  """

  name: str
  depth: int | None = None
  rates: int = 0
  stages: int = 0
  options: Mapping[str, bool] = {}

  def flags(self, other: 'Decoder') -> list[str]:
    """Returns the flags that make of another decoder this one."""
    found = [f'--decoder={self.name}'] * (self.name != other.name)
    found += [
      f'--{option}={str(value).lower()}'
      for option, value in self.options.items()
      if other.options.get(option, getattr(deeplab.Options, option)) != value
    ]
    if self.stages != (other.stages or 1) and self.stages:
      found.append(f'--decoder_output_stride of {self.stages}, such as 4,2')
    if self.rates != (other.rates or self.rates) and self.rates:
      found.append(f'--atrous_rates of {self.rates} numbers')
    if self.depth not in (None, other.depth):
      found.append(f'--decoder_depth={self.depth}')
    return found

  @property
  def forms(self) -> str:
    """What it is, with the flags that are not the default."""
    flags = self.flags(Decoder(self.name, self.depth, self.rates))
    return ', '.join([self.name, f'{self.depth} channels', *flags])


def decoder(shapes: Shapes) -> Decoder:
  """Returns the largest decoder that has these variables; fcn if none has."""
  name, told = max(
    decoders.DECODERS.items(),
    key=lambda item: len(item[1].scopes) if item[1].marker in shapes else 0,
  )
  if told.marker not in shapes:
    return Decoder('fcn')
  return Decoder(
    name,
    shapes.get(told.depth or told.marker, [None])[-1],
    deeplab.rates(shapes, told.rate_scope) if told.rate_scope else 0,
    deeplab.stages(shapes) if 'low_levels' in told.needs else 0,
    {
      option: value
      for option, value in deeplab.told(shapes).items()
      if option in told.options
    },
  )


class Network(NamedTuple):
  """What the variables of a residual network tell of it.

  Fields:
    scope: what stands before 'block1' in the names: '' or 'resnet_v1_50/'.
    unit: the scope of its units, such as 'bottleneck_v1'.
    biased: whether their first convolutions have biases, as those of the Keras
      script have beside their batch norm.
    units: {number of the block: how many units it has}.
    depths: {number of the block: channels of the first convolution in it}.
    projected: (block, unit) of all units whose shortcut is a convolution.
    root: a key of resnet_generator.ROOT_BLOCKS, None if it is not there.
    channels: of the images, None if the root is not there.
    num_classes: the number of logits, None if they are not there.
  """

  scope: str
  unit: str
  biased: bool
  units: dict[int, int]
  depths: dict[int, int]
  projected: set[tuple[int, int]]
  root: str | None
  channels: int | None
  num_classes: int | None

  def _rank(self, known):
    """How well a network of the registry fits; None if it has other units."""
    units = {i: len(block.args) for i, block in enumerate(known.blocks(), 1)}
    if (known.unit, known.biased) != (self.unit, self.biased) or not (
      self.units.items() <= units.items()
    ):
      return None
    return self.root in (None, known.root_block), self.units == units

  @property
  def names(self) -> list[str]:
    """The networks of the registry that have these units.

    Those whose own root this is, if there are any (see `options`); of these
    those of as many blocks, if there are any.
    """
    ranks = {
      name: self._rank(nets_factory.get_network(name))
      for name in nets_factory.names(self.units.get(1))
    }
    best = max(filter(None, ranks.values()), default=())
    return [name for name, rank in ranks.items() if rank == best]

  def options(self, name: str) -> dict[str, str]:
    """Returns what the network `name` has to be built with to be this one.

    Options whose defaults are right, or whose values the variables do not
    tell, are left out.
    """
    own = nets_factory.get_network(name).options
    found = {'root_block': self.root, 'shortcut': self._shortcut}
    return {
      option: value
      for option, value in found.items()
      if value and option in own and own[option].default != value
    }

  @property
  def _shortcut(self):
    """A key of resnet_v1.SHORTCUTS, None if parts of the network lack."""
    if not {1, 2} <= self.units.keys():
      return None
    if not self.projected:
      return 'A'
    # Only option C projects to as many channels as before.
    return 'C' if len(self.projected) == sum(self.units.values()) else 'B'

  @property
  def flags(self) -> list[str]:
    """The flags that build it, for each of its names."""
    return [
      ' '.join(
        [
          f'--model_name={name}',
          *(
            f'--{option}={value}'
            for option, value in self.options(name).items()
          ),
        ]
      )
      for name in self.names
    ]

  @property
  def kind(self) -> str:
    """What its units are."""
    return f'{self.unit} with biases' if self.biased else self.unit

  def __str__(self) -> str:
    return ' or '.join(self.names) or (
      f'a network of {self.kind} units, '
      f'{", ".join(map(str, self.units.values()))} in its blocks'
    )


def _find_root(scope, shapes):
  """Returns the root and its first kernel's shape, None for both without."""
  found = {}
  for name, root in resnet_generator.ROOT_BLOCKS.items():
    first, depth, kernel, _ = root.convolutions[0]
    shape = shapes.get(f'{scope}{first}/weights')
    if shape is not None and shape[0] == kernel:
      found[name] = abs(shape[-1] - depth), shape
  if not found:
    return None, None
  name = min(found, key=lambda name: found[name][0])
  return name, found[name][1]


def network(shapes: Shapes, scope: str | None = None) -> Network | None:
  """Returns what the shapes of model variables tell, None if no ResNet.

  Args:
    shapes: {name: shape}.
    scope: the scope to take where several hold one.
  """
  matches = [match for match in map(_UNIT.match, shapes) if match]
  if not matches:
    return None
  sizes: collections.Counter[str] = collections.Counter(
    match[1] for match in matches
  )
  if scope is None or scope not in sizes:
    scope = sizes.most_common(1)[0][0]
  units: dict[int, int] = {}
  depths: dict[int, int] = {}
  projected: set[tuple[int, int]] = set()
  kinds: collections.Counter[str] = collections.Counter()
  biased = False
  for match in matches:
    if match[1] == scope:
      block, unit, rest = int(match[2]), int(match[3]), match[5]
      kinds[match[4]] += 1
      units[block] = max(units.get(block, 0), unit)
      biased |= rest == 'conv1/biases'
      if rest == 'shortcut/weights':
        projected.add((block, unit))
      if unit == 1 and rest == 'conv1/weights':
        depths[block] = shapes[match[0]][-1]
  root, kernel = _find_root(scope, shapes)
  logits = next(
    filter(None, map(shapes.get, decoders.logits_weights(scope))), None
  )
  return Network(
    scope,
    kinds.most_common(1)[0][0],
    biased,
    dict(sorted(units.items())),
    dict(sorted(depths.items())),
    projected,
    root,
    kernel and kernel[-2],
    logits[-1] if logits is not None else None,
  )


def width(found: Network) -> float:
  """Returns the channels as a share of those of the registry's network."""
  if not (found.names and found.depths):
    return 1.0
  block, depth = next(iter(found.depths.items()))
  unit = nets_factory.get_network(found.names[0]).blocks()[block - 1].args[0]
  return depth / unit.get('depth_bottleneck', unit['depth'])
