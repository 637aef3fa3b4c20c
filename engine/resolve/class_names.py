"""The names of the classes, for people."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tf_slim.data.dataset import Dataset

from datasets import dataset_utils, json_files
from datasets.text import check_name, cut
from engine.config.scripts import ClassifyConfig


def of_dataset(dataset: Dataset, labels_offset: int) -> list[str]:
  """Returns the name of each logit; its number where there is no name."""
  names = dataset.labels_to_names or {}
  return [
    names.get(label, str(label))
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


def of_checkpoint(
  config: ClassifyConfig, run: Mapping[str, Any], num_classes: int
) -> list[str]:
  """Returns a name for each logit.

  Args:
    config: a complete configuration.
    run: what the training wrote, {} if there is nothing.
    num_classes: the number of logits.

  Raises:
    ValueError: the file of names has none for one of them.
  """
  if not config.labels_file:
    return run.get('class_names') or [str(i) for i in range(num_classes)]
  offset = run.get('labels_offset', 0)
  names = read_names(config.labels_file)
  missing = [i for i in range(offset, num_classes + offset) if i not in names]
  if missing:
    raise ValueError(
      f'{config.labels_file} names {len(names)} classes, but has no name '
      f'for label {missing[0]}; the network has {num_classes} classes.'
    )
  return [names[i] for i in range(offset, num_classes + offset)]
