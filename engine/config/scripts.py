"""The configurations of the scripts. A field is a flag.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import dataclasses
from typing import TypeVar

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from datasets.limits import MAX_PIXELS, MOST_PIXELS
from engine.config import optimizers, parsing, schedules, tasks
from engine.config.fields import Config, option
from engine.config.model import ModelConfig
from engine.config.optimization import OptimizationConfig
from engine.config.pipeline import PipelineConfig
from engine.config.retired import RetiredEvalConfig, RetiredTrainConfig
from engine.config.segmentation import SegmentationConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig(
  RetiredTrainConfig, PipelineConfig, OptimizationConfig, SegmentationConfig
):
  """What `train_image_classifier.py` is told."""

  # What to train, on what, and where to write it.
  model_name: str = option(
    'resnet_v2_50', 'The network to train.', changes='never'
  )
  dataset_name: str = option(
    None,
    'The dataset to train on. Default: tfrecord with --dataset_dir, else '
    'digits.',
    changes='never',
  )
  dataset_split_name: str = option('train', 'The split to train on.')
  dataset_dir: str | None = option(
    None,
    'The folder of TFRecords. Default: the cache folder, for datasets that '
    'need no source.',
    changes='free',
    folder=True,
    remote=True,
  )
  eval_split_name: str = option(
    None,
    "The split to evaluate and choose the best on. Default: the dataset's "
    'validation split, else another.',
    changes='free',
  )
  labels_offset: int = option(
    None,
    "Subtracted from every label. ImageNet's 1000 classes without "
    'background need 1.',
    low=0,
    otherwise=0,
    changes='never',
    task=CLASSIFICATION,
  )
  train_dir: str = option(
    None,
    'Where checkpoints and results are written. Default: runs/MODEL-DATASET.',
    changes='free',
    folder=True,
  )
  preprocessing_name: str = option(
    None, "The preprocessing. Default: the dataset's, else the network's."
  )
  train_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the dataset's, "
    "else the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  use_grayscale: bool = option(
    False, 'Train on images of one channel.', changes='never'
  )
  batch_size: int = option(None, 'Examples in a step.', low=1, otherwise=32)
  max_number_of_steps: int | None = option(
    None,
    "Steps to train. Default: the dataset's, else without end.",
    low=1,
    changes='free',
  )
  num_epochs: float | None = option(
    None,
    'Epochs to train. With --max_number_of_steps too, the smaller counts.',
    above=0,
    changes='free',
  )
  seed: int = option(
    0, 'Fixes initial values, order and augmentation.', low=0, high=2**31 - 1
  )

  # Augmentation, besides that of the preprocessing.
  rand_augment_layers: int = option(
    0,
    'RandAugment: transformations of each image; 2 is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
  )
  rand_augment_magnitude: float = option(
    9.0,
    'RandAugment: strength of the transformations, 0 to 30.',
    low=0,
    high=30,
    task=CLASSIFICATION,
  )
  random_erasing: float = option(
    0.0,
    'Share of the images in which a rectangle is erased; 0.25 is usual, 0 '
    'is off.',
    low=0,
    high=1,
    task=CLASSIFICATION,
  )
  mixup_alpha: float = option(
    0.0,
    'Mixup: mixes pairs of images by a weight from Beta(alpha, alpha); 0.2 '
    'is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
  )
  cutmix_alpha: float = option(
    0.0,
    'CutMix: pastes a part of another image, area from Beta(alpha, alpha); '
    '1 is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
  )

  # Batch norm.
  batch_norm_decay: float = option(
    0.997, 'Decay of the moving averages of batch norm.', low=0, high=1
  )
  recalibrate_batch_norm_batches: int | None = option(
    None,
    'Batches of batch-norm recalibration at the end; 0 is off. Default: '
    'one epoch, at most 100.',
    low=0,
  )
  freeze_batch_norm: bool = option(
    None,
    'Use, and keep, the moving averages of the checkpoint. Default: '
    'segmentation, under 12 crops.',
    otherwise=False,
  )

  # Fine-tuning.
  checkpoint_path: str | None = option(
    None,
    'The checkpoint to start from: a file, or a folder whose newest is taken.',
  )
  checkpoint_exclude_scopes: tuple[str, ...] | None = option(
    None, 'Scopes not to restore from it, comma-separated.', form=parsing.SCOPES
  )
  trainable_scopes: tuple[str, ...] | None = option(
    None,
    'Scopes to train, comma-separated; all others stay fixed. Default: all.',
    changes='never',
    form=parsing.SCOPES,
  )
  ignore_missing_vars: bool = option(
    False, 'Accept a checkpoint in which variables of the network are missing.'
  )

  # Evaluation while training.
  evaluate_every: parsing.Length | None = option(
    None,
    'Interval of evaluation while training, such as 500 or 1epoch. '
    'Default: only at the end.',
    form=parsing.INTERVAL,
  )
  best_metric: str = option(
    None,
    'The metric that selects the best checkpoints. Default: accuracy; miou '
    'for segmentation.',
    choices=tasks.metrics,
  )
  keep_best: int = option(
    1,
    'Number of best checkpoints kept in TRAIN_DIR/best.',
    low=1,
    changes='free',
  )
  early_stopping_patience: int | None = option(
    None,
    'Stop after this many evaluations without a better --best_metric. '
    'Default: never.',
    low=1,
  )

  # The loop.
  recompute: bool = option(
    False,
    'Gradient checkpointing: recompute activations in the backward pass. '
    'Less memory, more time.',
  )
  log_every_n_steps: int = option(
    10, 'Steps between two lines of progress.', low=1, changes='free'
  )
  save_summaries_secs: int = option(
    600,
    'Seconds between two summaries of images for TensorBoard.',
    low=1,
    changes='free',
  )
  save_interval_secs: int = option(
    600, 'Seconds between two checkpoints.', low=1, changes='free'
  )
  keep_checkpoints: int = option(
    5, 'Number of newest checkpoints kept.', low=1, changes='free'
  )
  profile_steps: tuple[int, int] | None = option(
    None,
    'First and last step to profile for TensorBoard, such as 20,30. '
    'Default: none.',
    form=parsing.SPAN,
    changes='free',
  )
  accept_changes: bool = option(
    False,
    'Resume the run in --train_dir although flags have changed.',
    changes='free',
  )

  def __post_init__(self):
    super().__post_init__()
    optimizers.check(self)
    schedules.check(self)
    if self.evaluate_every is None:
      for name in ('early_stopping_patience', 'plateau_patience'):
        if getattr(self, name) is not None:
          raise ValueError(
            f'--{name} counts evaluations: set '
            '--evaluate_every too, such as 1epoch.'
          )


@dataclasses.dataclass(frozen=True)
class EvalConfig(RetiredEvalConfig, PipelineConfig, ModelConfig):
  """What `eval_image_classifier.py` is told."""

  checkpoint_path: tuple[str, ...] = option(
    None,
    'Checkpoint or run folder; several, comma-separated, are an ensemble. '
    'Default: runs/MODEL-DATASET.',
    form=parsing.PATHS,
  )
  checkpoints: str = option(
    'newest',
    'Which checkpoints of a run: newest, best, all, or each new one until '
    'training ends.',
    choices=('newest', 'best', 'all', 'new'),
  )
  timeout_secs: float | None = option(
    None,
    '--checkpoints=new: seconds without a new checkpoint before it ends. '
    'Default: no limit.',
    above=0,
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
  )
  dataset_name: str = option(
    None, "The dataset. Default: the run's, else digits."
  )
  dataset_split_name: str = option(
    None, "The split. Default: the run's, else the dataset's last."
  )
  dataset_dir: str | None = option(
    None,
    "The folder of TFRecords. Default: the run's.",
    folder=True,
    remote=True,
  )
  labels_offset: int = option(
    None,
    "Subtracted from every label. Default: the run's, else 0.",
    low=0,
    task=CLASSIFICATION,
  )
  ignore_label: int = option(
    None,
    "Mask value of the ignored label; -1 for none. Default: the run's, "
    "else the dataset's.",
    low=-1,
    high=255,
    task=SEGMENTATION,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the run's, else the dataset's, else the "
    "network's.",
  )
  eval_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the run's, the "
    "dataset's, or the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  eval_crop_size: tuple[int, int] | None = option(
    None,
    'Evaluate larger images in windows of this size, such as 513 or '
    '513,769. Default: whole images.',
    form=parsing.SIZE,
    task=SEGMENTATION,
  )
  use_grayscale: bool = option(
    None, 'Evaluate on images of one channel. Default: as trained.'
  )
  eval_dir: str = option(
    None,
    'Where results are written. Default: eval, beside the checkpoint.',
    folder=True,
  )
  batch_size: int | None = option(
    None,
    'Examples in a step. Default: 100; segmentation: up to a million '
    'pixels, at most 16.',
    low=1,
  )
  max_num_batches: int | None = option(
    None, 'Stop after this many batches. Default: the whole split.', low=1
  )
  moving_average_decay: float | None = option(
    None,
    'Evaluate the moving averages of the weights, of this decay. Default: '
    "the run's.",
    low=0,
    high=1,
  )
  raw_weights: bool = option(
    False,
    'Evaluate the weights themselves although the run has moving averages.',
  )
  flip: bool = option(
    False, 'Average the probabilities of each image and its mirror image.'
  )
  ten_crop: bool = option(
    False,
    'Average over four corners, the centre, and their mirror images.',
    task=CLASSIFICATION,
  )
  scales: tuple[float, ...] | None = option(
    None,
    'Average over sizes of the image, such as 0.8,1,1.2. Default: one size.',
    form=parsing.POSITIVES,
  )
  recalibrate_batch_norm_batches: int | None = option(
    None,
    "Batches of the run's training split to measure batch norm on; 0 is off. "
    "Default: the run's, before its end.",
    low=0,
  )
  compare_batch_statistics: int = option(
    1000,
    'Examples evaluated again with batch statistics instead of moving '
    'averages; 0 is off.',
    low=0,
  )


@dataclasses.dataclass(frozen=True)
class InspectConfig(Config):
  """What `inspect_checkpoint.py` is told, besides the checkpoint."""

  model_name: str | None = option(
    None, 'A network to compare the checkpoint with. Default: none.'
  )
  json: bool = option(False, 'Print JSON.')


@dataclasses.dataclass(frozen=True)
class ClassifyConfig(ModelConfig):
  """What `classify_image.py` is told, besides the images."""

  checkpoint_path: str = option(
    None, 'The checkpoint, or a run folder whose newest is taken. Required.'
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
  )
  labels_file: str | None = option(
    None,
    'Class names: lines such as 0:chef, or JSON such as {"0": "chef"}. '
    "Default: the run's.",
  )
  preprocessing_name: str = option(
    None, "The preprocessing. Default: the run's, else the network's."
  )
  eval_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the run's, else "
    "the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  eval_crop_size: tuple[int, int] | None = option(
    None,
    'Segment larger images in windows of this size, such as 513 or '
    '513,769. Default: whole images.',
    form=parsing.SIZE,
    task=SEGMENTATION,
  )
  use_grayscale: bool = option(
    None, 'Feed images of one channel. Default: as trained.'
  )
  output_dir: str = option(
    None,
    'Where masks and overlays are written. Default: segmented, beside the '
    'checkpoint.',
    folder=True,
    task=SEGMENTATION,
  )
  top: int = option(5, 'Number of classes to print for each image.', low=1)
  json: bool = option(False, 'Print JSON, one object per image.')
  batch_size: int = option(32, 'Images in a step.', low=1)


@dataclasses.dataclass(frozen=True)
class ConvertConfig(Config):
  """What `download_and_convert_data.py` is told."""

  dataset_name: str | None = option(
    None,
    'What to convert (an unknown name lists all), or tfds:NAME. With '
    '--verify: what the folder holds.',
  )
  dataset_dir: str = option(
    None,
    'The folder to write TFRecords to, or to verify.',
    folder=True,
    remote=True,
  )
  source: str | None = option(
    None,
    'A folder, file, archive or URL to convert from. Default: the '
    "dataset's public address.",
  )
  validation_fraction: float = option(
    0.1,
    'Share of each class for the validation split, where the source has '
    'one split.',
    above=0,
    high=0.99,
  )
  labels_file: str | None = option(
    None,
    'csv, masks: class names, lines such as 0:chef. imagenet: the list of '
    'synsets.',
  )
  color_table: str | None = option(
    None,
    'Masks: meaning of the colours: CSV with columns name,r,g,b, or '
    "CVAT's labelmap.txt.",
    task=SEGMENTATION,
  )
  mask_values: tuple[int, ...] | None = option(
    None,
    'Masks: grey values of class 0, 1, ..., such as 0,255. Default: '
    'the class numbers.',
    form=parsing.MASK_VALUES,
    task=SEGMENTATION,
  )
  ignore_label: int = option(
    255,
    'Masks: value of the ignored label; -1 for none.',
    low=-1,
    high=255,
    task=SEGMENTATION,
  )
  num_shards: int | None = option(
    None,
    'Files per split. Default: one for each 1,000 examples.',
    low=1,
    high=99999,
  )
  seed: int = option(
    0, 'Fixes the split and the order of the examples.', low=0, high=2**31 - 1
  )
  skip_bad_examples: int = option(
    0, 'Bad images that may be skipped and named; one more is an error.', low=0
  )
  max_image_pixels: int = option(
    MAX_PIXELS,
    'The largest image or mask that is taken, in pixels (height x width).',
    low=1,
    high=MOST_PIXELS,
  )
  max_unpacked_bytes: int | None = option(
    None,
    'The most that an archive may unpack to. Default: 1 GB, or 100 times '
    'its size if that is more.',
    low=1,
  )
  num_threads: int | None = option(
    None, 'Images read in parallel. Default: one per processor.', low=1
  )
  verify: bool = option(
    False,
    'Convert nothing: read every record of --dataset_dir and report what '
    'is there and what is wrong.',
  )


# The scripts that have a network, and those that have a dataset too.
NetworkConfig = TrainConfig | EvalConfig | ClassifyConfig
DataConfig = TrainConfig | EvalConfig
# Of what begins with a checkpoint: the same class in and out.
Inference = TypeVar('Inference', EvalConfig, ClassifyConfig)
