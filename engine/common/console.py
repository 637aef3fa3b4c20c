"""What a person sees: lines, notes, errors and progress bars.

Control characters are shown and not sent to the terminal: names of files,
classes and archives may have them.
"""

import sys
from typing import Any

import tqdm

from datasets.text import one_line, printable


def error(text: str) -> None:
  """Prints why the script ends."""
  print(f'error: {printable(text)}', file=sys.stderr, flush=True)


def note(text: str) -> None:
  """Prints something that the user should know."""
  say(f'note: {text}')


def warn(text: str) -> None:
  """Prints a note on stderr, for scripts whose stdout may be JSON."""
  tqdm.tqdm.write(f'note: {text}', file=sys.stderr)
  sys.stderr.flush()


def say(text: str) -> None:
  """Prints a line, above a progress bar if there is one."""
  tqdm.tqdm.write(printable(text), file=sys.stdout)
  sys.stdout.flush()


def progress(
  total: int | None,
  initial: int = 0,
  unit: str = 'step',
  title: str | None = None,
  **options: Any,
) -> tqdm.tqdm:
  """Returns a progress bar of tqdm, which is shown on a terminal only."""
  return tqdm.tqdm(
    desc=title and one_line(title),
    total=total,
    initial=initial,
    unit=unit,
    leave=False,
    dynamic_ncols=True,
    disable=not sys.stderr.isatty(),
    file=sys.stderr,
    **options,
  )


def explain(failure: Exception) -> str:
  """Returns the sentence in an error's message, without TensorFlow's frame.

  Errors raised by Python inside of a graph come back wrapped in the op's
  name and a stack trace; those of our own begin a line with 'ValueError: '.
  """
  text = str(failure) or type(failure).__name__
  if isinstance(failure, OSError) and failure.filename:
    return f'{one_line(str(failure.filename))}: {failure.strerror}.'
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
