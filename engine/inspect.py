"""Prints what is in a checkpoint or an exported model."""

import json
from typing import Any

from engine.checkpoints import inspection, locate
from engine.checkpoints.architecture import Decoder
from engine.checkpoints.inspection import KINDS
from engine.common import console, runtime
from engine.common.variables import some
from engine.config import runs
from engine.config.scripts import InspectConfig
from engine.export import inspection as exports
from engine.export import opening
from nets import nets_factory

_SHOWN = 3  # names in a line of the comparison


def _path(arguments):
  if len(arguments) != 1:
    raise ValueError(
      f'Name one checkpoint, not {len(arguments) or "none"}: python '
      'inspect_checkpoint.py PATH, where PATH is a checkpoint, one of its '
      'files, the folder of a run, or of an exported model.'
    )
  return arguments[0]


def _summary(told):
  """Returns the short part: (what, value) of each line."""
  network, run = told['network'], told.get('run') or {}
  yield 'network', _network_line(network)
  if told.get('weights'):
    yield 'weights', told['weights']
  if run.get('model_name'):
    yield (
      'trained as' if run.get('dataset_name') else 'converted to',
      (
        f'{run["model_name"]}{_data(run)}, says '
        f'the {runs.CONFIG_FILENAME} beside it'
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
      runs.CONFIG_FILENAME: f'says {runs.CONFIG_FILENAME}',
      None: f'unknown: no {runs.CONFIG_FILENAME} beside it, and '
      'none of the released ones',
    }[told['known_from']]
    if told['decoder']['depth']:
      yield ('decoder', Decoder(**told['decoder']).forms)
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


def _data(run):
  return f' on {run["dataset_name"]}' if run.get('dataset_name') else ''


def _network_line(network):
  if network is None:
    return 'unknown: it is none of the residual networks here'
  line = network['description']
  scope = network['scope']
  own = [
    nets_factory.get_network(name).default_scope for name in network['names']
  ]
  if scope not in own:
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
      f': {some(names, _SHOWN, " (--json lists them)")}'
      if names and what != 'fit'
      else ''
    )


def _table(variables):
  rows = [
    (v['name'], str(v['shape']), v['dtype'], text)
    for kind, text in KINDS.items()
    for v in variables
    if v['kind'] == kind
  ]
  rows.insert(0, ('variable', 'shape', 'dtype', 'kind'))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  for row in rows:
    yield '  '.join(
      cell.ljust(width) for cell, width in zip(row, widths, strict=True)
    ).rstrip()


def _lines(path, summary):
  yield path
  for what, value in summary:
    yield f'  {what:14} {value}'


def _text(told):
  yield from _lines(told['path'], _summary(told))
  if 'comparison' in told:
    yield ''
    yield from _comparison_lines(told['comparison'])
  yield ''
  yield from _table(told['variables'])


def _inspect_export(given, path):
  if given.model_name:
    raise ValueError(
      f'--model_name compares a checkpoint, and {path} is an exported model: '
      'leave the flag out.'
    )
  told = exports.describe(path)
  lines = _lines(told['path'], exports.lines(told))
  console.say(json.dumps(told, indent=2) if given.json else '\n'.join(lines))
  return told


@runtime.graph_building()
def inspect(given: InspectConfig, arguments: list[str]) -> dict[str, Any]:
  """Prints what is in a checkpoint: a summary, then every variable.

  Of an exported model it prints what it takes, gives and was made of.

  Args:
    given: a network to compare it with, and whether to print JSON.
    arguments: the checkpoint, one of its files, or a folder, of which the
      newest is taken; or an exported model.

  Returns:
    What `inspection.describe` returns, and as 'comparison' what
    `inspection.compare` does; of an exported model what `describe` of
    `engine.export.inspection` does.

  Raises:
    ValueError: a checkpoint or a network that is not there; the sentence says
      what to do.
  """
  path = _path(arguments)
  if opening.is_meant(path):
    return _inspect_export(given, path)
  path = locate.find(path, 'PATH')
  told = inspection.describe(path)
  if given.model_name:
    told['comparison'] = inspection.compare(path, given.model_name)
  text = json.dumps(told, indent=2) if given.json else '\n'.join(_text(told))
  console.say(text)
  return told
