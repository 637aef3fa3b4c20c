"""What a table names by its place, loaded when it is needed.

A table in engine/config may name a function that needs TensorFlow; it is
imported when the function is used, so that flags are checked before.
"""

import contextlib
import functools
import gc
import importlib
import sys
from collections.abc import Iterator
from typing import Any

# TensorFlow imports it at its end, for what Keras registers with it, and goes
# on without. It would bring Keras 3, which no script uses, and by it SciPy,
# scikit-learn and Matplotlib: a third of the whole import.
_KERAS = 'keras.src.optimizers'


@contextlib.contextmanager
def lightly() -> Iterator[None]:
  """Imports TensorFlow, within, without Keras 3; `tf.keras` loads it later.

  Keras that is there already stays. Nothing is collected meanwhile: there is
  nothing to collect, and to look for it takes a tenth of the time.
  """
  blocks = 'keras' not in sys.modules
  if blocks:
    sys.modules[_KERAS] = None  # type: ignore[assignment]
  try:
    with nothing_collected():
      yield
  finally:
    if blocks:
      del sys.modules[_KERAS]


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
  """Looks for no garbage in cycles, within, where what is made stays."""
  was_enabled = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if was_enabled:
      gc.enable()


def load(place: str) -> Any:
  """Returns what is at 'module:name' or 'module:name.of.attribute'.

  >>> load('os:path.basename')('a/b')
  'b'
  """
  module, _, names = place.partition(':')
  return functools.reduce(
    getattr, names.split('.'), importlib.import_module(module)
  )
