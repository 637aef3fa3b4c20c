"""What a person sees: quiet start-up, lines, notes and errors."""

import contextlib
import logging
import os
import sys
import warnings

import tqdm


def error(text: str) -> None:
  """Prints why the script ends."""
  print(f'error: {text}', file=sys.stderr, flush=True)


def note(text: str) -> None:
  """Prints something that the user should know."""
  say(f'note: {text}')


def say(text: str) -> None:
  """Prints a line, above a progress bar if there is one."""
  tqdm.tqdm.write(text, file=sys.stdout)
  sys.stdout.flush()


def progress(
  total: int | None, initial: int = 0, unit: str = 'step', **options
):
  """Returns a progress bar of tqdm, which is shown on a terminal only."""
  return tqdm.tqdm(
    total=total,
    initial=initial,
    unit=unit,
    leave=False,
    dynamic_ncols=True,
    disable=not sys.stderr.isatty(),
    file=sys.stderr,
    **options,
  )


@contextlib.contextmanager
def quiet(verbosity: int):
  """Hides what TensorFlow says while it is imported, and mutes it after.

  TensorFlow's C++ side writes to the descriptor of stderr before its log
  level can be set, so the descriptor itself is turned away meanwhile.
  Nothing is hidden for a `verbosity` above 0; for 0 its warnings are shown.
  """
  if verbosity > 0:
    yield
    return
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1' if verbosity == 0 else '3')
  if verbosity < 0:
    warnings.filterwarnings('ignore', module='tensorflow|tf_keras|tf_slim')
    warnings.filterwarnings('ignore', message='.*layer.apply.*')
    for name in ('tensorflow', 'absl'):
      logging.getLogger(name).setLevel(logging.ERROR)
  sys.stderr.flush()
  saved = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 2)
    yield
  finally:
    os.dup2(saved, 2)
    os.close(saved)
    os.close(nowhere)


def explain(failure: Exception) -> str:
  """Returns the sentence in an error's message, without TensorFlow's frame.

  Errors raised by Python inside of a graph come back wrapped in the op's
  name and a stack trace; those of our own begin a line with 'ValueError: '.
  """
  text = str(failure) or type(failure).__name__
  if isinstance(failure, OSError) and failure.filename:
    return f'{failure.filename}: {failure.strerror}.'
  lines = text.splitlines()
  for line in lines:
    if line.startswith('ValueError: '):
      return line.removeprefix('ValueError: ')
  if not type(failure).__module__.startswith('tensorflow'):
    return text
  found = [
    line
    for line in lines
    if line.strip()
    and not line.startswith(
      (
        'Graph execution error',
        'Detected at',
        '    ',
        '\t',
        'Original stack',
        'Traceback',
        'Node:',
        '  File',
      )
    )
  ]
  return found[0] if found else text
