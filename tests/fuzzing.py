"""Mutations of files, and what may come of them.

Mutation n of a kind is the same in every run. FUZZ is how many of each kind are
tried; `make fuzz` tries more.
"""

import contextlib
import os
import random
import signal

FUZZ = int(os.environ.get('FUZZ', 20))
SECONDS = 10  # for a mutation
EXTREMES = (
  0,
  1,
  0x7F,
  0x80,
  0xFF,
  0x7FFF,
  0xFFFF,
  0x7FFFFFFF,
  0x80000000,
  0xFFFFFFFF,
  2**62,
  2**63 - 1,
  2**64 - 17,
  2**64 - 1,
)


# Mutations.


def _span(data, chance):
  """Two places in the data, seldom far from each other."""
  first = chance.randrange(len(data) + 1)
  return first, min(len(data), first + int(chance.paretovariate(0.7)))


def _flip(data, other, chance):
  at = chance.randrange(len(data))
  return (
    data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
  )


def _set(data, other, chance):
  first, end = _span(data, chance)
  return (
    data[:first]
    + bytes([chance.choice((0, 9, 10, 32, 47, 127, 255))]) * (end - first)
    + data[end:]
  )


def _cut(data, other, chance):
  return data[: chance.randrange(len(data))]


def _insert(data, other, chance):
  at, end = _span(data, chance)
  return data[:at] + chance.randbytes(end - at) + data[at:]


def _delete(data, other, chance):
  first, end = _span(data, chance)
  return data[:first] + data[end:]


def _duplicate(data, other, chance):
  first, end = _span(data, chance)
  return data[:end] + data[first:]


def _swap(data, other, chance):
  a, b, c, d = sorted(chance.randrange(len(data) + 1) for _ in range(4))
  return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _splice(data, other, chance):
  return (
    data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]
  )


def _extreme(data, other, chance):
  """A number that is no length."""
  size = chance.choice((1, 2, 4, 8))
  number = chance.choice(EXTREMES) % 256**size
  at = chance.randrange(
    min(len(data), 64) if chance.random() < 0.5 else len(data)
  )
  return (
    data[:at]
    + number.to_bytes(size, chance.choice(('big', 'little')))
    + data[at + size :]
  )


MUTATIONS = (
  _flip,
  _set,
  _cut,
  _insert,
  _delete,
  _duplicate,
  _swap,
  _splice,
  _extreme,
)


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
  """Returns the data changed in one place, or in a few."""
  for _ in range(chance.choice((1, 1, 1, 2, 4))):
    if data:
      data = chance.choice(MUTATIONS)(data, other, chance)
  return data


def mutations(kind, sources, count=FUZZ):
  """Yields (number, data): mutations of the sources, in turn."""
  names = list(sources)
  for number in range(count):
    chance = random.Random(f'{kind} {number}')
    data = sources[names[number % len(names)]]
    yield number, mutate(data, sources[chance.choice(names)], chance)


# Outcomes.


class Slow(BaseException):
  """A mutation took too long; nothing that catches an Exception hides it."""


@contextlib.contextmanager
def limited(what, seconds=SECONDS):
  """Raises Slow in the middle of what takes too long."""

  def ring(*_):
    raise Slow(what)

  before = signal.signal(signal.SIGALRM, ring)
  signal.alarm(seconds)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def attempt(what, function, *arguments, says=('',)):
  """Returns what the function does, None for a ValueError of one line.

  Args:
    what: the mutation, named by the assertion that fails.
    function: called with the arguments.
    *arguments: of the function.
    says: the error names one of them, such as the path.
  """
  try:
    with limited(what):
      return function(*arguments)
  except ValueError as error:
    text = str(error)
    assert not isinstance(error, UnicodeError), (what, text)
    assert text.isprintable() and len(text) < 700, (what, text)
    assert any(str(word) in text for word in says), (what, text)
    return None
  except Exception as error:
    raise AssertionError(f'{what}: {error!r}') from error


def put(path, data):
  path.write_bytes(data)
  return path


# Trees of JSON.

VALUES = (
  None,
  True,
  0,
  -1,
  1.5,
  10**30,
  float('nan'),
  '',
  '..',
  '/etc',
  'a\nb',
  '\ud800',
  '\x1b[31m',
  'x' * 5000,
  [],
  {},
  [[]],
  [1, 2],
  ['a', 'b', 'c'],
)


def places(value, path=()):
  """Yields where each value of a JSON tree is."""
  yield path
  for key in (
    value
    if isinstance(value, dict)
    else (range(len(value)) if isinstance(value, list) else ())
  ):
    yield from places(value[key], (*path, key))


def replant(values, chance):
  """Changes a value, or a name, somewhere in a JSON tree."""
  *path, last = chance.choice(list(places(values))[1:])
  for key in path:
    values = values[key]
  if isinstance(values, dict) and chance.random() < 0.3:
    values[str(chance.choice(VALUES))] = values.pop(last)
  else:
    values[last] = chance.choice(VALUES)
