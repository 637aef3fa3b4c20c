"""Completes a configuration from the data set, the network and the run."""
import math
import os
from typing import Any, NamedTuple

from datasets import dataset_factory
from engine import checkpoints, config, console, identify, options
from nets import nets_factory
from preprocessing import preprocessing_factory


def run_dir(model_name: str, dataset_name: str, dataset_dir: str | None
            ) -> str:
  """Returns the default folder of a run."""
  if dataset_name == dataset_factory.OWN and dataset_dir:
    dataset_name = os.path.basename(os.path.abspath(dataset_dir))
  return os.path.join('runs', f'{model_name}-{dataset_name}')


def class_names(dataset: dataset_factory.Dataset, labels_offset: int
                ) -> list[str]:
  """Returns the name of each logit; its number where there is no name."""
  names = dataset.labels_to_names or {}
  return [names.get(label, str(label))
          for label in range(labels_offset, dataset.num_classes)]


def _other_split(specification, split):
  return next((s for s in specification.splits if s != split), split)


def fill(given: options.Config, *sources: dict[str, Any]) -> options.Config:
  """Sets each field that is None from the first source that has it."""
  changes = {}
  for source in sources:
    for name, value in source.items():
      if value is not None and getattr(given, name) is None:
        changes.setdefault(name, value)
  return given.replace(**changes)


def _check_classes(dataset, labels_offset):
  if labels_offset >= dataset.num_classes - 1:
    raise ValueError(
        f'--labels_offset={labels_offset} leaves less than two of the '
        f'{dataset.num_classes} classes of {dataset.name}.')


def _measured(given, complete, dataset):
  """Returns the configuration with its lengths measured by the data."""
  examples = dataset.num_samples
  if not examples:  # the pipeline says why
    return complete
  if given.batch_size is None:
    complete = complete.replace(batch_size=min(complete.batch_size, examples))
  batch, parts = complete.batch_size, complete.num_micro_batches
  if batch > examples:
    raise ValueError(
        f'--batch_size={batch} is larger than the {examples} examples of '
        f'{dataset.name}, split {dataset.split_name}: lower it.')
  if batch % parts:
    raise ValueError(f'--num_micro_batches={parts} does not divide '
                     f'--batch_size={batch}: choose a factor of it.')
  if given.num_epochs is None:
    return complete
  steps = max(1, math.ceil(given.num_epochs * examples / batch))
  if given.max_number_of_steps is not None:  # as a short trial of a recipe
    steps = min(steps, given.max_number_of_steps)
  return complete.replace(max_number_of_steps=steps)


def training(given: config.TrainConfig
             ) -> tuple[config.TrainConfig, dataset_factory.Dataset]:
  """Returns the complete configuration of a training, and its data.

  Raises:
    ValueError: an unknown name, or data that is not there.
  """
  network = nets_factory.get_network(given.model_name)
  if given.zero_init_last_gamma:
    nets_factory.check_zero_init(given.model_name)
  given = fill(given, {
      'dataset_name': dataset_factory.name_of(given.dataset_dir)})
  specification = dataset_factory.get_specification(
      given.dataset_name, given.dataset_dir)
  released = _start_from_released(network, given.checkpoint_path)
  same_classes = released and specification.num_classes == (
      released.num_classes + released.labels_offset)
  complete = fill(given, dict(specification.suggestions), {
      'train_image_size': released and released.image_size,
      'labels_offset': released.labels_offset if same_classes else None}, {
      'preprocessing_name': network.preprocessing,
      'train_image_size': network.function.default_image_size,
      'eval_split_name': _other_split(specification, given.dataset_split_name),
      'train_dir': run_dir(given.model_name, given.dataset_name,
                           given.dataset_dir)},
      given.fallbacks())
  if released:
    _tell_released(
        given.checkpoint_path, released, complete,
        _size(complete.train_image_size),
        *([f'labels_offset {complete.labels_offset}'] if same_classes else []))
  if given.dataset_dir and '://' not in given.dataset_dir:
    complete = complete.replace(dataset_dir=os.path.abspath(given.dataset_dir))
  preprocessing_factory.get_preprocessing(complete.preprocessing_name, True)
  dataset = dataset_factory.get_dataset(
      given.dataset_name, given.dataset_split_name, given.dataset_dir)
  _check_classes(dataset, complete.labels_offset)
  return _measured(given, complete, dataset), dataset


def _released(network, checkpoint):
  """Returns what is known of the checkpoint, if it is TF-Slim's."""
  released = network.released
  found = identify.network(identify.read(checkpoint).values())
  if (released and found and found.num_classes == released.num_classes
      and any(nets_factory.get_network(name) is network
              for name in found.names)):
    return released
  return None


def _start_from_released(network, checkpoint_path):
  """Returns what is known of the checkpoint that a training starts from."""
  if not checkpoint_path:
    return None
  checkpoint = checkpoints.find(checkpoint_path)
  run = options.read(os.path.dirname(checkpoint))
  return None if run else _released(network, checkpoint)


def _tell_released(checkpoint, released, complete, *more):
  console.note(
      f'{checkpoint} has {released.num_classes:,} classes, as TF-Slim released '
      f'{complete.model_name}: '
      + ', '.join([f'preprocessing {complete.preprocessing_name}', *more])
      + '.')


def _size(pixels):
  return f'images of {pixels}x{pixels}'


class Evaluation(NamedTuple):
  """What an evaluation needs.

  Fields:
    config: its complete configuration.
    dataset: the split.
    checkpoint: the checkpoint's prefix.
    run: what the training wrote to its config.json, {} if there is none.
  """
  config: config.EvalConfig
  dataset: dataset_factory.Dataset
  checkpoint: str
  run: dict[str, Any]


# What evaluation and classification take over from the run: their field, and
# its name in the run.
_SHARED = {'model_name': 'model_name', 'use_grayscale': 'use_grayscale',
           'preprocessing_name': 'preprocessing_name'}
# No flag may contradict these.
_FIXED = (*_SHARED, 'labels_offset')


def _check_path(given):
  if not given.checkpoint_path:
    raise ValueError('--checkpoint_path is missing: the folder of a run, or a '
                     'checkpoint.')


def _open_run(given, names):
  """Returns a configuration filled from its run, the checkpoint, the run."""
  _check_path(given)
  checkpoint = checkpoints.find(given.checkpoint_path)
  run = options.read(os.path.dirname(checkpoint))
  complete = options.from_run(given, run, {**_SHARED, **names(run)},
                             fixed=_FIXED)
  if complete.model_name is None:
    raise ValueError(
        f'{checkpoint} has no {options.CONFIG_FILENAME} beside it, so the '
        'network is unknown: pass --model_name.')
  return complete, checkpoint, run


def with_path(given: config.EvalConfig) -> config.EvalConfig:
  """Returns the configuration with the default --checkpoint_path.

  Raises:
    ValueError: none is given, and no --model_name for the default.
  """
  if given.checkpoint_path is None and given.model_name is not None:
    given = given.replace(checkpoint_path=run_dir(
        given.model_name, given.dataset_name
        or dataset_factory.name_of(given.dataset_dir), given.dataset_dir))
  _check_path(given)
  return given


def _averages(given, complete, checkpoint):
  """Returns the decay of the moving averages to evaluate, None for none.

  Those that a run has are not in every checkpoint of it.
  """
  if not given.raw_weights:
    decay = complete.moving_average_decay
    there = given.moving_average_decay or (
        decay and identify.read(checkpoint).shadows)
    return decay if there else None
  if given.moving_average_decay:
    raise ValueError(
        '--raw_weights leaves out the moving averages that '
        f'--moving_average_decay={given.moving_average_decay} asks for: leave '
        'one of the flags out.')
  return None


def evaluation(given: config.EvalConfig) -> Evaluation:
  """Returns the complete configuration of an evaluation of one checkpoint.

  Its moving_average_decay is None where the weights are evaluated.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  given = with_path(given)

  def names(run):
    found = {name: name for name in ('labels_offset', 'moving_average_decay')}
    found['eval_image_size'] = 'train_image_size'
    name = given.dataset_name
    if name is None and given.dataset_dir is not None:
      name = dataset_factory.name_of(given.dataset_dir)
    if name in (None, run.get('dataset_name')):
      found.update(dataset_name='dataset_name', dataset_dir='dataset_dir',
                   dataset_split_name='eval_split_name')
    return found

  complete, checkpoint, run = _open_run(given, names)
  complete = complete.replace(
      moving_average_decay=_averages(given, complete, checkpoint))
  complete = fill(complete, {
      'dataset_name': dataset_factory.name_of(complete.dataset_dir)})
  network = nets_factory.get_network(complete.model_name)
  specification = dataset_factory.get_specification(
      complete.dataset_name, complete.dataset_dir)
  suggestions = dict(specification.suggestions)
  released = None if run else _released(network, checkpoint)
  complete = fill(complete, released and {
      'preprocessing_name': network.preprocessing,
      'eval_image_size': released.image_size,
      'labels_offset': released.labels_offset} or {}, {
      'preprocessing_name': suggestions.get('preprocessing_name'),
      'eval_image_size': suggestions.get('train_image_size')}, {
      'preprocessing_name': network.preprocessing,
      'eval_image_size': network.function.default_image_size,
      'labels_offset': 0, 'use_grayscale': False,
      'dataset_split_name': specification.splits[-1],
      'eval_dir': os.path.join(os.path.dirname(checkpoint), 'eval')})
  if released:
    _tell_released(checkpoint, released, complete,
                   _size(complete.eval_image_size),
                   f'labels_offset {complete.labels_offset}')
  dataset = dataset_factory.get_dataset(
      complete.dataset_name, complete.dataset_split_name, complete.dataset_dir)
  _check_classes(dataset, complete.labels_offset)
  return Evaluation(complete, dataset, checkpoint, run)


def classification(given: config.ClassifyConfig
                   ) -> tuple[config.ClassifyConfig, str, dict[str, Any]]:
  """Returns the complete configuration, the checkpoint and its run.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  complete, checkpoint, run = _open_run(
      given, lambda run: {'eval_image_size': 'train_image_size'})
  network = nets_factory.get_network(complete.model_name)
  released = None if run else _released(network, checkpoint)
  complete = fill(complete, {
      'eval_image_size': released and released.image_size}, {
      'preprocessing_name': network.preprocessing,
      'eval_image_size': network.function.default_image_size,
      'use_grayscale': False})
  return complete, checkpoint, run
