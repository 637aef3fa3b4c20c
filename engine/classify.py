"""Classification of images that are files."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine import (
  checkpoints,
  console,
  model,
  picture_files,
  pixel_mean,
  resolve,
  segment,
)
from engine import config as configs
from engine.segmentation import SEGMENTATION


def _inputs(config):
  """Returns a placeholder for a file's bytes, and the image they become."""
  data = tf.placeholder(tf.string, [])
  size = config.eval_image_size
  prepare = pixel_mean.preprocessing(config)
  return data, prepare(picture_files.decoded(data), size, size)


def _batches(found, size):
  """Yields lists of `size` at most."""
  found = iter(found)
  while batch := list(itertools.islice(found, size)):
    yield batch


def _show(path, ranking, as_json):
  if as_json:
    console.say(
      json.dumps(
        {
          'file': path,
          'predictions': [
            {'name': name, 'probability': share} for name, share in ranking
          ],
        }
      )
    )
    return
  console.say(path)
  for name, share in ranking:
    console.say(f'  {share:7.2%}  {name}')


def classify_files(
  config: configs.ClassifyConfig,
  checkpoint: str,
  run: dict[str, Any],
  names: Sequence[str],
  paths: Sequence[str],
) -> dict[str, list[tuple[str, float]]]:
  """Prints the most likely classes of image files; see `classify`."""
  results = {}
  with tf.Graph().as_default():
    data, image = _inputs(config)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    logits, _ = model.build(config, images, len(names))
    probabilities = tf.nn.softmax(logits)
    restore = checkpoints.restorer(checkpoint, run.get('moving_average_decay'))
    with tf.Session() as session:
      restore(session)
      for batch in _batches(picture_files.read(paths), config.batch_size):
        fed = np.stack(
          [session.run(image, {data: found}) for _, found in batch]
        )
        rows = session.run(probabilities, {images: fed})
        for (path, _), row in zip(batch, rows, strict=True):
          order = np.argsort(-row, kind='stable')[: config.top]
          results[path] = [(names[i], float(row[i])) for i in order]
          _show(path, results[path], config.json)
  return results


def classify(
  given: configs.ClassifyConfig, arguments: list[str]
) -> dict[str, list[tuple[str, float]]]:
  """Prints the most likely classes of images, or segments them.

  With a checkpoint for masks each image's mask, in the colours of its
  classes, and an overlay are written to `output_dir`; see `segment`.

  Args:
    given: what to do; fields that are None are completed from the run.
    arguments: files and folders.

  Returns:
    {file: [(name, share in [0, 1]), ...]}, the largest first: the probability
    of a class, or of masks the share of the pixels that are of it.

  Raises:
    ValueError: a checkpoint or a name that is not there; the sentence says
      what to do. Or, after all others have been classified, a file that is
      no image.
  """
  tf.disable_tensor_equality()  # else graphs take twice as long to build
  paths = picture_files.find_pictures(arguments)
  config, checkpoint, run = resolve.classification(given)
  num_classes = checkpoints.num_classes(checkpoint)
  if num_classes is None:
    raise ValueError(
      f'The checkpoint {checkpoint} has no logits: it holds '
      'features only, and no class can be told.'
    )
  names = picture_files.class_names(config, run, num_classes)
  each = (
    segment.segment_files if config.task == SEGMENTATION else classify_files
  )
  results = each(config, checkpoint, run, names, paths)
  picture_files.check_all(len(results), paths)
  return results
