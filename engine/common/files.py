"""JSON objects in files, which are written in whole or not at all.

Nothing here imports TensorFlow.
"""

import json
import os
import pathlib
from typing import Any

from datasets.files import atomic


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
