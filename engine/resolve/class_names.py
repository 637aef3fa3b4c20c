"""The names of the classes, for people."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tf_slim.data.dataset import Dataset

from datasets import dataset_utils, json_files
from datasets.text import check_name, cut, distinct
from engine.checkpoints import released
from engine.config.scripts import FilesConfig
from nets import nets_factory


def of_dataset(dataset: Dataset, labels_offset: int) -> list[str]:
  """Returns the name of each logit; its number where there is no name."""
  names = dataset.labels_to_names or {}
  return [
    names.get(label) or str(label)
    for label in range(labels_offset, dataset.num_classes)
  ]


def read_names(path: str) -> dict[int, str]:
  """Returns {label: name} from lines such as 0:chef, or a JSON object.

  Raises:
    ValueError: the file has another form, or is not there.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise ValueError(f'There is no file {path} to read names from.')
  if file.suffix != '.json':
    return dataset_utils.read_label_file(file.parent, file.name)
  try:
    found = json_files.read(path)
    json_files.check(found, dict[str, str], 'it')
    for label, name in found.items():
      if not re.fullmatch('0|[1-9][0-9]{0,8}', label):
        raise ValueError(f'{ascii(label)} is no label')
      check_name(name, 'the class')
    return {int(label): name for label, name in found.items()}
  except (ValueError, OSError) as error:
    raise ValueError(
      f'{path} is no JSON object from numbers to names, such '
      f'as {{"0": "chef"}}: {cut(str(error).removesuffix("."), 300)}.'
    ) from None


def labels_offset(
  config: FilesConfig, checkpoint: str, run: Mapping[str, Any]
) -> int:
  """Returns what the labels of a checkpoint's data were lowered by."""
  if run:
    return run.get('labels_offset') or 0
  network = nets_factory.get_network(config.model_name)
  known = released.find(network, checkpoint)
  return known.labels_offset if known else 0


def _of_file(path, offset, num_classes):
  """Returns the name of each logit, from a file that names all labels.

  It names those of the data, from 0 or from `offset`, or the logits.
  """
  names = read_names(path)
  for label, name in names.items():
    if not name.strip():
      raise ValueError(f'{path}: the name of label {label} is empty.')
  labels = range(offset, offset + num_classes)
  for there, first in (
    (range(offset + num_classes), offset),
    (labels, offset),
    (range(num_classes), 0),
  ):
    if names.keys() == {*there}:
      return [names[first + i] for i in range(num_classes)]
  missing = next((i for i in labels if i not in names), None)
  gap = '' if missing is None else f'; it has none for label {missing}'
  before = (
    f', or {num_classes + offset:,} names, of which the first '
    f'{offset} are no class of it'
    if offset
    else ''
  )
  raise ValueError(
    f'{path} names {len(names):,} classes{gap}, and the network has '
    f'{num_classes:,} logits: the file should have a name for each of them, '
    f'0 to {num_classes - 1}{before}. Is it the list of this checkpoint?'
  )


def of_checkpoint(
  config: FilesConfig, checkpoint: str, run: Mapping[str, Any], num_classes: int
) -> list[str]:
  """Returns a name for each logit.

  Names that several classes share get their numbers behind them: lists of
  ImageNet have two cranes, a bird and a machine.

  Args:
    config: a complete configuration.
    checkpoint: the checkpoint.
    run: what the training wrote, {} if there is nothing.
    num_classes: the number of logits.

  Raises:
    ValueError: the file of names has more or fewer, or one that is none; or
      the run is of another number of classes.
  """
  offset = labels_offset(config, checkpoint, run)
  if config.labels_file:
    names = _of_file(config.labels_file, offset, num_classes)
  else:
    names = run.get('class_names') or [str(i) for i in range(num_classes)]
    if len(names) != num_classes:
      raise ValueError(
        f'The run of {checkpoint} has {len(names):,} classes, and the '
        f'checkpoint {num_classes:,} logits: is its config.json that of '
        'another run? Restore it, or name the classes by --labels_file.'
      )
  return distinct(names, offset if config.labels_file or run else 0)
