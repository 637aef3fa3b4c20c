"""Reads weights of Keras: .h5 of any version, .weights.h5, and .keras.

Only arrays of numbers are read, by h5py: no layer is built and no code is
loaded, whatever the file says. What lies in other files, behind links or in
external storage, is refused (see `datasets.sources.hdf5`).

Keras 2, and keras.applications to this day, write groups by the name of a
layer, in which arrays are 'LAYER/kernel:0'. Keras 3 writes numbered arrays, in
groups by the class of a layer, and its name beside them.

Nothing here imports TensorFlow.
"""

import io
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import h5py
import numpy as np

from datasets import files
from datasets.sources import hdf5
from engine.checkpoints.convert.arrays import (
  DAMAGED,
  MOST_ARRAYS,
  MOST_BYTES,
  Arrays,
  check_name,
)

MAGIC = b'\x89HDF\r\n\x1a\n'
WEIGHTS = 'model.weights.h5'  # in the archive .keras
_DEEPEST = 12  # groups in each other
# What Keras 3 numbers, by the class of a layer.
_VARIABLES = {
  'conv2d': ('kernel', 'bias'),
  'dense': ('kernel', 'bias'),
  'batch_normalization': ('gamma', 'beta', 'moving_mean', 'moving_variance'),
}
_NUMBERED = re.compile(
  r'(?P<layer>(?:.*/)?(?P<kind>[^/]+?)(?:_(?P<number>\d+))?)/vars/(?P<i>\d+)'
)
_OPTIMIZER = re.compile(r'(optimizer|optimizer_weights|metrics|vars)/.*')
# Convolutions -> units in the blocks of the network that has so many.
_UNITS = {53: (3, 4, 6, 3), 104: (3, 4, 23, 3), 155: (3, 8, 36, 3)}


class _Budget:
  """What may still be read of a file."""

  def __init__(self):
    self.arrays, self.bytes = MOST_ARRAYS, MOST_BYTES

  def take(self, name: str, array: h5py.Dataset) -> None:
    self.arrays -= 1
    self.bytes -= math.prod(array.shape or ()) * array.dtype.itemsize
    if self.arrays < 0:
      raise ValueError(f'has more than {MOST_ARRAYS:,} arrays')
    if self.bytes < 0:
      raise ValueError(
        f'has {name} of the shape {array.shape}, with which its arrays have '
        f'more than {MOST_BYTES:,} bytes'
      )


def _walk(
  group: h5py.Group, prefix: str, budget: _Budget, depth: int = 0
) -> Iterator[tuple[str, h5py.Dataset]]:
  """Yields (path, array) of all arrays below a group."""
  if depth > _DEEPEST:
    raise ValueError(f'has more than {_DEEPEST} groups in each other')
  for key in group:
    name = prefix + key
    check_name(name)
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.HardLink) and isinstance(group[key], h5py.Group):
      budget.arrays -= 1
      if budget.arrays < 0:
        raise ValueError(f'has more than {MOST_ARRAYS:,} groups and arrays')
      yield from _walk(group[key], f'{name}/', budget, depth + 1)
      continue
    wrong = hdf5.unsafe(group, key)
    if wrong:
      raise ValueError(f'has {name}, which {wrong}')
    if group[key].shape is None:
      raise ValueError(f'has {name}, which holds nothing')
    budget.take(name, group[key])
    yield name, group[key]


def _read_all(file):
  """Returns {path: array} and {path of a group: the layer's name there}."""
  values: dict[str, np.ndarray] = {}
  names: dict[str, str] = {}
  for path, array in _walk(file, '', _Budget()):
    values[path] = np.asarray(array[()])
    name = array.parent.attrs.get('name')
    if isinstance(name, str):
      names[path.rpartition('/')[0]] = name
  return values, names


def _legacy(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns {'LAYER/kernel': array} of a file of Keras 2."""
  found: dict[str, np.ndarray] = {}
  for path, value in values.items():
    path = path.removeprefix('model_weights/')
    if _OPTIMIZER.fullmatch(path):
      continue
    *_, layer, kind = ['', *path.split('/')]
    name = f'{layer}/{kind.removesuffix(":0")}'
    if name in found:
      raise ValueError(f'has two arrays named {name}')
    found[name] = value
  return found


def _order(form: str, units: tuple[int, ...], kind: str) -> list[str]:
  """Returns the layers of a class of keras.applications' ResNets, in order.

  In the first unit of a block that is its first two convolutions, that of the
  shortcut, and its last: Keras sorts layers by their distance from the output.

  Args:
    form: 'keras_v1' or 'keras_v2'.
    units: the number of units in each block.
    kind: 'conv2d', 'dense' or 'batch_normalization'.
  """
  if kind == 'dense':
    return ['predictions']
  is_v1, is_norm = form == 'keras_v1', kind == 'batch_normalization'
  ending = 'bn' if is_norm else 'conv'
  layers = ['conv1_bn'] if is_norm and is_v1 else []
  layers += [] if is_norm else ['conv1_conv']
  for stage, count in enumerate(units, 2):
    for unit in range(1, count + 1):
      if is_norm and not is_v1:
        parts = ['preact', '1', '2']
      else:
        parts = ['1', '2', *['0'][: int(unit == 1)], '3']
      layers += [f'conv{stage}_block{unit}_{part}_{ending}' for part in parts]
  return layers + (['post_bn'] if is_norm and not is_v1 else [])


def _by_order(groups):
  """Returns {group: layer} of a file that numbers layers, or None.

  Args:
    groups: {(class, number): group}.
  """
  count = {kind: sum(each == kind for each, _ in groups) for kind in _VARIABLES}
  units = _UNITS.get(count['conv2d'])
  if units is None:
    return None
  for form in ('keras_v1', 'keras_v2'):
    norms = _order(form, units, 'batch_normalization')
    if len(norms) == count['batch_normalization']:
      return {
        group: layers[number]
        for (kind, number), group in groups.items()
        for layers in [_order(form, units, kind)]
        if number < len(layers)
      }
  return None


def _numbered(values, names):
  """Returns {'LAYER/kernel': array} of a file of Keras 3."""
  found: dict[str, np.ndarray] = {}
  groups: dict[tuple[str, int], str] = {}
  matches = {}
  for path in values:
    match = _NUMBERED.fullmatch(path)
    if _OPTIMIZER.fullmatch(path) or match is None:
      continue
    matches[path] = match
    groups[match['kind'], int(match['number'] or 0)] = match['layer']
  layers = {
    group: name
    for group, name in (
      (match['layer'], names.get(f'{match["layer"]}/vars'))
      for match in matches.values()
    )
    if name
  }
  if not any(re.match(r'conv\d', name) for name in layers.values()):
    layers = _by_order(groups) or layers
  for path, match in matches.items():
    layer, kinds = layers.get(match['layer']), _VARIABLES.get(match['kind'], ())
    i = int(match['i'])
    name = f'{layer}/{kinds[i]}' if layer and i < len(kinds) else path
    if name in found:
      raise ValueError(f'has two arrays named {name}')
    found[name] = values[path]
  return found


def _arrays(source: Any) -> dict[str, np.ndarray]:
  try:
    with h5py.File(source, 'r') as file:
      values, names = _read_all(file)
  except ValueError:
    raise
  except Exception as error:  # h5py's are of many kinds, all of damage
    reason = str(error).splitlines()[0][:120] if str(error) else 'no reason'
    raise ValueError(f'is cut off or damaged ({ascii(reason)})') from error
  is_numbered = any(_NUMBERED.fullmatch(path) for path in values)
  return _numbered(values, names) if is_numbered else _legacy(values)


def _member(file: BinaryIO) -> io.BytesIO:
  """Returns the weights in an archive .keras, which fit into memory."""
  with zipfile.ZipFile(file) as archive:
    size = archive.getinfo(WEIGHTS).file_size
    if size > MOST_BYTES:
      raise ValueError(f'holds {size:,} bytes; at most {MOST_BYTES:,} are read')
    with archive.open(WEIGHTS) as member:
      found = io.BytesIO(member.read(size))
      if member.read(1):
        raise ValueError(f'holds more than it says of {WEIGHTS}')
      return found


def read(path: str, is_archive: bool = False) -> Arrays:
  """Reads all arrays of numbers of a file.

  Args:
    path: of the file.
    is_archive: whether it is a .keras, and no HDF5.

  Returns:
    Arrays by names such as 'conv1_conv/kernel'; those that Keras has numbered,
    and whose layer is unknown, by their paths. Of an optimizer there are none.

  Raises:
    ValueError: it is damaged, cut off or crafted; the sentence says how.
    OSError: it cannot be read.
  """
  files.check_regular(path)
  try:
    if not is_archive:
      return Arrays(path, 'HDF5', _arrays(os.fspath(path)))
    with files.open_regular(path) as file:
      return Arrays(path, '.keras', _arrays(_member(file)))
  except (ValueError, *DAMAGED) as error:
    text = (
      str(error) if isinstance(error, ValueError) else f'is no zip: {error}'
    )
    raise ValueError(
      f'{path} {text}. It should be weights that Keras wrote: get it again '
      'from where it was made.'
    ) from error
