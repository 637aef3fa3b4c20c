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
  size = config.eval_image_size
  graph = tf.Graph()
  with graph.as_default():
    data = tf.placeholder(tf.string, [])
    prepare = examples.for_evaluation(config)
    image = prepare(image_files.decoded(data), size, size)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    logits, _ = build_network(config, images, len(names))
    probabilities = tf.nn.softmax(logits)
  with InferenceSession(graph) as network:
    network.restore(checkpoint, run.get('moving_average_decay'))
    session = network.session
    for batch in _batches(image_files.read(paths), config.batch_size):
      fed = np.stack([session.run(image, {data: found}) for _, found in batch])
      rows = session.run(probabilities, {images: fed})
      yield from zip((path for path, _ in batch), rows, strict=True)
