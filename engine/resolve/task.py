"""Which task the flags, the data, a run or a checkpoint are of."""

from collections.abc import Mapping
from typing import Any

from datasets import label_kinds
from datasets.specification import Specification
from engine.config.parts.model import ModelConfig
from engine.config.scripts import DataConfig
from engine.config.tasks import TASKS, get_task
from engine.tasks.base import Task


def asked(given: ModelConfig) -> str | None:
  """Returns the task that --task asks for, None if it asks for none."""
  return None if given.legacy_task else given.task


def of_run(run: Mapping[str, Any]) -> str | None:
  """Returns the task of a run, None of one that does not say."""
  return run.get('task') if run.get('task') in TASKS else None


def of_checkpoint(shapes: Mapping[str, Any]) -> str:
  """Returns the task that {variable: shape} tell; the first if none does."""
  return next(
    (name for name in TASKS if get_task(name).recognizes(shapes)),
    next(iter(TASKS)),
  )


def choose(given: ModelConfig, name: str, where: str) -> Task:
  """Returns the task, which the data or the run tell.

  Args:
    given: what the flags say.
    name: the task of the data, or of the run.
    where: what has told it, for errors.

  Raises:
    ValueError: --task contradicts it, or a flag is for another task.
  """
  labels = label_kinds.get(name).noun
  if asked(given) not in (None, name):
    raise ValueError(
      f'--task={given.task} contradicts {where}, which has {labels}: leave '
      'the flag out.'
    )
  task = get_task(name)
  for flag in given.given_for_another(name):
    own = task.own_flags.get(flag)
    instead = f'pass --{own} instead.' if own else 'leave the flag out.'
    raise ValueError(
      f'--{flag} is for {given.task_of(flag)}, but {where} has {labels}: '
      f'{instead}'
    )
  return task


def of_data(given: DataConfig, specification: Specification) -> Task:
  """Returns the task of a dataset; see `choose`."""
  return choose(given, specification.task, f'the dataset {given.dataset_name}')
