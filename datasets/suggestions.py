"""What is said of a name that is unknown: the nearest ones, and all.

Nothing here imports TensorFlow.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

_Entry = TypeVar('_Entry')


def nearest(
  name: str, known: Iterable[str], n: int = 2, cutoff: float = 0.6
) -> list[str]:
  """Returns the names that are near, the nearest first.

  Args:
    name: what was given.
    known: the names that there are.
    n: how many are returned at the most.
    cutoff: how near a name must be, in [0, 1]; see `difflib`.
  """
  return difflib.get_close_matches(name, list(known), n, cutoff)


def did_you_mean(
  name: str, known: Iterable[str], n: int = 2, cutoff: float = 0.6
) -> str:
  """Returns a sentence with the nearest names, '' if none is near.

  Args:
    name: what was given.
    known: the names that there are.
    n: how many are named at the most.
    cutoff: see `nearest`.

  >>> did_you_mean('cifar', ['cifar10', 'cifar100', 'mnist'])
  ' Did you mean cifar10 or cifar100?'
  """
  near = nearest(name, known, n, cutoff)
  return f' Did you mean {" or ".join(near)}?' if near else ''


def entry(
  what: str, registry: Mapping[str, _Entry], name: str, others: str = ''
) -> _Entry:
  """Returns the registry's entry of a name.

  Args:
    what: the entries are, such as 'dataset'.
    registry: the entries by name.
    name: of one of them.
    others: said behind the names, of what is not in the registry.

  Raises:
    ValueError: there is none; the sentence has the nearest names, and all.
  """
  if name not in registry:
    raise ValueError(
      f'There is no {what} named {name!r}.{did_you_mean(name, registry)} The '
      f'{what}s are: {", ".join(registry)}{others}.'
    )
  return registry[name]
