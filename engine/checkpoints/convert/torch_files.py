"""Reads .pth: a state dict that PyTorch pickled.

PyTorch itself reads it, with weights_only=True, which refuses whatever would
run code. It is no requirement of this project: safetensors need nothing.
"""

import importlib.util
from typing import Any

import numpy as np

from datasets import files
from engine.checkpoints.convert.arrays import (
  MOST_ARRAYS,
  MOST_BYTES,
  Arrays,
  alone,
  check_name,
)

# The pickle of the format of 1.6 and later, in its zip; that of older ones.
MEMBER = '/data.pkl'
LEGACY_MAGIC = (b'\x80\x02', b'\x80\x03', b'\x80\x04')
# Where training scripts keep the state dict beside other things.
_INSIDE = ('state_dict', 'model', 'model_state', 'model_state_dict')


def _state_dict(loaded: Any) -> dict[str, Any]:
  for key in _INSIDE:
    if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
      loaded = loaded[key]
      break
  if not isinstance(loaded, dict):
    raise ValueError('holds no state dict')
  return loaded


def _load(path):
  import torch

  try:
    return torch, torch.load(path, map_location='cpu', weights_only=True)
  except OSError:
    raise
  except Exception as error:  # of many kinds
    text = str(error)
    if 'weights_only' in text or 'WeightsUnpickler' in text:
      raise ValueError(
        'holds more than weights, such as code, which is not run. Save '
        'model.state_dict() alone, as .safetensors or by torch.save'
      ) from None
    raise ValueError(
      f'is cut off or damaged ({ascii(text.splitlines()[0][:120])})'
      if text
      else 'is cut off or damaged'
    ) from error


def _values(path):
  torch, loaded = _load(path)
  found: dict[str, np.ndarray] = {}
  total = 0
  for name, value in _state_dict(loaded).items():
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
      raise ValueError(
        f'has {ascii(name)[:60]}, which is no tensor: it should hold a state '
        'dict alone'
      )
    check_name(name)
    total += value.numel() * value.element_size()
    if total > MOST_BYTES or len(found) >= MOST_ARRAYS:
      raise ValueError(
        f'has more than {MOST_ARRAYS:,} arrays, or {MOST_BYTES:,} bytes'
      )
    if value.is_sparse or value.is_quantized:
      raise ValueError(f'has {name} as a sparse or quantized tensor')
    if value.dtype == torch.bfloat16:
      value = value.float()
    found[name] = value.detach().numpy()
  return alone(found)


def read(path: str) -> Arrays:
  """Reads a state dict.

  Args:
    path: of the file. bfloat16 becomes float32, whose values are the same.

  Raises:
    ValueError: PyTorch is not installed; or the file holds code, is damaged
      or cut off, or no state dict.
    OSError: it cannot be read.
  """
  files.check_regular(path)
  if importlib.util.find_spec('torch') is None:
    raise ValueError(
      f'{path} is a file of PyTorch, which is not installed: pip install '
      'torch, or save the state dict as .safetensors, which needs no PyTorch.'
    )
  try:
    return Arrays(path, 'a file of PyTorch', _values(path))
  except ValueError as error:
    raise ValueError(f'{path} {error}.') from error
