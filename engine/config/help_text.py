"""What --help prints: usage, examples, and the flags by what they are about.

Nothing here imports TensorFlow.
"""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator

from engine.config.fields import Config, Group

_WIDTH = 80
_COLUMN = 28  # where a flag's text begins
_VALUES = {int: '=N', float: '=X', str: '=TEXT'}
_GOES_ON = ' \\'  # a command in the next line
_COMMON = (
  ('--flagfile=FILE', 'Read flags from this file.'),
  ('-h, --help', 'Show this.'),
)


def _own_first(config_class):
  """Returns the fields, those of the class itself before the inherited."""
  own = inspect.get_annotations(config_class)
  return sorted(
    dataclasses.fields(config_class), key=lambda field: field.name not in own
  )


def _flag(config_class, field):
  """Returns how a flag is written, such as '--seed=N'."""
  kind = config_class.kind(field)
  if kind is bool:
    return f'--[no]{field.name}'
  if field.metadata['folder']:
    return f'--{field.name}=DIR'
  value = '=NAME' if field.metadata['choices'] else _VALUES[kind]
  return f'--{field.name}{value}'


def _default(config_class, field):
  """Returns a sentence on the default, '' where the field's text has it."""
  if 'Default: ' in field.metadata['text']:
    return ''
  default, otherwise = (
    config_class.as_text(field.name, value)
    for value in (field.default, field.metadata['otherwise'])
  )
  if otherwise is not None:
    return f"Default: the dataset's, else {_shown(otherwise)}."
  return '' if default in (None, '') else f'Default: {_shown(default)}.'


def _shown(value):
  return str(value).lower() if isinstance(value, bool) else f'{value}'


def _text(config_class, field):
  """Returns what a flag does, what it takes, and its default."""
  meta = field.metadata
  if meta['now']:
    return meta['now'][0].upper() + meta['now'][1:]
  choices = meta['choices']() if callable(meta['choices']) else meta['choices']
  task = meta['task']
  is_told = task and not meta['group'].value.lower().startswith(task)
  sentences = (
    meta['text'],
    choices and f'One of {", ".join(choices)}.',
    _default(config_class, field),
    f'{task.capitalize()} only.' if is_told else '',
  )
  return ' '.join(filter(None, sentences))


def _entry(flag, text):
  """Returns the lines of a flag: its name, and its text in a column."""
  lines = textwrap.wrap(
    text, _WIDTH - _COLUMN, break_on_hyphens=False, break_long_words=False
  )
  name = f'  {flag}'
  if len(name) > _COLUMN - 2:
    return [name, *(' ' * _COLUMN + line for line in lines)]
  return [
    start.ljust(_COLUMN) + line
    for start, line in zip([name] + [''] * (len(lines) - 1), lines, strict=True)
  ]


def _introduction(config_class: type[Config], script: str) -> Iterator[str]:
  command = f'python {script}' if script.startswith('-m ') else script
  usage = f'usage: {command} [flags] {config_class.arguments}'.rstrip()
  yield from textwrap.wrap(
    usage, _WIDTH, subsequent_indent='    ', break_on_hyphens=False
  )
  yield ''
  first = inspect.cleandoc(config_class.__doc__ or '').split('\n\n')[0]
  yield from textwrap.wrap(first, _WIDTH)
  if config_class.examples:
    yield ''
    yield 'Examples:'
  for example in config_class.examples:
    lines = textwrap.wrap(
      f'  python {script} {example}',
      _WIDTH - len(_GOES_ON),
      subsequent_indent='      ',
      break_on_hyphens=False,
      break_long_words=False,
    )
    yield f'{_GOES_ON}\n'.join(lines)


def of(config_class: type[Config], script: str) -> str:
  """Returns what --help prints of a script.

  Args:
    config_class: what the script is told; its docstring's first paragraph,
      `arguments` and `examples` are the introduction.
    script: as it was called.
  """
  lines = list(_introduction(config_class, script))
  fields = _own_first(config_class)
  for group in Group:
    inside = [field for field in fields if field.metadata['group'] is group]
    if inside:
      lines += ['', f'{group.value}:']
    for field in inside:
      lines += _entry(_flag(config_class, field), _text(config_class, field))
    if group is Group.MACHINE:
      for flag, text in _COMMON:
        lines += _entry(flag, text)
  return '\n'.join(lines)
