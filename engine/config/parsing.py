"""Values that flags and config.json write as text, and how they read it.

Each function returns the value of a text, or raises ValueError with what is
wrong, to go on behind '--flag=value'. Each `Form` at the end joins one with the
way back. A field of a configuration names its form; nothing else parses text.
Nothing here imports TensorFlow.
"""

import decimal
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple


class Form(NamedTuple):
  """How a value is written.

  Fields:
    parse: returns the value of a text; raises ValueError.
    text: returns the text of a value.
  """

  parse: Callable[[str], Any]
  text: Callable[[Any], str]


class Length(NamedTuple):
  """A time in a training.

  Fields:
    number: how much.
    unit: 'steps' or 'epochs'.
  """

  number: float
  unit: str

  def steps(self, steps_per_epoch: float) -> int:
    """Returns the number of steps, at least 1 unless it is none at all."""
    if self.unit == 'steps' or not self.number:
      return int(self.number)
    return max(1, round(self.number * steps_per_epoch))

  def __str__(self) -> str:
    return number_text(self.number) + 'epochs' * (self.unit == 'epochs')


def number_text(number: float) -> str:
  """Returns a number with all its digits, without '.0' and exponent.

  >>> number_text(2.0), number_text(0.1), number_text(1e-5)
  ('2', '0.1', '0.00001')
  """
  return f'{decimal.Decimal(repr(float(number))):f}'.removesuffix('.0')


def _parts(text):
  parts = [part.strip() for part in text.split(',')]
  if not all(parts):
    raise ValueError('must be a list with a comma between two items')
  return parts


def _number(text):
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  if not math.isfinite(number):
    raise ValueError(f'has {text!r}, which is no number')
  return number


def length(text: str) -> Length:
  """Returns the length that '500', '500steps' or '2.5epochs' means."""
  found = re.fullmatch(
    r'(\d{1,15}\.?\d{0,15}|\.\d{1,15})\s*(steps?|epochs?|)', text
  )
  if not found or (not found[2].startswith('epoch') and '.' in found[1]):
    raise ValueError(f'has {text!r}: write steps as 500, epochs as 5epochs')
  unit = 'epochs' if found[2].startswith('epoch') else 'steps'
  return Length(float(found[1]), unit)


def interval(text: str) -> Length:
  """Returns a `length` that is not 0."""
  found = length(text)
  if not found.number:
    raise ValueError('must be more than 0')
  return found


def lengths(text: str) -> tuple[Length, ...]:
  """Returns the lengths in '80epochs,120epochs': of one unit, rising."""
  found = tuple(interval(part) for part in _parts(text))
  numbers = [each.number for each in found]
  if len({each.unit for each in found}) > 1 or numbers != sorted(set(numbers)):
    raise ValueError('must rise, all in steps or all in epochs')
  return found


def positives(text: str) -> tuple[float, ...]:
  """Returns the numbers above 0 in '0.8,1,1.2'."""
  found = tuple(_number(part) for part in _parts(text))
  if min(found) <= 0:
    raise ValueError('must have numbers above 0')
  return found


def whole(text: str) -> tuple[int, ...]:
  """Returns the whole numbers above 0 in '6,12,18'."""
  found = positives(text)
  if any(number != int(number) for number in found):
    raise ValueError('must have whole numbers')
  return tuple(int(number) for number in found)


def size(text: str) -> tuple[int, int]:
  """Returns the height and the width that '513' or '513,769' means."""
  found = whole(text)
  if len(found) > 2:
    raise ValueError('must be a height and a width, such as 513,769')
  return found[0], found[-1]


def weights(text: str) -> tuple[float, ...] | Literal['auto']:
  """Returns the numbers from 0 in '0.5,1,2', or 'auto'."""
  if text == 'auto':
    return 'auto'
  found = tuple(_number(part) for part in _parts(text))
  if min(found) < 0 or not max(found):
    raise ValueError('must have numbers from 0, not all of them 0, or be auto')
  return found


def mask_values(text: str) -> tuple[int, ...]:
  """Returns the values of class 0, 1... in '0,255'."""
  parts = _parts(text)
  if not all(
    re.fullmatch('[0-9]{1,3}', part) and int(part) < 256 for part in parts
  ):
    raise ValueError(
      'must be numbers from 0 to 255 with a comma between two, such as 0,255'
    )
  values = tuple(map(int, parts))
  if len(set(values)) != len(values) or len(values) < 2:
    raise ValueError('must be two or more different values')
  return values


def factors(text: str) -> dict[str, float]:
  """Returns {'scope': 10.0, ...} of 'scope=10,...'."""
  found = {}
  for part in _parts(text):
    scope, equals, number = part.rpartition('=')
    if not equals or not scope.strip():
      raise ValueError(f'has {part!r}: write scopes as SCOPE=NUMBER')
    if scope.strip() in found:
      raise ValueError(f'names {scope.strip()} twice')
    found[scope.strip()] = _number(number)
    if found[scope.strip()] < 0:
      raise ValueError(f'has {part!r}: a factor is at least 0')
  return found


def weighted(text: str) -> tuple[tuple[str, float], ...]:
  """Returns (('a', 1.0), ('b', 0.5)) of 'a,b:0.5': each name's weight."""
  found = {}
  for part in _parts(text):
    name, colon, weight = (each.strip() for each in part.partition(':'))
    if not name:
      raise ValueError(f'has {part!r}, which has no name')
    if name in found:
      raise ValueError(f'names {name} twice')
    found[name] = _number(weight) if colon else 1.0
    if found[name] <= 0:
      raise ValueError(f'has {part!r}: a weight is above 0')
  return tuple(found.items())


def span(text: str) -> tuple[int, int]:
  """Returns the first and the last step of '20,30'."""
  found = re.fullmatch(r'(\d+)\s*,\s*(\d+)', text)
  if not found or not 1 <= int(found[1]) <= int(found[2]):
    raise ValueError('must be the first and the last step, such as 20,30')
  return int(found[1]), int(found[2])


def scopes(text: str) -> tuple[str, ...]:
  """Returns the scopes in 'block1,block2'; none of an empty text."""
  found = tuple(part.strip() for part in text.split(',') if part.strip())
  if text and not found:
    raise ValueError('names no scope')
  return found


def paths(text: str) -> tuple[str, ...]:
  """Returns the paths in 'a,b'; one that exists may have a comma itself."""
  if ',' not in text or os.path.exists(text):
    return (text,)
  found = tuple(part.strip() for part in text.split(','))
  if not all(found):
    raise ValueError('names nothing between two commas: leave one of them out')
  return found


def addresses(text: str) -> tuple[str, ...]:
  """Returns the items of 'host:port,host:port'; `deployment` checks them."""
  return tuple(_parts(text))


def names(text: str) -> tuple[str, ...]:
  """Returns the names in 'a,b', each once."""
  return tuple(dict.fromkeys(_parts(text)))


def quantization(text: str) -> str | None:
  """Returns the name of a quantization; 'true' is int8, as for TF-Slim."""
  return {'true': 'int8', 'false': None}.get(text.lower(), text)


def _listed(values: Iterable[Any]) -> str:
  return ','.join(
    number_text(value) if isinstance(value, (int, float)) else str(value)
    for value in values
  )


def _size_text(size: tuple[int, int]) -> str:
  """Returns '513' for a square, else '513,769'."""
  return _listed(dict.fromkeys(size))


def _factors_text(factors: Mapping[str, float]) -> str:
  return ','.join(
    f'{scope}={number_text(factor)}' for scope, factor in factors.items()
  )


def _weighted_text(value: Iterable[tuple[str, float]]) -> str:
  return ','.join(
    name if weight == 1 else f'{name}:{number_text(weight)}'
    for name, weight in value
  )


def _weights_text(value: tuple[float, ...] | str) -> str:
  return value if isinstance(value, str) else _listed(value)


LENGTH = Form(length, str)
INTERVAL = Form(interval, str)
LENGTHS = Form(lengths, _listed)
POSITIVES = Form(positives, _listed)
WHOLE = Form(whole, _listed)
SIZE = Form(size, _size_text)
WEIGHTS = Form(weights, _weights_text)
MASK_VALUES = Form(mask_values, _listed)
FACTORS = Form(factors, _factors_text)
WEIGHTED = Form(weighted, _weighted_text)
SPAN = Form(span, _listed)
SCOPES = Form(scopes, _listed)
PATHS = Form(paths, _listed)
ADDRESSES = Form(addresses, _listed)
NAMES = Form(names, _listed)
QUANTIZATION = Form(quantization, str)
