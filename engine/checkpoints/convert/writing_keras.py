"""Writes weights that the ResNets of keras.applications load.

Keras takes layers from a file by their order in the network, and not by their
names, in both of its layouts: groups by the name of a layer in the older .h5,
numbered ones by its class in .weights.h5.

Nothing here imports TensorFlow.
"""

import os
import re
from collections.abc import Mapping

import h5py
import numpy as np

from datasets import files

WEIGHTS = '.weights.h5'
# What can be written, by the ending of the file's name.
ENDINGS = (WEIGHTS, '.h5', '.hdf5')
# The layers of a unit in the order of Keras, which sorts by the distance from
# the output: a shortcut's convolution comes just before what it is added to.
_OF_UNIT = (
  'preact_bn', '1_conv', '1_bn', '2_conv', '2_bn', '0_conv', '3_conv', '0_bn',
  '3_bn',
)  # fmt: skip
_FIRST = ('conv1_conv', 'conv1_bn')
_LAST = ('post_bn', 'predictions')
_UNIT = re.compile(r'conv(\d+)_block(\d+)_(\w+)')
# A layer's arrays, in the order of Keras.
_KINDS = ('kernel', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance')


def _place(layer):
  """Returns a key by which layers are sorted as Keras has them."""
  if layer in _FIRST:
    return 0, _FIRST.index(layer)
  if layer in _LAST:
    return 2, _LAST.index(layer)
  match = _UNIT.fullmatch(layer)
  assert match, layer
  return 1, int(match[1]), int(match[2]), _OF_UNIT.index(match[3])


def layers(
  arrays: Mapping[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
  """Returns {layer: {kind: array}}, both in the order that Keras has.

  >>> layers({'predictions/bias': 1, 'conv1_bn/beta': 2, 'conv1_bn/gamma': 3})
  {'conv1_bn': {'gamma': 3, 'beta': 2}, 'predictions': {'bias': 1}}

  Args:
    arrays: by names such as 'conv1_conv/kernel'.
  """
  names = {name.partition('/')[0] for name in arrays}
  return {
    layer: {
      kind: arrays[f'{layer}/{kind}']
      for kind in _KINDS
      if f'{layer}/{kind}' in arrays
    }
    for layer in sorted(names, key=_place)
  }


def _write_named(file, found):
  file.attrs['layer_names'] = [layer.encode() for layer in found]
  file.attrs['backend'] = b'tensorflow'
  file.attrs['keras_version'] = b'2.0.0'  # of this layout
  for layer, arrays in found.items():
    group = file.create_group(layer)
    names = {kind: f'{layer}/{kind}:0' for kind in arrays}
    group.attrs['weight_names'] = [name.encode() for name in names.values()]
    for kind, array in arrays.items():
      group.create_dataset(names[kind], data=array)


def _write_numbered(file, found):
  count: dict[str, int] = {}
  for layer, arrays in found.items():
    kind = (
      'batch_normalization'
      if 'gamma' in arrays
      else 'dense'
      if layer == _LAST[-1]
      else 'conv2d'
    )
    number = count[kind] = count.get(kind, -1) + 1
    name = f'{kind}_{number}' if number else kind
    group = file.create_group(f'layers/{name}/vars')
    group.attrs['name'] = layer
    for i, array in enumerate(arrays.values()):
      group.create_dataset(str(i), data=array)


def check_path(path: str) -> None:
  """Raises ValueError if Keras would not load a file of that name."""
  if not path.endswith(ENDINGS):
    raise ValueError(
      f'--output={path}: Keras knows weights by the ending of their name. Let '
      f'it be {" or ".join(ENDINGS)}.'
    )


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes the arrays of a network of keras.applications, or nothing.

  Args:
    path: of the file; one that is there is replaced. Its ending, one of
      `ENDINGS`, tells the layout.
    arrays: all of its arrays, by names such as 'conv1_conv/kernel'.

  Raises:
    OSError: the file cannot be written.
  """
  found = layers(arrays)
  is_numbered = os.fspath(path).endswith(WEIGHTS)
  with files.atomic(path, 'w+b') as target:
    with h5py.File(target, 'w') as file:
      (_write_numbered if is_numbered else _write_named)(file, found)
