"""Whether a checkpoint fits a network, told by the variables of both."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from engine.checkpoints import architecture
from engine.checkpoints.contents import Shapes
from engine.common.variables import some
from nets import decoders, resnet_generator
from nets.heads import auxiliary


def _difference(here, there):
  """Returns what tells that two networks are not the same one, '' if none."""
  if here.kind != there.kind:
    return f"its units are {there.kind}, the network's {here.kind}"
  for block in here.units.keys() & there.units.keys():
    if here.units[block] != there.units[block]:
      return (
        f'its block{block} has {there.units[block]} units, the '
        f"network's {here.units[block]}"
      )
  if here.groups and there.groups and here.groups != there.groups:
    return (
      f'its 3x3 convolutions have {there.groups} groups of channels, the '
      f"network's {here.groups}"
    )
  for block in here.outputs.keys() & there.outputs.keys():
    if here.expansion(block) != there.expansion(block):
      return (
        f'the units of its block{block} make {there.outputs[block]} channels '
        f"of {there.depths[block]}, the network's {here.outputs[block]} of "
        f'{here.depths[block]}'
      )
  if here.root and there.root and here.root != there.root:
    return f"its root is {there.root}, the network's {here.root}"
  return ''


def _other_shortcut(here, there):
  """Returns how the first shortcut that differs does, '' if none does."""
  for block, unit in sorted(here.projected ^ there.projected):
    if block in here.units and block in there.units:
      kinds = [
        'a convolution' if (block, unit) in found.projected else 'none'
        for found in (there, here)
      ]
      return (
        f'the shortcut of its block{block}/unit_{unit} is {kinds[0]}, '
        f"the network's is {kinds[1]}"
      )
  return ''


def _refuse(path, there, difference):
  cure = (
    ' or '.join(there.flags)
    or 'another --checkpoint_path: no --model_name fits it'
  )
  raise ValueError(
    f'The checkpoint {path} is of {there} ({difference}): pass {cure}.'
  )


def check(
  path: str, wanted: Shapes, there: Shapes, shortcuts: bool = False
) -> None:
  """Makes sure that a checkpoint is of the network that wants its variables.

  Args:
    path: the checkpoint, for the error.
    wanted: {name: shape} of the network's variables that are to be restored;
      parts that are left out are not compared.
    there: {name: shape} of the model variables in the checkpoint.
    shortcuts: whether to compare them too, since all of them are wanted.

  Raises:
    ValueError: it is of another depth, family, root or width, its names begin
      with another scope, or its shortcuts are others. Networks that are no
      ResNets pass.
  """
  here = architecture.network(wanted)
  found = here and architecture.network(there, here.scope)
  if not here or not found:
    return
  difference = _difference(here, found)
  if difference:
    _refuse(path, found, difference)
  for block in here.depths.keys() & found.depths.keys():
    if here.depths[block] != found.depths[block]:
      raise ValueError(
        f'The checkpoint {path} is of {found} in another width (its '
        f"block{block} has {found.depths[block]} channels, the network's "
        f'{here.depths[block]}): pass --depth_multiplier='
        f'{architecture.width(found):g}, or another --checkpoint_path.'
      )
  if here.scope != found.scope:
    raise ValueError(
      f'The checkpoint {path} is of {found}, but its variables begin with '
      f'{found.scope!r} where those of the network begin with '
      f'{here.scope!r}: save them by the names that the network has, and '
      'pass that as --checkpoint_path.'
    )
  difference = shortcuts and _other_shortcut(here, found)
  if difference:
    _refuse(path, found, difference)


def check_channels(path: str, wanted: Shapes, there: Shapes) -> None:
  """Makes sure that a new run has as many channels as the checkpoint.

  Args:
    path: the checkpoint, for the error.
    wanted: see `check`.
    there: see `check`.

  Raises:
    ValueError: it has more or less.
  """
  here, found = architecture.network(wanted), architecture.network(there)
  if not here or not found or here.root is None or found.root is None:
    return
  if here.channels != found.channels:
    scope = resnet_generator.ROOT_BLOCKS[here.root].convolutions[0][0]
    raise ValueError(
      f'The checkpoint {path} is for images of {found.channels} channels, '
      f'the network for {here.channels}: change --use_grayscale, or begin '
      f'with a new root by --checkpoint_exclude_scopes={here.scope}{scope}.'
    )


def unexpected(variables: Collection[str], there: Iterable[str]) -> list[str]:
  """Returns the names in a checkpoint that a network lacks.

  Args:
    variables: the names in the network.
    there: those of the checkpoint; an auxiliary head is none of a network.
  """
  return [
    name for name in there if name not in variables and not auxiliary.owns(name)
  ]


def check_decoder(
  path: str, wanted: Shapes, there: Shapes, is_new: bool = False
) -> None:
  """Makes sure that a network has all parts of a checkpoint's decoder.

  Args:
    path: the checkpoint, for the error.
    wanted: see `check`; all of the network's.
    there: see `check`.
    is_new: whether a new run starts from it.

  Raises:
    ValueError: it lacks some: what would be restored is of another decoder.
  """
  parts = [
    name for name in there if decoders.is_part(name) and name not in wanted
  ]
  if not parts:
    return
  flags = architecture.decoder(there).flags(architecture.decoder(wanted))
  scopes = ','.join(dict.fromkeys(name.partition('/')[0] for name in parts))
  raise ValueError(
    f'The decoder of the checkpoint {path} is of another form than the '
    f"network's, which lacks {len(parts)} of its variables, {some(parts)}: "
    + (f'pass {" ".join(flags)}' if flags else 'no flag builds it')
    + is_new * f', or leave them by --checkpoint_exclude_scopes={scopes}'
    + '.'
  )


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
  found.unexpected.extend(unexpected(variables, there))
  return found
