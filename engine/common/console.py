"""What a person sees: lines, notes, errors and progress bars.

Control characters are shown and not sent to the terminal: names of files,
classes and archives may have them.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

# Imported when it is used, so that a script can say that it is not installed.
if TYPE_CHECKING:
  import tqdm

from datasets.text import one_line, printable


def error(text: str) -> None:
  """Prints why the script ends, or what it leaves out."""
  _aside(f'error: {text}')


def note(text: str, aside: bool = False) -> None:
  """Prints something that the user should know.

  Args:
    text: a sentence.
    aside: whether to print it on stderr, where stdout is for results.
  """
  (_aside if aside else say)(f'note: {text}')


def _aside(text):
  # A progress bar, if there may be one, makes room for it.
  loaded = getattr(sys.modules.get('tqdm'), 'tqdm', None)
  room = loaded.external_write_mode() if loaded else contextlib.nullcontext()
  with room, contextlib.suppress(BrokenPipeError):  # there is nowhere else
    print(printable(text), file=sys.stderr, flush=True)


def interject(text: str) -> None:
  """Prints a line on stderr while other threads may be printing.

  It writes past Python's buffers and their locks, which whoever was interrupted
  may hold.
  """
  with contextlib.suppress(OSError):
    start = '\n' * os.isatty(2)  # behind a progress bar, or ^C
    os.write(2, f'{start}{text}\n'.encode())


def say(text: str) -> None:
  """Prints a line, above a progress bar if there is one."""
  import tqdm

  tqdm.tqdm.write(printable(text), file=sys.stdout)
  sys.stdout.flush()


def progress(
  total: int | None,
  initial: int = 0,
  unit: str = 'step',
  title: str | None = None,
  **options: Any,
) -> 'tqdm.tqdm':
  """Returns a progress bar of tqdm, which is shown on a terminal only."""
  import tqdm

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


@contextlib.contextmanager
def indexing(
  total: int, initial: int, title: str, after: float = 1
) -> 'Iterator[tqdm.tqdm]':
  """Yields the progress bar of looking for the records of files.

  Mostly their places are known from before, and nothing is shown.

  Args:
    total: the number of files.
    initial: of how many the records are known.
    title: in front of the bar.
    after: the seconds before the bar is shown, and a line, for a log has no
      bar.
  """
  plural = 's' * (total != 1)
  line = threading.Timer(
    after, say, [f'Looking for the records of {total:,} file{plural}.']
  )
  line.start()
  try:
    with progress(total, initial, 'file', title, delay=after) as bar:
      yield bar
  finally:
    line.cancel()


def explain(failure: Exception) -> str:
  """Returns the sentence in an error's message, without TensorFlow's frame.

  Errors raised by Python inside of a graph come back wrapped in the op's
  name and a stack trace; those of our own begin a line with 'ValueError: '.
  """
  text = str(failure) or type(failure).__name__
  if isinstance(failure, OSError) and failure.strerror:
    where = f'{one_line(str(failure.filename))}: ' if failure.filename else ''
    return f'{where}{failure.strerror}.'
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
  return _ended(found[0] if found else text)


def _ended(text):
  """Returns a text as a sentence, behind which another may follow."""
  return text if text.endswith(('.', '!', '?')) else f'{text}.'
