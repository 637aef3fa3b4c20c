"""What follows from weights that no training here has made.

Their config.json tells of them what a run tells of itself, but for the data:
`engine.checkpoints.convert` writes it.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.checkpoints import locate, pretrained_names
from engine.common import console
from engine.config import runs
from engine.config.fields import fill
from engine.config.parts.model import ModelConfig
from engine.config.scripts import TrainConfig
from nets.nets_factory import Released

_NONE: Mapping[str, Any] = MappingProxyType({})
# What makes values others, though variables have the same names and shapes.
_ARCHITECTURE = tuple(
  field.name
  for field in dataclasses.fields(ModelConfig)
  if field.metadata['changes'] == 'never' and field.metadata['task'] is None
)


def with_network(given: TrainConfig) -> TrainConfig:
  """Returns the configuration with the name of its network.

  Without --model_name it is that of the weights to start from, if they say so.

  Args:
    given: what the flags say.

  Raises:
    ValueError: there are no published weights of the name that is given, or
      weights are of another network than the flag says.
  """
  path = given.checkpoint_path
  if path and pretrained_names.is_name(path):
    name, entry = pretrained_names.find(path)
    own, where = entry.network, f'which is {name}, of {entry.network}'
  else:
    run = _start(given)
    converted = runs.is_converted(run)
    if not (converted or given.model_name is None):
      return given
    own = run.get('model_name')
    where = f'whose {runs.CONFIG_FILENAME} says model_name={own}'
  if own and given.model_name not in (None, own):
    raise ValueError(
      f'--model_name={given.model_name} contradicts --checkpoint_path={path}, '
      f'{where}: leave --model_name out, or name other weights.'
    )
  return given.replace(
    model_name=given.model_name or own or given.fallbacks()['model_name']
  )


def _start(given):
  """Returns the config.json of the weights to start from, {} for none.

  One that is resumed goes by its own. Weights that are gone since say nothing:
  who starts from them says so.
  """
  if not given.checkpoint_path:
    return {}
  begun = locate.begun(given.train_dir) if given.train_dir else {}
  if begun:
    return begun
  try:
    return locate.run_of(locate.find(given.checkpoint_path, tells=False))
  except ValueError:
    return {}


def adopt(given: TrainConfig, begun: Mapping[str, Any] = _NONE) -> TrainConfig:
  """Returns the configuration with what the network of its start is built with.

  Downloads weights that are named and not here.

  Args:
    given: what the flags say, with a model_name.
    begun: the config.json of the run that is resumed, {} for a new one.
  """
  run = begun
  if not begun and given.checkpoint_path:
    run = locate.run_of(locate.find(given.checkpoint_path, tells=False))
  if run.get('model_name') != given.model_name:
    return given
  for option in _ARCHITECTURE:
    here, there = getattr(given, option), run.get(option)
    # Where a run is resumed it is that which a flag contradicts.
    if None not in (here, there) and here != there and not begun:
      console.note(
        f'--{option}={given.text(option)}, where the weights of '
        f'{given.checkpoint_path} were trained with '
        f'{given.as_text(option, there)}: their values are others.'
      )
  return fill(given, None, {name: run.get(name) for name in _ARCHITECTURE})


def source_of(
  given: TrainConfig, begun: Mapping[str, Any] = _NONE
) -> Mapping[str, Any]:
  """Returns the config.json of weights of others that a training starts from.

  {} if there are none, or they are of another network. A run that is resumed
  goes by its own, if it was begun with such weights.

  Args:
    given: what the flags say, with a model_name.
    begun: the config.json of the run that is resumed, {} for a new one.
  """
  if begun:
    return begun if begun.get('start') else {}
  if not given.checkpoint_path:
    return {}
  run = locate.run_of(locate.find(given.checkpoint_path, tells=False))
  same = run.get('model_name') == given.model_name
  return run if same and runs.is_converted(run) else {}


def released(run: Mapping[str, Any]) -> Released | None:
  """Returns what is known of converted weights as of TF-Slim's.

  Args:
    run: what `source_of` returned.

  Returns:
    None if there are none, or they are for masks.
  """
  if not run.get('train_image_size'):
    return None
  offset = run.get('labels_offset') or 0
  return Released(
    (run.get('num_classes') or offset) - offset, run['train_image_size'], offset
  )


def with_labels(
  run: dict[str, Any], given_offset: int | None, num_classes: int
) -> dict[str, Any]:
  """Returns converted weights with the labels_offset that data need.

  ImageNet's labels are 0 to 1000 with a background, and 0 to 999 without.

  Args:
    run: the config.json beside a checkpoint; that of a training stays.
    given_offset: what a flag says.
    num_classes: the number of labels of the data.
  """
  if not runs.is_converted(run) or run.get('num_classes') is None:
    return run
  offset = run.get('labels_offset') or 0
  logits = run['num_classes'] - offset
  if given_offset is not None:
    offset = given_offset
  elif num_classes == logits:
    offset = 0
  return {**run, 'labels_offset': offset, 'num_classes': logits + offset}


def tell(
  path: str, complete: TrainConfig, size: int | None, *more: str
) -> None:
  """Says in one line what a training takes over from converted weights."""
  if pretrained_names.is_name(path):
    name, _ = pretrained_names.find(path)
    path += f' ({name})' * (name != path)
  options = [
    f'--{name}={complete.text(name)}'
    for name in ('model_name', *_ARCHITECTURE)
    if getattr(complete, name) is not None
  ]
  images = [] if size is None else [f'images of {size}x{size}']
  console.note(
    f'the weights of {path} are of {" ".join(options)}, as its '
    f'{runs.CONFIG_FILENAME} says: '
    + ', '.join(
      [f'preprocessing {complete.preprocessing_name}', *images, *more]
    )
    + '.'
  )
