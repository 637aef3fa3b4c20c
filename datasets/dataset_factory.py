"""The registry of data sets: every name that --dataset_name takes."""
import dataclasses
import difflib
import glob
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from datasets import dataset_utils
from datasets.convert import digits


@dataclasses.dataclass(frozen=True)
class Specification:
  """What is known of a data set before its files are seen.

  Attributes:
    file_pattern: a glob of a split's files, with %s for the split.
    splits: the names of the splits.
    num_classes: the number of classes, background included.
    ensure: makes the data set in a folder, where that needs no source.
    suggestions: settings that fit the data, by the names of the flags; a
      flag that is given goes before them.
  """
  file_pattern: str
  splits: tuple[str, ...]
  num_classes: int
  ensure: Callable[[str], None] | None = None
  suggestions: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """One split of a data set, found on disk.

  Attributes:
    name: the data set's name.
    split_name: the split's name.
    data_sources: its TFRecord files, sorted.
    num_classes: the number of classes.
    labels_to_names: {label: name}, or None if there is no labels.txt.
  """
  name: str
  split_name: str
  data_sources: tuple[str, ...]
  num_classes: int
  labels_to_names: dict[int, str] | None


DATASETS = {
    'digits': Specification(
        'digits_%s.tfrecord', ('train', 'test'), 10, digits.ensure, {
            'preprocessing_name': 'digits',
            'train_image_size': 32,
            'batch_size': 128,
            'max_number_of_steps': 200,
            'learning_rate': 0.03,
            'learning_rate_decay_type': 'polynomial',
            'num_epochs_per_decay': 17.8,  # the 200 steps
        }),
    'cifar10': Specification(
        'cifar10_%s.tfrecord', ('train', 'test'), 10, None,
        {'preprocessing_name': 'cifar', 'train_image_size': 32}),
    'flowers': Specification(
        'flowers_%s*.tfrecord', ('train', 'validation'), 5),
    'imagenet': Specification('%s-*', ('train', 'validation'), 1001),
    'mnist': Specification(
        'mnist_%s.tfrecord', ('train', 'test'), 10, None,
        {'preprocessing_name': 'digits', 'train_image_size': 28}),
}


def get_specification(name: str) -> Specification:
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
  if get_specification(name).ensure is None:
    raise ValueError(
        f'--dataset_name={name} needs --dataset_dir, the folder of its '
        'TFRecords.')
  return str(dataset_utils.cache_dir() / name)


def get_dataset(name: str, split_name: str, dataset_dir: str | None = None,
                file_pattern: str | None = None) -> Dataset:
  """Returns one split of a data set.

  Args:
    name: a key of `DATASETS`.
    split_name: one of its splits.
    dataset_dir: the folder of its files; None where it is made by itself.
    file_pattern: instead of the registry's.

  Raises:
    ValueError: an unknown name or split, or no files.
  """
  specification = get_specification(name)
  if split_name not in specification.splits:
    raise ValueError(
        f'The data set {name} has no split {split_name!r}; it has '
        f'{" and ".join(specification.splits)}.')
  if dataset_dir is None:
    dataset_dir = default_dir(name)
    specification.ensure(dataset_dir)
  pattern = (file_pattern or specification.file_pattern) % split_name
  files = tuple(sorted(tf.io.gfile.glob(
      os.path.join(glob.escape(dataset_dir), pattern))))
  if not files:
    raise ValueError(
        f'There is no file {os.path.join(dataset_dir, pattern)}: is '
        f'--dataset_dir={dataset_dir} the folder of the TFRecords of {name}, '
        f'split {split_name}?')
  names = (dataset_utils.read_label_file(dataset_dir)
           if dataset_utils.has_labels(dataset_dir) else None)
  return Dataset(name, split_name, files, specification.num_classes, names)
