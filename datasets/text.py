"""Names and lists as people read them: shortened, and on one line."""

import collections
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence

_SHOWN = 5  # names in a sentence

# Control characters, what else ends a line, and bytes that are not UTF-8
# (Python reads them as surrogates).
_UNWRITABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
# What a terminal takes for a command; or shows in another order.
_COMMANDS = re.compile(
  f'(?![\n\t])({_UNWRITABLE.pattern}|[\u202a-\u202e\u2066-\u2069])'
)


def _escaped(found):
  return ascii(found[0])[1:-1]


def printable(text: str) -> str:
  r"""Returns a text as it can be printed: control characters are escaped.

  Line breaks and tabs stay; see `one_line`.

  >>> printable('red\x1b[2J\n')
  'red\\x1b[2J\n'
  """
  return _COMMANDS.sub(_escaped, text)


def one_line(name: str) -> str:
  r"""Returns a name as it can stand in a line of text.

  >>> one_line('red\nerror: none')
  'red\\nerror: none'
  """
  return printable(name).replace('\n', r'\n').replace('\t', r'\t')


def few(names: Iterable[str]) -> str:
  """Joins names with commas; all but the first few are only counted.

  None has a line break or another control character then.

  >>> few('abcdefgh')
  'a, b, c, d, e and 3 more'
  """
  names = [one_line(name) for name in names]
  more = len(names) - _SHOWN
  return ', '.join(names[:_SHOWN]) + (f' and {more} more' if more > 0 else '')


def distinct(names: Sequence[str], first: int = 0) -> list[str]:
  """Returns the names; what several share is told apart by their numbers.

  Args:
    names: of classes, in their order.
    first: the number of the first.

  >>> distinct(['tench', 'crane', 'crane'])
  ['tench', 'crane (1)', 'crane (2)']
  """
  counts = collections.Counter(names)
  return [
    f'{name} ({number})' if counts[name] > 1 else name
    for number, name in enumerate(names, first)
  ]


def is_writable(name: str) -> bool:
  """Whether a name has no control character, and no bytes but UTF-8."""
  return not _UNWRITABLE.search(name)


def check_name(name: str, what: str) -> None:
  """Refuses a name that cannot be written to a file of text.

  Args:
    name: of a file or a class.
    what: said of it before the name, such as 'The file'.

  Raises:
    ValueError: it has a control character, or bytes that are not UTF-8.
  """
  if not is_writable(name):
    raise ValueError(
      f'{what} {ascii(name)} has a control character, or bytes that are '
      'not UTF-8, in its name. Rename it.'
    )


def _columns(character):
  """Returns how many columns of a terminal a character takes."""
  if unicodedata.combining(character):
    return 0
  return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


def columns(text: str) -> int:
  """Returns how many columns of a terminal a text takes.

  >>> columns('rose'), columns('薔薇')
  (4, 4)
  """
  return sum(map(_columns, text))


def cut(text: str, width: int) -> str:
  """Returns the text on one line, with '…' for what is beyond the width.

  >>> cut('sunflowers', 7), cut('薔薇の花', 7)
  ('sunflo…', '薔薇の…')
  """
  text = ''.join(c if c.isprintable() else '?' for c in text)
  if columns(text) <= width:
    return text
  ends = itertools.accumulate(map(_columns, text))
  return text[: sum(end < width for end in ends)] + '…'
