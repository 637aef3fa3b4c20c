"""Completes a configuration from the dataset, the network and the run."""

import math
import os
from typing import Any, NamedTuple

from datasets import dataset_factory
from engine import (
  checkpoints,
  config,
  forms,
  identify,
  model,
  options,
  pixel_mean,
  released,
  task,
)
from engine.segmentation import CLASSIFICATION, SEGMENTATION
from engine.task import fill
from nets import decoders, nets_factory

_CROPS = 8  # in a batch of a training on masks, if nothing else is said


def run_dir(model_name: str, dataset_name: str, dataset_dir: str | None) -> str:
  """Returns the default folder of a run."""
  if dataset_name == dataset_factory.OWN and dataset_dir:
    dataset_name = os.path.basename(os.path.abspath(dataset_dir))
  return os.path.join('runs', f'{model_name}-{dataset_name}')


def class_names(
  dataset: dataset_factory.Dataset, labels_offset: int
) -> list[str]:
  """Returns the name of each logit; its number where there is no name."""
  names = dataset.labels_to_names or {}
  return [
    names.get(label, str(label))
    for label in range(labels_offset, dataset.num_classes)
  ]


def _other_split(specification, split):
  """Returns the split to evaluate on; train_aug has what train has."""
  others = [s for s in specification.splits if s != split]
  return next(
    (s for s in others if not s.startswith('train')), next(iter(others), split)
  )


def _last_split(specification):
  """Returns the split that is evaluated on if nothing else is said."""
  if specification.task == SEGMENTATION:
    return _other_split(specification, 'train')
  return specification.splits[-1]


def _check_classes(dataset, labels_offset):
  if labels_offset >= dataset.num_classes - 1:
    raise ValueError(
      f'--labels_offset={labels_offset} leaves less than two of the '
      f'{dataset.num_classes} classes of {dataset.name}.'
    )


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
      f'{dataset.name}, split {dataset.split_name}: lower it.'
    )
  if batch % parts:
    raise ValueError(
      f'--num_micro_batches={parts} does not divide '
      f'--batch_size={batch}: choose a factor of it.'
    )
  if given.num_epochs is None:
    return complete
  steps = max(1, math.ceil(given.num_epochs * examples / batch))
  if given.max_number_of_steps is not None:  # as a short trial of a recipe
    steps = min(steps, given.max_number_of_steps)
  return complete.replace(max_number_of_steps=steps)


def training(
  given: config.TrainConfig,
) -> tuple[config.TrainConfig, dataset_factory.Dataset]:
  """Returns the complete configuration of a training, and its data.

  Raises:
    ValueError: an unknown name, or data that is not there.
  """
  network = nets_factory.get_network(given.model_name)
  if given.zero_init_last_gamma:
    nets_factory.check_zero_init(given.model_name)
  given = model.complete(_named(given))
  specification = dataset_factory.get_specification(
    given.dataset_name, given.dataset_dir
  )
  kind = task.of_data(given, specification)
  found = released.start_from(network, given.checkpoint_path)
  same_classes = found and specification.num_classes == (
    found.num_classes + found.labels_offset
  )
  complete = fill(
    given.replace(task=kind),
    kind,
    {**specification.suggestions},
    {
      'train_image_size': found and found.image_size,
      'labels_offset': found.labels_offset if same_classes else None,
    },
    {
      'preprocessing_name': task.own_preprocessing(kind, network),
      'train_image_size': network.default_image_size,
      'eval_split_name': _other_split(specification, given.dataset_split_name),
      'ignore_label': task.ignore_label(specification),
      'train_dir': run_dir(
        given.model_name, given.dataset_name, given.dataset_dir
      ),
    },
    {'batch_size': _CROPS, 'output_stride': model.output_stride(given)}
    if kind == SEGMENTATION
    else {},
    given.fallbacks(),
  )
  complete = task.check_metrics(complete)
  if found and kind != SEGMENTATION:
    released.tell(
      given.checkpoint_path,
      found,
      complete,
      complete.train_image_size,
      *([f'labels_offset {complete.labels_offset}'] if same_classes else []),
    )
  if given.dataset_dir and '://' not in given.dataset_dir:
    complete = complete.replace(dataset_dir=os.path.abspath(given.dataset_dir))
  task.preprocessing(kind)(complete.preprocessing_name, True)
  pixel_mean.check(complete, complete.train_dir)
  dataset = dataset_factory.get_dataset(
    given.dataset_name, given.dataset_split_name, given.dataset_dir
  )
  if kind == SEGMENTATION:
    complete = task.complete(complete, dataset)
  _check_classes(dataset, complete.labels_offset)
  measured = _measured(given, complete, dataset)
  return task.freeze(given, measured), dataset


def _named(given):
  """Returns the configuration with the name of the dataset."""
  if given.dataset_name is not None:
    return given
  wants_masks = given.task == SEGMENTATION and given.dataset_dir is None
  return given.replace(
    dataset_name='digit_scenes'
    if wants_masks
    else dataset_factory.name_of(given.dataset_dir)
  )


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
_SHARED = {
  name: name
  for name in (
    'model_name',
    'root_block',
    'shortcut',
    'use_grayscale',
    'preprocessing_name',
    'decoder',
    'decoder_depth',
    'multi_grid',
  )
}
# No flag may contradict these.
_FIXED = (*_SHARED, 'labels_offset')


def _check_path(given):
  if not given.checkpoint_path:
    raise ValueError(
      '--checkpoint_path is missing: the folder of a run, or a checkpoint.'
    )


def _open_run(given, names):
  """Returns a configuration filled from its run, the checkpoint, the run."""
  _check_path(given)
  checkpoint = checkpoints.find(given.checkpoint_path)
  run = options.read(os.path.dirname(checkpoint))
  complete = options.from_run(
    given, run, {**_SHARED, **names(run)}, fixed=_FIXED
  )
  if complete.model_name is None:
    raise ValueError(
      f'{checkpoint} has no {options.CONFIG_FILENAME} beside it, so the '
      'network is unknown: pass --model_name.'
    )
  if not run:
    complete = _told(complete, checkpoint)
  return model.complete(complete), checkpoint, run


def _told(given, checkpoint):
  """Returns the configuration with what the checkpoint itself tells."""
  found = identify.network(identify.read(checkpoint).values())
  if not found or given.model_name not in found.names:
    return given
  return fill(given, CLASSIFICATION, found.options(given.model_name))


def _dense(given, complete, checkpoint, run):
  """Returns the configuration with its decoder and its stride."""
  found = identify.decoder(identify.read(checkpoint).values())
  stride = given.output_stride or run.get('output_stride')
  complete = fill(
    complete,
    SEGMENTATION,
    {
      'output_stride': stride or model.output_stride(complete),
      'atrous_rates': stride and task.scaled_rates(run, stride),
      'decoder': found.name,
      'decoder_depth': found.depth,
    },
    given.fallbacks(),
  )
  decoders.check(**model.decoder_options(complete))
  if complete.eval_crop_size:
    task.check_size(
      'eval_crop_size',
      forms.size(complete.eval_crop_size),
      complete.output_stride,
    )
  return complete


def with_path(given: config.EvalConfig) -> config.EvalConfig:
  """Returns the configuration with the default --checkpoint_path.

  Raises:
    ValueError: none is given, and no --model_name for the default.
  """
  if given.checkpoint_path is None and given.model_name is not None:
    given = given.replace(
      checkpoint_path=run_dir(
        given.model_name, _named(given).dataset_name, given.dataset_dir
      )
    )
  _check_path(given)
  return given


def _averages(given, complete, checkpoint):
  """Returns the decay of the moving averages to evaluate, None for none.

  Those that a run has are not in every checkpoint of it.
  """
  if not given.raw_weights:
    decay = complete.moving_average_decay
    there = given.moving_average_decay or (
      decay and identify.read(checkpoint).shadows
    )
    return decay if there else None
  if given.moving_average_decay:
    raise ValueError(
      '--raw_weights leaves out the moving averages that '
      f'--moving_average_decay={given.moving_average_decay} asks for: leave '
      'one of the flags out.'
    )
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
      found.update(
        dataset_name='dataset_name',
        dataset_dir='dataset_dir',
        dataset_split_name='eval_split_name',
        ignore_label='ignore_label',
      )
    return found

  complete, checkpoint, run = _open_run(given, names)
  complete = _named(
    complete.replace(
      moving_average_decay=_averages(given, complete, checkpoint)
    )
  )
  network = nets_factory.get_network(complete.model_name)
  specification = dataset_factory.get_specification(
    complete.dataset_name, complete.dataset_dir
  )
  kind = task.of_data(
    given.replace(dataset_name=complete.dataset_name), specification
  )
  _check_run_task(run, kind, complete.dataset_name)
  suggestions = dict(specification.suggestions)
  found = None if run else released.find(network, checkpoint)
  complete = fill(
    complete.replace(task=kind),
    kind,
    found
    and {
      'preprocessing_name': network.preprocessing,
      'eval_image_size': found.image_size,
      'labels_offset': found.labels_offset,
    }
    or {},
    {
      'preprocessing_name': suggestions.get('preprocessing_name'),
      'eval_image_size': suggestions.get('train_image_size'),
    },
    {
      'preprocessing_name': task.own_preprocessing(kind, network),
      'eval_image_size': network.default_image_size,
      'labels_offset': 0,
      'use_grayscale': False,
      'ignore_label': task.ignore_label(specification),
      'batch_size': 100 if kind == CLASSIFICATION else None,
      'dataset_split_name': _last_split(specification),
      'eval_dir': os.path.join(os.path.dirname(checkpoint), 'eval'),
    },
  )
  if kind == SEGMENTATION:
    complete = _dense(given, complete, checkpoint, run).replace(labels_offset=0)
  else:
    complete = pixel_mean.found(complete, checkpoint)
  if found and kind != SEGMENTATION:
    released.tell(
      checkpoint,
      found,
      complete,
      complete.eval_image_size,
      f'labels_offset {complete.labels_offset}',
    )
  dataset = dataset_factory.get_dataset(
    complete.dataset_name, complete.dataset_split_name, complete.dataset_dir
  )
  if kind == SEGMENTATION:
    task.ignore(dataset, complete.ignore_label)
  _check_classes(dataset, complete.labels_offset)
  return Evaluation(complete, dataset, checkpoint, run)


def _check_run_task(run, kind, dataset_name):
  trained = task.of_run(run) or kind
  if trained != kind:
    raise ValueError(
      f'The run was trained for {trained}, but the dataset {dataset_name} '
      f'is for {kind}: name other data, or another --checkpoint_path.'
    )


def classification(
  given: config.ClassifyConfig,
) -> tuple[config.ClassifyConfig, str, dict[str, Any]]:
  """Returns the complete configuration, the checkpoint and its run.

  Raises:
    ValueError: a flag contradicts the run; no checkpoint; an unknown name.
  """
  complete, checkpoint, run = _open_run(
    given, lambda run: {'eval_image_size': 'train_image_size'}
  )
  network = nets_factory.get_network(complete.model_name)
  decoder = identify.decoder(identify.read(checkpoint).values())
  guessed = CLASSIFICATION if decoder.name == 'fcn' else SEGMENTATION
  kind = task.of_run(run) or task.asked(given) or guessed
  kind = task.of(given, kind, f'the checkpoint {checkpoint}')
  found = None if run else released.find(network, checkpoint)
  complete = fill(
    complete.replace(task=kind),
    kind,
    {'eval_image_size': found and found.image_size},
    {
      'preprocessing_name': task.own_preprocessing(kind, network),
      'eval_image_size': network.default_image_size,
      'use_grayscale': False,
      'output_dir': os.path.join(os.path.dirname(checkpoint), 'segmented'),
    },
  )
  complete = (
    _dense(given, complete, checkpoint, run)
    if kind == SEGMENTATION
    else pixel_mean.found(complete, checkpoint)
  )
  return complete, checkpoint, run
