"""JSON objects in files, written in whole or not at all; folders to write to.

Nothing here imports TensorFlow.
"""

import json
import os
import pathlib
from typing import Any

from datasets.files import atomic


def check_folder(path: str | os.PathLike, flag: str) -> None:
  """Makes sure, without making it, that a folder can be made and written to.

  Args:
    path: of the folder.
    flag: that names another folder, for the error.

  Raises:
    ValueError: a file is in its way, or its rights do not allow it.
  """
  there = os.path.abspath(path)
  while not os.path.lexists(there):
    there = os.path.dirname(there)
  if not os.path.isdir(there):
    why = f'{there} is no folder'
  elif not os.access(there, os.W_OK | os.X_OK):
    why = f'nothing can be written to {there}'
  else:
    return
  raise ValueError(
    f'The results cannot be written to {path}: {why}. Change that, or name '
    f'another folder with --{flag}.'
  )


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
