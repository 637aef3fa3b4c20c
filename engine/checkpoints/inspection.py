"""All that can be told of a checkpoint, and whether it fits a network."""

import math
import re
from typing import Any

import tensorflow.compat.v1 as tf

from engine.checkpoints import (
  architecture,
  compatibility,
  contents,
  locate,
  opening,
  released,
)
from engine.config import runs
from engine.config.scripts import TrainConfig
from nets import decoders, nets_factory
from nets.slim_compat import slim

# The fields of `contents.Contents`, and what people call them.
KINDS = {
  'model': 'model',
  'shadows': 'moving average',
  'slots': 'optimizer',
  'counters': 'counter',
}
_STATISTICS = ('/moving_mean', '/moving_variance')


def natural(name: str) -> list[str]:
  """Returns a key by which unit_2 comes before unit_10."""
  return [part.zfill(9) for part in re.split(r'(\d+)', name)]


def _count(shapes, names):
  return sum(math.prod(shapes[name]) for name in names)


def _facts(path, found):
  """Returns what training needs to know, and what tells it."""
  run = locate.run_of(path)
  if run:
    return {
      'labels_offset': run.get('labels_offset'),
      'preprocessing_name': run.get('preprocessing_name'),
      'image_size': run.get('train_image_size'),
      'crop_size': TrainConfig.as_text(
        'train_crop_size', run.get('train_crop_size')
      ),
      'known_from': runs.CONFIG_FILENAME,
      'run': {name: run.get(name) for name in ('model_name', 'dataset_name')},
      **released.origin(path),
    }
  known = released.of_architecture(found)
  if known:
    network, facts = known
    return {
      'labels_offset': facts.labels_offset,
      'preprocessing_name': network.preprocessing,
      'image_size': facts.image_size,
      'known_from': 'released',
    }
  names = ('labels_offset', 'preprocessing_name', 'image_size', 'known_from')
  return dict.fromkeys(names)


def _network(found):
  if found is None:
    return None
  return {
    'names': found.names,
    'description': str(found),
    'scope': found.scope.rstrip('/'),
    'root': found.root,
    'units': list(found.units.values()),
    'channels': found.channels,
    'width': architecture.width(found),
  }


def describe(path: str) -> dict[str, Any]:
  """Returns all that can be told of a checkpoint, ready for JSON.

  Args:
    path: the checkpoint's prefix.

  Raises:
    ValueError: the config.json beside it is damaged.
  """
  reader = opening.reader(path)
  shapes = {
    name: list(shape)
    for name, shape in reader.get_variable_to_shape_map().items()
  }
  types = reader.get_variable_to_dtype_map()
  held = contents.by_kind(shapes)
  values = held.values()
  found = architecture.network(values)
  statistics = [name for name in values if name.endswith(_STATISTICS)]
  everything = _count(values, values)
  return {
    'path': path,
    'format': contents.version(path),
    'step': contents.step(path),
    'network': _network(found),
    'num_classes': found and found.num_classes,
    'decoder': architecture.decoder(values)._asdict(),
    **_facts(path, found),
    'parameters': everything - _count(values, statistics),
    'statistics': _count(values, statistics),
    'counts': {field: len(getattr(held, field)) for field in KINDS},
    'counters': list(held.counters),
    'variables': [
      {
        'name': name,
        'shape': shapes[name],
        'dtype': types[name].name,
        'kind': contents.kind(name, shapes),
      }
      for name in sorted(shapes, key=natural)
    ],
  }


def compare(path: str, model_name: str) -> dict[str, Any]:
  """Compares a checkpoint with a network of as many classes and channels.

  Args:
    path: the checkpoint's prefix.
    model_name: a name of the registry.

  Returns:
    The lists of `compatibility.Comparison` by their names, each variable with
    its shapes where they differ, 'options': what else the network is built
    with, and 'verdict': what to do, '' if it fits.

  Raises:
    ValueError: there is no such network.
  """
  nets_factory.get_network(model_name)
  there = contents.read(path).values()
  found = architecture.network(there)
  options = (
    found.options(model_name) if found and model_name in found.names else {}
  )
  with tf.Graph().as_default():
    images = tf.placeholder(
      tf.float32, [None, 64, 64, found and found.channels or 3]
    )
    decoder, classes = architecture.decoder(there), found and found.num_classes
    if decoder.depth:
      decoders.build(
        model_name,
        decoder.name,
        images,
        classes or 1,
        False,
        output_stride=None,
        atrous_rates=range(1, decoder.rates + 1) if decoder.rates else None,
        depth=decoder.depth,
        network_options=options,
        decoder_options={
          **decoder.options,
          'decoder_output_stride': decoders.strides_of(
            model_name, decoder.stages, **options
          ),
        },
      )
    else:
      nets_factory.get_network_fn(model_name, classes)(images, **options)
    here = {
      v.op.name: v.shape.as_list()
      for v in slim.get_model_variables()
      if classes or not v.op.name.startswith(f'{decoders.LOGITS}/')
    }
  comparison = compatibility.compare(here, there)
  verdict = ''
  try:
    compatibility.check(path, here, there, shortcuts=True)
  except ValueError as error:
    verdict = str(error)
  result = {
    'model_name': model_name,
    'options': options,
    'verdict': verdict,
    **comparison._asdict(),
  }
  result['other_shapes'] = [
    {'name': name, 'network': here[name], 'checkpoint': list(there[name])}
    for name in comparison.other_shapes
  ]
  return result
