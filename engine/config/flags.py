"""Command lines: absl flags made from a configuration's fields.

The flags live in a `FlagValues` of their own, not in absl's global one, so
that every script can be imported and called in one process. absl is imported
when it is used, so that a script can say that it is not installed.
"""

import contextlib
import dataclasses
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.common import console, ending, logs
from engine.common.loading import lightly, load
from engine.config import aliases, deeplab_commands, help_text
from engine.config.fields import Given
from engine.config.parts.model import ModelConfig

_LISTED = 'engine.checkpoints.pretrained_names:lines'
_BROKEN_PIPE = 141  # as the shell says of a program that SIGPIPE has ended


def parse(
  config_class: type[Given],
  argv: list[str],
  begin: Callable[..., Given] | None = None,
) -> tuple[Given, list[str]]:
  """Returns the configuration that `argv` gives, and its other arguments.

  See `read`, which tells more.
  """
  return read(config_class, argv, begin)[:2]


class Read(NamedTuple):
  """What a command line says.

  Fields:
    config: the configuration.
    arguments: what are no flags.
    notes: sentences on flags of DeepLab, and what they were taken for.
  """

  config: Any
  arguments: list[str]
  notes: list[str]


def read(
  config_class: type[Given],
  argv: list[str],
  begin: Callable[..., Given] | None = None,
) -> Read:
  """Returns what `argv` says, by our flags or DeepLab's.

  Args:
    config_class: the configuration.
    argv: the command line, with the script's name first; --flagfile=FILE
      reads flags from a file.
    begin: makes the configuration from the values of the flags that are
      given; the class itself if None.

  Raises:
    ValueError: an unknown flag or an invalid value.
    SystemExit: after the help.
  """
  own = [field.name for field in dataclasses.fields(config_class)]
  argv = _with_index(argv, own)
  values = _defined(config_class)
  is_model = issubclass(config_class, ModelConfig)
  command = deeplab_commands.split(argv, own if is_model else None)
  arguments = _parsed(values, command.argv, own)
  if values.help:
    print(help_text.of(config_class, argv[0]), flush=True)
    raise SystemExit(0)

  def given() -> dict[str, Any]:
    return {name: values[name].value for name in own if values[name].present}

  make = begin or config_class
  if not command.theirs:
    return Read(make(**given()), arguments, [])
  ours = {name: str(value) for name, value in given().items()}
  meaning = deeplab_commands.understand(config_class, command.theirs, ours)
  try:
    texts = {**meaning.defaults, **meaning.given}
    _parsed(
      values,
      [argv[0], *(f'--{name}={text}' for name, text in texts.items())],
      own,
    )
    return Read(make(**given()), arguments, meaning.notes)
  except ValueError as error:
    raise ValueError(meaning.explained(str(error))) from None


def _with_index(argv, own):
  """Returns the command line with --task=1, TF-Slim's, as --task_index=1."""
  if 'task_index' not in own:
    return argv
  words = [
    re.sub(r'^--?task=(?=[+-]?\d+$)', '--task_index=', word) for word in argv
  ]
  return [
    '--task_index'
    if word in ('--task', '-task') and re.fullmatch(r'\d+', following)
    else word
    for word, following in zip(words, [*words[1:], ''], strict=True)
  ]


def _defined(config_class):
  """Returns the flags of a configuration, none of which is given yet."""
  from absl import flags

  define: dict[type, Callable[..., Any]] = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    str: flags.DEFINE_string,
  }
  values = flags.FlagValues()
  flags.DEFINE_string(
    'flagfile', '', 'Read flags from this file.', flag_values=values
  )
  flags.DEFINE_bool(
    'help', False, 'Show this.', short_name='h', flag_values=values
  )
  for field in dataclasses.fields(config_class):
    define[config_class.kind(field)](
      field.name,
      config_class.as_text(field.name, field.default),
      field.metadata['text'],
      flag_values=values,
    )
    values[field.name].boolean |= field.metadata['switch']
  return values


def _parsed(values, argv, own):
  """Sets flags by a command line; returns its other arguments."""
  from absl import flags

  try:
    return values(argv)[1:]
  except flags.CantOpenFlagFileError as error:
    path = getattr(error.__context__, 'filename', None) or 'the file'
    raise ValueError(
      f'--flagfile: {path} cannot be read. It is looked for '
      'from the current folder.'
    ) from None
  except flags.UnrecognizedFlagError as error:
    name = error.flagname
    hint = deeplab_commands.instead(name, own) or aliases.suggestion(name, own)
    raise ValueError(
      f'There is no flag --{name}.{hint} --help lists the flags.'
    ) from None
  except flags.Error as error:
    text = str(error).rstrip('.')
    raise ValueError(f'{text}. --help lists the flags.') from None


def run(
  config_class: type[Given],
  target: str,
  argv: list[str] | None = None,
  takes_arguments: bool = False,
  begin: Callable[..., Given] | None = None,
) -> int:
  """Runs a script: parses flags, calls 'module:function', explains failures.

  Args:
    config_class: the configuration the function takes.
    target: such as 'engine.train:train', imported once the flags are valid.
    argv: the command line; the process's own if None.
    takes_arguments: whether the function takes the other arguments too.
    begin: see `read`.

  Returns:
    The exit status: 0, that of `ending.status` for a failure that has been
    explained, 130 where the user interrupted, 141 where nobody reads what is
    printed any more.
  """
  try:
    status = _status(config_class, target, argv, takes_arguments, begin)
  except SystemExit as stopped:
    ending.leave(stopped.code if isinstance(stopped.code, int) else 0)
    raise
  ending.leave(status)
  return status


def _status(config_class, target, argv, takes_arguments, begin):
  """Runs a script; returns its exit status."""
  verbosity = 0
  try:
    config, arguments, understood = read(
      config_class, sys.argv if argv is None else argv, begin
    )
    verbosity = config.verbosity
    if arguments and not takes_arguments:
      raise ValueError(
        f'The argument {arguments[0]!r} is no flag: flags begin with --.'
      )
    if getattr(config, 'list_pretrained', False):
      for line in load(_LISTED)():
        console.say(line)
      return 0
    for note in (*understood, *config.notes()):
      console.note(note, aside=getattr(config, 'json', False))
    with logs.quiet(verbosity):
      with logs.stderr_hidden(verbosity), lightly():
        function = load(target)
      function(*((config, arguments) if takes_arguments else (config,)))
    sys.stdout.flush()
    return 0
  except KeyboardInterrupt:
    console.error('interrupted.')
    return 130
  except BrokenPipeError:  # `head` has seen enough
    _close_output()
    return _BROKEN_PIPE
  except Exception as error:
    if not _is_explained(error):
      raise
    if verbosity > 0:
      traceback.print_exc()
    console.error(_missing_module(error) or console.explain(error))
    return ending.status(error)


def _close_output():
  """Turns stdout away, so that Python's last flush does not fail too."""
  with contextlib.suppress(OSError, ValueError):  # none, or no file
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _missing_module(error):
  """Returns how to install what is not there, '' for any other error."""
  name = isinstance(error, ModuleNotFoundError) and error.name
  package = name.partition('.')[0] if name else ''
  if not package or importlib.util.find_spec(package):
    return ''
  return (
    f'The module {package} is not installed. This installs all that the '
    "scripts need, in the folder of the project: pip install '.[scripts]'"
  )


def _is_explained(error):
  """Whether the message of the error says what is wrong, and how to cure it."""
  if isinstance(error, (ValueError, ImportError, OSError)):
    return True
  return type(error).__module__.startswith('tensorflow')
