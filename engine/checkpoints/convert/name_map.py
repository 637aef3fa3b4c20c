"""Weights under anybody's names, by a table that the user writes.

A table is CSV of three columns: the name of an array, the name of our variable
(with or without the scope of the network), and whether the array's axes are in
the order of Caffe and PyTorch ('yes': channels out, channels in, height, width;
of a matrix, out and in) or in ours ('no').
"""

import csv
import io
from typing import Any, NamedTuple

import numpy as np

from datasets import files
from datasets.label_kinds import CLASSIFICATION
from datasets.text import cut
from engine.checkpoints import architecture
from engine.checkpoints.convert.arrays import Arrays, as_float32
from engine.checkpoints.convert.recognition import (
  Recognised,
  check_fit,
  variables,
)
from engine.common.variables import some
from nets import nets_factory

FORM = 'map'
_COLUMNS = ('source', 'ours', 'transpose')
_TRANSPOSE = {'yes': True, 'no': False}
_MOST_BYTES = 1 << 22
_AXES = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


class Entry(NamedTuple):
  """A line of a table.

  Fields:
    source: the name of an array.
    ours: the name of a variable.
    transpose: whether the array's axes are Caffe's and PyTorch's.
  """

  source: str
  ours: str
  transpose: bool


def read(path: str) -> list[Entry]:
  """Returns the lines of a table, in their order.

  Args:
    path: of CSV; a first line `source,ours,transpose` is left out.

  Raises:
    ValueError: it is not there, or not of that form, or names an array or a
      variable twice; the sentence names the line.
  """
  try:
    with files.open_regular(path) as file:
      data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
      raise ValueError(f'it has more than {_MOST_BYTES:,} bytes')
    rows = list(csv.reader(io.StringIO(data.decode('utf-8-sig')), strict=True))
  except files.Irregular:
    raise
  except (OSError, ValueError, csv.Error) as error:
    reason = error.strerror if isinstance(error, OSError) else error
    raise ValueError(
      f'--name_map={path} cannot be read: {cut(str(reason), 200)}.'
    ) from None
  found: list[Entry] = []
  for line, row in enumerate(rows, 1):
    cells = [cell.strip() for cell in row]
    if not any(cells) or (line == 1 and tuple(cells) == _COLUMNS):
      continue
    if len(cells) != 3 or cells[2].lower() not in _TRANSPOSE:
      raise ValueError(
        f'{path}, line {line}: {cut(",".join(row), 100)!r} is not the name of '
        'an array, the name of a variable, and yes or no for transposed axes.'
      )
    entry = Entry(cells[0], cells[1], _TRANSPOSE[cells[2].lower()])
    for one in found:
      if one.ours == entry.ours or one.source == entry.source:
        name = entry.ours if one.ours == entry.ours else entry.source
        raise ValueError(f'{path}, line {line}: {name} was named before.')
    found.append(entry)
  if not found:
    raise ValueError(f'--name_map={path} has no line with names.')
  return found


def _value(arrays, entry):
  """Returns the value that a line gives a variable."""
  value = arrays.values[entry.source]
  try:
    value = as_float32(entry.source, value)
  except ValueError as error:
    raise ValueError(f'{arrays.path} {error}.') from None
  if entry.transpose:
    if value.ndim not in _AXES:
      raise ValueError(
        f'{arrays.path}: {entry.source} has {value.ndim} axes, and only 4 and '
        '2 can be transposed: say no in --name_map, or reshape it before.'
      )
    value = np.transpose(value, _AXES[value.ndim])
  return value


def _shaped(value, shape):
  """Returns a value in a variable's shape where only axes of 1 differ.

  Caffe writes vectors as [1, 1, 1, n], and matrices have no height and width.
  """
  sides = [side for side in value.shape if side != 1]
  same = sides == [side for side in shape if side != 1]
  return value.reshape(shape) if same else value


def _network(values, path, model_name):
  """Returns the network, by its variables or by --model_name."""
  found = architecture.network({k: list(v.shape) for k, v in values.items()})
  if found is None:
    raise ValueError(
      f'--name_map names no variable of a unit, such as '
      f'block1/unit_1/bottleneck_v1/conv1/weights, for {path}: the third '
      'line of `python inspect_checkpoint.py` on a checkpoint shows names.'
    )
  if model_name is None:
    own = [
      name
      for name in found.names
      if nets_factory.get_network(name).default_scope == found.scope.rstrip('/')
    ] or found.names
    if len(own) != 1:
      raise ValueError(
        f'The names in --name_map fit '
        f'{" and ".join(own) or "no network"}: pass --model_name.'
      )
    model_name = own[0]
  return nets_factory.get_network(model_name), found


def recognise(
  arrays: Arrays,
  entries: list[Entry],
  model_name: str | None = None,
  root_block: str | None = None,
) -> Recognised:
  """Returns the network that a table makes of a file, with its values.

  Its width is told by its variables: `depth_multiplier`.

  Args:
    arrays: what the file holds.
    entries: the table.
    model_name: the network; None for the one that the names tell.
    root_block: its root; None for what the variables tell.

  Raises:
    ValueError: an array of the table is not there, or the table does not fill
      the network; the sentence lists what is left over on both sides.
  """
  absent = [e.source for e in entries if e.source not in arrays.values]
  if absent:
    raise ValueError(
      f'{arrays.path} lacks {len(absent)} of the arrays of --name_map, '
      f'{some(absent)}; it has {some(list(arrays.values)) or "none"}.'
    )
  values = {entry.ours: _value(arrays, entry) for entry in entries}
  network, found = _network(values, arrays.path, model_name)
  scope = f'{network.default_scope}/'
  ours = {
    name if name.startswith(scope) else scope + name: value
    for name, value in values.items()
  }
  options: dict[str, Any] = {}
  if 'root_block' in network.options:
    root = root_block or found.root
    if root and root != network.root_block:
      options['root_block'] = root
  width = architecture.width(found, network.name)
  if width != 1:
    options['depth_multiplier'] = width
  num_classes = next(
    (v.size for k, v in ours.items() if k == f'{scope}logits/biases'), None
  )
  channels = found.channels or 3
  wanted = variables(network.name, options, num_classes, channels)
  extra = [name for name in ours if name not in wanted]
  missing = [name for name in wanted if name not in ours]
  taken = {entry.source for entry in entries}
  left_over = [name for name in arrays.values if name not in taken]
  what = ' '.join([network.name, *(f'--{k}={v}' for k, v in options.items())])
  if extra or missing:
    raise ValueError(
      f'--name_map does not make {what} of {arrays.path}. '
      f'Variables without an array, {len(missing)}: {some(missing) or "none"}. '
      f'Names that are none of its variables, {len(extra)}: '
      f'{some(extra) or "none"}. Arrays that are not taken, '
      f'{len(left_over)}: {some(left_over) or "none"}.'
    )
  ours = {name: _shaped(value, wanted[name]) for name, value in ours.items()}
  check_fit(arrays.path, what, ours, wanted)
  return Recognised(
    FORM,
    'the names of --name_map',
    network.name,
    options,
    CLASSIFICATION,
    num_classes,
    channels,
    ours,
    left_over,
    {
      'preprocessing_name': network.preprocessing,
      'train_image_size': network.default_image_size,
      'labels_offset': 0,
    },
  )
