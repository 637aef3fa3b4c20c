"""Completes the configuration of an evaluation from run, data and network."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tf_slim.data.dataset import Dataset

from datasets import dataset_factory
from engine.checkpoints import contents, released
from engine.config import runs
from engine.config.fields import fill
from engine.config.scripts import EvalConfig
from engine.resolve import data, places, weights
from engine.resolve.checkpoint import check_path, open_run
from engine.resolve.task import of_data, of_run
from engine.resolve.training import check_classes
from engine.tasks.base import Task
from nets import nets_factory


class Evaluation(NamedTuple):
  """What an evaluation needs.

  Fields:
    task: what the labels are of.
    config: its complete configuration.
    dataset: the split.
    checkpoint: the checkpoint's prefix.
    run: what the training wrote to its config.json, {} if there is none.
  """

  task: Task
  config: EvalConfig
  dataset: Dataset
  checkpoint: str
  run: dict[str, Any]


def with_path(given: EvalConfig) -> EvalConfig:
  """Returns the configuration with the default --checkpoint_path.

  Raises:
    ValueError: none is given, and no --model_name for the default.
  """
  if given.checkpoint_path is None and given.model_name is not None:
    given = given.replace(checkpoint_path=(places.to_evaluate(given),))
  check_path(given.checkpoint_path[0] if given.checkpoint_path else None)
  return given


def _averages(given, complete, checkpoint):
  """Returns the decay of the moving averages to evaluate, None for none.

  Those that a run has are not in every checkpoint of it.
  """
  if not given.raw_weights:
    decay = complete.moving_average_decay
    there = given.moving_average_decay or (
      decay and contents.read(checkpoint).shadows
    )
    return decay if there else None
  if given.moving_average_decay:
    raise ValueError(
      '--raw_weights leaves out the moving averages that '
      f'--moving_average_decay={given.moving_average_decay} asks for: leave '
      'one of the flags out.'
    )
  return None


def _check_run_task(run, task, dataset_name):
  trained = of_run(run) or task.name
  if trained != task.name:
    raise ValueError(
      f'The run was trained for {trained}, but the dataset {dataset_name} '
      f'is for {task.name}: name other data, or another --checkpoint_path.'
    )


def data_names(given: EvalConfig, run: Mapping[str, Any]) -> dict[str, str]:
  """Returns what is taken over from a run of its data, {field: its name there}.

  Nothing where the flags name other data.
  """
  name = given.dataset_name
  if name is None and given.dataset_dir is not None:
    name = dataset_factory.name_of(given.dataset_dir)
  if name not in (None, run.get('dataset_name')):
    return {}
  return {
    'dataset_name': 'dataset_name',
    'dataset_dir': 'dataset_dir',
    'dataset_split_name': 'eval_split_name',
    'ignore_label': 'ignore_label',
  }


def _names(given):
  """Returns what tells the fields that are taken over from a run."""
  return lambda run: {
    # Converted weights are for any labels of ImageNet; see `with_labels`.
    **({} if runs.is_converted(run) else {'labels_offset': 'labels_offset'}),
    'moving_average_decay': 'moving_average_decay',
    'eval_image_size': 'train_image_size',
    **data_names(given, run),
  }


def evaluation(given: EvalConfig, path: str | None = None) -> Evaluation:
  """Returns the complete configuration of an evaluation of one checkpoint.

  Its moving_average_decay is None where the weights are evaluated.

  Args:
    given: what the flags say.
    path: the checkpoint, or the folder of a run; None for that of the flags.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  path = path or with_path(given).checkpoint_path[0]
  complete, checkpoint, run = open_run(given, path, _names(given))
  complete = places.with_dataset_name(
    complete.replace(
      moving_average_decay=_averages(given, complete, checkpoint)
    )
  )
  network = nets_factory.get_network(complete.model_name)
  specification = dataset_factory.get_specification(
    complete.dataset_name, complete.dataset_dir
  )
  task = of_data(
    given.replace(dataset_name=complete.dataset_name), specification
  )
  _check_run_task(run, task, complete.dataset_name)
  run = weights.with_labels(run, given.labels_offset, specification.num_classes)
  known = None
  if task.follows_released and not run:
    known = released.find(network, checkpoint)
  suggestions = dict(specification.suggestions)
  complete = fill(
    complete.replace(task=task.name),
    task.name,
    {'labels_offset': run.get('labels_offset')},
    {
      'preprocessing_name': known and network.preprocessing,
      'eval_image_size': known and known.image_size,
      'labels_offset': known and known.labels_offset,
    },
    {
      'preprocessing_name': suggestions.get('preprocessing_name'),
      'eval_image_size': suggestions.get('train_image_size'),
    },
    {
      'preprocessing_name': task.preprocessing(network),
      'eval_image_size': network.default_image_size,
      'labels_offset': 0,
      'use_grayscale': False,
      'dataset_split_name': task.evaluated_split(specification.splits),
      'eval_dir': places.beside(checkpoint, 'eval'),
    },
    task.evaluation_defaults(specification),
  )
  complete = task.complete_inference(given, complete, checkpoint, run)
  if complete.labels_offset is None:  # the task has no such flag
    complete = complete.replace(labels_offset=0)
  if known:
    released.tell(
      checkpoint,
      known,
      complete,
      complete.eval_image_size,
      f'labels_offset {complete.labels_offset}',
    )
  dataset = data.open_split(complete)
  data.check_evaluated(run, complete, dataset, checkpoint)
  task.prepare_dataset(complete, dataset)
  check_classes(dataset, complete.labels_offset)
  return Evaluation(task, complete, dataset, checkpoint, run)
