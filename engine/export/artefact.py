"""What is exported: a graph without variables, and all that is known of it."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.common import files
from engine.export import standalone

INPUT = 'input'


class Artefact(NamedTuple):
  """A network that can be written in a format.

  Fields:
    graph_def: the graph: a placeholder 'input', and operations of the names of
      the outputs; batch norm is folded, and there are no variables.
    input: the dtype and shape of the input; what is not fixed is None.
    outputs: those of each output, by name.
    told: what model.json says.
    quantize: the value of --quantize.
    calibration: returns batches of inputs, to calibrate int8 on.
  """

  graph_def: tf.GraphDef
  input: tf.TensorSpec
  outputs: dict[str, tf.TensorSpec]
  told: Mapping[str, Any]
  quantize: str | None
  calibration: Callable[[], Iterator[np.ndarray]]


def described(spec: tf.TensorSpec) -> dict[str, Any]:
  """Returns dtype and shape as model.json has them; null is free."""
  return {'dtype': spec.dtype.name, 'shape': spec.shape.as_list()}


def check_place(folder: str) -> None:
  """Makes sure that a folder is free, or holds what was exported before.

  Raises:
    ValueError: it holds something else.
  """
  if not os.path.lexists(folder):
    return
  if os.path.isdir(folder) and not os.path.islink(folder):
    if not os.listdir(folder):
      return
    with contextlib.suppress(ValueError):
      standalone.describe(folder)
      return
  raise ValueError(
    f'{folder} is there, and is no model that was exported: move it away, or '
    'name another folder with --output_dir.'
  )


@contextlib.contextmanager
def unfinished(folder: str) -> Iterator[str]:
  """Yields a new folder, which takes the name of `folder` at the end.

  It replaces what was exported there before, or disappears if an error comes
  before.

  Raises:
    ValueError: something else is in its place.
  """
  check_place(folder)
  files.check_folder(os.path.dirname(folder), 'output_dir')
  temporary = f'{folder}.{os.getpid()}.tmp'
  old = f'{folder}.{os.getpid()}.old'
  os.makedirs(temporary)
  try:
    yield temporary
    check_place(folder)
    if os.path.lexists(folder):
      os.rename(folder, old)
    os.rename(temporary, folder)
  finally:
    for path in (temporary, old):
      shutil.rmtree(path, ignore_errors=True)
