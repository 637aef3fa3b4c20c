"""The most likely classes of image files, and what speaks for them."""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints.inference import InferenceSession
from engine.common import console
from engine.config.scripts import ClassifyConfig
from engine.input import image_files
from engine.model.build import build_network
from engine.tasks.base import Shares
from engine.tasks.classification import examples, explanations
from engine.tasks.classification.explanations import Explained

_BATCH = 32  # images in a step, if nothing else is said


class Classified(NamedTuple):
  """What is said of a file.

  Fields:
    path: the file.
    probabilities: of the classes.
    explained: what speaks for one of them, None unless it was asked for.
  """

  path: str
  probabilities: np.ndarray
  explained: Explained | None = None


def classify_files(
  config: ClassifyConfig,
  checkpoint: str,
  run: Mapping[str, Any],
  names: Sequence[str],
  paths: Sequence[str],
) -> Shares:
  """Prints the most likely classes of image files.

  With --explain each image is drawn beside what speaks for a class.

  See `engine.tasks.base.Task`; the shares are probabilities.
  """
  label = explanations.class_of(config, names) if config.explain else None
  return show_classes(
    config,
    names,
    paths,
    _predicted(config, checkpoint, run, names, paths, label),
  )


def show_classes(
  config: ClassifyConfig,
  names: Sequence[str],
  paths: Sequence[str],
  found: Iterable[Classified],
) -> Shares:
  """Prints the most likely classes of image files.

  Args:
    config: says how many, and how.
    names: of the classes.
    paths: of all files that are asked for.
    found: what is said of those that are images.
  """
  results, stems = {}, image_files.stems(paths)
  for path, row, explained in found:
    order = np.argsort(-row, kind='stable')[: config.top]
    results[path] = [(names[i], float(row[i])) for i in order]
    written = {}
    if explained:
      written['explanation'] = explanations.place(config, stems[path])
      os.makedirs(config.explain_dir, exist_ok=True)
      explanations.draw(
        written['explanation'],
        explained,
        names[explained.label],
        float(row[explained.label]),
        pathlib.Path(path).name,
      )
    image_files.show(
      path, results[path], config.json, 'predictions', 'probability', **written
    )
  if results and config.explain and not config.json:
    console.say(f'Explanations are in {config.explain_dir}.')
  return results


def _predicted(config, checkpoint, run, names, paths, label):
  """Yields what the network says of the files that are images.

  Args:
    label: the class to explain, None for the likeliest.
  """
  size, together = config.eval_image_size, config.batch_size or _BATCH
  graph = tf.Graph()
  with graph.as_default():
    pixels = tf.placeholder(tf.uint8, [None, None, 3])
    image = examples.for_evaluation(config)(pixels, size, size)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    logits, end_points = build_network(config, images, len(names))
    wanted = [tf.nn.softmax(logits)]
    if config.explain:
      wanted += explanations.add(config, size, logits, end_points, label)
  with InferenceSession(graph) as network:
    network.restore(checkpoint, run.get('moving_average_decay'))
    session = network.session

    def prepare(found):
      return session.run(image, {pixels: found})

    show = explanations.shower(prepare) if config.explain else None
    # A batch is read and prepared while the network computes the one before.
    prepared = image_files.read(paths, prepare, together)
    for batch in image_files.batches(prepared, together):
      fed = [found for _, found in batch]
      values = session.run(wanted, {images: fed})
      for (path, seen), row, *explained in zip(batch, *values, strict=True):
        yield Classified(path, row, show and Explained(show(seen), *explained))
