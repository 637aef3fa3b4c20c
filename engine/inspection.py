"""What is in a checkpoint, and whether it fits a network."""

import json
import math
import os
import re
import sys
from typing import Any

import tensorflow.compat.v1 as tf

from engine import checkpoints, console, fit, identify, options
from engine import config as configs
from nets import decoders, nets_factory
from nets.slim_compat import slim

_KINDS = {
  'model': 'model',
  'shadows': 'moving average',
  'slots': 'optimizer',
  'counters': 'counter',
}
_STATISTICS = ('/moving_mean', '/moving_variance')
_SHOWN = 3  # names in a line of the comparison


def _find(arguments):
  if len(arguments) != 1:
    raise ValueError(
      f'Name one checkpoint, not {len(arguments) or "none"}: python '
      'inspect_checkpoint.py PATH, where PATH is a checkpoint, one of its '
      'files, or the folder of a run.'
    )
  return checkpoints.find(arguments[0], 'PATH')


def _count(shapes, names):
  return sum(math.prod(shapes[name]) for name in names)


def _facts(path, found):
  """Returns what training needs to know, and what tells it."""
  names = ('labels_offset', 'preprocessing_name', 'image_size')
  unknown = {**dict.fromkeys(names), 'known_from': None}
  run = options.read(os.path.dirname(path))
  if run:
    return {
      'labels_offset': run.get('labels_offset'),
      'preprocessing_name': run.get('preprocessing_name'),
      'image_size': run.get('train_image_size'),
      'crop_size': run.get('train_crop_size'),
      'known_from': options.CONFIG_FILENAME,
      'run': {name: run.get(name) for name in ('model_name', 'dataset_name')},
    }
  for name in found.names if found else []:
    network = nets_factory.get_network(name)
    released = network.released
    if (
      released
      and found.num_classes == released.num_classes
      and not found.options(name)
    ):
      return {
        'labels_offset': released.labels_offset,
        'preprocessing_name': network.preprocessing,
        'image_size': released.image_size,
        'known_from': 'released',
      }
  return unknown


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
    'width': identify.width(found),
  }


def describe(path: str) -> dict[str, Any]:
  """Returns all that can be told of a checkpoint, ready for JSON.

  Args:
    path: the checkpoint's prefix.

  Raises:
    ValueError: the config.json beside it is damaged.
  """
  reader = tf.train.load_checkpoint(path)
  shapes = {
    name: list(shape)
    for name, shape in reader.get_variable_to_shape_map().items()
  }
  types = reader.get_variable_to_dtype_map()
  contents = identify.contents(shapes)
  values = contents.values()
  found = identify.network(values)
  statistics = [name for name in values if name.endswith(_STATISTICS)]
  everything = _count(values, values)
  return {
    'path': path,
    'format': checkpoints.version(path),
    'step': checkpoints.step(path),
    'network': _network(found),
    'num_classes': found and found.num_classes,
    'decoder': identify.decoder(values)._asdict(),
    **_facts(path, found),
    'parameters': everything - _count(values, statistics),
    'statistics': _count(values, statistics),
    'counts': {field: len(getattr(contents, field)) for field in _KINDS},
    'counters': list(contents.counters),
    'variables': [
      {
        'name': name,
        'shape': shapes[name],
        'dtype': types[name].name,
        'kind': identify.kind(name, shapes),
      }
      for name in sorted(shapes, key=_natural)
    ],
  }


def compare(path: str, model_name: str) -> dict[str, Any]:
  """Compares a checkpoint with a network of as many classes and channels.

  Args:
    path: the checkpoint's prefix.
    model_name: a name of the registry.

  Returns:
    The lists of `fit.Comparison` by their names, each variable with its
    shapes where they differ, 'options': what else the network is built with,
    and 'verdict': what to do, '' if it fits.

  Raises:
    ValueError: there is no such network.
  """
  nets_factory.get_network(model_name)
  there = identify.read(path).values()
  found = identify.network(there)
  options = (
    found.options(model_name) if found and model_name in found.names else {}
  )
  with tf.Graph().as_default():
    images = tf.placeholder(
      tf.float32, [None, 64, 64, found and found.channels or 3]
    )
    decoder, classes = identify.decoder(there), found and found.num_classes
    if decoder.depth:
      decoders.build(
        model_name,
        decoder.name,
        images,
        classes or 1,
        False,
        output_stride=None,
        atrous_rates=range(1, decoder.rates + 1),
        depth=decoder.depth,
        network_options=options,
      )
    else:
      nets_factory.get_network_fn(model_name, classes)(images, **options)
    here = {
      v.op.name: v.shape.as_list()
      for v in slim.get_model_variables()
      if classes or not v.op.name.startswith(f'{decoders.LOGITS}/')
    }
  comparison = fit.compare(here, there)
  verdict = ''
  try:
    fit.check(path, here, there, shortcuts=True)
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


def _summary(told):
  """Returns the short part: (what, value) of each line."""
  network, run = told['network'], told.get('run') or {}
  yield 'network', _network_line(network)
  if run.get('model_name'):
    yield (
      'trained as',
      (
        f'{run["model_name"]} on {run["dataset_name"]}, says '
        f'the {options.CONFIG_FILENAME} beside it'
      ),
    )
  if network:
    classes = told['num_classes']
    yield (
      'classes',
      ('no logits, features only' if classes is None else f'{classes:,}'),
    )
    source = {
      'released': 'as TF-Slim released it',
      options.CONFIG_FILENAME: f'says {options.CONFIG_FILENAME}',
      None: f'unknown: no {options.CONFIG_FILENAME} beside it, and '
      'none of the released ones',
    }[told['known_from']]
    if told['decoder']['depth']:
      yield (
        'decoder',
        (f'{told["decoder"]["name"]}, {told["decoder"]["depth"]} channels'),
      )
    size, crop = told['image_size'], told.get('crop_size')
    for what, value in (
      ('labels_offset', told['labels_offset']),
      ('preprocessing', told['preprocessing_name']),
      ('crop size', crop)
      if crop
      else ('image size', size and f'{size}x{size}'),
    ):
      yield what, source if value is None else f'{value} ({source})'
  yield (
    'parameters',
    (
      f'{told["parameters"]:,}, and {told["statistics"]:,} '
      'moving statistics of batch norm'
    ),
  )
  yield (
    'step',
    (
      'unknown: there is no global_step'
      if told['step'] is None
      else f'{told["step"]:,}'
    ),
  )
  yield 'format', told['format']
  yield 'variables', _counts(told)


def _network_line(network):
  if network is None:
    return 'unknown: it is none of the residual networks here'
  line = network['description']
  scope = network['scope']
  if scope not in [
    nets_factory.get_network(name).default_scope for name in network['names']
  ]:
    line += f', under the scope {scope!r}'
  if network['width'] != 1:
    line += f', of {network["width"]:g} times the published channels'
  if network['channels'] not in (None, 3):
    line += f', for images of {network["channels"]} channels'
  return line


def _counts(told):
  counts = told['counts']
  parts = [f'{counts["model"]} of the model']
  parts += [
    f'{counts[kind]} {text}'
    for kind, text in (
      ('shadows', 'moving averages of them'),
      ('slots', 'of the optimizer'),
    )
    if counts[kind]
  ]
  if told['counters']:
    parts.append(
      f'{counts["counters"]} counters ({", ".join(told["counters"])})'
    )
  return ', '.join(parts)


def _some(names):
  more = len(names) - _SHOWN
  return ', '.join(names[:_SHOWN]) + (
    f' and {more} more (--json lists them)' if more > 0 else ''
  )


def _comparison_lines(found):
  name = ' '.join(
    [
      found['model_name'],
      *(f'--{option}={value}' for option, value in found['options'].items()),
    ]
  )
  others = [
    f'{v["name"]} {v["checkpoint"]}, in the network {v["network"]}'
    for v in found['other_shapes']
  ]
  missing, unexpected = found['missing'], found['unexpected']
  fit = not (found['verdict'] or missing or others)
  yield (
    f'It fits {name}.'
    if fit and not unexpected
    else f'It fits {name}, and holds more than that.'
    if fit
    else f'It does not fit {name}.'
  )
  if found['verdict']:
    yield found['verdict']
  for what, names in (
    ('fit', found['fits']),
    ('missing', missing),
    ('of another shape', others),
    ('unexpected', unexpected),
  ):
    yield f'  {len(names):5} {what}' + (
      f': {_some(names)}' if names and what != 'fit' else ''
    )


def _natural(name):
  """Returns a key by which unit_2 comes before unit_10."""
  return [part.zfill(9) for part in re.split(r'(\d+)', name)]


def _table(variables):
  rows = [
    (v['name'], str(v['shape']), v['dtype'], text)
    for kind, text in _KINDS.items()
    for v in variables
    if v['kind'] == kind
  ]
  rows.insert(0, ('variable', 'shape', 'dtype', 'kind'))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  for row in rows:
    yield '  '.join(
      cell.ljust(width) for cell, width in zip(row, widths, strict=True)
    ).rstrip()


def _text(told):
  yield told['path']
  for what, value in _summary(told):
    yield f'  {what:14} {value}'
  if 'comparison' in told:
    yield ''
    yield from _comparison_lines(told['comparison'])
  yield ''
  yield from _table(told['variables'])


def inspect(
  given: configs.InspectConfig, arguments: list[str]
) -> dict[str, Any]:
  """Prints what is in a checkpoint: a summary, then every variable.

  Args:
    given: a network to compare it with, and whether to print JSON.
    arguments: the checkpoint, one of its files, or a folder, of which the
      newest is taken.

  Returns:
    What `describe` returns, with what `compare` does as 'comparison'.

  Raises:
    ValueError: a checkpoint or a network that is not there; the sentence says
      what to do.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  path = _find(arguments)
  told = describe(path)
  if given.model_name:
    told['comparison'] = compare(path, given.model_name)
  text = json.dumps(told, indent=2) if given.json else '\n'.join(_text(told))
  try:
    console.say(text)
  except BrokenPipeError:  # `head` has seen enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return told
