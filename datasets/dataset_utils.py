"""What data sets share: examples as TFRecords, label files, the cache."""
import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

LABELS_FILENAME = 'labels.txt'


def cache_dir() -> pathlib.Path:
  """Returns where data is cached: $XDG_CACHE_HOME/slim-resnets."""
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'slim-resnets'


def _feature(value: bytes | int) -> tf.train.Feature:
  if isinstance(value, bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def image_to_tfexample(image_data: bytes, image_format: bytes, height: int,
                       width: int, class_id: int) -> tf.train.Example:
  """Returns an example in TF-Slim's classification format.

  Args:
    image_data: the encoded picture.
    image_format: b'png' or b'jpg'.
    height: of the picture, in pixels.
    width: of the picture, in pixels.
    class_id: the label.
  """
  return tf.train.Example(features=tf.train.Features(feature={
      'image/encoded': _feature(image_data),
      'image/format': _feature(image_format),
      'image/class/label': _feature(int(class_id)),
      'image/height': _feature(int(height)),
      'image/width': _feature(int(width)),
  }))


def write_tfrecord(path: str | os.PathLike,
                   examples: Iterable[tf.train.Example]) -> None:
  """Writes `examples` to the TFRecord file `path`."""
  with tf.io.TFRecordWriter(os.fspath(path)) as writer:
    for example in examples:
      writer.write(example.SerializeToString())


def write_label_file(labels_to_class_names: dict[int, str],
                     dataset_dir: str | os.PathLike,
                     filename: str = LABELS_FILENAME) -> None:
  """Writes lines such as '0:daisy'."""
  lines = [f'{label}:{name}\n' for label, name in
           sorted(labels_to_class_names.items())]
  pathlib.Path(dataset_dir, filename).write_text(''.join(lines), 'utf-8')


def has_labels(dataset_dir: str | os.PathLike,
               filename: str = LABELS_FILENAME) -> bool:
  """Whether the folder holds a label file."""
  return tf.io.gfile.exists(os.path.join(dataset_dir, filename))


def read_label_file(dataset_dir: str | os.PathLike,
                    filename: str = LABELS_FILENAME) -> dict[int, str]:
  """Returns {label: name} from lines such as '0:daisy'.

  Raises:
    ValueError: a line of another form, or a label given twice.
  """
  path = os.path.join(dataset_dir, filename)
  with tf.io.gfile.GFile(path, 'r') as file:
    lines = file.read().splitlines()
  names = {}
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    label, colon, name = line.partition(':')
    if not colon or not label.strip().isdecimal() or int(label) in names:
      raise ValueError(
          f'{path}, line {number}: {line!r} should be a new label and a name, '
          "such as '0:daisy'.")
    names[int(label)] = name.strip()
  return names
