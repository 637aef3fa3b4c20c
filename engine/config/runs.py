"""config.json: what a training was told and worked out, kept with the run.

Nothing here imports TensorFlow.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypedDict

from datasets.limits import MOST_IDS
from datasets.text import check_name, cut
from engine.common import files
from engine.config.fields import Config, Given
from engine.config.scripts import TrainConfig

CONFIG_FILENAME = 'config.json'


class _SplitFacts(TypedDict):
  """What tells the data of a split apart; see datasets/records/identity.py."""

  examples: int
  checksum: str


# The kinds of what is there besides the fields.
_FACTS = {
  'num_classes': int,
  'class_names': list[str],
  'source_values': list[int],
  'data': dict[str, _SplitFacts],
  'start': dict[str, str],
  'replicas': int,
}


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
    ValueError: the file is no JSON object, or has a value of another kind or
      form, or out of its range.
  """
  path = os.path.join(folder, CONFIG_FILENAME)
  found = files.read_json(path, {**TrainConfig.written(), **_FACTS})
  try:
    for name in found.get('class_names', ()):
      check_name(name, 'the class')
    for value in found.get('source_values', ()):
      if value not in range(MOST_IDS):
        raise ValueError(f'source_values has {value}, which no mask can hold')
    return {
      name: TrainConfig.parsed(name, value) for name, value in found.items()
    }
  except ValueError as error:
    reason = cut(str(error).removeprefix('--').removesuffix('.'), 300)
    raise ValueError(
      f'{path}: {reason}; restore the file, or train again.'
    ) from None


def is_converted(run: Mapping[str, Any]) -> bool:
  """Whether a config.json is of weights that no training here has made.

  Args:
    run: what `read` returned.
  """
  return bool(run) and 'dataset_name' not in run


def with_later_fields(run: dict[str, Any]) -> dict[str, Any]:
  """Returns what `read` did, with fields of later versions that never change.

  They have their defaults, with which a run is what it was without them. {}
  stays {}.
  """
  later = {
    field.name: field.metadata['otherwise']
    if field.default is None
    else field.default
    for field in dataclasses.fields(TrainConfig)
    if run
    and field.metadata['changes'] == 'never'
    and field.metadata['task'] in (None, run.get('task'))
  }
  return {k: v for k, v in later.items() if v is not None} | run


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


# What a command says of itself alone, and no run of it.
_OF_THE_COMMAND = ('accept_changes', 'train_dir')
_LENGTHS = ('max_number_of_steps', 'num_epochs')


def to_resume(given: Mapping[str, Any]) -> str | None:
  """Returns the folder of the run that flags ask to resume, None for none.

  It is named by `resume`, or by `train_dir` alone where that has a config.json.

  Args:
    given: the values of the flags that are given.
  """
  folder = given.get('resume')
  if folder is None and given.keys() - {'verbosity'} == {'train_dir'}:
    found = os.path.join(given['train_dir'], CONFIG_FILENAME)
    folder = given['train_dir'] if os.path.exists(found) else None
  return folder


def resumed(**given: Any) -> TrainConfig:
  """Returns what a training is told: by flags, and by the run that it resumes.

  What no flag gives is as the run has it that is resumed; see `to_resume`.

  Args:
    **given: the fields that flags give.

  Raises:
    ValueError: there is no run, or a flag differs from it that never may.
  """
  folder = to_resume(given)
  given.pop('resume', None)
  if folder is None:
    return TrainConfig(**given)
  other = given.get('train_dir', folder)
  if os.path.abspath(other) != os.path.abspath(folder):
    raise ValueError(
      f'--train_dir={other} contradicts --resume={folder}, which goes on in '
      'that folder: leave one of both out.'
    )
  run = _read_to_resume(folder)
  config = TrainConfig(
    **{**_begun(folder, run, given), **given, 'train_dir': folder}
  )
  _check_given(folder, run, config, given)
  return config


def _read_to_resume(folder):
  """Returns what `read` does; raises ValueError where there is no run."""
  path = os.path.abspath(folder)
  outer = os.path.dirname(path)
  inside = os.path.exists(os.path.join(outer, CONFIG_FILENAME))
  # The best checkpoints of a run have its config.json, but no optimizer.
  is_best = inside and os.path.basename(path) == 'best'
  run = {} if is_best else read(folder)
  if 'dataset_name' not in run:
    hint = f' Did you mean --resume={os.path.relpath(outer)}?' if inside else ''
    raise ValueError(
      f'--resume={folder}: this is no folder that a training wrote to, with '
      f'its {CONFIG_FILENAME}.{hint} To begin a training there, pass '
      '--train_dir and the flags that say what to train.'
    )
  return run


def _begun(folder, run, given):
  """Returns the fields that a run was begun with, but for those of a command.

  A length that is given replaces both: the smaller would count. The split to
  evaluate on is taken from a run with checkpoints later, where its data need
  not be there; one that was killed before the first has it from here alone.
  """
  lengths = _LENGTHS if given.keys() & set(_LENGTHS) else ()
  saved = any(name.endswith('.index') for name in os.listdir(folder))
  left_out = {*_OF_THE_COMMAND, *lengths, *['eval_split_name'][: int(saved)]}
  task = run.get('task')
  return {
    field.name: run[field.name]
    for field in dataclasses.fields(TrainConfig)
    if run.get(field.name) is not None
    and field.name not in left_out
    and field.metadata['kept']  # older versions kept more
    and not field.metadata['now']
    and (task is None or field.metadata['task'] in (None, task))
  }


def _check_given(folder, run, config, given):
  """Refuses flags that may never differ, before any data are opened."""
  run = with_later_fields(run)
  refused = [
    f'{field.name}={config.as_text(field.name, run[field.name])}, not '
    f'{config.text(field.name)}'
    for field in dataclasses.fields(config)
    if field.name in given.keys() & run.keys()
    and field.metadata['changes'] == 'never'
    and getattr(config, field.name) != run[field.name]
  ]
  if refused:
    raise ValueError(
      f'The run in {folder} was begun with {"; ".join(refused)}: leave such '
      'flags out to resume it, or begin another in another --train_dir.'
    )
