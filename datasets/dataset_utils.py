"""What datasets share: examples as TFRecords, label files, the cache."""

import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from datasets import files
from datasets.records import tfrecord
from datasets.text import check_name

LABELS_FILENAME = 'labels.txt'


def cache_dir() -> pathlib.Path:
  """Returns where data is cached: $XDG_CACHE_HOME/slim-resnets."""
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'slim-resnets'


def offsets_dir() -> str:
  """Returns where the places of records in files are cached."""
  return str(cache_dir() / 'offsets')


_LISTS = {
  bytes: ('bytes_list', tf.train.BytesList),
  int: ('int64_list', tf.train.Int64List),
  float: ('float_list', tf.train.FloatList),
}


def _feature(value):
  values = value if isinstance(value, list) else [value]
  if not values:  # of no type, so that it can be read as any
    return tf.train.Feature()
  name, kind = _LISTS[type(values[0])]
  return tf.train.Feature(**{name: kind(value=values)})


def _example(features):
  return tf.train.Example(
    features=tf.train.Features(
      feature={name: _feature(value) for name, value in features.items()}
    )
  )


def image_to_tfexample(
  image_data: bytes,
  image_format: bytes,
  height: int,
  width: int,
  class_id: int,
  features: Mapping[str, Any] | None = None,
) -> tf.train.Example:
  """Returns an example in TF-Slim's classification format.

  Args:
    image_data: the encoded image.
    image_format: b'png', b'jpg' or b'jpeg'.
    height: of the image, in pixels.
    width: of the image, in pixels.
    class_id: the label.
    features: further ones, by name: bytes, int, float or a list of one of
      them.
  """
  features = {
    'image/encoded': image_data,
    'image/format': image_format,
    'image/class/label': int(class_id),
    'image/height': int(height),
    'image/width': int(width),
    **(features or {}),
  }
  return _example(features)


def image_seg_to_tfexample(
  image_data: bytes,
  image_format: bytes,
  filename: bytes,
  height: int,
  width: int,
  channels: int,
  seg_data: bytes,
  features: Mapping[str, Any] | None = None,
) -> tf.train.Example:
  """Returns an example in DeepLab's segmentation format.

  Args:
    image_data: the encoded image.
    image_format: b'png', b'jpg' or b'jpeg'.
    filename: what people call the image, in UTF-8.
    height: of the image and its mask, in pixels.
    width: of the image and its mask, in pixels.
    channels: 1 for a grey image, else 3.
    seg_data: the mask as a PNG of one channel of 8 bits: the class of each
      pixel, or the ignore label.
    features: further ones; see `image_to_tfexample`.
  """
  return _example(
    {
      'image/encoded': image_data,
      'image/filename': filename,
      'image/format': image_format,
      'image/height': int(height),
      'image/width': int(width),
      'image/channels': int(channels),
      'image/segmentation/class/encoded': seg_data,
      'image/segmentation/class/format': b'png',
      **(features or {}),
    }
  )


def serialize(example: tf.train.Example) -> bytes:
  """Returns the bytes of an example, the same in every process."""
  return example.SerializeToString(deterministic=True)


def write_tfrecord(
  path: str | os.PathLike, examples: Iterable[tf.train.Example]
) -> None:
  """Writes `examples` to the TFRecord file `path`."""
  tfrecord.write(path, map(serialize, examples))


def write_label_file(
  labels_to_class_names: dict[int, str],
  dataset_dir: str | os.PathLike,
  filename: str = LABELS_FILENAME,
) -> None:
  """Writes lines such as '0:daisy'."""
  lines = [
    f'{label}:{name}\n' for label, name in sorted(labels_to_class_names.items())
  ]
  with files.atomic(os.path.join(dataset_dir, filename)) as file:
    file.writelines(lines)


def has_labels(
  dataset_dir: str | os.PathLike, filename: str = LABELS_FILENAME
) -> bool:
  """Whether the folder holds a label file."""
  return tf.io.gfile.exists(os.path.join(dataset_dir, filename))


def read_label_file(
  dataset_dir: str | os.PathLike, filename: str = LABELS_FILENAME
) -> dict[int, str]:
  """Returns {label: name} from lines such as '0:daisy'.

  Raises:
    ValueError: a line of another form, a label given twice or left out, a
      name with a control character, bytes that are not UTF-8, or no regular
      file.
  """
  path = os.path.join(dataset_dir, filename)
  with tfrecord.reading(path) as file:
    data = file.read()
  try:
    lines = data.decode('utf-8-sig').split('\n')
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{path} is not UTF-8 text ({error}): save it as UTF-8.'
    ) from None
  names = {}
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    label, colon, name = line.partition(':')
    if (
      not colon
      or not re.fullmatch('[0-9]{1,9}', label.strip())
      or int(label) in names
    ):
      raise ValueError(
        f'{path}, line {number}: {line[:80]!r} should be a new label and a '
        "name, such as '0:daisy'."
      )
    names[int(label)] = name.strip()
    check_name(name.strip(), f'{path}, line {number}: the class')
  gap = next((label for label in range(len(names)) if label not in names), None)
  if gap is not None:
    raise ValueError(
      f'{path} has no line for label {gap}, but one for '
      f'{max(names)}: labels count from 0 without gaps.'
    )
  return dict(sorted(names.items()))
