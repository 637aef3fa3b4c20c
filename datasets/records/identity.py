"""What tells the data of a split from others, wherever they lie."""

import hashlib
import os
from typing import NamedTuple

from tf_slim.data.dataset import Dataset

from datasets import dataset_utils
from datasets.records import description, tfrecord


class Identity(NamedTuple):
  """What tells the data of a split from others.

  Neither the folder nor the names and times of the files count.

  Fields:
    examples: the number of records.
    checksum: 'files:' and a digest of what dataset.json says of the files,
      else 'records:' and one of the records; see `tfrecord.Reader.checksum`.
  """

  examples: int
  checksum: str


def of(dataset: Dataset) -> Identity:
  """Returns the identity of a split, without reading its images."""
  written = _written(dataset)
  if written:
    facts = '\n'.join(f'{file.records} {file.crc32c}' for file in written)
    kind, digest = 'files', hashlib.sha256(facts.encode()).hexdigest()
  else:
    reader = tfrecord.Reader(dataset.data_sources, dataset_utils.offsets_dir())
    kind, digest = 'records', reader.checksum()
  return Identity(dataset.num_samples, f'{kind}:{digest[:16]}')


def name(dataset: Dataset) -> str:
  """Returns eight hexadecimal digits for a split and its classes."""
  facts = [*of(dataset), dataset.num_classes, dataset.labels_to_names]
  return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def _written(dataset):
  """Returns what dataset.json says of a split's files, [] without one."""
  folder = os.path.dirname(dataset.data_sources[0])
  if not description.exists(folder):
    return []
  split = description.read(folder).splits.get(dataset.split_name)
  names = [os.path.basename(path) for path in dataset.data_sources]
  if split is None or not split.files.keys() >= {*names}:
    return []  # of a file_pattern
  return [split.files[name] for name in names]


def are_comparable(one: str, two: str) -> bool:
  """Whether two checksums are of the same kind."""
  return one.partition(':')[0] == two.partition(':')[0]
