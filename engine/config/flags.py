"""Command lines: absl flags made from a configuration's fields.

The flags live in a `FlagValues` of their own, not in absl's global one, so
that every script can be imported and called in one process.
"""

import dataclasses
import inspect
import sys
import traceback
import types
import typing
from collections.abc import Callable
from typing import Any

from absl import flags

from engine.common import console, logs
from engine.common.loading import load
from engine.config.fields import Config, Given

_DEFINE: dict[type, Callable[..., Any]] = {
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  bool: flags.DEFINE_bool,
  str: flags.DEFINE_string,
}


def _kind(field: dataclasses.Field) -> type:
  """Returns what a flag takes: str for a form, int for `int | None`."""
  if field.metadata['form']:
    return str
  annotation: Any = field.type
  if isinstance(annotation, types.UnionType):
    return next(a for a in typing.get_args(annotation) if a is not type(None))
  return annotation


def parse(
  config_class: type[Given], argv: list[str]
) -> tuple[Given, list[str]]:
  """Returns the configuration that `argv` gives, and its other arguments.

  Args:
    config_class: the configuration.
    argv: the command line, with the script's name first; --flagfile=FILE
      reads flags from a file.

  Raises:
    ValueError: an unknown flag or an invalid value.
  """
  values = flags.FlagValues()
  flags.DEFINE_string(
    'flagfile', '', 'Read flags from this file.', flag_values=values
  )
  flags.DEFINE_bool(
    'help', False, 'Show this.', short_name='h', flag_values=values
  )
  for field in dataclasses.fields(config_class):
    _DEFINE[_kind(field)](
      field.name,
      config_class.as_text(field.name, field.default),
      field.metadata['text'],
      flag_values=values,
    )
  try:
    arguments = values(argv)[1:]
  except flags.CantOpenFlagFileError as error:
    path = getattr(error.__context__, 'filename', None) or 'the file'
    raise ValueError(
      f'--flagfile: {path} cannot be read. It is looked for '
      'from the current folder.'
    ) from None
  except flags.Error as error:
    text = str(error).replace(' ?', '?').rstrip('.')
    end = '' if text.endswith('?') else '.'
    raise ValueError(f'{text}{end} --help lists the flags.') from None
  if values.help:
    raise SystemExit(_help(config_class, argv[0]))
  given: dict[str, Any] = {
    field.name: values[field.name].value
    for field in dataclasses.fields(config_class)
  }
  return config_class(**given), arguments


def _own_first(config_class):
  """Returns the fields, those of the class itself before the inherited."""
  fields = dataclasses.fields(config_class)
  own = inspect.get_annotations(config_class)
  return sorted(fields, key=lambda field: field.name not in own)


def _facts(config_class, field):
  """Returns what stands behind a flag's name in the help."""
  meta = field.metadata
  default = config_class.as_text(field.name, field.default)
  choices = meta['choices']() if callable(meta['choices']) else meta['choices']
  facts = [] if default in (None, '') else [str(default)]
  facts += [f'one of {", ".join(choices)}'] if choices else []
  facts += [f'{meta["task"]} only'] if meta['task'] else []
  return f' ({"; ".join(facts)})' if facts else ''


def _help(config_class, script):
  lines = [f'{config_class.__doc__}\n\n  python {script} [--flag=value ...]\n']
  for field in _own_first(config_class):
    text = field.metadata['text']
    otherwise = config_class.as_text(field.name, field.metadata['otherwise'])
    if otherwise is not None and 'Default: ' not in text:
      text += f" Default: the dataset's, else {otherwise}."
    if field.metadata['now']:
      text += f' Now {field.metadata["now"]}'
    lines.append(f'--{field.name}{_facts(config_class, field)}\n    {text}')
  print('\n'.join(lines))
  return 0


def run(
  config_class: type[Config],
  target: str,
  argv: list[str] | None = None,
  takes_arguments: bool = False,
) -> int:
  """Runs a script: parses flags, calls 'module:function', explains failures.

  Args:
    config_class: the configuration the function takes.
    target: such as 'engine.train:train', imported once the flags are valid.
    argv: the command line; the process's own if None.
    takes_arguments: whether the function takes the other arguments too.

  Returns:
    The exit status: 0, 1 for a failure that has been explained, 130 where
    the user interrupted.
  """
  verbosity = 0
  try:
    config, arguments = parse(config_class, sys.argv if argv is None else argv)
    verbosity = config.verbosity
    if arguments and not takes_arguments:
      raise ValueError(
        f'The argument {arguments[0]!r} is no flag: flags begin with --.'
      )
    for note in config.notes():
      console.note(note)
    with logs.quiet(verbosity):
      with logs.stderr_hidden(verbosity):
        function = load(target)
      function(*((config, arguments) if takes_arguments else (config,)))
    return 0
  except KeyboardInterrupt:
    console.error('interrupted.')
    return 130
  except Exception as error:
    if not _is_explained(error):
      raise
    if verbosity > 0:
      traceback.print_exc()
    console.error(console.explain(error))
    return 1


def _is_explained(error):
  """Whether the message of the error says what is wrong, and how to cure it."""
  if isinstance(error, (ValueError, ImportError, OSError)):
    return True
  return type(error).__module__.startswith('tensorflow')
