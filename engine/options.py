"""What a configuration is: a frozen dataclass whose fields are flags.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import contextlib
import dataclasses
import difflib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import IO, Any

CONFIG_FILENAME = 'config.json'


def option(
  default: Any,
  text: str,
  *,
  choices: tuple = (),
  low: float = -math.inf,
  above: float = -math.inf,
  high: float = math.inf,
  now: str = '',
  otherwise: Any = None,
  changes: str = 'told',
  folder: bool = False,
  form: Callable[[str], Any] | None = None,
  task: str | None = None,
) -> Any:
  """Returns a field of a configuration.

  Args:
    default: its value where no flag is given; None for one worked out later.
    text: what the flag does.
    choices: the values it takes, if not all.
    low: the least value.
    above: a value that all must be above.
    high: the greatest value.
    otherwise: with a default of None, the value where neither a flag nor the
      dataset gives one.
    changes: whether a run that is continued may have another value: 'free',
      'told' (with --accept_changes), or 'never'.
    folder: whether the value is a folder's path, which may not exist yet.
    form: for a text of some form, what it means: a function of
      engine/forms.py.
    task: the task that the flag is for, if it is not for all.
    now: for a flag of TF-Slim that has lost its meaning, what happens now;
      given another value than the default, this is said.
  """
  return dataclasses.field(
    default=default,
    metadata={
      'text': text,
      'choices': choices,
      'low': low,
      'above': above,
      'high': high,
      'now': now,
      'otherwise': otherwise,
      'form': form,
      'changes': changes,
      'folder': folder,
      'task': task,
    },
  )


@dataclasses.dataclass(frozen=True)
class Config:
  """What all scripts have in common.

  Raises:
    ValueError: a value out of its range; the sentence names the flag.
  """

  verbosity: int = option(
    -1,
    'What is shown of TensorFlow: -1 nothing, 0 its warnings, 1 all.',
    low=-3,
    high=3,
  )

  def __post_init__(self):
    for field in dataclasses.fields(self):
      _check(field, getattr(self, field.name))

  @classmethod
  def fallbacks(cls) -> dict[str, Any]:
    """Returns the values of fields that nothing else has given one."""
    return {
      field.name: field.metadata['otherwise']
      for field in dataclasses.fields(cls)
    }

  def takes(self, name: str, task: str) -> bool:
    """Whether a field is for the task."""
    field = self.__dataclass_fields__[name]
    return field.metadata['task'] in (None, task)

  def given_for_another(self, task: str) -> list[str]:
    """Returns the names of given flags that are not for the task."""
    return [
      field.name
      for field in dataclasses.fields(self)
      if not self.takes(field.name, task)
      and getattr(self, field.name) != field.default
    ]

  def replace(self, **changes) -> 'Config':
    """Returns a copy with other values."""
    return dataclasses.replace(self, **changes)

  def notes(self) -> list[str]:
    """Returns what to tell of given flags that have lost their meaning."""
    return [
      f'--{field.name}: {field.metadata["now"]}'
      for field in dataclasses.fields(self)
      if field.metadata['now'] and getattr(self, field.name) != field.default
    ]


def _check(field, value):
  meta = field.metadata
  if value is None:
    return
  if meta['choices'] and value not in meta['choices']:
    near = difflib.get_close_matches(str(value), meta['choices'], n=1)
    hint = f' Did you mean {near[0]}?' if near else ''
    raise ValueError(
      f'--{field.name}={value} is unknown.{hint} It can be '
      f'{", ".join(map(str, meta["choices"]))}.'
    )
  if meta['folder'] and os.path.isfile(value):
    raise ValueError(f'--{field.name}={value} is a file; it must be a folder.')
  if meta['form']:
    try:
      meta['form'](value)
    except ValueError as error:
      raise ValueError(f'--{field.name}={value} {error}.') from None
  if isinstance(value, (int, float)) and not (
    meta['low'] <= value <= meta['high']
    and value > meta['above']
    and abs(value) < math.inf
  ):
    bounds = [f'at least {meta["low"]}'] * (meta['low'] > -math.inf)
    bounds += [f'above {meta["above"]}'] * (meta['above'] > -math.inf)
    bounds += [f'at most {meta["high"]}'] * (meta['high'] < math.inf)
    bounds += ['a finite number'] * (not abs(value) < math.inf)
    raise ValueError(f'--{field.name}={value} must be {" and ".join(bounds)}.')


def write(config: Config, folder: str, **facts) -> None:
  """Writes `config` and what was worked out beside it to the folder."""
  values = {**dataclasses.asdict(config), **facts}
  values.pop('verbosity')
  write_json(pathlib.Path(folder, CONFIG_FILENAME), values)


@contextlib.contextmanager
def whole(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
  """Opens a file to write that is there in whole or not at all."""
  unfinished = pathlib.Path(f'{path}.tmp')
  with open(unfinished, mode) as file:
    yield file
    file.flush()
    os.fsync(file.fileno())
  unfinished.replace(path)


def write_json(path: str | os.PathLike, values: dict[str, Any]) -> None:
  """Writes a file that is there in whole or not at all."""
  with whole(path) as file:
    file.write(json.dumps(values, indent=2) + '\n')


def read(folder: str, filename: str = CONFIG_FILENAME) -> dict[str, Any]:
  """Returns what `write` wrote to the folder, {} if there is nothing.

  Raises:
    ValueError: the file is no JSON object.
  """
  path = pathlib.Path(folder, filename)
  if not path.exists():
    return {}
  try:
    values = json.loads(path.read_text())
    if not isinstance(values, dict):
      raise ValueError(f'it holds {values!r}'[:80])
    return values
  except ValueError as error:
    raise ValueError(
      f'{path} is not the JSON object that training wrote '
      f'({error}); train again, or restore it.'
    ) from None


def from_run(
  config: Config,
  run: dict[str, Any],
  names: dict[str, str],
  fixed: tuple[str, ...],
) -> Config:
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
        f'--{field}={given} contradicts the run, which was trained with '
        f'{name}={trained}: leave the flag out.'
      )
  return config.replace(**changes)
