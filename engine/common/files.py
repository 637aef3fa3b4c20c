"""The JSON objects of a run, which are written in whole or not at all.

Nothing here imports TensorFlow.
"""

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from datasets import json_files
from datasets.files import Irregular, atomic


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
