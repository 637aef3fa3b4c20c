"""Files of weights as other libraries write them, with random values."""

import functools
import json
import os

import h5py
import numpy as np

from engine.checkpoints.convert import naming, proof, recognition
from engine.checkpoints.convert.recognition import Published

# The networks of tests.builders under the names of other libraries.
PUBLISHED = {
  'keras_v1': Published(('resnet_v1_tiny',), '7x7_symmetric', 'caffe'),
  'keras_v2': Published(('resnet_v2_tiny',), '7x7_symmetric', 'keras_v2'),
  'torch': Published(('resnet_v1_tiny',), '7x7_symmetric', 'torchvision'),
  'torch_d': Published(('resnet_v1_tiny',), 'deep', 'timm_bicubic'),
}
CLASSES = 5
_SAFETENSORS = {'<f8': 'F64', '<f4': 'F32', '<f2': 'F16', '<i8': 'I64'}


def prove_on_small_images(monkeypatch):
  """Compares outputs on images that take less time."""
  monkeypatch.setattr(proof, 'SIZES', ((64, 64), (49, 37)))
  monkeypatch.setattr(proof, 'GRADIENT_SIZE', (49, 33))


@functools.cache
def _shapes(network, num_classes, **options):
  return recognition.variables(network, options, num_classes)


def scopeless(network, num_classes=CLASSES, seed=0, **options):
  """Random values of a network's variables, without its scope."""
  random = np.random.default_rng(seed)
  found = {}
  for name, shape in _shapes(network, num_classes, **options).items():
    value = random.normal(0, 1, shape).astype(np.float32)
    if name.endswith(('variance', 'gamma')):
      value = np.abs(value) + np.float32(0.5)
    found[name.partition('/')[2]] = value
  return found


def arrays_of(form, values, seed=1):
  """What a library has for values of ours: {its name: array}.

  Biases before batch norm are random, and no part of our moving means.
  """
  random = np.random.default_rng(seed)
  found = {}
  for name, value in values.items():
    source = naming.source(form, name)
    found[source.name] = np.ascontiguousarray(source.from_slim(value))
    bias = naming.bias_of_norm(form, name)
    if bias is not None:
      found[bias] = random.normal(0, 1, value.shape).astype(np.float32)
  if form.startswith('torch'):
    for name in [name for name in found if name.endswith('running_mean')]:
      counter = name.replace('running_mean', 'num_batches_tracked')
      found[counter] = np.array(7, np.int64)
  return found


def tiny(form, num_classes=CLASSES):
  """Values of ours, and the arrays of a library."""
  published = PUBLISHED[form]
  values = scopeless(
    published.networks[0], num_classes, root_block=published.root_block
  )
  return values, arrays_of(form, values)


def write_legacy(path, arrays, root=''):
  """Writes .h5 as keras.applications releases it."""
  layers = {}
  for name, array in arrays.items():
    layer, _, kind = name.rpartition('/')
    layers.setdefault(layer, {})[f'{layer}/{kind}:0'] = array
  with h5py.File(path, 'w') as file:
    top = file.create_group(root) if root else file
    top.attrs['layer_names'] = [
      name.encode() for name in ['input_1', *layers, 'avg_pool']
    ]
    top.attrs['backend'] = b'tensorflow'
    top.create_group('input_1').attrs['weight_names'] = []
    for layer, held in layers.items():
      group = top.create_group(layer)
      group.attrs['weight_names'] = [name.encode() for name in held]
      for name, array in held.items():
        group.create_dataset(name, data=array)
  return str(path)


def write_safetensors(path, arrays, metadata=None, **changes):
  """Writes .safetensors; `changes` are of the header, by array."""
  header, parts, offset = {}, [], 0
  if metadata:
    header['__metadata__'] = metadata
  for name, array in arrays.items():
    data = array.tobytes()
    header[name] = {
      'dtype': _SAFETENSORS[array.dtype.str],
      'shape': list(array.shape),
      'data_offsets': [offset, offset + len(data)],
      **changes.get(name, {}),
    }
    offset += len(data)
    parts.append(data)
  text = json.dumps(header).encode()
  with open(path, 'wb') as file:
    file.write(len(text).to_bytes(8, 'little') + text + b''.join(parts))
  return str(path)


def cut(path, share=0.5):
  """Cuts a file off."""
  with open(path, 'r+b') as file:
    file.truncate(int(os.path.getsize(path) * share))
