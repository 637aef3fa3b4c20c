"""The nearest names to a mistaken one."""

import difflib
from collections.abc import Iterable


def nearest(
  name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6
) -> list[str]:
  """Returns the names nearest to `name`, the nearest first.

  Args:
    name: what was given.
    known: what there is.
    count: the most names to return.
    cutoff: how near they must be, in [0, 1]; see `difflib`.
  """
  return difflib.get_close_matches(name, list(known), count, cutoff)


def did_you_mean(
  name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6
) -> str:
  """Returns ' Did you mean a or b?', '' if nothing is near; see `nearest`.

  >>> did_you_mean('adagrat', ['adadelta', 'adagrad', 'adam'])
  ' Did you mean adagrad?'
  """
  near = nearest(name, known, count, cutoff)
  return f' Did you mean {" or ".join(near)}?' if near else ''
