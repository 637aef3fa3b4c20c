"""Files that are written in whole or not at all, and JSON objects in them.

Nothing here imports TensorFlow.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def atomic(
  path: str | os.PathLike, mode: str = 'w', **options: Any
) -> Iterator[IO]:
  """Opens a file to write that is there in whole or not at all.

  The temporary file beside it has the process in its name, so that two
  processes never write to one.

  Args:
    path: the file.
    mode: 'w' or 'wb'.
    **options: of `open`, such as newline.
  """
  unfinished = pathlib.Path(f'{path}.{os.getpid()}.tmp')
  try:
    with open(unfinished, mode, **options) as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, values: dict[str, Any]) -> None:
  """Writes a JSON object, in whole or not at all."""
  with atomic(path) as file:
    file.write(json.dumps(values, indent=2) + '\n')


def read_json(path: str | os.PathLike) -> dict[str, Any]:
  """Returns the JSON object in a file of a run, {} if there is no file.

  Raises:
    ValueError: the file is no JSON object.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return {}
  try:
    values = json.loads(path.read_text())
    if not isinstance(values, dict):
      raise ValueError(f'it holds {values!r}'[:80])
    return values
  except ValueError as error:
    raise ValueError(
      f'{path} is not the JSON object that training wrote '
      f'({error}); train again, or restore it.'
    ) from None
