"""Which network a checkpoint is of, told by the names and shapes in it.

No graph is built for that: units in a block, the names inside of a unit, the
root and the shapes tell a network, whatever the scope is that it was saved in.
The scope tells those apart that have the same variables. What to look for are
facts of the registries of networks and decoders.
"""

import collections
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from engine.checkpoints.contents import Shapes
from nets import decoders, nets_factory, resnet_generator
from nets.heads import deeplab

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
    outputs: {number of the block: channels that its first unit gives}.
    groups: of channels, which its second convolutions keep apart; None if the
      variables do not tell.
    projected: (block, unit) of all units whose shortcut is a convolution.
    roots: the keys of resnet_generator.ROOT_BLOCKS that have these variables,
      those first that TF-Slim has; none if they are not there.
    channels: of the images, None if the root is not there.
    num_classes: the number of logits, None if they are not there.
  """

  scope: str
  unit: str
  biased: bool
  units: dict[int, int]
  depths: dict[int, int]
  outputs: dict[int, int]
  groups: int | None
  projected: set[tuple[int, int]]
  roots: tuple[str, ...]
  channels: int | None
  num_classes: int | None

  @property
  def root(self) -> str | None:
    """The first of the roots, None if there is none."""
    return next(iter(self.roots), None)

  def expansion(self, block: int) -> float | None:
    """The channels that a unit gives, as a multiple of those inside of it."""
    if block not in self.outputs:
      return None
    return self.outputs[block] / self.depths[block]

  def _misfit(self, known):
    """How far a network's inner widths are off; None for other units."""
    blocks = known.blocks()
    units = {i: len(block.args) for i, block in enumerate(blocks, 1)}
    first = {i: block.args[0] for i, block in enumerate(blocks, 1)}
    if (
      (known.unit, known.biased) != (self.unit, self.biased)
      or self.groups not in (None, first[1].get('groups', 1))
      or not self.units.items() <= units.items()
    ):
      return None
    found = {i: self.expansion(i) for i in first}
    return sum(
      abs(math.log(ratio * _inner(first[i]) / first[i]['depth']))
      for i, ratio in found.items()
      if ratio
    )

  @property
  def names(self) -> list[str]:
    """The networks of the registry that have these units.

    Those whose units are as wide inside; of these those of the kind that the
    scope names, whose own root this is (see `options`), of as many blocks, and
    at last those that TF-Slim has: each if there are any.
    """
    found = []
    for name in nets_factory.names(self.units.get(1)):
      known = nets_factory.get_network(name)
      misfit = self._misfit(known)
      if misfit is not None:
        found.append((known, misfit))
    scope = self.scope.rstrip('/').rpartition('/')[2]
    kinds = {net.root_block for net, _ in found if net.default_scope == scope}
    ranks = {
      net.name: (
        -round(misfit, 2),
        net.root_block in kinds,
        not self.roots or net.root_block in self.roots,
        len(net.blocks()) == len(self.units),
        net.root_block == self.root,
      )
      for net, misfit in found
    }
    best = max(ranks.values(), default=None)
    return [name for name, rank in ranks.items() if rank == best]

  def options(self, name: str) -> dict[str, str]:
    """Returns what the network `name` has to be built with to be this one.

    Options whose defaults are right, or whose values the variables do not
    tell, are left out.
    """
    own = nets_factory.get_network(name).options
    found = {'root_block': self.roots, 'shortcut': self._shortcuts}
    return {
      option: values[0]
      for option, values in found.items()
      if values and option in own and own[option].default not in values
    }

  @property
  def _shortcuts(self):
    """The keys of resnet_v1.SHORTCUTS that have these variables.

    None of them if parts of the network lack.
    """
    if not {1, 2} <= self.units.keys():
      return ()
    if not self.projected:
      return ('A',)
    # Only option C projects to as many channels as before.
    if len(self.projected) == sum(self.units.values()):
      return ('C',)
    return 'B', 'D'

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


def _inner(unit):
  """Returns the channels of the first convolution of a unit."""
  return unit.get('depth_bottleneck', unit['depth'])


def _find_roots(scope, shapes):
  """Returns the roots and their first kernel's shape; (), None without."""
  found = {}
  for name, root in resnet_generator.ROOT_BLOCKS.items():
    first, depth, kernel, _ = root.convolutions[0]
    shape = shapes.get(f'{scope}{first}/weights')
    if shape is not None and shape[0] == kernel:
      found[name] = abs(shape[-1] - depth), shape
  if not found:
    return (), None
  nearest, shape = min(found.values(), key=lambda value: value[0])
  return tuple(name for name in found if found[name][0] == nearest), shape


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
  outputs: dict[int, int] = {}
  groups: int | None = None
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
        second, last = (
          shapes.get(match[0].replace(rest, f'conv{n}/weights'))
          for n in (2, 3 if 'bottleneck' in match[4] else 2)
        )
        if second and min(second) > 0:
          groups = max(depths[block] // second[-2], 1)
        if last and min([*last, depths[block]]) > 0:
          outputs[block] = last[-1]
  roots, kernel = _find_roots(scope, shapes)
  logits = next(
    filter(None, map(shapes.get, decoders.logits_weights(scope))), None
  )
  return Network(
    scope,
    kinds.most_common(1)[0][0],
    biased,
    dict(sorted(units.items())),
    dict(sorted(depths.items())),
    outputs,
    groups,
    projected,
    roots,
    kernel and kernel[-2],
    logits[-1] if logits is not None else None,
  )


def width(found: Network, name: str | None = None) -> float:
  """Returns the channels as a share of those of the registry's network.

  Args:
    found: what the variables tell.
    name: the network; None for the first that has these variables.
  """
  name = name or next(iter(found.names), None)
  if not (name and found.depths):
    return 1.0
  block, depth = next(iter(found.depths.items()))
  unit = nets_factory.get_network(name).blocks()[block - 1].args[0]
  return depth / _inner(unit)
