"""JSON files that are too large to be held: read element by element."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

_CHUNK, _LARGEST = 1 << 20, 1 << 24  # bytes: read at once, of an element
_BLANK = ' \t\n\r'


class _Reader:
  """Reads the values of a JSON file one after the other.

  The bytes are taken for characters one by one: those that make up the
  structure are ASCII, and places in the text are then places in the file.
  """

  def __init__(self, file):
    self._file, self._text, self._at = file, '', 0
    self._passed = 0  # bytes of the file before the text
    self._decode = json.JSONDecoder().raw_decode

  @property
  def place(self):
    return self._passed + self._at

  def _more(self):
    """Reads on; whether there was something."""
    data = self._file.read(max(_CHUNK, len(self._text) - self._at))
    if data:
      self._passed += self._at
      self._text = self._text[self._at :] + data.decode('latin-1')
      self._at = 0
    return bool(data)

  def next(self):
    """Returns the character that is next, '' at the end; passes over blanks."""
    while True:
      while self._at < len(self._text) and self._text[self._at] in _BLANK:
        self._at += 1
      if self._at < len(self._text) or not self._more():
        return self._text[self._at : self._at + 1]

  def take(self, wanted):
    """Passes over one of the characters, and returns it."""
    found = self.next()
    if not found:
      raise ValueError(f'it ends at byte {self.place:,}, before it is complete')
    if found not in wanted:
      raise ValueError(
        f'byte {self.place:,} is {found!r} instead of '
        f'{" or ".join(map(repr, wanted))}'
      )
    self._at += 1
    return found

  def value(self):
    """Returns the next value, its place, and its bytes."""
    self.next()
    while True:
      try:
        value, end = self._decode(self._text, self._at)
        wrong = ''
      except RecursionError:
        raise ValueError('it nests too deeply') from None
      except ValueError as error:
        end, wrong = len(self._text), getattr(error, 'msg', str(error))
      # What ends with the text, as a number may, may go on behind it.
      whole = end < len(self._text)
      if whole or end - self._at > _LARGEST or not self._more():
        break
    if wrong:
      raise ValueError(f'behind byte {self.place:,}: {wrong}')
    place, data = self.place, self._text[self._at : end].encode('latin-1')
    self._at = end
    return value, place, data


def _elements(reader, opening, closing):
  """Yields once for each element of a list or object, to be taken then."""
  reader.take(opening)
  while reader.next() != closing:
    yield
    if reader.next() == closing:
      break
    reader.take(',')
  reader.take(closing)


def lists(file: BinaryIO) -> Iterator[tuple[str, Any, int, bytes]]:
  """Yields the elements of the lists that are in the object of a JSON file.

  What else is in the object is passed over. Of the file no more is held than a
  piece, and an element.

  Args:
    file: at its beginning.

  Yields:
    The name of the list, the element, the place of its first byte, and its
    bytes. Texts in the element are Latin-1 where the bytes are UTF-8: parse
    these for them.

  Raises:
    ValueError: it is no JSON object; the text names the byte.
  """
  reader = _Reader(file)
  for _ in _elements(reader, '{', '}'):
    name, place, _ = reader.value()
    if not isinstance(name, str):
      raise ValueError(f'byte {place:,} should begin a name')
    reader.take(':')
    if reader.next() != '[':
      reader.value()
      continue
    for _ in _elements(reader, '[', ']'):
      yield name, *reader.value()
  if reader.next():
    raise ValueError(f'there is more behind its end, at byte {reader.place:,}')
