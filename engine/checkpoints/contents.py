"""What a checkpoint holds: its variables by their kind, shape and value."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import opening
from engine.common import runtime
from nets import decoders

Shapes = Mapping[str, Sequence[int]]

SHADOW = '/ExponentialMovingAverage'
_SLOT = re.compile(
  r'/(Adadelta|Adagrad|Adam|Ftrl|LARS|Momentum|RMSProp)(_\d+)?$'
)


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
    return {
      **{name: name + SHADOW for name in self.shadows},
      **{name: name for name in self.model},
    }

  def values(self) -> dict[str, list[int]]:
    """Returns {variable: shape} of all that `sources` names."""
    return {**self.shadows, **self.model}

  def not_needed(self) -> dict[str, int | list[str]]:
    """Returns what a new run does not take over: two counts, and names."""
    return {
      'optimizer': len(self.slots),
      'moving_averages': len(self.shadows.keys() & self.model.keys()),
      'counters': list(self.counters),
    }


def kind(name: str, shapes: Shapes) -> str:
  """Returns the field of `Contents` that a variable belongs to."""
  if name.endswith(SHADOW):
    return 'shadows'
  if _SLOT.search(name) or name.rpartition('/')[0] in shapes:
    return 'slots'
  return 'model' if len(shapes[name]) else 'counters'


def by_kind(shapes: Shapes) -> Contents:
  """Sorts the variables of a checkpoint, {name: shape}, by their kind."""
  found = Contents({}, {}, {}, {})
  for name in sorted(shapes):
    getattr(found, kind(name, shapes))[name.removesuffix(SHADOW)] = list(
      shapes[name]
    )
  return found


def read(path: str) -> Contents:
  """Returns what a checkpoint holds, given its prefix."""
  return by_kind(opening.reader(path).get_variable_to_shape_map())


def num_classes(shapes: Shapes) -> int | None:
  """Returns the number of logits that variables make, None if there are none.

  Those of a decoder are told from those that its network had before.
  """
  return next(
    (
      shape[-1]
      for end in decoders.logits_weights('/')
      for name, shape in shapes.items()
      if f'/{name}'.endswith(end)
    ),
    None,
  )


def version(path: str) -> str:
  """Returns the format of a checkpoint, V1 or V2."""
  return 'V2' if tf.io.gfile.exists(f'{path}.index') else 'V1'


def step(path: str) -> int | None:
  """Returns the step a checkpoint was written at, None if it does not say."""
  reader = opening.reader(path)
  if not reader.has_tensor('global_step'):
    return None
  return int(reader.get_tensor('global_step'))


def read_values(
  checkpoint: str,
  moving_averages: float | bool | None = False,
  names: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
  """Returns the values of a checkpoint by the names of their variables.

  Args:
    checkpoint: its prefix.
    moving_averages: whether to read the moving averages of the variables
      instead, under the variables' names; a decay is as good as True.
    names: the variables to read, if not all; those that the checkpoint lacks
      are left out.

  Raises:
    ValueError: moving averages are asked for, and there are none.
  """
  reader = opening.reader(checkpoint)
  there = {name: name for name in reader.get_variable_to_shape_map()}
  averages = {
    name.removesuffix(SHADOW): name for name in there if name.endswith(SHADOW)
  }
  if moving_averages and not averages:
    raise ValueError(
      f'The checkpoint {checkpoint} lacks moving averages of the weights: '
      'was it trained with --moving_average_decay? --raw_weights evaluates '
      'the weights.'
    )
  found = (
    averages
    if moving_averages
    else {name: name for name in there if not name.endswith(SHADOW)}
  )
  wanted = (
    found.keys() if names is None else [name for name in names if name in found]
  )
  return {name: reader.get_tensor(found[name]) for name in wanted}


def write_values(prefix: str, values: Mapping[str, np.ndarray]) -> None:
  """Writes a checkpoint, in TensorFlow's V2 format, of values by name."""
  names = sorted(values)
  with tf.Graph().as_default(), runtime.session(gpu=False) as session:
    tensors = [
      tf.placeholder(values[name].dtype, values[name].shape) for name in names
    ]
    session.run(
      tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[''] * len(names),
        tensors=tensors,
      ),
      {
        tensor: values[name]
        for tensor, name in zip(tensors, names, strict=True)
      },
    )
