"""Which network a checkpoint is of, told by the names and shapes in it.

No graph is built for that: units in a block, the names inside of a unit, the
root and the shapes tell a network, whatever the scope is that it was saved in.
"""
import collections
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator

Shapes = Mapping[str, Sequence[int]]

SHADOW = '/ExponentialMovingAverage'
_SLOT = re.compile(
    r'/(Adadelta|Adagrad|Adam|Ftrl|LARS|Momentum|RMSProp)(_\d+)?$')
_UNIT = re.compile(r'^(|.*?/)block(\d+)/unit_(\d+)/(.*)$')
_ROOTS = {'7x7': 'conv1/weights', 'beta': 'conv1_1/weights'}
# Of decoders the last variable before the logits; the largest decoder first.
_DECODERS = {'deeplabv3plus':
             'decoder/decoder_conv0/decoder_conv0_2/weights',
             'aspp': 'concat_projection/weights'}
_PUBLISHED_DEPTH = 64  # of the bottleneck in block1; twice that in the next


class Contents(NamedTuple):
  """The variables of a checkpoint by their kind, each as {name: shape}.

  Fields:
    model: variables of the network.
    shadows: moving averages, by the name of the variable they are of.
    slots: what an optimizer keeps beside a variable.
    counters: global_step, beta1_power and whatever else has no dimension.
  """
  model: dict[str, list[int]]
  shadows: dict[str, list[int]]
  slots: dict[str, list[int]]
  counters: dict[str, list[int]]

  def sources(self) -> dict[str, str]:
    """Returns {variable: the name to read it by}, a shadow's if need be."""
    return {**{name: name + SHADOW for name in self.shadows},
            **{name: name for name in self.model}}

  def values(self) -> dict[str, list[int]]:
    """Returns {variable: shape} of all that `sources` names."""
    return {**self.shadows, **self.model}

  def not_needed(self) -> dict[str, int | list[str]]:
    """Returns what a new run does not take over: two counts, and names."""
    return {'optimizer': len(self.slots),
            'moving_averages': len(self.shadows.keys() & self.model.keys()),
            'counters': list(self.counters)}


def kind(name: str, shapes: Shapes) -> str:
  """Returns the field of `Contents` that a variable belongs to."""
  if name.endswith(SHADOW):
    return 'shadows'
  if _SLOT.search(name) or name.rpartition('/')[0] in shapes:
    return 'slots'
  return 'model' if len(shapes[name]) else 'counters'


def contents(shapes: Shapes) -> Contents:
  """Sorts the variables of a checkpoint, {name: shape}, by their kind."""
  found = Contents({}, {}, {}, {})
  for name in sorted(shapes):
    getattr(found, kind(name, shapes))[name.removesuffix(SHADOW)] = list(
        shapes[name])
  return found


class Decoder(NamedTuple):
  """What makes dense logits, told by its variables.

  Fields:
    name: a key of `decoders.DECODERS`.
    depth: the channels of its layers, None if it has none.
    rates: how many atrous convolutions it has beside each other.
  """
  name: str
  depth: int | None = None
  rates: int = 0


def decoder(shapes: Shapes) -> Decoder:
  """Returns the decoder that has these variables; fcn if none has."""
  for name, last in _DECODERS.items():
    if last in shapes:
      return Decoder(name, shapes[last][-1], sum(
          re.fullmatch(r'aspp[1-9]\d*/weights', each) is not None
          for each in shapes))
  return Decoder('fcn')


def read(path: str) -> Contents:
  """Returns what a checkpoint holds, given its prefix."""
  return contents(tf.train.load_checkpoint(path).get_variable_to_shape_map())


def num_classes(shapes: Shapes) -> int | None:
  """Returns the number of logits that variables make, None if there are none.

  Those of a decoder are told from those that its network had before.
  """
  ends = ('logits/semantic/weights', '/logits/weights')
  return next((shape[-1] for end in ends for name, shape in shapes.items()
               if f'/{name}'.endswith(end)), None)


class Network(NamedTuple):
  """What the variables of a residual network tell of it.

  Fields:
    scope: what stands before 'block1' in the names: '' or 'resnet_v1_50/'.
    version: 1, or 2 for units with pre-activation.
    units: {number of the block: how many units it has}.
    depths: {number of the block: channels of its bottleneck}.
    root: a key of resnet_generator.ROOT_BLOCKS, None if it is not there.
    channels: of the images, None if the root is not there.
    num_classes: the number of logits, None if they are not there.
  """
  scope: str
  version: int
  units: dict[int, int]
  depths: dict[int, int]
  root: str | None
  channels: int | None
  num_classes: int | None

  @property
  def names(self) -> list[str]:
    """The networks of the registry that have these blocks, and this root."""
    ending = '_beta' if self.root == 'beta' else ''
    names = {f'resnet_v{self.version}_{depth}{ending}': units
             for depth, units in resnet_generator.UNITS.items()}
    return [name for name, units in names.items()
            if name in nets_factory.NETWORKS
            and self.units.items() <= dict(enumerate(units, 1)).items()]

  def __str__(self) -> str:
    if self.names:
      return ' or '.join(self.names)
    return (f'a resnet_v{self.version} with '
            f'{", ".join(map(str, self.units.values()))} units in its blocks')


def network(shapes: Shapes, scope: str | None = None) -> Network | None:
  """Returns what the shapes of model variables tell, None if no ResNet.

  Args:
    shapes: {name: shape}.
    scope: the scope to take where several hold one.
  """
  matches = [match for match in map(_UNIT.match, shapes) if match]
  if not matches:
    return None
  sizes = collections.Counter(match[1] for match in matches)
  if scope not in sizes:
    scope = sizes.most_common(1)[0][0]
  units, depths = {}, {}
  version = 2 if f'{scope}postnorm/gamma' in shapes else 1
  for match in matches:
    if match[1] == scope:
      block, unit, rest = int(match[2]), int(match[3]), match[4]
      units[block] = max(units.get(block, 0), unit)
      if '/preact/' in f'/{rest}':
        version = 2
      elif unit == 1 and f'/{rest}'.endswith('/conv1/weights'):
        depths[block] = shapes[match[0]][-1]
  root = next((root for root, name in _ROOTS.items()
               if scope + name in shapes), None)
  logits = (shapes.get('logits/semantic/weights')
            or shapes.get(f'{scope}logits/weights'))
  return Network(
      scope, version, dict(sorted(units.items())), dict(sorted(depths.items())),
      root, shapes[scope + _ROOTS[root]][-2] if root else None,
      logits[-1] if logits is not None else None)


def _difference(here, there):
  """Returns what tells that two networks are not the same one, '' if none."""
  if here.version != there.version:
    return (f'its units are those of resnet_v{there.version}, the network\'s '
            f'those of resnet_v{here.version}')
  for block in here.units.keys() & there.units.keys():
    if here.units[block] != there.units[block]:
      return (f'its block{block} has {there.units[block]} units, the '
              f'network\'s {here.units[block]}')
  if here.root and there.root and here.root != there.root:
    return f'its root is {_root(there)}, the network\'s {_root(here)}'
  return ''


def _root(found):
  scopes = [scope for scope, *_ in resnet_generator.ROOT_BLOCKS[found.root]]
  return ' to '.join(sorted({scopes[0], scopes[-1]}))


def check(path: str, wanted: Shapes, there: Shapes) -> None:
  """Makes sure that a checkpoint is of the network that wants its variables.

  Args:
    path: the checkpoint, for the error.
    wanted: {name: shape} of the network's variables that are to be restored;
      parts that are left out are not compared.
    there: {name: shape} of the model variables in the checkpoint.

  Raises:
    ValueError: it is of another depth, family, root or width, or its names
      begin with another scope. Networks that are no ResNets pass.
  """
  here = network(wanted)
  there = here and network(there, here.scope)
  if not there:
    return
  difference = _difference(here, there)
  if difference:
    cure = (' or '.join(f'--model_name={name}' for name in there.names)
            or 'another --checkpoint_path: no --model_name fits it')
    raise ValueError(f'The checkpoint {path} is of {there} ({difference}): '
                     f'pass {cure}.')
  for block in here.depths.keys() & there.depths.keys():
    if here.depths[block] != there.depths[block]:
      raise ValueError(
          f'The checkpoint {path} is of {there} in another width (its '
          f'block{block} has {there.depths[block]} channels, the network\'s '
          f'{here.depths[block]}): no --model_name builds it, so pass another '
          '--checkpoint_path.')
  if here.scope != there.scope:
    raise ValueError(
        f'The checkpoint {path} is of {there}, but its variables begin with '
        f'{there.scope!r} where those of the network begin with '
        f'{here.scope!r}: save them by the names that the network has, and '
        'pass that as --checkpoint_path.')


def check_channels(path: str, wanted: Shapes, there: Shapes) -> None:
  """Makes sure that a new run has as many channels as the checkpoint.

  Args:
    path: the checkpoint, for the error.
    wanted: see `check`.
    there: see `check`.

  Raises:
    ValueError: it has more or less.
  """
  here, there = network(wanted), network(there)
  if not here or not there or None in (here.channels, there.channels):
    return
  if here.channels != there.channels:
    scope = resnet_generator.ROOT_BLOCKS[here.root][0][0]
    raise ValueError(
        f'The checkpoint {path} is for images of {there.channels} channels, '
        f'the network for {here.channels}: change --use_grayscale, or begin '
        f'with a new root by --checkpoint_exclude_scopes={here.scope}{scope}.')


def width(found: Network) -> float:
  """Returns the channels as a share of those of the published networks."""
  if not found.depths:
    return 1.0
  block, depth = next(iter(found.depths.items()))
  return depth / (_PUBLISHED_DEPTH << (block - 1))


class Comparison(NamedTuple):
  """How a checkpoint fits a network; each a list of names.

  Fields:
    fits: of the same shape in both.
    missing: not in the checkpoint.
    other_shapes: in both, but of another shape.
    unexpected: in the checkpoint alone.
  """
  fits: list[str]
  missing: list[str]
  other_shapes: list[str]
  unexpected: list[str]


def compare(variables: Shapes, there: Shapes) -> Comparison:
  """Compares {name: shape} of a network with that of a checkpoint."""
  found = Comparison([], [], [], [])
  for name, shape in variables.items():
    if name not in there:
      found.missing.append(name)
    elif list(there[name]) == list(shape):
      found.fits.append(name)
    else:
      found.other_shapes.append(name)
  found.unexpected.extend(name for name in there if name not in variables)
  return found
