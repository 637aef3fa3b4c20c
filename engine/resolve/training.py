"""Completes the configuration of a training from data, network and start."""

import math
import os

from tf_slim.data.dataset import Dataset

from datasets import dataset_factory, label_kinds
from engine.checkpoints import locate, released
from engine.common import console
from engine.config.fields import fill
from engine.config.scripts import TrainConfig
from engine.config.tasks import TASKS
from engine.model import build
from engine.resolve import data, places, step_size, weights
from engine.resolve.task import of_data
from nets import nets_factory


def _other_split(splits, split):
  """Returns the split to choose the best on; train_aug has what train has."""
  return min(
    (other for other in splits if other != split),
    key=lambda other: (not other.startswith('val'), other.startswith('train')),
    default=split,
  )


def untouched_split(config: TrainConfig) -> str | None:
  """Returns the test split, if nothing in a training looks at it.

  Args:
    config: complete.
  """
  splits = dataset_factory.get_specification(
    config.dataset_name, config.dataset_dir
  ).splits
  return next(
    (
      split
      for split in splits
      if split.startswith('test')
      and split not in (config.dataset_split_name, config.eval_split_name)
      and not data.missing(config, split)
    ),
    None,
  )


def _eval_split(given, splits, train_dir):
  """Returns the split to evaluate on: the flag's, the run's, or the best one.

  Raises:
    ValueError: the flag's is not there.
  """
  if given.eval_split_name is not None:
    missing = data.missing(given, given.eval_split_name)
    if missing:
      raise ValueError(f'--eval_split_name={given.eval_split_name}: {missing}')
    return given.eval_split_name
  begun = locate.begun(train_dir).get('eval_split_name')
  if begun in splits:
    return begun
  return _other_split(splits, given.dataset_split_name)


def check_classes(dataset: Dataset, labels_offset: int) -> None:
  """Raises ValueError if --labels_offset leaves less than two classes."""
  least = label_kinds.get(dataset.task).least_classes
  if dataset.num_classes - labels_offset < least:
    raise ValueError(
      f'--labels_offset={labels_offset} leaves less than two of the '
      f'{dataset.num_classes} classes of {dataset.name}.'
    )


def _with_metric(config):
  """Returns the configuration with its --best_metric."""
  entry = TASKS[config.task]
  if config.best_metric is None:
    config = config.replace(best_metric=entry.main_metric)
  for flag in ('best_metric', 'plateau_metric'):
    name = getattr(config, flag)
    if name not in entry.metrics:
      raise ValueError(
        f'--{flag}={name} is no metric of {config.task}: it can '
        f'be {", ".join(entry.metrics)}.'
      )
  return config


def _with_lengths(given, complete, dataset, replicas):
  """Returns the configuration with its lengths measured by the data."""
  examples = dataset.num_samples
  if not examples:  # the pipeline says why
    return complete
  complete = step_size.completed(given, complete, examples, replicas)
  step_size.check(complete, dataset, replicas)
  if given.num_epochs is None:
    return complete
  together = complete.examples_per_step
  steps = max(1, math.ceil(given.num_epochs * examples / together))
  if given.max_number_of_steps is not None:  # as a short trial of a recipe
    steps = min(steps, given.max_number_of_steps)
  return complete.replace(max_number_of_steps=steps)


# What says how a training learns: with any of them, or without an end, a
# dataset's annealing is not meant.
_LEARNING = (
  'optimizer',
  'learning_rate',
  'learning_rate_decay_type',
  'learning_rate_decay_factor',
  'num_epochs_per_decay',
  'num_steps_per_decay',
  'warmup',
  'plateau_patience',
  'checkpoint_path',
)


def _annealing(given, specification):
  """Returns the rate and schedule that fit the data, {} where a flag says."""
  ends = given.max_number_of_steps or given.num_epochs
  told = given.given().keys() & _LEARNING
  return dict(specification.annealing) if ends and not told else {}


# What a fine-tuned run takes from the checkpoint that it starts from.
_STARTED = ('train_image_size', 'labels_offset')


def _tell_preprocessing(given, complete):
  """Says which preprocessing is taken if the start does not say the same."""
  if not given.checkpoint_path or given.preprocessing_name:
    return
  path = locate.find(given.checkpoint_path, tells=False)  # the start does
  run, taken = locate.run_of(path), complete.preprocessing_name
  then = run.get('preprocessing_name')
  if then != taken:
    console.note(
      f'images are prepared by --preprocessing_name={taken}, '
      + (
        f'but those of {path} were by {then}: pass that to keep it.'
        if then
        else f'since {path} does not say which it was trained with.'
      )
    )


def _tell_start(given, complete, known, source, begun, same_classes):
  """Says what a new run takes over from the weights that it starts from."""
  path = given.checkpoint_path
  offset = f'labels_offset {complete.labels_offset}'
  if source and not begun and path:
    weights.tell(
      path,
      complete,
      complete.train_image_size,
      offset if same_classes else 'new logits',
    )
  elif known and path:
    released.tell(
      path, known, complete, complete.train_image_size, *[offset][:same_classes]
    )
  elif not begun:
    _tell_preprocessing(given, complete)


def training(
  given: TrainConfig, replicas: int = 1
) -> tuple[TrainConfig, Dataset]:
  """Returns the complete configuration of a training, and its data.

  Args:
    given: what the flags say.
    replicas: how many share a step.

  Raises:
    ValueError: an unknown name, or data that is not there.
  """
  given = weights.with_network(given)
  network = nets_factory.get_network(given.model_name)
  if given.zero_init_last_gamma:
    nets_factory.check_zero_init(given.model_name)
  given = places.with_dataset_name(given)
  build.complete(given)  # before the weights are downloaded
  specification = dataset_factory.get_specification(
    given.dataset_name, given.dataset_dir
  )
  task = of_data(given, specification)
  train_dir = places.train_dir(given)
  # One that is resumed goes by its config.json: the checkpoint may be gone.
  begun = locate.begun(train_dir) if given.checkpoint_path else {}
  given = build.complete(weights.adopt(given, begun))
  source = weights.source_of(given, begun)
  known = None
  if task.follows_released and not begun:
    known = weights.released(source) or released.start_from(
      network, given.checkpoint_path
    )
  same_classes = known and specification.num_classes == (
    known.num_classes + known.labels_offset
  )
  complete = fill(
    given.replace(task=task.name),
    task.name,
    {
      'preprocessing_name': source.get('preprocessing_name')
      and task.preprocessing(
        network._replace(preprocessing=source['preprocessing_name'])
      ),
      'train_image_size': source.get('train_image_size'),
    },
    dict(specification.suggestions),
    _annealing(given, specification),
    {
      'train_image_size': known and known.image_size,
      'labels_offset': known.labels_offset if known and same_classes else None,
    },
    {name: begun.get(name) for name in _STARTED},
    {
      'preprocessing_name': task.preprocessing(network),
      'train_image_size': network.default_image_size,
      'eval_split_name': _eval_split(given, specification.splits, train_dir),
      'train_dir': train_dir,
    },
    task.training_defaults(given, specification),
    given.fallbacks(),
  )
  complete = _with_metric(complete)
  if complete.labels_offset is None:  # the task has no such flag
    complete = complete.replace(labels_offset=0)
  _tell_start(given, complete, known, source, begun, bool(same_classes))
  if given.dataset_dir and '://' not in given.dataset_dir:
    complete = complete.replace(dataset_dir=os.path.abspath(given.dataset_dir))
  task.check_training(complete)
  dataset = data.open_split(given)
  check_classes(dataset, complete.labels_offset)
  complete = _with_lengths(given, complete, dataset, replicas)
  return task.complete_training(given, complete, dataset), dataset
