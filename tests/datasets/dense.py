"""Images with masks for the tests, and records of them."""

import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from datasets import dataset_utils
from datasets.records import description, tfrecord


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
  """The bytes of a PNG; of another mode if that is named."""
  image = Image.fromarray(pixels)
  data = io.BytesIO()
  (image.convert(mode) if mode else image).save(data, 'png')
  return data.getvalue()


def image(seed: int, height: int, width: int) -> np.ndarray:
  """A noisy image: uint8 [height, width, 3]."""
  return np.random.default_rng(seed).integers(
    0, 256, (height, width, 3), np.uint8
  )


def mask(
  seed: int, height: int, width: int, values: Sequence[int]
) -> np.ndarray:
  """A mask of some values: uint8 [height, width]."""
  return np.random.default_rng(seed).choice(
    np.array(values, np.uint8), (height, width)
  )


def record(seed: int, ids: np.ndarray, **features) -> bytes:
  """A record of a noisy image and these ids; None leaves a feature out."""
  height, width = ids.shape[:2]
  example = dataset_utils.image_seg_to_tfexample(
    png(image(seed, height, width)),
    b'png',
    f'Bild {seed}'.encode(),
    height,
    width,
    3,
    png(ids),
  )
  names = {'data': 'image/encoded', 'seg': 'image/segmentation/class/encoded'}
  for name, value in features.items():
    del example.features.feature[names[name]]
    if value is not None:
      example.features.feature[names[name]].CopyFrom(
        dataset_utils._feature(value)
      )
  return dataset_utils.serialize(example)


def write(
  folder: pathlib.Path,
  names: Sequence[str],
  ignore_label: int | None = 255,
  described: bool = True,
  data_name: str = 'tfrecord',
  **splits: list[bytes],
) -> str:
  """Writes records, labels.txt and dataset.json; returns the folder.

  Of pixels dataset.json says what a loop over them says.
  """
  folder.mkdir(parents=True, exist_ok=True)
  found = {}
  for split, records in splits.items():
    name = f'{split}-00000-of-00001.tfrecord'
    written = tfrecord.write(folder / name, records)
    if described:
      found[split] = description.Split(
        {name: written}, *_count(records, len(names), ignore_label)
      )
  dataset_utils.write_label_file(dict(enumerate(names)), folder)
  if described:
    description.write(
      description.Description(
        data_name,
        tuple(names),
        3,
        (8, 8),
        (30, 30),
        found,
        'segmentation',
        ignore_label,
      ),
      folder,
    )
  return os.fspath(folder)


def _count(records, classes, ignore_label):
  pixels, images, ignored = [0] * classes, [0] * classes, 0
  for data in records:
    feature = tf.train.Example.FromString(data).features.feature[
      'image/segmentation/class/encoded'
    ]
    ids = np.asarray(Image.open(io.BytesIO(feature.bytes_list.value[0])))
    for label in range(classes):
      if label != ignore_label:
        pixels[label] += int((ids == label).sum())
        images[label] += bool((ids == label).any())
    ignored += int((ids == ignore_label).sum())
  return tuple(images), tuple(pixels), ignored
