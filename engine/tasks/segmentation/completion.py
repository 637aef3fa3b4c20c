"""What the flags of segmentation follow from: data, network and run."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from tf_slim.data.dataset import Dataset

from datasets.label_kinds import SEGMENTATION
from datasets.records import pixel_counts
from datasets.specification import Specification
from engine.checkpoints import architecture, contents, locate
from engine.common import console
from engine.config import runs
from engine.config.fields import fill
from engine.config.parts.resizing import RESIZING, ResizingConfig
from engine.config.scripts import DenseInference, TrainConfig
from engine.model import build
from engine.tasks.segmentation import rates, sizes
from metrics import segmentation
from nets import decoders

# Fewer crops than these at once do not tell batch norm's statistics.
_CROPS_FOR_BATCH_NORM = 12
_LOOKED_AT = 200  # masks, before the training begins
_LOW_LEVEL = 'decoder_low_level'
_MOSTLY_IGNORED, _MOSTLY_ONE = 0.5, 0.95  # shares that are worth a word


def _crops(config):
  """Returns over how many crops batch norm measures."""
  crops = (
    config.examples_per_step if config.sync_batch_norm else config.batch_size
  )
  return crops // config.num_micro_batches


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


def _with_batch_norm(given, config):
  """Returns the configuration with --freeze_batch_norm decided.

  Raises:
    ValueError: batch norm of the image pooling would see a single value.
  """
  decoder = decoders.get_decoder(config.decoder)
  if given.freeze_batch_norm is None:
    config = config.replace(freeze_batch_norm=_freezes(config))
  if (
    config.add_image_level_feature
    and 'add_image_level_feature' in decoder.options
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


def _count(config, dataset, most=None):
  return pixel_counts.count(
    dataset,
    most=most,
    max_pixels=config.max_image_pixels,
    progress=lambda total, initial, title: console.progress(
      total, initial, 'mask'
    ),
  )


def _look(config, dataset):
  """Looks at some masks, and says why nothing would be learnt of them."""
  counted = _count(config, dataset, _LOOKED_AT)
  if (counted.pixels > 0).sum() < 2:  # by chance?
    counted = _count(config, dataset)
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
  """Returns the weights of the classes."""
  weights = config.class_weights
  if weights == 'auto':
    counted = _count(config, dataset)
    weights = tuple(
      float(f'{weight:g}')  # with the digits that all versions write
      for weight in np.round(segmentation.auto_class_weights(counted.pixels), 4)
    )
    names = dataset.labels_to_names or {}
    console.say(
      'Weights of the classes: '
      + ', '.join(
        f'{names.get(label, label)} {weight:.3g}'
        for label, weight in enumerate(weights)
      )
      + '.'
    )
  if len(weights) != dataset.num_classes:
    raise ValueError(
      f'--class_weights={config.text("class_weights")} has {len(weights)} '
      f'weights, but {dataset.name} has {dataset.num_classes} classes: give '
      'one for each, or pass auto.'
    )
  return weights


def training(
  given: TrainConfig, config: TrainConfig, dataset: Dataset
) -> TrainConfig:
  """Returns the configuration of a training on masks.

  Sets the dataset's ignore label to that of the configuration.

  Args:
    given: what the flags say.
    config: complete but for what follows from the masks.
    dataset: the split.

  Raises:
    ValueError: weights that do not fit the classes, or masks of which nothing
      would be learnt.
  """
  sizes.check_size(
    'train_crop_size', config.train_crop_size, config.output_stride
  )
  set_ignore_label(dataset, config.ignore_label)
  _look(config, dataset)
  if config.class_weights:
    config = config.replace(class_weights=_weights(config, dataset))
  decoder = decoders.get_decoder(config.decoder)
  if 'rates' in decoder.needs:
    own_rates = config.atrous_rates or decoders.default_rates(
      config.output_stride
    )
    config = config.replace(atrous_rates=own_rates)
    rates.check_stride(own_rates, config.output_stride)
    rates.check_reach(
      own_rates,
      config.output_stride,
      f'the crops of --train_crop_size={config.text("train_crop_size")}',
      config.train_crop_size,
    )
  if _LOW_LEVEL in decoder.options and given.decoder_low_level is None:
    config = config.replace(decoder_low_level=_low_level_of_start(config))
  return _with_batch_norm(given, config)


def _low_level_of_start(config):
  """Returns what the decoder is to join, as the run or its start has it.

  One that is resumed goes by its config.json, for the start may be gone.
  """
  begun = locate.begun(config.train_dir)
  if begun or not config.checkpoint_path:
    return begun.get(_LOW_LEVEL) or config.decoder_low_level
  start = locate.find(config.checkpoint_path, tells=False)  # the start does
  run = locate.run_of(start)
  found = _low_level(start, run)
  if found is None and runs.is_converted(run):
    return _low_level_of_weights(run, config)
  if found and found != config.decoder_low_level:
    console.note(
      f'the decoder of {start} is taken to join the {found} of block1: '
      f'--{_LOW_LEVEL}={found}.'
    )
  return found or config.decoder_low_level


def _low_level_of_weights(run, config):
  """Returns what a new decoder is to join, as others made it for weights."""
  found = run.get(_LOW_LEVEL) or config.decoder_low_level
  if found != config.decoder_low_level:
    console.note(
      f'the new decoder joins the {found} of block1, as those do that were '
      f'made for these weights: --{_LOW_LEVEL}={found}.'
    )
  return found


def _low_level(checkpoint, run):
  """Returns what the decoder of a checkpoint joins, None if it has none.

  No variable tells. Where no training of ours does, it is one of DeepLab's.
  """
  there = architecture.decoder(contents.read(checkpoint).values())
  if _LOW_LEVEL not in decoders.get_decoder(there.name).options:
    return None
  is_theirs = not run or runs.is_converted(run)
  return run.get(_LOW_LEVEL) or ('residual' if is_theirs else 'unit')


def inference(
  given: DenseInference,
  config: DenseInference,
  checkpoint: str,
  run: Mapping[str, Any],
) -> DenseInference:
  """Returns the configuration with its decoder and its output stride.

  Args:
    given: what the flags say.
    config: complete but for what follows from the decoder.
    checkpoint: its prefix.
    run: what the training wrote, {} if there is nothing.
  """
  found = architecture.decoder(contents.read(checkpoint).values())
  low_level = _low_level(checkpoint, run)
  if low_level and not run and given.decoder_low_level is None:
    console.note(
      f'{checkpoint} has no {runs.CONFIG_FILENAME} beside it, so it is taken '
      f"for one of DeepLab's: --{_LOW_LEVEL}={low_level} and "
      f'--preprocessing_name={config.preprocessing_name}.'
    )
  stride = given.output_stride or run.get('output_stride')
  own_rates = None
  if stride and not given.atrous_rates:
    own_rates = rates.of_run(run, stride) or None
  config = fill(
    config,
    SEGMENTATION,
    {
      'output_stride': stride or build.output_stride(config),
      'atrous_rates': own_rates,
      'decoder': found.name,
      'decoder_depth': found.depth,
      **found.options,
      'decoder_output_stride': decoders.strides_of(
        config.model_name, found.stages, config.root_block
      ),
      _LOW_LEVEL: low_level,
      'image_pooling_crop_size': run.get('image_pooling_crop_size'),
      'image_pyramid': run.get('image_pyramid'),
    },
    given.fallbacks(),
  )
  config = _with_resizing(config, run)
  if given.atrous_rates:
    rates.check_trained(given.atrous_rates, config.output_stride, run)
  decoders.check(**build.decoder_options(config))
  if config.eval_crop_size:
    sizes.check_size(
      'eval_crop_size', config.eval_crop_size, config.output_stride
    )
    rates.check_reach(
      config.atrous_rates or (),
      config.output_stride,
      f'the windows of --eval_crop_size={config.text("eval_crop_size")}',
      config.eval_crop_size,
    )
  return config


def _with_resizing(config, run):
  """Returns the configuration that resizes as the run does, but for flags."""
  resizing = {name: run.get(name) for name in RESIZING}
  if isinstance(config, ResizingConfig):
    return fill(config, SEGMENTATION, resizing)
  found = [f'--{name}={value}' for name, value in resizing.items() if value]
  if found:
    console.note(
      f'the run was trained with {" ".join(found)}: resize images so before '
      'they go into the exported model, which takes them as they are.'
    )
  return config


def ignore_label(specification: Specification) -> int:
  """Returns the dataset's ignore label as a flag has it; -1 for none."""
  label = specification.ignore_label
  return -1 if label is None else label


def set_ignore_label(dataset: Dataset, label: int | None) -> None:
  """Makes it the dataset's ignore label; -1 for none."""
  dataset.ignore_label = None if label == -1 else label
