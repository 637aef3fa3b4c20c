"""What a file of weights holds, whatever its format.

Nothing here imports TensorFlow.
"""

import dataclasses
import lzma
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

# A ResNet-152 has 240 MB, and the widest network here 500.
MOST_BYTES = 4 << 30
MOST_ARRAYS = 20_000
MOST_NAME = 500  # characters
_DATA_PARALLEL = 'module.'
# What a zip that is cut off or damaged makes of reading it.
DAMAGED = (
  zipfile.BadZipFile,
  zlib.error,
  lzma.LZMAError,
  EOFError,
  NotImplementedError,
  RuntimeError,
)


@dataclasses.dataclass(frozen=True)
class Arrays:
  """The arrays of a file.

  Attributes:
    path: of the file.
    format: what it is, for messages.
    values: by name, as the file has them.
  """

  path: str
  format: str
  values: Mapping[str, np.ndarray]


def alone(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns a state dict without the prefix that DataParallel puts before."""
  prefixed = all(name.startswith(_DATA_PARALLEL) for name in values)
  return {
    name.removeprefix(_DATA_PARALLEL) if prefixed else name: value
    for name, value in values.items()
  }


def check_name(name: str) -> None:
  """Raises ValueError, to go on behind 'it', if no writer takes such a name."""
  if not name or len(name) > MOST_NAME or not name.isprintable():
    raise ValueError(f'has an array named {ascii(name)[:60]}')


def as_float32(name: str, value: np.ndarray) -> np.ndarray:
  """Returns values as our variables have them.

  Args:
    name: of the array, for the error.
    value: of numbers.

  Raises:
    ValueError: they are no numbers with fractions, or some are infinite or
      undefined. The sentence goes on behind 'it'.
  """
  if value.dtype.kind != 'f':
    raise ValueError(
      f'has {name} as {value.dtype}, where weights of float16, bfloat16, '
      'float32 or float64 are expected: is it quantized? Take the original'
    )
  with np.errstate(over='ignore'):
    found = np.ascontiguousarray(value, np.float32).reshape(value.shape)
  if not np.isfinite(found).all():
    raise ValueError(
      f'has values in {name} that are infinite or undefined (NaN) in float32: '
      'is it damaged, or of a training that failed'
    )
  return found
