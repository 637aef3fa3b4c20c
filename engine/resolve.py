"""Completes a configuration from the data set, the network and the run."""
import os
from typing import Any, NamedTuple

from datasets import dataset_factory
from engine import checkpoints, config, console, options
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


# What a run's checkpoints depend on: to continue with another is a mistake.
_KEPT = ('model_name', 'dataset_name', 'labels_offset', 'use_grayscale',
         'optimizer', 'trainable_scopes', 'moving_average_decay')


def _check_continues(given):
  folder = given.train_dir
  run = options.read(folder) if checkpoints.listed(folder) else {}
  for name in _KEPT:
    if name in run and run[name] != getattr(given, name):
      raise ValueError(
          f'--{name}={getattr(given, name)} contradicts the run in {folder}, '
          f'which was begun with {name}={run[name]}: name another '
          '--train_dir, or continue as it was begun.')


def training(given: config.TrainConfig
             ) -> tuple[config.TrainConfig, dataset_factory.Dataset]:
  """Returns the complete configuration of a training, and its data.

  Raises:
    ValueError: an unknown name, or data that is not there.
  """
  network = nets_factory.get_network(given.model_name)
  given = fill(given, {
      'dataset_name': dataset_factory.name_of(given.dataset_dir)})
  specification = dataset_factory.get_specification(
      given.dataset_name, given.dataset_dir)
  released = (_released(network, checkpoints.find(given.checkpoint_path))
              if given.checkpoint_path else None)
  complete = fill(given, dict(specification.suggestions), {
      'train_image_size': released and released.image_size}, {
      'preprocessing_name': network.preprocessing,
      'train_image_size': network.function.default_image_size,
      'eval_split_name': _other_split(specification, given.dataset_split_name),
      'train_dir': run_dir(given.model_name, given.dataset_name,
                           given.dataset_dir)},
      given.fallbacks())
  if released and given.train_image_size is None:
    _tell_released(given.checkpoint_path, released, complete,
                   _size(complete.train_image_size))
  if given.dataset_dir and '://' not in given.dataset_dir:
    complete = complete.replace(dataset_dir=os.path.abspath(given.dataset_dir))
  preprocessing_factory.get_preprocessing(complete.preprocessing_name, True)
  dataset = dataset_factory.get_dataset(
      given.dataset_name, given.dataset_split_name, given.dataset_dir)
  _check_classes(dataset, given.labels_offset)
  _check_continues(complete)
  return complete, dataset


def _released(network, checkpoint):
  """Returns what is known of the checkpoint, if it is TF-Slim's."""
  released = network.released
  if released and checkpoints.num_classes(checkpoint) == released.num_classes:
    return released
  return None


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


def _open_run(given, names):
  """Returns a configuration filled from its run, the checkpoint, the run."""
  if not given.checkpoint_path:
    raise ValueError('--checkpoint_path is missing: the folder of a run, or a '
                     'checkpoint.')
  checkpoint = checkpoints.find(given.checkpoint_path)
  run = options.read(os.path.dirname(checkpoint))
  complete = options.from_run(given, run, {**_SHARED, **names(run)},
                             fixed=_FIXED)
  if complete.model_name is None:
    raise ValueError(
        f'{checkpoint} has no {options.CONFIG_FILENAME} beside it, so the '
        'network is unknown: pass --model_name.')
  return complete, checkpoint, run


def evaluation(given: config.EvalConfig) -> Evaluation:
  """Returns the complete configuration of an evaluation.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  if given.checkpoint_path is None and given.model_name is not None:
    given = given.replace(checkpoint_path=run_dir(
        given.model_name, given.dataset_name
        or dataset_factory.name_of(given.dataset_dir), given.dataset_dir))

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
