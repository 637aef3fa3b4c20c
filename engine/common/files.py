"""The JSON objects of a run, written whole or not at all; folders to write to.

Nothing here imports TensorFlow.
"""

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from datasets import json_files
from datasets.files import Irregular, atomic


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


def read_json(
  path: str | os.PathLike, kinds: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
  """Returns the JSON object in a file of a run, {} if there is no file.

  Args:
    path: of the file.
    kinds: what its values are, by name, where they are there; see
      `json_files.check`. Others may be anything.

  Raises:
    ValueError: the file is no JSON object, or has a value of another kind.
  """
  try:
    values = json_files.read(path)
    if not isinstance(values, dict):
      raise ValueError(f'it holds {values!r}'[:80])
    for name, kind in kinds.items():
      if name in values:
        json_files.check(values[name], kind, name)
    return values
  except FileNotFoundError:
    return {}
  except Irregular:
    raise
  except (OSError, ValueError) as error:
    reason = error.strerror if isinstance(error, OSError) else error
    raise ValueError(
      f'{path} is not the JSON object that training wrote '
      f'({reason}); train again, or restore it.'
    ) from None
