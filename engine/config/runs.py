"""config.json: what a training was told and worked out, kept with the run.

Nothing here imports TensorFlow.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from engine.common import files
from engine.config.fields import Config, Given
from engine.config.scripts import TrainConfig

CONFIG_FILENAME = 'config.json'


def write(config: Config, folder: str, **facts: Any) -> None:
  """Writes `config` and what was worked out beside it to the folder."""
  values = {
    field.name: config.text(field.name)
    for field in dataclasses.fields(config)
    if field.metadata['kept']
  }
  files.write_json(os.path.join(folder, CONFIG_FILENAME), {**values, **facts})


def read(folder: str) -> dict[str, Any]:
  """Returns what `write` wrote to the folder, {} if there is nothing.

  Returns:
    {field: value}, values as a configuration holds them, and the facts.

  Raises:
    ValueError: the file is no JSON object, or has a text of another form.
  """
  path = os.path.join(folder, CONFIG_FILENAME)
  found = files.read_json(path)
  for name, value in found.items():
    try:
      found[name] = TrainConfig.parsed(name, value)
    except ValueError as error:
      raise ValueError(
        f'{path}: {name}={value} {error}; restore the file, or train again.'
      ) from None
  return found


def complete(
  config: Given,
  run: dict[str, Any],
  names: Mapping[str, str],
  fixed: tuple[str, ...],
) -> Given:
  """Fills the fields that are None from the configuration of a run.

  Args:
    config: what the flags say.
    run: what `read` returned.
    names: field of `config` -> its name in the run.
    fixed: the fields in which a flag must not contradict the run.

  Raises:
    ValueError: a flag contradicts the run; both values are named.
  """
  changes = {}
  for field, name in names.items():
    given, trained = getattr(config, field), run.get(name)
    if given is None:
      changes[field] = trained
    elif field in fixed and trained is not None and given != trained:
      raise ValueError(
        f'--{field}={config.text(field)} contradicts the run, which was '
        f'trained with {name}={config.as_text(field, trained)}: leave the '
        'flag out.'
      )
  return config.replace(**changes)
