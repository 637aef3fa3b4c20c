"""Deterministic weights and images behind the golden files in tests/data.

The golden values were computed by the original TF-Slim networks with every
variable set by `fill(name, shape)`; a network that creates the same variables
and computes the same function reproduces them.
"""

import json
import pathlib
import zlib

import numpy as np

DATA = pathlib.Path(__file__).parent / 'data'


def fill(name: str, shape) -> np.ndarray:
  """Returns the float32 value of the variable `name` (without ':0')."""
  rng = np.random.RandomState(zlib.crc32(name.encode()))
  noise = rng.standard_normal(shape).astype(np.float32)
  leaf = name.rsplit('/', 1)[-1]
  if leaf == 'weights':
    fan_in = int(np.prod(shape[:-1]))
    return noise * np.float32(np.sqrt(1.0 / fan_in))
  if leaf == 'gamma':
    return 1 + np.float32(0.1) * noise
  if leaf == 'moving_variance':
    return 1 + np.float32(0.1) * np.abs(noise)
  return np.float32(0.1) * noise  # beta, biases, moving_mean


def images(seed: int, batch: int, height: int, width: int) -> np.ndarray:
  """Returns random float32 images [batch, height, width, 3] in [-1, 1]."""
  rng = np.random.RandomState(seed)
  return rng.uniform(-1, 1, (batch, height, width, 3)).astype(np.float32)


def photo(seed: int, height: int, width: int) -> np.ndarray:
  """Returns the blocky uint8 RGB [height, width, 3] of preprocessing.npz."""
  rng = np.random.RandomState(seed)
  base = rng.uniform(0, 255, (height // 16 + 2, width // 16 + 2, 3))
  image = np.kron(base, np.ones((16, 16, 1)))[:height, :width]
  image = image + rng.uniform(-20, 20, (height, width, 3))
  return np.clip(image, 0, 255).astype(np.uint8)


def variables(name: str) -> list:
  """Returns the golden variables of a network, in their order of creation."""
  return json.loads((DATA / 'variables' / f'{name}.json').read_text())
