"""What a configuration is: a frozen dataclass whose fields are flags.

A field holds a value, such as (513, 769); its text, '513,769', stands in flags,
flag files and config.json. Its annotation is the type that it has in a complete
configuration: what no flag gives, and data, network and run tell later, is None
until then (engine/resolve completes it). Nothing here imports TensorFlow, so
that a mistaken flag is answered at once.
"""

import dataclasses
import enum
import math
import os
import types
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar, get_args

from datasets.suggestions import did_you_mean
from engine.config.parsing import Form

Given = TypeVar('Given', bound='Config')


class Group(enum.Enum):
  """What a flag is about: the headings of --help, in their order there."""

  SCRIPT = 'Of this script'
  DATA = 'Data'
  MODEL = 'Model'
  OPTIMIZATION = 'Optimization'
  BATCH_NORM = 'Batch norm'
  EVALUATION = 'Evaluation'
  AUGMENTATION = 'Augmentation'
  SEGMENTATION = 'Segmentation'
  OUTPUT = 'Checkpoints and output'
  MACHINE = 'Machine'
  DEVICES = 'Devices and workers'
  RETIRED = "TF-Slim's flags without a meaning today"


def option(
  default: Any,
  text: str,
  *,
  choices: Iterable[str] | Callable[[], Iterable[str]] = (),
  low: float = -math.inf,
  above: float = -math.inf,
  high: float = math.inf,
  below: float = math.inf,
  now: str = '',
  otherwise: Any = None,
  changes: str = 'told',
  folder: bool = False,
  remote: bool = False,
  form: Form | None = None,
  task: str | None = None,
  group: Group = Group.SCRIPT,
  kept: bool = True,
  switch: bool = False,
) -> Any:
  """Returns a field of a configuration.

  Args:
    default: its value where no flag is given; None for one worked out later.
    text: what the flag does, in a line.
    choices: the values it takes, if not all, or what returns them.
    low: the least value.
    above: a value that all must be above.
    high: the greatest value.
    below: a value that all must be below.
    now: for a flag of TF-Slim that has lost its meaning, what happens now;
      given another value than the default, this is said.
    otherwise: with a default of None, the value where neither a flag nor the
      dataset gives one.
    changes: whether a run that is resumed may have another value: 'free',
      'told' (with --accept_changes), or 'never'.
    folder: whether the value is a folder's path, which may not exist yet.
    remote: whether that folder may be in any file system that TensorFlow
      reads, such as gs://.
    form: how the value is written as text, if not as itself.
    task: the task that the flag is for, if it is not for all.
    group: what the flag is about.
    kept: whether config.json holds it.
    switch: whether --flag and --noflag stand for --flag=true and =false,
      though the value is text.
  """
  return dataclasses.field(
    default=default,
    metadata={
      'text': text,
      'choices': choices,
      'low': low,
      'above': above,
      'high': high,
      'below': below,
      'now': now,
      'otherwise': otherwise,
      'form': form,
      'changes': changes,
      'folder': folder,
      'remote': remote,
      'task': task,
      'group': group,
      'kept': kept,
      'switch': switch,
    },
  )


@dataclasses.dataclass(frozen=True)
class Config:
  """What all scripts have in common.

  A field with a form is given as its value or as its text, and holds the value.

  Attributes:
    arguments: what stands behind the flags in a command, for --help.
    examples: commands for --help, without the script's name.

  Raises:
    ValueError: a value out of its range; the sentence names the flag.
  """

  arguments: ClassVar[str] = ''
  examples: ClassVar[tuple[str, ...]] = ()

  verbosity: int = option(
    -1,
    'What is shown of TensorFlow: -1 nothing, 0 its warnings, 1 all.',
    low=-3,
    high=3,
    group=Group.MACHINE,
    kept=False,
  )

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if value is not None:
        object.__setattr__(self, field.name, _checked(field, value))
        if field.metadata['folder']:
          _check_folder(field, value)

  @classmethod
  def fallbacks(cls) -> dict[str, Any]:
    """Returns the values of fields that nothing else has given one."""
    return {
      field.name: field.metadata['otherwise']
      for field in dataclasses.fields(cls)
    }

  @classmethod
  def parsed(cls, name: str, value: Any) -> Any:
    """Returns the value that config.json has as a text, or as itself.

    Args:
      name: of a field, or anything else, which has no other value.
      value: what JSON holds, of the kind that `written` tells.

    Raises:
      ValueError: a text of another form, or a value out of its range.
    """
    field = cls.__dataclass_fields__.get(name)
    return value if field is None or value is None else _checked(field, value)

  @classmethod
  def written(cls) -> dict[str, Any]:
    """Returns the kind of value that config.json has for each field."""
    found = {}
    for field in dataclasses.fields(cls):
      kind: Any = str if field.metadata['form'] else field.type
      found[field.name] = kind | None if field.default is None else kind
    return found

  def text(self, name: str) -> Any:
    """Returns a field's value as flags and config.json have it."""
    return self.as_text(name, getattr(self, name))

  @classmethod
  def as_text(cls, name: str, value: Any) -> Any:
    """Returns a value of a field as flags and config.json have it."""
    form = cls.__dataclass_fields__[name].metadata['form']
    return value if form is None or value is None else form.text(value)

  @classmethod
  def kind(cls, field: dataclasses.Field) -> type:
    """Returns what a flag takes: str for a form, int for `int | None`."""
    if field.metadata['form']:
      return str
    annotation: Any = field.type
    if isinstance(annotation, types.UnionType):
      return next(a for a in get_args(annotation) if a is not type(None))
    return annotation

  def task_of(self, name: str) -> str | None:
    """Returns the task that a field is for, None if it is for all."""
    return self.__dataclass_fields__[name].metadata['task']

  def takes(self, name: str, task: str) -> bool:
    """Whether a field is for the task."""
    return self.task_of(name) in (None, task)

  def given_for_another(self, task: str) -> list[str]:
    """Returns the names of given flags that are not for the task."""
    return [name for name in self.given() if not self.takes(name, task)]

  def given(self) -> dict[str, Any]:
    """Returns the values that are others than the defaults, by field."""
    return {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if getattr(self, field.name) != field.default
    }

  def replace(self: Given, **changes: Any) -> Given:
    """Returns a copy with other values."""
    return dataclasses.replace(self, **changes)

  def notes(self) -> list[str]:
    """Returns what to tell of given flags that have lost their meaning."""
    return [
      f'--{name}: {self.__dataclass_fields__[name].metadata["now"]}'
      for name in self.given()
      if self.__dataclass_fields__[name].metadata['now']
    ]


def fill(given: Given, task: str | None, *sources: dict[str, Any]) -> Given:
  """Returns the configuration with what the sources have for its gaps.

  Args:
    given: the configuration; fields that are None are filled.
    task: fields of another task stay None; with None all are filled.
    *sources: values by field; the first that is not None counts.
  """
  changes: dict[str, Any] = {}
  for source in sources:
    for name, value in source.items():
      if (
        value is not None
        and getattr(given, name) is None
        and (task is None or given.takes(name, task))
      ):
        changes.setdefault(name, value)
  return given.replace(**changes)


def _checked(field, value):
  """Returns the value, parsed if it is a text; raises ValueError if wrong."""
  meta = field.metadata
  _check_choice(field, value)
  if meta['form']:
    text = value if isinstance(value, str) else meta['form'].text(value)
    try:
      return meta['form'].parse(text)
    except ValueError as error:
      raise ValueError(f'--{field.name}={text} {error}.') from None
  if isinstance(value, (int, float)):
    _check_range(field, value)
  return value


def _check_folder(field, value):
  if os.path.isfile(value):
    raise ValueError(f'--{field.name}={value} is a file; it must be a folder.')
  if '://' in value and not field.metadata['remote']:
    raise ValueError(
      f'--{field.name}={value} is an address; it must be a folder of this '
      'machine, which may be mounted.'
    )


def _check_choice(field, value):
  choices = field.metadata['choices']
  choices = list(choices() if callable(choices) else choices)
  if choices and value not in choices:
    hint = did_you_mean(str(value), choices, n=1)
    raise ValueError(
      f'--{field.name}={value} is unknown.{hint} It can be '
      f'{", ".join(choices)}.'
    )


def _check_range(field, value):
  meta = field.metadata
  if meta['low'] <= value <= meta['high'] and (
    meta['above'] < value < meta['below'] and abs(value) < math.inf
  ):
    return
  bounds = [f'at least {meta["low"]}'] * (meta['low'] > -math.inf)
  bounds += [f'above {meta["above"]}'] * (meta['above'] > -math.inf)
  bounds += [f'at most {meta["high"]}'] * (meta['high'] < math.inf)
  bounds += [f'below {meta["below"]}'] * (meta['below'] < math.inf)
  bounds += ['a finite number'] * (not abs(value) < math.inf)
  raise ValueError(f'--{field.name}={value} must be {" and ".join(bounds)}.')
