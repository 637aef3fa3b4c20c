"""JSON in files: of bounded size and depth, and of the kinds that are expected.

Nothing here imports TensorFlow.
"""

import json
import os
import types
from collections import Counter
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from datasets import files

_MOST_BYTES, _DEEPEST = 1 << 24, 20
_TOO_DEEP = f'it nests more than {_DEEPEST} values in each other'
_INT64 = range(-(2**63), 2**63)
_NAMES = {
  int: 'a whole number',
  float: 'a number',
  str: 'a text',
  bool: 'true or false',
  list: 'a list',
  dict: 'an object',
  type(None): 'null',
}


def read(path: str | os.PathLike) -> Any:
  """Returns the value of a JSON file.

  Raises:
    ValueError: it is none, is too large, or nests too deeply, or an object has
      a name twice. The error goes on behind the file's name, but for what is
      no regular file.
    OSError: it cannot be read.
  """
  with files.open_regular(path) as file:
    size = os.fstat(file.fileno()).st_size
    return parse(file.read(min(size, _MOST_BYTES) + 1))


def parse(data: bytes) -> Any:
  """Returns the value of JSON in UTF-8; see `read`."""
  if len(data) > _MOST_BYTES:
    raise ValueError(f'it has more than {_MOST_BYTES:,} bytes')
  try:
    value = json.loads(data.decode(), object_pairs_hook=_object)
  except UnicodeDecodeError:
    raise ValueError('it is not UTF-8 text') from None
  except RecursionError:
    raise ValueError(_TOO_DEEP) from None
  _check_depth(value)
  return value


def _object(pairs):
  found = dict(pairs)
  if len(found) < len(pairs):
    (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
    raise ValueError(f'it has {_shown(twice)} twice')
  return found


def _check_depth(value):
  level = [value]
  for _ in range(_DEEPEST):
    level = [
      inner
      for outer in level
      if isinstance(outer, (dict, list))
      for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]
  if level:
    raise ValueError(_TOO_DEEP)


def _shown(value):
  return json.dumps(value)[:60]


def _outer(kind):
  """Returns the type that a value of a kind has in Python."""
  return dict if is_typeddict(kind) else get_origin(kind) or kind


def _is(value, outer):
  if isinstance(value, bool) or not isinstance(value, int):
    return type(value) is outer
  return outer in (int, float) and value in _INT64


def check(value: Any, kind: Any, where: str) -> None:
  """Checks that a value of JSON is of a kind.

  Args:
    value: of JSON.
    kind: int (of 64 bits), float, str, bool, list[kind], dict[str, kind], a
      TypedDict, whose object may have other names too, or several of them, as
      in `int | None`.
    where: what the value is called; the error's sentence begins with it.

  Raises:
    ValueError: it is of another kind.

  >>> check([1, 2], list[int] | None, 'steps')
  >>> check([1, None], list[int], 'steps')
  Traceback (most recent call last):
  ValueError: steps[1] is null, and should be a whole number
  """
  kinds = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
  for each in kinds:
    if _is(value, _outer(each)):
      _check_inside(value, each, where)
      return
  names = ' or '.join(_NAMES[_outer(each)] for each in kinds)
  raise ValueError(f'{where} is {_shown(value)}, and should be {names}')


def _check_inside(value, kind, where):
  if is_typeddict(kind):
    for name, inner in get_type_hints(kind).items():
      check(value.get(name), inner, f'{where}.{name}')
  elif isinstance(value, list):
    for i, each in enumerate(value):
      check(each, *get_args(kind), f'{where}[{i}]')
  elif isinstance(value, dict):
    for name, each in value.items():
      check(each, get_args(kind)[1], f'{where}[{_shown(name)}]')
