"""What a folder of TFRecords tells that has no dataset.json."""

import contextlib
import glob
import os
import re

import tensorflow as tf

from datasets import dataset_utils, label_kinds
from datasets.records import description, examples, shards, tfrecord
from datasets.specification import Specification


def matching(folder: str, pattern: str) -> list[str]:
  """Returns the paths in a folder that fit a glob, sorted."""
  inside = glob.escape(folder).replace('\\', '\\\\')  # TensorFlow's is one too
  return sorted(tf.io.gfile.glob(os.path.join(inside, pattern)))


def belongs(path: str, split: str) -> bool:
  """Whether a file's name has the split's as a word.

  A folder's counts where it stands in the place of a file of records.
  """
  name = os.path.basename(path)
  return (
    re.search(rf'(?<![a-z]){split}(?![a-z])', name) is not None
    and not name.endswith(('.txt', '.json', '.csv', '.png'))
    and (shards.is_named_as_records(path) or not tf.io.gfile.isdir(path))
  )


def _task_of(paths):
  """Returns the task, by the first sound record."""
  for path in shards.regular(paths)[0]:
    records = tfrecord.Reader([path], dataset_utils.offsets_dir())
    for index in range(len(records)):
      with contextlib.suppress(ValueError):  # damaged
        return examples.task_of(records.read(index))
  return label_kinds.DEFAULT


def guess(folder: str) -> Specification:
  """Returns the specification of a folder that has labels.txt at the least.

  The names of the files tell the splits, the first sound record the task.

  Raises:
    ValueError: no labels.txt, too few classes in it, or no file with
      the name of a split.
  """
  if not dataset_utils.has_labels(folder):
    raise ValueError(
      f'{folder} has no {description.FILENAME} and no '
      f'{dataset_utils.LABELS_FILENAME}: is it the folder of TFRecords? '
      'python download_and_convert_data.py makes one. For records of '
      "TF-Slim's datasets, name them by --dataset_name."
    )
  paths = matching(folder, '*')
  splits = tuple(
    split
    for split in ('train', 'validation', 'val', 'test')
    if any(belongs(path, split) for path in paths)
  )
  if not splits:
    raise ValueError(
      f'No file in {folder} has train, validation, val or test '
      'in its name: is it the folder of TFRecords?'
    )
  names = dataset_utils.read_label_file(folder)
  task = _task_of(
    [path for path in paths if any(belongs(path, of) for of in splits)]
  )
  kind = label_kinds.get(task)
  if len(names) < kind.least_classes:
    raise ValueError(
      f'{os.path.join(folder, dataset_utils.LABELS_FILENAME)} names '
      f'{len(names)} classes: it should have a line for each class, two or '
      'more, since with one there is nothing to tell apart and nothing to '
      'learn.'
    )
  return Specification(
    '*%s*', splits, len(names), None, {}, task, kind.assumed_ignore_label
  )
