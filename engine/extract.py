"""The features of images that are files, as an array."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.files import atomic, disk_errors
from datasets.suggestions import nearest
from engine.checkpoints import contents
from engine.checkpoints.inference import InferenceSession
from engine.common import console, runtime
from engine.common.arrays import RowWriter
from engine.common.files import check_folder, read_json
from engine.config.scripts import ExtractConfig
from engine.evaluation import statistics
from engine.input import image_files
from engine.model.build import (
  arg_scope_options,
  build_network,
  end_points_by_stride,
  network_options,
)
from engine.resolve.files import files
from nets import nets_factory

FILENAME = 'features.npz'
MOST_BYTES = 1 << 30  # of features, that a .npz may have: it is made in memory

_LISTED = 3  # end points in an error


@runtime.graph_building()
def extract(given: ExtractConfig, arguments: list[str]) -> str:
  """Writes the features of images, a row of an array for each.

  A .npz has the arrays 'features', 'files', the names in the order of the
  rows, and 'about', a JSON object that says what they are. A .npy has the
  features alone, and can be mapped into memory; the .json beside it has the
  object, with 'files'. Each is there in whole or not at all.

  Args:
    given: what to do; fields that are None are completed from the run.
    arguments: files and folders.

  Returns:
    The file that was written.

  Raises:
    ValueError: a checkpoint or a name that is not there; the sentence says
      what to do. Or, after the features of all others have been written, a
      file that is no image, or not there.
  """
  named = image_files.find(arguments, '-m nets.extract')
  task, config, checkpoint, run = files(given, None)
  path = config.output_file or os.path.join(
    os.path.dirname(checkpoint), FILENAME
  )
  folder = os.path.dirname(os.path.abspath(path))
  check_folder(folder, 'output_file')
  statistics.tell_lag(run, checkpoint)
  graph = tf.Graph()
  with graph.as_default():
    pixels = tf.placeholder(tf.uint8, [None, None, 3])
    image = task.network_input(config, pixels)
    images = tf.placeholder(tf.float32, [None, *image.shape])
    found, what = _features(config, images, checkpoint)
  about = {
    'features': what,
    'model_name': config.model_name,
    'checkpoint': checkpoint,
    'preprocessing_name': config.preprocessing_name,
    'image_size': config.eval_image_size,
  }
  _check_size(path, found.shape, len(named.files))
  _check_beside(path)
  with InferenceSession(graph) as network:
    network.restore(checkpoint, run.get('moving_average_decay'))
    session = network.session
    # A batch is read and prepared while the network computes the one before.
    read = image_files.read(
      named.files,
      lambda each: session.run(image, {pixels: each}),
      config.batch_size,
    )
    batches = (
      (
        [name for name, _ in batch],
        session.run(found, {images: [fed for _, fed in batch]}),
      )
      for batch in image_files.batches(read, config.batch_size)
    )
    os.makedirs(folder, exist_ok=True)
    with disk_errors(folder, 'Make room, or name another --output_file.'):
      write = _write_npz if path.endswith('.npz') else _write_npy
      shape, names = write(path, batches, about)
  if names:
    console.say(f'{path}: {what} of {len(names):,} images, float32 {[*shape]}.')
  image_files.check_all(len(names), named, 'read')
  return path


def _features(config, images, checkpoint):
  """Returns the features that are asked for, and what they are."""
  options = network_options(config)
  if config.stride is not None:
    end_points_by_stride(config, 'stride', config.stride)
    (found,) = nets_factory.features(
      images,
      config.model_name,
      (config.stride,),
      arg_scope_options=arg_scope_options(config),
      **options,
    )
    return found, f'features of stride {config.stride}'
  classes = contents.num_classes(contents.read(checkpoint).values())
  _, end_points = build_network(config, images, classes)
  if config.end_point is None:
    return end_points['global_pool'][:, 0, 0], 'averaged features'
  if config.end_point not in end_points:
    near = nearest(config.end_point, end_points, _LISTED, 0) or [*end_points]
    raise ValueError(
      f'--end_point={config.end_point}: {config.model_name} has no such end '
      f'point. Near are {", ".join(near[:_LISTED])}.'
    )
  return end_points[config.end_point], f'the end point {config.end_point}'


def _check_size(path, shape, images):
  """Refuses a .npz that is too large to be made, and read, in memory."""
  size = 4 * images * (shape[1:].num_elements() or 0)
  if path.endswith('.npz') and size > MOST_BYTES:
    npy = f'{path.removesuffix(".npz")}.npy'
    raise ValueError(
      f'The features of {images:,} images take {size / (1 << 30):.1f} GiB, '
      f'which a .npz has in memory: pass --output_file={npy}, which is written '
      "image by image, and read by numpy.load(..., mmap_mode='r')."
    )


def _beside(path):
  """Returns the file with the names that belong to a .npy."""
  return f'{path.removesuffix(".npy")}.json'


def _check_beside(path):
  """Refuses to replace a file of something else by that of the names."""
  beside = _beside(path)
  if path.endswith('.npz') or not os.path.lexists(beside):
    return
  try:
    told = read_json(beside)
  except ValueError:
    told = {}
  if not {'features', 'files'} <= told.keys():
    raise ValueError(
      f'The names of {path} would be in {beside}, which is something else: '
      'name another --output_file.'
    )


def _write_npz(
  path: str, batches: Iterator, about: Mapping[str, Any]
) -> tuple[tuple[int, ...], list[str]]:
  """Writes the arrays; returns the shape of the features, and the names."""
  names: list[str] = []
  rows = []
  for files_of, features in batches:
    names += files_of
    rows.append(features)
  if not rows:
    return (), []
  features = np.concatenate(rows)
  with atomic(path, 'wb') as file:
    np.savez(
      file, features=features, files=np.array(names), about=json.dumps(about)
    )
  return features.shape, names


def _write_npy(
  path: str, batches: Iterator, about: Mapping[str, Any]
) -> tuple[tuple[int, ...], list[str]]:
  """Writes the array, and its names beside it; see `_write_npz`.

  The names are removed before the array is replaced, and written after it: what
  lies beside an array belongs to it.
  """
  names: list[str] = []
  beside = _beside(path)
  with contextlib.suppress(_Nothing), atomic(path, 'wb') as file:
    rows = RowWriter(file)
    for files_of, features in batches:
      names += files_of
      rows.append(features)
    if not names:
      raise _Nothing
    rows.finish()
    with contextlib.suppress(FileNotFoundError):
      os.remove(beside)
  if not names:
    return (), []
  with atomic(beside) as file:
    file.write(json.dumps({**about, 'files': names}, indent=1) + '\n')
  return rows.shape, names


class _Nothing(Exception):
  """There is nothing to write."""
