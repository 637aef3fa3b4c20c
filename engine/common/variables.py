"""Variables of the current graph: chosen by scope, set, named for people."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.suggestions import nearest


def matching(
  variables: Iterable[tf.Variable], scopes: Sequence[str] | None, flag: str
) -> list[tf.Variable]:
  """Returns the variables under any of the scopes, all if there are none.

  Args:
    variables: the variables to choose from.
    scopes: each is a scope or a variable's name, or what it begins with and
      a star: 'aspp*' is all of aspp0, aspp1 and so on.
    flag: the flag's name, for the error.

  Raises:
    ValueError: a scope that no variable is under.
  """
  variables = list(variables)
  if not scopes:
    return variables
  chosen = set()
  for scope in scopes:
    inside = {
      v.op.name
      for v in variables
      if f'{v.op.name}/'.startswith(
        scope[:-1] if scope.endswith('*') else scope.rstrip('/') + '/'
      )
    }
    if not inside:
      known = _scopes(variables)
      near = nearest(scope, known, n=3, cutoff=0.3)
      raise ValueError(
        f'--{flag}: no variable is under the scope {scope!r}. The nearest '
        f'are: {", ".join(near or known[:5])}.'
      )
    chosen |= inside
  return [v for v in variables if v.op.name in chosen]


def _scopes(variables):
  found: dict[str, None] = {}
  for variable in variables:
    parts = variable.op.name.split('/')
    for depth in range(1, len(parts) + 1):
      found['/'.join(parts[:depth])] = None
  return list(found)


def some(names: Sequence[str], shown: int = 3, more: str = '') -> str:
  """Returns the first of the names, and how many more there are.

  >>> some(['a', 'b', 'c', 'd'])
  'a, b, c and 1 more'

  Args:
    names: the names.
    shown: how many to list.
    more: what is said behind the number of the others.
  """
  left = len(names) - shown
  rest = f' and {left} more{more}' if left > 0 else ''
  return ', '.join(names[:shown]) + rest


def assign(
  session: tf.Session, values: Mapping[tf.Variable, np.ndarray | float]
) -> None:
  """Sets variables, without adding to the graph."""
  session.run(
    [variable.initializer for variable in values],
    {
      variable.initializer.inputs[1]: value
      for variable, value in values.items()
    },
  )
