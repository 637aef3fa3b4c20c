"""The registry of data sets: every name that --dataset_name takes."""
import dataclasses
import difflib
import glob
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf
from tf_slim.data import tfexample_decoder
from tf_slim.data.dataset import Dataset

from datasets import dataset_utils, description, tfrecord
from datasets.convert import digits

OWN = 'tfrecord'  # the name of a data set of one's own
_SMALL = 64  # pixels of a side


@dataclasses.dataclass(frozen=True)
class Specification:
  """What is known of a data set without reading its records.

  Attributes:
    file_pattern: a glob of a split's files, with %s for the split.
    splits: the names of the splits; () where the folder tells them.
    num_classes: the number of classes, background included; 0 where the
      folder tells it.
    ensure: makes the data set in a folder, where that needs no source.
    suggestions: settings that fit the data, by the names of the flags; a
      flag that is given goes before them.
  """
  file_pattern: str
  splits: tuple[str, ...]
  num_classes: int
  ensure: Callable[[str], None] | None = None
  suggestions: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_CIFAR = {'preprocessing_name': 'cifar', 'train_image_size': 32}
_MNIST = {'preprocessing_name': 'digits', 'train_image_size': 28}

DATASETS = {
    'digits': Specification(
        digits.FILE_PATTERN, ('train', 'test'), 10, digits.ensure, {
            'preprocessing_name': 'digits',
            'train_image_size': 32,
            'batch_size': 128,
            'max_number_of_steps': 200,
            'learning_rate': 0.03,
            'learning_rate_decay_type': 'polynomial',
            'num_epochs_per_decay': 17.8,  # the 200 steps
        }),
    'cifar10': Specification(
        'cifar10_%s.tfrecord', ('train', 'test'), 10, None, _CIFAR),
    'cifar100': Specification(
        'cifar100_%s.tfrecord', ('train', 'test'), 100, None, _CIFAR),
    'fashion_mnist': Specification(
        'fashion_mnist_%s.tfrecord', ('train', 'test'), 10, None,
        {'preprocessing_name': 'cifar', 'train_image_size': 28}),
    'flowers': Specification(
        'flowers_%s*.tfrecord', ('train', 'validation'), 5),
    'idenprof': Specification(
        'idenprof_%s*.tfrecord', ('train', 'test'), 10),
    'imagenet': Specification('%s-*', ('train', 'validation'), 1001),
    'mnist': Specification(
        'mnist_%s.tfrecord', ('train', 'test'), 10, None, _MNIST),
    OWN: Specification('%s-*.tfrecord', (), 0),
}


def registered(name: str) -> Specification:
  """Returns the registry's entry, or a ValueError with the nearest names."""
  if name not in DATASETS:
    near = difflib.get_close_matches(name, DATASETS, n=2)
    hint = f' Did you mean {" or ".join(near)}?' if near else ''
    raise ValueError(f'There is no data set named {name!r}.{hint} The data '
                     f'sets are: {", ".join(DATASETS)}.')
  return DATASETS[name]


def default_dir(name: str) -> str:
  """Returns the folder of a data set that is made without a source.

  Raises:
    ValueError: this data set needs a folder of its own.
  """
  if registered(name).ensure is None:
    raise ValueError(
        f'--dataset_name={name} needs --dataset_dir, the folder of its '
        'TFRecords.')
  return str(dataset_utils.cache_dir() / name)


def name_of(dataset_dir: str | None) -> str:
  """Returns the name of the data in a folder; of the digits for None."""
  if dataset_dir is None:
    return 'digits'
  if description.exists(dataset_dir):
    name = description.read(dataset_dir).name
    return name if name in DATASETS else OWN
  return OWN


def _glob(folder, pattern):
  return sorted(tf.io.gfile.glob(os.path.join(glob.escape(folder), pattern)))


def _described(name, folder):
  """Returns the specification of a folder that has a dataset.json."""
  found = description.read(folder)
  if name not in (OWN, found.name):
    raise ValueError(
        f'--dataset_name={name} contradicts the data in {folder}, which are '
        f'{found.name}: leave the flag out.')
  suggestions = {}
  if found.name in DATASETS:
    suggestions = DATASETS[found.name].suggestions
  if not suggestions and max(found.largest) <= _SMALL:
    suggestions = {'preprocessing_name': 'cifar',
                   'train_image_size': max(32, *found.largest)}
  return Specification('', tuple(found.splits), len(found.class_names), None,
                       suggestions)


def _guessed(folder):
  """Returns the specification of a folder that has labels.txt at the least."""
  if not dataset_utils.has_labels(folder):
    raise ValueError(
        f'{folder} has no {description.FILENAME} and no '
        f'{dataset_utils.LABELS_FILENAME}: is it the folder of TFRecords? '
        'python download_and_convert_data.py makes one. For records of '
        'TF-Slim\'s data sets, name them by --dataset_name.')
  paths = _glob(folder, '*')
  splits = tuple(split for split in ('train', 'validation', 'val', 'test')
                 if any(_belongs(path, split) for path in paths))
  if not splits:
    raise ValueError(f'No file in {folder} has train, validation, val or test '
                     'in its name: is it the folder of TFRecords?')
  names = dataset_utils.read_label_file(folder)
  if len(names) < 2:
    raise ValueError(
        f'{os.path.join(folder, dataset_utils.LABELS_FILENAME)} names '
        f'{len(names)} classes: it should have a line for each class.')
  return Specification('*%s*', splits, len(names))


def _belongs(path, split):
  """Whether a file's name, which is no folder's, has the split's as a word."""
  name = os.path.basename(path)
  return (re.search(rf'(?<![a-z]){split}(?![a-z])', name) is not None
          and not name.endswith(('.txt', '.json', '.csv', '.png'))
          and not tf.io.gfile.isdir(path))


def get_specification(name: str, dataset_dir: str | None = None
                      ) -> Specification:
  """Returns what is known of a data set, by its folder where there is one.

  Args:
    name: a key of `DATASETS`.
    dataset_dir: its folder, described by its dataset.json; else by the
      registry; else, for `OWN`, by labels.txt and the names of the files.

  Raises:
    ValueError: an unknown name, or a folder that does not fit it.
  """
  specification = registered(name)
  if dataset_dir is None:
    default_dir(name)
    return specification
  if description.exists(dataset_dir):
    return _described(name, dataset_dir)
  if not specification.splits:
    return _guessed(dataset_dir)
  return specification


def _files(name, split_name, folder, file_pattern):
  """Returns the paths of a split's files."""
  if not file_pattern and description.exists(folder):
    split = description.read(folder).splits[split_name]
    description.check_files(split, folder)
    return [os.path.join(folder, file) for file in split.files]
  pattern = file_pattern or get_specification(name, folder).file_pattern
  files = _glob(folder, pattern % split_name)
  if name == OWN and not file_pattern:
    files = [path for path in files if _belongs(path, split_name)]
  if not files:
    raise ValueError(
        f'There is no file {os.path.join(folder, pattern % split_name)}: is '
        f'--dataset_dir={folder} the folder of the TFRecords of {name}, '
        f'split {split_name}?')
  return files


_FEATURES = {
    'image/encoded': tf.FixedLenFeature([], tf.string, ''),
    'image/format': tf.FixedLenFeature([], tf.string, 'jpeg'),
    'image/class/label': tf.FixedLenFeature([], tf.int64, -1),
    'image/class/text': tf.FixedLenFeature([], tf.string, ''),
    'image/filename': tf.FixedLenFeature([], tf.string, ''),
    **{f'image/object/bbox/{side}': tf.VarLenFeature(tf.float32)
       for side in ('ymin', 'xmin', 'ymax', 'xmax')},
    'image/object/bbox/label': tf.VarLenFeature(tf.int64),
}
_ITEMS = {  # name: what it is, and its handler
    'image': ('uint8 [height, width, 3]', tfexample_decoder.Image),
    'label': ('int64 in [0, num_classes)',
              lambda: tfexample_decoder.Tensor('image/class/label')),
    'label_text': ('the name of the class',
                   lambda: tfexample_decoder.Tensor('image/class/text')),
    'filename': ('the file it was made from',
                 lambda: tfexample_decoder.Tensor('image/filename')),
    'object/bbox': ('float32 [n, 4], boxes (ymin, xmin, ymax, xmax) in [0, 1]',
                    lambda: tfexample_decoder.BoundingBox(
                        ['ymin', 'xmin', 'ymax', 'xmax'],
                        'image/object/bbox/')),
    'object/label': ('int64 [n], the label of each box',
                     lambda: tfexample_decoder.Tensor(
                         'image/object/bbox/label')),
}


def make_dataset(name: str, split_name: str, data_sources: list[str],
                 num_classes: int, labels_to_names: dict[int, str] | None,
                 reader: Any = None) -> Dataset:
  """Returns files as TF-Slim's Dataset; see `get_dataset`."""
  records = tfrecord.Reader(data_sources, dataset_utils.offsets_dir())
  return Dataset(
      data_sources=data_sources, reader=reader or tf.TFRecordReader,
      decoder=tfexample_decoder.TFExampleDecoder(
          _FEATURES, {item: make() for item, (_, make) in _ITEMS.items()}),
      num_samples=len(records),
      items_to_descriptions={item: text for item, (text, _) in _ITEMS.items()},
      name=name, split_name=split_name, num_classes=num_classes,
      labels_to_names=labels_to_names)


def get_dataset(name: str, split_name: str, dataset_dir: str | None = None,
                file_pattern: str | None = None, reader: Any = None
                ) -> Dataset:
  """Returns one split of a data set.

  Args:
    name: a key of `DATASETS`.
    split_name: one of its splits.
    dataset_dir: the folder of its files; None where it is made by itself.
    file_pattern: a glob of the split's files, with %s for the split, instead
      of what the folder or the registry says.
    reader: for TF-Slim's DatasetDataProvider; tf.TFRecordReader if None.

  Returns:
    A slim.dataset.Dataset with data_sources (its files, sorted), num_samples
    (counted), num_classes, labels_to_names ({label: name}, or None if there
    is no labels.txt), decoder and reader, and its name and split_name.

  Raises:
    ValueError: an unknown name or split, no files, a file of another size
      than dataset.json says, or a labels.txt that does not fit.
  """
  specification = get_specification(name, dataset_dir)
  if split_name not in specification.splits:
    raise ValueError(
        f'The data set {name} has no split {split_name!r}; it has '
        f'{" and ".join(specification.splits)}.')
  if dataset_dir is None:
    dataset_dir = default_dir(name)
    specification.ensure(dataset_dir)
  files = _files(name, split_name, dataset_dir, file_pattern)
  names = None
  if dataset_utils.has_labels(dataset_dir):
    names = dataset_utils.read_label_file(dataset_dir)
    if len(names) != specification.num_classes:
      cure = ('restore it, or convert the data again.'
              if description.exists(dataset_dir) else 'are these data of your '
              f'own? Then pass --dataset_name={OWN}.')
      raise ValueError(
          f'{os.path.join(dataset_dir, dataset_utils.LABELS_FILENAME)} names '
          f'{len(names)} classes, but {name} has {specification.num_classes}: '
          f'{cure}')
  return make_dataset(name, split_name, files, specification.num_classes,
                      names, reader)
