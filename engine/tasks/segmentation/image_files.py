"""Masks of images that are files."""

import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.files import atomic
from datasets.images import mask_files, overlays
from engine.checkpoints.inference import InferenceSession
from engine.common import console
from engine.config.scripts import ClassifyConfig
from engine.input import image_files
from engine.tasks.base import Shares
from engine.tasks.segmentation import examples
from engine.tasks.segmentation.dense_model import DenseModel, at_size, views

_AHEAD = 4  # images that are read while the network sees those before

SOURCE_VALUES = 'source_values'  # the folder of masks in the source's values


def _written(config, stem):
  """Returns the files that are written of an image, by what they are."""
  names = {'mask': f'{stem}_mask.png', 'overlay': f'{stem}_overlay.png'}
  if config.write_source_values:
    names[SOURCE_VALUES] = os.path.join(SOURCE_VALUES, f'{stem}.png')
  return {
    kind: os.path.join(config.output_dir, name) for kind, name in names.items()
  }


def unfinished(config: ClassifyConfig, paths: Sequence[str]) -> list[str]:
  """Returns the files that are to be segmented, of those asked for.

  Raises:
    ValueError: --skip_existing, and several files have one name, so that the
      names of their masks follow from which others are asked for.
  """
  if not config.skip_existing:
    return list(paths)
  stems = image_files.stems(paths)
  for path, stem in stems.items():
    if stem != pathlib.Path(path).stem:
      raise ValueError(
        f'--skip_existing knows a file by its name without the ending, and '
        f'{path} has that of another file: segment each folder on its own, '
        'with another --output_dir.'
      )
  left = [
    path
    for path in paths
    if not all(map(os.path.exists, _written(config, stems[path]).values()))
  ]
  console.note(
    f'{len(paths) - len(left)} of {len(paths)} files are left out, as their '
    f'masks and overlays are in {config.output_dir} already.',
    aside=True,
  )
  return left


def write_mask(path: str | os.PathLike, mask: np.ndarray, classes: int) -> None:
  """Writes a mask as a PNG that shows colours and holds class numbers.

  Args:
    path: the file.
    mask: uint8 [height, width].
    classes: the number of classes, whose colours are PASCAL VOC's.
  """
  image = Image.fromarray(mask, 'P')
  image.putpalette(overlays.palette(classes).tobytes())
  with atomic(path, 'wb') as file:
    image.save(file, 'png')


def _source_values(config, checkpoint, run, classes):
  """Returns the value of each class that --write_source_values writes.

  Raises:
    ValueError: the run does not say them.
  """
  values = run.get('source_values', ())
  if len(values) != classes:
    raise ValueError(
      f'--write_source_values: nothing with {checkpoint} says which values its '
      'classes have in the masks of the source. Either those are the numbers '
      'of the classes, and the files *_mask.png have them: leave the flag out. '
      'Or the data were converted before they were kept: convert them again, '
      'and train on them.'
    )
  return values


def segment_files(
  config: ClassifyConfig,
  checkpoint: str,
  run: Mapping[str, Any],
  names: Sequence[str],
  paths: Sequence[str],
) -> Shares:
  """Writes the masks of image files, and the images with them on top.

  STEM_mask.png has the numbers of the classes as its palette's entries, in
  the colours of PASCAL VOC; STEM_overlay.png is the image beside the image
  under its mask, with a legend. source_values/STEM.png, a grey image, has the
  values of the source of the data, where a flag asks for it.

  See `engine.tasks.base.Task`; the shares are of the pixels, and only classes
  that were found are there.
  """
  values = ()
  if config.write_source_values:
    values = _source_values(config, checkpoint, run, len(names))
  found = _predicted(config, checkpoint, run, names, paths)
  return show_masks(config, names, paths, found, values)


def _predicted(config, checkpoint, run, names, paths):
  """Yields paths, each with its image and its mask."""
  graph = tf.Graph()
  with graph.as_default():
    pixels = tf.placeholder(tf.uint8, [None, None, 3])
    prepared = examples.prepared(config, pixels)
    model = DenseModel(config, len(names), views(config.scales, config.flip))
  with InferenceSession(graph) as network:
    network.restore(checkpoint, run.get('moving_average_decay'))
    session = network.session
    # Images are read and prepared while the network sees those before them.
    found = image_files.read(
      paths,
      lambda image: (image, session.run(prepared, {pixels: image})),
      _AHEAD,
    )
    for batch in _batches(found, model):
      fed = np.stack([fed for _, (_, fed) in batch])
      masks = model.predict(session, fed).classes
      for (path, (image, _)), mask in zip(batch, masks, strict=True):
        yield path, image, at_size(mask, image.shape[:2])


def _batches(found: Iterable, model: DenseModel) -> Iterator[list]:
  """Yields images that are fed in one size and follow each other, in order."""
  for size, group in itertools.groupby(found, lambda each: each[1][1].shape):
    most = model.together(*size[:2])
    while batch := list(itertools.islice(group, most)):
      yield batch


def show_masks(
  config: ClassifyConfig,
  names: Sequence[str],
  paths: Sequence[str],
  found: Iterable[tuple[str, np.ndarray, np.ndarray]],
  source_values: Sequence[int] = (),
) -> Shares:
  """Writes the masks of image files, and prints their classes.

  Args:
    config: says where, and how.
    names: of the classes.
    paths: of all files that are asked for.
    found: paths, each with its image and its mask, int [height, width].
    source_values: of each class, to write masks of these values too.
  """
  results, stems = {}, image_files.stems(paths)
  folder = os.path.join(config.output_dir, SOURCE_VALUES)
  os.makedirs(folder if source_values else config.output_dir, exist_ok=True)
  for path, image, classes in found:
    mask = classes.astype(np.uint8)
    written = _written(config, stems[path])
    write_mask(written['mask'], mask, len(names))
    if source_values:
      with atomic(written[SOURCE_VALUES], 'wb') as file:
        file.write(mask_files.encode(mask_files.to_source(mask, source_values)))
    overlays.draw(
      written['overlay'],
      [overlays.Row(image, [mask], pathlib.Path(path).name)],
      names,
      cell=max(overlays.CELL, *mask.shape),
    )
    results[path] = _shares(mask, names)
    shown = results[path][: config.top]
    image_files.show(path, shown, config.json, 'classes', 'share', **written)
  if results and not config.json:
    console.say(f'Masks and overlays are in {config.output_dir}.')
  return results


def _shares(mask, names):
  """Returns the classes in a mask with their share, the largest first."""
  counts = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
  order = np.argsort(-counts, kind='stable')
  return [(names[i], float(counts[i])) for i in order if counts[i]]
