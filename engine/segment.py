"""Masks of images that are files."""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.images import overlays
from engine import console, dense_model, picture_files
from engine.config import ClassifyConfig
from engine.opened import Opened
from preprocessing import preprocessing_factory


def _inputs(config):
  """Returns a file's bytes, its image, and the network's input."""
  data = tf.placeholder(tf.string, [])
  picture = picture_files.decoded(data)
  preprocess = preprocessing_factory.get_segmentation_preprocessing(
    config.preprocessing_name, False, config.use_grayscale
  )
  nothing = tf.zeros(tf.shape(picture)[:2], tf.uint8)
  return data, picture, preprocess(picture, nothing, None, None)[0]


def _stems(paths: Sequence[str]) -> dict[str, str]:
  """Returns a name for each file, without its ending, that no other has."""
  found, taken = {}, set()
  for path in dict.fromkeys(paths):
    stem, number = pathlib.Path(path).stem, 1
    name = stem
    while name in taken:
      number += 1
      name = f'{stem}-{number}'
    taken.add(name)
    found[path] = name
  return found


def write_mask(path: str | os.PathLike, mask: np.ndarray, classes: int) -> None:
  """Writes a mask as a PNG that shows colours and holds class numbers.

  Args:
    path: the file.
    mask: uint8 [height, width].
    classes: the number of classes, whose colours are PASCAL VOC's.
  """
  image = Image.fromarray(mask, 'P')
  image.putpalette(overlays.palette(classes).tobytes())
  image.save(path)


def _show(path, shares, written, as_json):
  if as_json:
    console.say(
      json.dumps(
        {
          'file': path,
          **written,
          'classes': [{'name': name, 'share': share} for name, share in shares],
        }
      )
    )
    return
  console.say(path)
  for name, share in shares:
    console.say(f'  {share:7.2%}  {name}')


def segment_files(
  config: ClassifyConfig,
  checkpoint: str,
  run: dict[str, Any],
  names: Sequence[str],
  paths: Sequence[str],
) -> dict[str, list[tuple[str, float]]]:
  """Writes the masks of image files, and the images with them on top.

  STEM_mask.png has the numbers of the classes as its palette's entries, in
  the colours of PASCAL VOC; STEM_overlay.png is the image beside the
  image under its mask, with a legend.

  Args:
    config: a complete configuration.
    checkpoint: its prefix.
    run: what the training wrote, {} if there is nothing.
    names: of the classes.
    paths: the files.

  Returns:
    {file: [(name, share of the pixels in [0, 1]), ...]} of the classes that
    were found, the largest share first.
  """
  results, stems = {}, _stems(paths)
  os.makedirs(config.output_dir, exist_ok=True)
  graph = tf.Graph()
  with graph.as_default():
    data, picture, image = _inputs(config)
    network = dense_model.DenseModel(config, len(names), [dense_model.View()])
  opened = Opened(graph)
  try:
    opened.restore(checkpoint, run.get('moving_average_decay'))
    for path, found in picture_files.read(paths):
      shown, prepared = opened.session.run([picture, image], {data: found})
      mask = (
        network.predict(opened.session, prepared[None])
        .classes[0]
        .astype(np.uint8)
      )
      written = {
        kind: os.path.join(config.output_dir, f'{stems[path]}_{kind}.png')
        for kind in ('mask', 'overlay')
      }
      write_mask(written['mask'], mask, len(names))
      overlays.draw(
        written['overlay'],
        [overlays.Row(shown, [mask], pathlib.Path(path).name)],
        names,
        cell=max(overlays.CELL, *mask.shape),
      )
      counts = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
      results[path] = [
        (names[i], float(counts[i]))
        for i in np.argsort(-counts, kind='stable')
        if counts[i]
      ]
      _show(path, results[path][: config.top], written, config.json)
  finally:
    opened.close()
  if results and not config.json:
    console.say(f'Masks and overlays are in {config.output_dir}.')
  return results
