"""What follows from the task of a dataset, for the flags of a script."""

import os
from collections.abc import Callable

import numpy as np

from datasets import dataset_factory, label_kinds
from datasets.records import pixel_counts
from engine import console, forms, model, options, selection
from engine.config import TrainConfig
from engine.segmentation import CLASSIFICATION, SEGMENTATION, ModelConfig
from nets import decoders, nets_factory
from preprocessing import preprocessing_factory, segmentation_preprocessing
from tasks import segmentation

# Fewer crops than these at once do not tell batch norm's statistics.
_CROPS_FOR_BATCH_NORM = 12
_LOOKED_AT = 200  # masks, before the training begins
_MOSTLY_IGNORED, _MOSTLY_ONE = 0.5, 0.95  # shares that are worth a word
# What a flag of one task is called for the other.
_INSTEAD = {
  'train_image_size': 'train_crop_size',
  'eval_image_size': 'eval_crop_size',
  'train_crop_size': 'train_image_size',
  'eval_crop_size': 'eval_image_size',
}


def asked(given: ModelConfig) -> str | None:
  """Returns the task that --task asks for, None if it asks for none."""
  return None if given.legacy_task else given.task


def of_run(run: dict) -> str | None:
  """Returns the task of a run, None of one that does not say."""
  return run.get('task') if run.get('task') in label_kinds.KINDS else None


def of(given: ModelConfig, task: str, where: str) -> str:
  """Returns the task, which the data tell.

  Args:
    given: what the flags say.
    task: that of the data, or of the run.
    where: what has told it, for errors.

  Raises:
    ValueError: --task contradicts it, or a flag is for the other task.
  """
  if asked(given) not in (None, task):
    raise ValueError(
      f'--task={given.task} contradicts {where}, which has '
      f'{label_kinds.get(task).noun}: leave the flag out.'
    )
  for name in given.given_for_another(task):
    other = next(t for t in label_kinds.KINDS if t != task)
    instead = (
      f'pass --{_INSTEAD[name]} instead.'
      if name in _INSTEAD
      else 'leave the flag out.'
    )
    raise ValueError(
      f'--{name} is for {other}, but {where} has '
      f'{label_kinds.get(task).noun}: {instead}'
    )
  return task


def of_data(
  given: ModelConfig, specification: dataset_factory.Specification
) -> str:
  """Returns the task of a dataset; see `of`."""
  return of(given, specification.task, f'the dataset {given.dataset_name}')


def own_preprocessing(task: str, network: nets_factory.Network) -> str:
  """Returns the preprocessing of a network, if nothing else is said.

  Standardised, as in 'cifar', a pixel would depend on what else is in a crop.
  """
  own = network.preprocessing
  dense = segmentation_preprocessing.NORMALIZATIONS
  return own if task == CLASSIFICATION or own in dense else 'inception'


def check_metrics(config: TrainConfig) -> TrainConfig:
  """Returns the configuration with its --best_metric.

  Raises:
    ValueError: a metric of the other task.
  """
  if config.best_metric is None:
    config = config.replace(best_metric=selection.main_metric(config.task))
  known = selection.TASK_METRICS[config.task]
  for flag in ('best_metric', 'plateau_metric'):
    name = getattr(config, flag)
    if name not in known:
      raise ValueError(
        f'--{flag}={name} is no figure of {config.task}: it can '
        f'be {", ".join(known)}.'
      )
  return config


def aligned(size: tuple[int, int], output_stride: int) -> tuple[int, int]:
  """Returns the nearest size of a multiple of the stride, plus one."""
  return tuple(
    max(1, round((side - 1) / output_stride)) * output_stride + 1
    for side in size
  )


def check_size(flag: str, size: tuple[int, int], output_stride: int) -> None:
  """Suggests another size if features and pixels would not be aligned."""
  best = aligned(size, output_stride)
  if size != best:
    console.note(
      f'--{flag}={",".join(map(str, dict.fromkeys(size)))}: a multiple of '
      f'the output stride {output_stride} plus one, such as '
      f'{",".join(map(str, dict.fromkeys(best)))}, keeps features and '
      'pixels aligned.'
    )


def _crops(config):
  """Returns how many crops go through the network at once."""
  return config.batch_size // config.num_micro_batches


def _freezes(config):
  """Whether batch norm is frozen where no flag says so; says why."""
  crops = _crops(config)
  if not config.checkpoint_path or crops >= _CROPS_FOR_BATCH_NORM:
    return False
  console.note(
    f'{crops} crops at once are too few for the statistics of batch norm '
    f'({_CROPS_FOR_BATCH_NORM} are enough), so those of the checkpoint are '
    'kept, and a new decoder has a mean of 0 and a variance of 1: '
    '--freeze_batch_norm, which --nofreeze_batch_norm undoes.'
  )
  return True


def freeze(given: TrainConfig, config: TrainConfig) -> TrainConfig:
  """Returns the configuration with --freeze_batch_norm decided.

  Raises:
    ValueError: batch norm of the image pooling would see a single value.
  """
  if given.freeze_batch_norm is None and config.task == SEGMENTATION:
    config = config.replace(freeze_batch_norm=_freezes(config))
  if (
    config.task == SEGMENTATION
    and config.decoder != 'fcn'
    and _crops(config) == 1
    and not config.freeze_batch_norm
  ):
    raise ValueError(
      f'With one crop at once the image pooling of --decoder='
      f'{config.decoder} has one value a channel, of which batch norm makes '
      'a constant: raise --batch_size, or pass --freeze_batch_norm or '
      '--decoder=fcn.'
    )
  return config


def _count(dataset, most=None):
  return pixel_counts.count(
    dataset,
    most=most,
    progress=lambda total, initial, title: console.progress(
      total, initial, 'mask'
    ),
  )


def _look(config, dataset):
  """Looks at some masks, and says why nothing would be learnt of them."""
  counted = _count(dataset, _LOOKED_AT)
  if (counted.pixels > 0).sum() < 2:  # by chance?
    counted = _count(dataset)
  there, total = np.flatnonzero(counted.pixels), counted.pixels.sum()
  folder = os.path.dirname(dataset.data_sources[0])
  cure = (
    'Look at them: python download_and_convert_data.py --verify '
    f'--dataset_dir={folder}'
  )
  if not len(there):
    raise ValueError(
      f'All pixels of the masks of {dataset.name}, split '
      f'{dataset.split_name}, are ignored, since they have the value '
      f'{config.ignore_label}. If that is a class, convert the data with '
      f'--mask_values, or pass another --ignore_label. {cure}'
    )
  name = (dataset.labels_to_names or {}).get(there[0], there[0])
  if len(there) == 1:
    raise ValueError(
      f'The masks of {dataset.name}, split {dataset.split_name}, have one '
      f'class alone, {there[0]} ({name}), so there is nothing to tell apart: '
      f'are masks of 0 and 255 meant, or colours? {cure}'
    )
  ignored, most = (
    counted.ignored / (counted.ignored + total),
    (counted.pixels.max() / total),
  )
  if ignored > _MOSTLY_IGNORED:
    console.note(
      f'{ignored:.0%} of the pixels are ignored (the value '
      f'{config.ignore_label} in the masks). {cure}'
    )
  if most > _MOSTLY_ONE and config.class_weights is None:
    console.note(
      f'{most:.1%} of the pixels are of one class: '
      '--class_weights=auto gives the others more weight.'
    )


def _weights(config, dataset):
  """Returns the weights of the classes, as a flag has them."""
  given = forms.weights(config.class_weights)
  if given is None:
    counted = _count(dataset)
    given = np.round(segmentation.auto_class_weights(counted.pixels), 4)
    names = dataset.labels_to_names or {}
    console.say(
      'Weights of the classes: '
      + ', '.join(
        f'{names.get(label, label)} {weight:.3g}'
        for label, weight in enumerate(given)
      )
      + '.'
    )
  if len(given) != dataset.num_classes:
    raise ValueError(
      f'--class_weights={config.class_weights} has {len(given)} weights, but '
      f'{dataset.name} has {dataset.num_classes} classes: give one for '
      'each, or pass auto.'
    )
  return ','.join(f'{weight:g}' for weight in given)


def complete(
  config: TrainConfig, dataset: dataset_factory.Dataset
) -> TrainConfig:
  """Returns the configuration of a training on masks.

  Sets the dataset's ignore label to that of the configuration.

  Raises:
    ValueError: decoder, stride or rates that do not fit the network, or
      weights that do not fit the classes.
  """
  decoders.check(**model.decoder_options(config))
  check_size('train_crop_size', config.crop, config.output_stride)
  ignore(dataset, config.ignore_label)
  _look(config, dataset)
  if config.class_weights:
    config = config.replace(class_weights=_weights(config, dataset))
  if 'rates' in decoders.get_decoder(config.decoder).needs:
    config = config.replace(
      atrous_rates=config.atrous_rates
      or ','.join(map(str, decoders.default_rates(config.output_stride)))
    )
  return config.replace(labels_offset=0)


def preprocessing(task: str) -> Callable:
  """Returns what makes a preprocessing of its name; see its factory."""
  return (
    preprocessing_factory.get_segmentation_preprocessing
    if task == SEGMENTATION
    else preprocessing_factory.get_preprocessing
  )


def ignore_label(specification: dataset_factory.Specification) -> int:
  """Returns the dataset's ignore label as a flag has it; -1 for none."""
  return (
    -1 if specification.ignore_label is None else (specification.ignore_label)
  )


def ignore(dataset: dataset_factory.Dataset, label: int | None) -> None:
  """Makes it the dataset's ignore label; -1 for none."""
  dataset.ignore_label = None if label == -1 else label


def scaled_rates(run: dict, output_stride: int) -> str | None:
  """Returns the atrous rates of a run for another output stride.

  The same distance in the image is so many more features.
  """
  if not run.get('atrous_rates'):
    return None
  return ','.join(
    str(max(1, rate * run['output_stride'] // output_stride))
    for rate in forms.whole(run['atrous_rates'])
  )


def fill(given: options.Config, task: str, *sources: dict) -> options.Config:
  """Sets each field that is None from the first source that has it.

  Fields of the other task stay None.
  """
  changes = {}
  for source in sources:
    for name, value in source.items():
      if (
        value is not None
        and getattr(given, name) is None
        and (given.takes(name, task))
      ):
        changes.setdefault(name, value)
  return given.replace(**changes)
