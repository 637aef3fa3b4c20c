"""Writes state dicts of PyTorch: .safetensors, and .pth where PyTorch is.

Nothing here imports TensorFlow.
"""

import importlib.util
import json
import os
from collections.abc import Mapping

import numpy as np

from datasets import files

# The name of a type in .safetensors, and how NumPy writes its bytes.
_TYPES = {'float32': ('F32', '<f4'), 'int64': ('I64', '<i8')}
_LENGTH = 8  # bytes of the header's length; the header is a multiple of it


def _check_ending(path, endings):
  if not path.endswith(endings):
    raise ValueError(
      f'--output={path}: let its name end with {" or ".join(endings)}, by '
      'which such a file is known.'
    )


def check_safetensors(path: str) -> None:
  """Raises ValueError if the name is none of such a file."""
  _check_ending(path, ('.safetensors',))


def check_torch(path: str) -> None:
  """Raises ValueError if a .pth of that name cannot be written.

  Either the name is none of such a file, or PyTorch is not installed.
  """
  _check_ending(path, ('.pth', '.pt'))
  if importlib.util.find_spec('torch') is None:
    raise ValueError(
      '--to=torch writes a file of PyTorch, which is not installed: pip '
      'install torch, or take --to=safetensors, which needs no PyTorch.'
    )


def write_pth(
  path: str | os.PathLike, arrays: Mapping[str, np.ndarray]
) -> None:
  """Writes a state dict with `torch.save`, or nothing.

  Args:
    path: of the file; one that is there is replaced.
    arrays: by name.

  Raises:
    OSError: the file cannot be written.
  """
  import torch

  with files.atomic(path, 'wb') as file:
    torch.save(
      {
        name: torch.from_numpy(np.array(array))
        for name, array in arrays.items()
      },
      file,
    )


def write_safetensors(
  path: str | os.PathLike, arrays: Mapping[str, np.ndarray]
) -> None:
  """Writes arrays as .safetensors, or nothing.

  Args:
    path: of the file; one that is there is replaced.
    arrays: float32 and int64, by name.

  Raises:
    OSError: the file cannot be written.
  """
  header: dict[str, dict] = {'__metadata__': {'format': 'pt'}}
  end = 0
  for name, array in arrays.items():
    begin, end = end, end + array.nbytes
    header[name] = {
      'dtype': _TYPES[array.dtype.name][0],
      'shape': list(array.shape),
      'data_offsets': [begin, end],
    }
  told = json.dumps(header, separators=(',', ':')).encode()
  told += b' ' * (-len(told) % _LENGTH)
  with files.atomic(path, 'wb') as file:
    file.write(len(told).to_bytes(_LENGTH, 'little'))
    file.write(told)
    for array in arrays.values():
      file.write(array.astype(_TYPES[array.dtype.name][1]).tobytes())
