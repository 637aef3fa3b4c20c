"""Finds an entry of a registry, a dict, by its name."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar('Entry')


def entry(what: str, registry: Mapping[str, Entry], name: str) -> Entry:
  """Returns an entry of a registry.

  >>> entry('fruit', {'apple': 1, 'pear': 2}, 'peer')
  Traceback (most recent call last):
  ValueError: There is no fruit named 'peer'. Did you mean pear? The fruits \
are: apple, pear.

  Args:
    what: an entry is, such as 'network'; with an s it is the plural.
    registry: by name.
    name: the entry's.

  Raises:
    ValueError: there is none; the nearest names and all are listed.
  """
  if name not in registry:
    near = difflib.get_close_matches(name, registry, n=2)
    hint = f' Did you mean {" or ".join(near)}?' if near else ''
    raise ValueError(
      f'There is no {what} named {name!r}.{hint} The {what}s '
      f'are: {", ".join(registry)}.'
    )
  return registry[name]
