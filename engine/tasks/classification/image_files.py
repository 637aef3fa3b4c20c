"""The most likely classes of image files."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints.inference import InferenceSession
from engine.config.scripts import ClassifyConfig
from engine.input import image_files
from engine.model.build import build_network
from engine.tasks.base import Shares
from engine.tasks.classification import examples

_BATCH = 32  # images in a step, if nothing else is said


def _batches(found: Iterable, size: int) -> Iterator[list]:
  """Yields lists of `size` at most."""
  found = iter(found)
  while batch := list(itertools.islice(found, size)):
    yield batch


def classify_files(
  config: ClassifyConfig,
  checkpoint: str,
  run: Mapping[str, Any],
  names: Sequence[str],
  paths: Sequence[str],
) -> Shares:
  """Prints the most likely classes of image files.

  See `engine.tasks.base.Task`; the shares are probabilities.
  """
  return show_classes(
    config, names, _predicted(config, checkpoint, run, names, paths)
  )


def show_classes(
  config: ClassifyConfig,
  names: Sequence[str],
  found: Iterable[tuple[str, np.ndarray]],
) -> Shares:
  """Prints the most likely classes of image files.

  Args:
    config: says how many, and how.
    names: of the classes.
    found: paths, each with the probabilities of the classes.
  """
  results = {}
  for path, row in found:
    order = np.argsort(-row, kind='stable')[: config.top]
    results[path] = [(names[i], float(row[i])) for i in order]
    image_files.show(
      path, results[path], config.json, 'predictions', 'probability'
    )
  return results


def _predicted(config, checkpoint, run, names, paths):
  """Yields paths, each with the probabilities of the classes."""
  size, together = config.eval_image_size, config.batch_size or _BATCH
  graph = tf.Graph()
  with graph.as_default():
    pixels = tf.placeholder(tf.uint8, [None, None, 3])
    image = examples.for_evaluation(config)(pixels, size, size)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    logits, _ = build_network(config, images, len(names))
    probabilities = tf.nn.softmax(logits)
  with InferenceSession(graph) as network:
    network.restore(checkpoint, run.get('moving_average_decay'))
    session = network.session
    # A batch is read and prepared while the network computes the one before.
    prepared = image_files.read(
      paths, lambda found: session.run(image, {pixels: found}), together
    )
    for batch in _batches(prepared, together):
      rows = session.run(probabilities, {images: [found for _, found in batch]})
      yield from zip((path for path, _ in batch), rows, strict=True)
