"""Default names of the dataset and of a run's folder; what is odd there."""

import os
import re
from typing import TypeVar

from tf_slim.data.dataset import Dataset

from datasets import dataset_factory
from engine.checkpoints import locate
from engine.common import console
from engine.config.scripts import EvalConfig, TrainConfig
from engine.config.tasks import TASKS, get_task
from engine.resolve import task

Given = TypeVar('Given', TrainConfig, EvalConfig)


def _plain(name):
  """Returns a name that TensorFlow finds again; see `locate.check_name`."""
  return re.sub(r'[*?[\\]', '_', name)


def train_dir(given: TrainConfig) -> str:
  """Returns the folder of a training, whose dataset has a name.

  Raises:
    ValueError: TensorFlow would not find the checkpoints there again.
  """
  folder = given.train_dir or run_dir(
    given.model_name, given.dataset_name, given.dataset_dir
  )
  locate.check_name(folder, '--train_dir')
  return folder


def run_dir(model_name: str, dataset_name: str, dataset_dir: str | None) -> str:
  """Returns the default folder of a run."""
  if dataset_name == dataset_factory.OWN and dataset_dir:
    dataset_name = os.path.basename(os.path.abspath(dataset_dir))
  return os.path.join('runs', _plain(f'{model_name}-{dataset_name}'))


def tell(dataset: Dataset) -> None:
  """Says what one should know of a split."""
  for sentence in dataset.notes:
    console.note(sentence)


def with_dataset_name(given: Given) -> Given:
  """Returns the configuration with the name of the dataset.

  Without a folder it is that which the task makes by itself.
  """
  if given.dataset_name is not None:
    return given
  if given.dataset_dir is not None:
    name = dataset_factory.name_of(given.dataset_dir)
  else:
    wanted = task.asked(given) or next(iter(TASKS))
    name = get_task(wanted).default_dataset
  return given.replace(dataset_name=name)
