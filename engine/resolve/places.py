"""Default names: of the dataset, and of the folder of a run."""

import glob
import os
import re
from typing import TypeVar

from datasets import dataset_factory
from datasets.records import identity
from engine.checkpoints import locate, pretrained
from engine.common import console
from engine.config import runs
from engine.config.scripts import EvalConfig, TrainConfig
from engine.config.tasks import TASKS, get_task
from engine.resolve import data, task

Given = TypeVar('Given', TrainConfig, EvalConfig)
# The end of the names of folders, of runs of other data than the first.
_DIGITS = '[0-9a-f]' * 8


def _plain(name):
  """Returns a name that TensorFlow finds again; see `locate.check_name`."""
  return re.sub(r'[*?[\\]', '_', name)


def run_dir(model_name: str, dataset_name: str, dataset_dir: str | None) -> str:
  """Returns the default folder of a run, whatever it holds."""
  if dataset_name == dataset_factory.OWN and dataset_dir:
    dataset_name = os.path.basename(os.path.abspath(dataset_dir))
  return os.path.join('runs', _plain(f'{model_name}-{dataset_name}'))


def beside(checkpoint: str, folder: str) -> str:
  """Returns a folder for what is made of a checkpoint, beside it.

  Of one in the cache, which has a name, it is in runs/SOURCE-NAME.
  """
  name = pretrained.name_of(checkpoint)
  place = (
    os.path.join('runs', name.replace(':', '-'))
    if name
    else os.path.dirname(checkpoint)
  )
  return os.path.join(place, folder)


def _found(plain, dataset_name, dataset_dir):
  """Returns the folder with a run of the data, None if there is none.

  And how the data of the run in the folder `plain` differ, '' if it is free.
  """
  others = ''
  for folder in (plain, *sorted(glob.glob(f'{glob.escape(plain)}-{_DIGITS}'))):
    run = runs.read(folder)
    other = _other_data(run, dataset_name, dataset_dir) if run else ''
    if run and not other:
      return folder, others
    if folder == plain:
      others = other
  return None, others


def _other_data(run, dataset_name, dataset_dir):
  """Returns how the data of a run differ from these, '' as far as is known."""
  name = run.get('dataset_name', dataset_name)
  if name != dataset_name:
    return f'dataset_name={name}, not {dataset_name}'
  try:
    dataset = data.get(
      dataset_name, run.get('dataset_split_name', 'train'), dataset_dir
    )
  except ValueError:  # who opens the data says it, if it matters
    return ''
  return data.other_classes(run, dataset) or data.other_examples(
    run, data.facts_of(dataset)
  )


def to_train(given: TrainConfig) -> str:
  """Returns the default folder of a training: that of its data, or a new one.

  Args:
    given: has the names of model, dataset and split.

  Raises:
    ValueError: the data are not there.
  """
  plain = run_dir(given.model_name, given.dataset_name, given.dataset_dir)
  folder, others = _found(plain, given.dataset_name, given.dataset_dir)
  if folder is None and not others:
    return plain
  if folder is None:
    dataset = data.get(
      given.dataset_name, given.dataset_split_name, given.dataset_dir
    )
    folder = f'{plain}-{identity.name(dataset)}'
  if folder != plain and others:
    console.note(
      f'{plain} holds a run of other data ({others}), so that of these is in '
      f'{folder}.'
    )
  return folder


def train_dir(given: TrainConfig) -> str:
  """Returns the folder of a training, whose dataset has a name.

  Raises:
    ValueError: the data are not there, or TensorFlow would not find the
      checkpoints there again.
  """
  folder = given.train_dir or to_train(given)
  locate.check_name(folder, '--train_dir')
  return folder


def to_evaluate(given: EvalConfig) -> str:
  """Returns the default folder of a run: that of the data.

  Raises:
    ValueError: there are runs of other data alone.
  """
  name = with_dataset_name(given).dataset_name
  plain = run_dir(given.model_name, name, given.dataset_dir)
  folder, others = _found(plain, name, given.dataset_dir)
  if folder is None and others:
    raise ValueError(
      f'{plain} holds a run of other data ({others}). Train on these, or name '
      'a run with --checkpoint_path.'
    )
  return folder or plain


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
