"""The registry of datasets: every name that --dataset_name takes."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets import (
  class_names,
  dataset_utils,
  guessing,
  label_kinds,
  suggestions,
)
from datasets.convert import digits, photo_scenes, scenes
from datasets.label_kinds import SEGMENTATION
from datasets.progress import no_progress
from datasets.records import (
  description,
  kept_counts,
  shards,
  slim_decoders,
  tfrecord,
)
from datasets.specification import Specification

OWN = 'tfrecord'  # the name of a dataset of one's own


_CIFAR = {'preprocessing_name': 'cifar', 'train_image_size': 32}
_MNIST = {'preprocessing_name': 'digits', 'train_image_size': 28}
# Of momentum, for batches of 32 to 128.
_ANNEALING = {'learning_rate': 0.05, 'learning_rate_decay_type': 'cosine'}


def _masks(splits, names, ignore_label=255, source_values=()):
  """Returns the specification of a public dataset of masks."""
  return Specification(
    '%s-*',
    splits,
    len(names),
    task=SEGMENTATION,
    ignore_label=ignore_label,
    class_names=names,
    source_values=source_values,
  )


DATASETS = {
  'digits': Specification(
    digits.FILE_PATTERN,
    ('train', 'test'),
    10,
    digits.ensure,
    {
      'preprocessing_name': 'digits',
      'train_image_size': 32,
      'batch_size': 128,
      'max_number_of_steps': 200,
      'learning_rate': 0.03,
      'learning_rate_decay_type': 'polynomial',
      'num_epochs_per_decay': 17.8,  # the 200 steps
    },
  ),
  'cifar10': Specification(
    'cifar10_%s.tfrecord',
    ('train', 'test'),
    10,
    None,
    _CIFAR,
    annealing=_ANNEALING,
  ),
  'cifar100': Specification(
    'cifar100_%s.tfrecord',
    ('train', 'test'),
    100,
    None,
    _CIFAR,
    annealing=_ANNEALING,
  ),
  'fashion_mnist': Specification(
    'fashion_mnist_%s.tfrecord',
    ('train', 'test'),
    10,
    None,
    {'preprocessing_name': 'cifar', 'train_image_size': 28},
    annealing=_ANNEALING,
  ),
  'flowers': Specification('flowers_%s*.tfrecord', ('train', 'validation'), 5),
  'idenprof': Specification('idenprof_%s*.tfrecord', ('train', 'test'), 10),
  'imagenet': Specification('%s-*', ('train', 'validation'), 1001),
  'mnist': Specification(
    'mnist_%s.tfrecord',
    ('train', 'test'),
    10,
    None,
    _MNIST,
    annealing=_ANNEALING,
  ),
  'signs': Specification(
    'signs_%s.tfrecord',
    ('train', 'test'),
    6,
    None,
    {'preprocessing_name': 'unaugmented', 'train_image_size': 64},
  ),
  'digit_scenes': Specification(
    scenes.FILE_PATTERN,
    ('train', 'test'),
    len(scenes.NAMES),
    scenes.ensure,
    {
      'decoder': 'deeplabv3plus',
      'decoder_depth': 64,
      'train_crop_size': str(scenes.SIZE),
      'batch_size': 16,
      'max_number_of_steps': 450,
      'random_flip': False,  # a mirrored digit is another one or none
      'min_scale_factor': 0.8,
      'max_scale_factor': 1.25,
    },
    SEGMENTATION,
    scenes.IGNORE_LABEL,
  ),
  'photo_scenes': Specification(
    photo_scenes.FILE_PATTERN,
    ('train', 'test'),
    len(scenes.NAMES),
    photo_scenes.ensure,
    {
      'decoder': 'unet',
      'decoder_depth': 128,
      'train_crop_size': str(photo_scenes.SIZE),
      'batch_size': 16,
      'max_number_of_steps': 400,
      'random_flip': False,
      'min_scale_factor': 0.8,
      'max_scale_factor': 1.25,
    },
    SEGMENTATION,
    scenes.IGNORE_LABEL,
  ),
  'ade20k': _masks(('train', 'val'), class_names.ADE20K, 0),
  'cityscapes': _masks(
    ('train_fine', 'val_fine', 'train_coarse', 'trainval_fine', 'test_fine'),
    class_names.CITYSCAPES,
    source_values=class_names.CITYSCAPES_IDS,
  ),
  'pascal_voc_seg': _masks(
    ('train', 'val', 'train_aug', 'trainval'), class_names.PASCAL_VOC
  ),
  OWN: Specification('%s-*.tfrecord', (), 0),
}


def registered(name: str) -> Specification:
  """Returns the registry's entry, or a ValueError with the nearest names."""
  return suggestions.entry('dataset', DATASETS, name)


def default_dir(name: str) -> str:
  """Returns the folder of a dataset that is made without a source.

  Raises:
    ValueError: this dataset needs a folder of its own.
  """
  if registered(name).ensure is None:
    raise ValueError(
      f'--dataset_name={name} needs --dataset_dir, the folder of its TFRecords.'
    )
  return str(dataset_utils.cache_dir() / name)


def name_of(dataset_dir: str | None) -> str:
  """Returns the name of the data in a folder; of the digits for None."""
  if dataset_dir is None:
    return 'digits'
  if description.exists(dataset_dir):
    name = description.read(dataset_dir).name
    return name if name in DATASETS else OWN
  return OWN


def _described(name, folder):
  """Returns the specification of a folder that has a dataset.json."""
  found = description.read(folder)
  if name not in (OWN, found.name):
    raise ValueError(
      f'--dataset_name={name} contradicts the data in {folder}, which are '
      f'{found.name}: leave the flag out.'
    )
  known = DATASETS.get(found.name)
  suggested = known.suggestions if known else {}
  return Specification(
    '',
    tuple(found.splits),
    len(found.class_names),
    None,
    suggested or label_kinds.get(found.task).suggest(found.largest),
    found.task,
    found.ignore_label,
    source_values=found.source_values,
    annealing=known.annealing if known else {},
  )


def get_specification(
  name: str, dataset_dir: str | None = None
) -> Specification:
  """Returns what is known of a dataset, by its folder where there is one.

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
    return guessing.guess(dataset_dir)
  return specification


def _files(name, split_name, folder, file_pattern):
  """Returns the paths of a split's files, and what is wrong with them."""
  if not file_pattern and description.exists(folder):
    split = description.read(folder).splits[split_name]
    description.check_files(split, folder)
    return [os.path.join(folder, file) for file in split.files], []
  pattern = file_pattern or get_specification(name, folder).file_pattern
  files = guessing.matching(folder, pattern % split_name)
  if name == OWN and not file_pattern:
    files = [path for path in files if guessing.belongs(path, split_name)]
  if not files:
    raise ValueError(
      f'There is no file {os.path.join(folder, pattern % split_name)}: is '
      f'--dataset_dir={folder} the folder of the TFRecords of {name}, '
      f'split {split_name}?'
    )
  regular, problems = shards.regular(files)
  if not file_pattern:
    problems += shards.problems(files)
  return regular, problems


def _check_counts(dataset, folder):
  """Returns what to tell of the numbers of records in a split's files."""
  counts, split = dataset.counts, dataset.split_name
  if description.exists(folder):
    described = description.read(folder).splits[split]
    description.check_counts(described, folder, counts)
    return []
  names = {os.path.basename(path) for path in dataset.data_sources}
  empty = [name for name in counts if dataset.num_samples and not counts[name]]
  changed = kept_counts.changes(folder, split, counts, names)
  return [
    *(
      f'{os.path.join(folder, name)} has no records: is it as it was written?'
      for name in empty
    ),
    *([changed] if changed else []),
  ]


def make_dataset(
  name: str,
  split_name: str,
  data_sources: list[str],
  num_classes: int,
  labels_to_names: dict[int, str] | None,
  reader: Any = None,
  task: str = label_kinds.DEFAULT,
  ignore_label: int | None = None,
  source_values: tuple[int, ...] = (),
  progress: Callable = no_progress,
) -> Dataset:
  """Returns files as TF-Slim's Dataset; see `get_dataset`."""
  records = tfrecord.Reader(data_sources, dataset_utils.offsets_dir(), progress)
  return Dataset(
    data_sources=data_sources,
    reader=reader or tf.TFRecordReader,
    decoder=slim_decoders.decoder(task),
    num_samples=len(records),
    counts=records.counts,
    notes=records.notes,
    items_to_descriptions=slim_decoders.descriptions(task),
    name=name,
    split_name=split_name,
    num_classes=num_classes,
    labels_to_names=labels_to_names,
    task=task,
    ignore_label=ignore_label,
    source_values=source_values,
  )


def get_dataset(
  name: str,
  split_name: str,
  dataset_dir: str | None = None,
  file_pattern: str | None = None,
  reader: Any = None,
  problems: list[str] | None = None,
  progress: Callable = no_progress,
) -> Dataset:
  """Returns one split of a dataset.

  Args:
    name: a key of `DATASETS`.
    split_name: one of its splits.
    dataset_dir: the folder of its files; None where it is made by itself.
    file_pattern: a glob of the split's files, with %s for the split, instead
      of what the folder or the registry says.
    reader: for TF-Slim's DatasetDataProvider; tf.TFRecordReader if None.
    problems: takes what is wrong with the set of files, instead of an error.
    progress: shows how many files are indexed; see `tfrecord.Reader`.

  Returns:
    A slim.dataset.Dataset with data_sources (its files, sorted), num_samples
    (counted), num_classes, labels_to_names ({label: name}, or None if there
    is no labels.txt and the registry has no names), decoder and reader, task,
    ignore_label, source_values, its name and split_name, counts ({file name:
    records}, of those that are whole), and notes: sentences on what one should
    know.

  Raises:
    ValueError: an unknown name or split, no files, a file of another size or
      with other records than dataset.json says, a file that is missing by the
      names of the others, or a labels.txt that does not fit.
  """
  specification = get_specification(name, dataset_dir)
  if split_name not in specification.splits:
    raise ValueError(
      f'The dataset {name} has no split {split_name!r}; it has '
      f'{" and ".join(specification.splits)}.'
      f'{suggestions.did_you_mean(split_name, specification.splits, n=1)}'
    )
  if dataset_dir is None:
    dataset_dir = default_dir(name)
    specification.ensure(dataset_dir)
  files, wrong = _files(name, split_name, dataset_dir, file_pattern)
  if problems is not None:
    problems += wrong
  elif wrong:
    raise ValueError(' '.join(wrong))
  names = dict(enumerate(specification.class_names)) or None
  if dataset_utils.has_labels(dataset_dir):
    names = dataset_utils.read_label_file(dataset_dir)
    if len(names) != specification.num_classes:
      cure = (
        'restore it, or convert the data again.'
        if description.exists(dataset_dir)
        else f'are these data of your own? Then pass --dataset_name={OWN}.'
      )
      raise ValueError(
        f'{os.path.join(dataset_dir, dataset_utils.LABELS_FILENAME)} names '
        f'{len(names)} classes, but {name} has {specification.num_classes}: '
        f'{cure}'
      )
  dataset = make_dataset(
    name,
    split_name,
    files,
    specification.num_classes,
    names,
    reader,
    specification.task,
    specification.ignore_label,
    specification.source_values,
    progress,
  )
  if not file_pattern:
    dataset.notes += _check_counts(dataset, dataset_dir)
  return dataset
