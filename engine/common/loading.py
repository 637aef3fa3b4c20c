"""What a table names by its place, loaded when it is needed.

A table in engine/config may name a function that needs TensorFlow; it is
imported when the function is used, so that flags are checked before.
"""

import functools
import importlib
from typing import Any


def load(place: str) -> Any:
  """Returns what is at 'module:name' or 'module:name.of.attribute'.

  >>> load('os:path.basename')('a/b')
  'b'
  """
  module, _, names = place.partition(':')
  return functools.reduce(
    getattr, names.split('.'), importlib.import_module(module)
  )
