"""Datasets of tensorflow_datasets, by their names there."""

import functools
from typing import Any

from datasets.text import check_name, few
from datasets.writing import splitting
from datasets.writing.plan import Item, Options, Plan

SPLITS = ('train', 'validation', 'test')


def _module() -> Any:
  try:
    import tensorflow_datasets
  except ImportError as error:
    raise ValueError(
      f'tfds:NAME needs tensorflow_datasets ({error}). To install it: pip '
      'install tensorflow-datasets'
    ) from error
  return tensorflow_datasets


def _builder(module: Any, name: str) -> Any:
  try:
    return module.builder(name)
  except ValueError as error:  # DatasetNotFoundError is one
    reason = (str(error).strip() or 'no reason given').splitlines()[0]
    raise ValueError(
      f'tensorflow_datasets has no {name!r}: {reason} The '
      'names are listed at https://www.tensorflow.org/'
      'datasets/catalog.'
    ) from error


def _check_features(module: Any, builder: Any, name: str) -> None:
  features = builder.info.features
  for key, kind in (
    ('image', module.features.Image),
    ('label', module.features.ClassLabel),
  ):
    if key not in features or not isinstance(features[key], kind):
      there = few(f'{k} ({type(features[k]).__name__})' for k in features)
      raise ValueError(
        f'tfds:{name} has no feature {key!r} of the kind {kind.__name__}, '
        f'which is needed; it has {there}. Choose another dataset.'
      )


def _items(module: Any, builder: Any, name: str, split: str) -> list[Item]:
  """Reads a split; the encoded images are kept, for tfds reads in order."""
  examples = module.as_numpy(
    builder.as_dataset(
      split=split, decoders={'image': module.decode.SkipDecoding()}
    )
  )
  items = []
  for i, example in enumerate(examples):
    what = f'image {i} of tfds:{name}, {split}'
    label = int(example['label'])
    if label < 0:
      raise ValueError(
        f'{what} has the label {label}, that is none. Choose '
        'a dataset that is labelled throughout.'
      )
    items.append(Item(what, label, functools.partial(bytes, example['image'])))
  return items


def plan(name: str, options: Options) -> Plan:
  """Plans a dataset of tensorflow_datasets, which prepares it first.

  Its images are held in memory, as they are encoded.

  Args:
    name: as tensorflow_datasets takes it, such as 'beans' or 'cifar10:3.0.2'.
    options: what part is validation where there is only train, and the seed
      of that choice.

  Returns:
    Those of the splits train, validation and test that there are.

  Raises:
    ValueError: tensorflow_datasets is not installed or has no such dataset,
      or that has no `image`, no `label`, or no train.
  """
  module = _module()
  builder = _builder(module, name)
  _check_features(module, builder, name)
  builder.download_and_prepare()
  there = list(builder.info.splits)
  if 'train' not in there:
    raise ValueError(
      f'tfds:{name} has no split train; it has '
      f'{few(there) or "none"}. Choose another dataset.'
    )
  class_names = list(builder.info.features['label'].names)
  for class_name in class_names:
    check_name(class_name, f'tfds:{name}: the class')
  splits = {
    split: _items(module, builder, name, split)
    for split in SPLITS
    if split in there
  }
  return Plan(f'tfds:{name}', class_names, splitting.complete(splits, options))
