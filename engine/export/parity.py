"""Artefacts compared with the checkpoint that they were made of."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints.inference import InferenceSession
from engine.config.export import Tolerance
from engine.export import samples, standalone
from engine.input import image_files
from engine.tasks.served import Served
from metrics import segmentation

FILENAME = 'parity.json'
_BATCH = 8

Outputs = Mapping[str, np.ndarray]


class Reference(InferenceSession):
  """The checkpoint, as evaluation and classify_image.py run it.

  Every image is prepared by itself; batch norm is not folded.
  """

  def __init__(self, served: Served):
    """Builds the network."""
    graph = tf.Graph()
    with graph.as_default():
      self._data = tf.placeholder(tf.string, [])
      self._decoded = image_files.decoded(self._data)
      self._image = tf.placeholder(tf.uint8, [None, None, 3])
      self._prepared = served.prepare(self._image)
      self._inputs = tf.placeholder(
        tf.float32, [None, *served.input_size, served.channels]
      )
      self._outputs = served.outputs(self._inputs, texts=False)
    super().__init__(graph)

  def decode(self, data: bytes) -> np.ndarray:
    """Returns the image in a file, uint8 [height, width, 3]."""
    return self.session.run(self._decoded, {self._data: data})

  def prepare(self, image: np.ndarray) -> np.ndarray:
    """Returns what the network is fed for an image."""
    return self.session.run(self._prepared, {self._image: image})

  def outputs(self, prepared: np.ndarray) -> Outputs:
    """Returns what the network says of a batch that is prepared."""
    return self.session.run(self._outputs, {self._inputs: prepared})


def fed(
  reference: Reference,
  found: Iterable[samples.Sample],
  kind: str,
  shape: Sequence[int | None],
  together: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields batches for an artefact, and what its network is fed for them.

  Files stand for a batch of the same. Images of any size are fed one by one.

  Args:
    reference: prepares images.
    found: the images.
    kind: of the input; see `engine.config.export.INPUTS`.
    shape: of the input, with the batch; what is not fixed is None.
    together: how many images of one size are fed at once, if that is free.
  """
  size, batch = tuple(shape[1:3]), shape[0]
  if kind == 'encoded':
    for each in found:
      prepared = reference.prepare(reference.decode(each.data))
      yield (
        np.frombuffer(each.data, np.uint8),
        np.stack([prepared] * (batch or 1)),
      )
    return
  images = [each.image for each in found]
  if None in size:
    groups = [[image] * (batch or 1) for image in images]
  else:
    together = batch or together
    images = [samples.fitted(image, size) for image in images]
    images += images[-1:] * (-len(images) % together)
    groups = [
      images[start : start + together]
      for start in range(0, len(images), together)
    ]
  for group in groups:
    prepared = np.stack([reference.prepare(image) for image in group])
    yield (np.stack(group) if kind == 'image' else prepared), prepared


def batches(
  reference: Reference,
  found: Sequence[samples.Sample],
  kind: str,
  shape: Sequence[int | None],
) -> tuple[list[np.ndarray], list[Outputs]]:
  """Returns batches for an artefact, and what the checkpoint says of them.

  Where any size goes in, the images of `samples.odd` are among them.
  """
  if len(shape) == 1 or None in shape[1:3]:
    found = [*found, *samples.odd()]
  inputs, prepared = zip(
    *fed(reference, found, kind, shape, _BATCH), strict=True
  )
  return [*inputs], [*map(reference.outputs, prepared)]


def run_alone(folder: str, inputs: Sequence[np.ndarray]) -> list[Outputs]:
  """Returns what an artefact says, in a process that knows nothing of ours.

  Raises:
    ValueError: it does not run; the sentence has why.
  """
  with tempfile.TemporaryDirectory() as temporary:
    given = os.path.join(temporary, 'inputs.npz')
    told = os.path.join(temporary, 'outputs.npz')
    named: dict[str, Any] = {str(i): each for i, each in enumerate(inputs)}
    np.savez(given, **named)
    script = standalone.__file__
    process = subprocess.run(
      [sys.executable, '-I', script, os.path.abspath(folder), given, told],
      capture_output=True,
      text=True,
      check=False,
      cwd=temporary,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
    )
    if process.returncode:
      lines = process.stderr.strip().splitlines() or ['it said nothing']
      raise ValueError(
        f'The exported model does not run in its runtime: {lines[-1]}'
      )
    with np.load(told) as found:
      values = {name: found[name] for name in found.files}
  return [
    {
      name.partition('/')[2]: value
      for name, value in values.items()
      if name.partition('/')[0] == str(i)
    }
    for i in range(len(inputs))
  ]


def _joined(outputs, name):
  return [each[name] for each in outputs]


def _error(wanted, found):
  """Returns the largest difference over the largest value."""
  scale = max(float(np.abs(each).max()) for each in wanted)
  return max(
    float(np.abs(one - other).max())
    for one, other in zip(wanted, found, strict=True)
  ) / (scale or 1.0)


def _numbers(wanted: Sequence, found: Sequence, classes: int) -> dict:
  return {'error': _error(wanted, found)}


def _probabilities(wanted: Sequence, found: Sequence, classes: int) -> dict:
  same = [
    one.argmax(-1) == other.argmax(-1)
    for one, other in zip(wanted, found, strict=True)
  ]
  return {
    'error': _error(wanted, found),
    'same_first_class': float(np.concatenate(same).mean()),
  }


def _masks(wanted: Sequence, found: Sequence, classes: int) -> dict:
  confusion = np.zeros((classes, classes), np.int64)
  for one, other in zip(wanted, found, strict=True):
    confusion += segmentation.confusion_matrix(
      one, other, classes, ignore_label=-1
    )
  return {
    'same_pixels': float(np.trace(confusion) / confusion.sum()),
    'miou': float(segmentation.metrics(confusion)['miou']),
  }


# The name of an output -> how it is compared.
_COMPARISONS: dict[str, Callable[[Sequence, Sequence, int], dict]] = {
  'probabilities': _probabilities,
  'logits': _numbers,
  'features': _numbers,
  'classes': _masks,
}
# What is measured -> whether it is good enough, of so many examples. The first
# class of one example may differ, whose two best may be equal.
_PASSES: dict[str, Callable[[float, Tolerance, int], bool]] = {
  'error': lambda value, to, _: to.error is None or value <= to.error,
  'same_first_class': lambda value, to, examples: (
    value >= min(to.agreement, 1 - 1.01 / examples)
  ),
  'same_pixels': lambda value, to, _: value >= to.agreement,
  'miou': lambda value, to, _: value >= to.miou,
}


def compare(
  wanted: Sequence[Outputs], found: Sequence[Outputs], classes: int
) -> dict[str, dict[str, float]]:
  """Returns how an artefact differs from its checkpoint: {output: measures}.

  Args:
    wanted: what the checkpoint says of each batch.
    found: what the artefact says of them.
    classes: the number of classes.
  """
  return {
    name: _COMPARISONS[name](
      _joined(wanted, name), _joined(found, name), classes
    )
    for name in wanted[0]
  }


def beyond(
  measured: Mapping[str, Mapping[str, float]],
  tolerance: Tolerance,
  examples: int,
) -> list[str]:
  """Returns what is past the tolerance, such as 'error of logits 0.2'."""
  return [
    f'{name.replace("_", " ")} of {output} {value:.3g}'
    for output, measures in measured.items()
    for name, value in measures.items()
    if not np.isfinite(value) or not _PASSES[name](value, tolerance, examples)
  ]


def lines(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
  """Returns a table of {artefact: {output: measures}}, as lines."""
  table = [('artefact', 'output', 'error / scale', 'agreement')]
  for artefact, measured in rows.items():
    for output, measures in measured.items():
      same = [
        f'{name.replace("_", " ")} {value:.2%}'
        for name, value in measures.items()
        if name != 'error'
      ]
      error = f'{measures["error"]:.1e}' if 'error' in measures else ''
      table.append((artefact, output, error, ', '.join(same)))
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  return [
    '  '.join(
      cell.ljust(width) for cell, width in zip(row, widths, strict=True)
    ).rstrip()
    for row in table
  ]
