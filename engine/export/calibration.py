"""The ranges of activations, by which a TFLite model computes in integers.

TFLite's own calibration takes the least and the greatest value that it saw. One
unusual image then widens the range of every layer, and all others have less of
the 256 steps left. It also reads an addition's inputs after the addition, which
TFLite computes in place, so that the range of a sum is taken for that of a
residual branch.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

_DEVIATIONS = 2  # how far a range goes beyond the mean of images' extremes


def _extremes(
  model: bytes, tensors: list[int], batches: Iterable[np.ndarray]
) -> np.ndarray:
  """Returns the least and greatest values, [batches, tensors, 2]."""
  interpreter = tf.lite.Interpreter(
    model_content=bytes(model),
    experimental_preserve_all_tensors=True,
    experimental_op_resolver_type=(
      tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    ),
  )
  (given,) = interpreter.get_input_details()
  found = []
  for batch in batches:
    interpreter.resize_tensor_input(given['index'], batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given['index'], batch)
    interpreter.invoke()
    values = map(interpreter.get_tensor, tensors)
    found.append([(value.min(), value.max()) for value in values])
  return np.array(found)


def ranges(extremes: np.ndarray) -> np.ndarray:
  """Returns the ranges that images give: the mean, and two deviations beyond.

  What one image has beyond its range is clipped.

  Args:
    extremes: float [images, activations, 2], each image's least and greatest
      value of each.

  Returns:
    float64 [activations, 2], within what was seen.
  """
  extremes = np.asarray(extremes, np.float64)
  beyond = _DEVIATIONS * extremes.std(0) * [-1, 1]
  low, high = extremes[..., 0].min(0), extremes[..., 1].max(0)
  return np.clip(extremes.mean(0) + beyond, low[:, None], high[:, None])


def calibrate(model: bytes, batches: Iterable[np.ndarray]) -> bytes:
  """Returns a model with the ranges that its activations have.

  Args:
    model: TFLite, of floats, calibrated by TFLite on any images.
    batches: the inputs of each image.
  """
  from tensorflow.lite.tools import flatbuffer_utils

  changed = flatbuffer_utils.convert_bytearray_to_object(model)
  (graph,) = changed.subgraphs
  tensors = [i for i, each in enumerate(graph.tensors) if _is_calibrated(each)]
  found = ranges(_extremes(model, tensors, batches))
  for i, (low, high) in zip(tensors, found, strict=True):
    graph.tensors[i].quantization.min = [low]
    graph.tensors[i].quantization.max = [high]
  return flatbuffer_utils.convert_object_to_bytearray(changed)


def _is_calibrated(tensor: Any) -> bool:
  known = tensor.quantization
  return known is not None and known.min is not None and len(known.min) > 0
