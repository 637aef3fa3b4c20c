"""The configurations of the scripts. A field is a flag.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import dataclasses
from typing import TypeVar

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from datasets.limits import MAX_PIXELS, MOST_PIXELS
from engine.config import optimizers, parsing, schedules, tasks
from engine.config.export import ExportConfig
from engine.config.fields import Config, Group, option
from engine.config.parts.cluster import SCALES, ClusterConfig, ReplicasConfig
from engine.config.parts.exported import ExportedConfig
from engine.config.parts.model import ModelConfig, list_option
from engine.config.parts.optimization import OptimizationConfig
from engine.config.parts.pipeline import PipelineConfig
from engine.config.parts.resizing import ResizingConfig
from engine.config.parts.retired import RetiredEvalConfig, RetiredTrainConfig
from engine.config.parts.segmentation import SegmentationConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig(
  RetiredTrainConfig,
  ReplicasConfig,
  PipelineConfig,
  OptimizationConfig,
  ResizingConfig,
  SegmentationConfig,
):
  """Trains a network, and evaluates it at the end.

  What `train_image_classifier.py` is told.
  """

  examples = (
    '--dataset_dir=DATA --max_number_of_steps=1000',
    '--model_name=resnet_v1_50 --dataset_dir=DATA '
    '--checkpoint_path=resnet_v1_50.ckpt --max_number_of_steps=1000',
    '--dataset_dir=DATA --checkpoint_path=pretrained:resnet_v1_50 '
    '--max_number_of_steps=1000',
    '--resume=runs/resnet_v1_50-DATA --max_number_of_steps=2000',
  )

  # What to train, on what, and where to write it.
  model_name: str = option(
    None,
    'The network to train. Default: that of the weights to start from, if '
    'their config.json says it, else resnet_v2_50.',
    otherwise='resnet_v2_50',
    changes='never',
    group=Group.MODEL,
  )
  dataset_name: str = option(
    None,
    'The dataset to train on. Default: tfrecord with --dataset_dir, else '
    'digits.',
    changes='never',
    group=Group.DATA,
  )
  dataset_split_name: str = option(
    'train', 'The split to train on.', group=Group.DATA
  )
  dataset_dir: str | None = option(
    None,
    'The folder of TFRecords. Default: the cache folder, for datasets that '
    'need no source.',
    changes='free',
    folder=True,
    remote=True,
    group=Group.DATA,
  )
  eval_split_name: str = option(
    None,
    "The split to evaluate and choose the best on. Default: the dataset's "
    'validation split, else another.',
    changes='free',
    group=Group.DATA,
  )
  labels_offset: int = option(
    None,
    "Subtracted from every label. ImageNet's 1000 classes without "
    'background need 1.',
    low=0,
    otherwise=0,
    changes='never',
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  train_dir: str = option(
    None,
    'Where checkpoints and results are written. Default: runs/MODEL-DATASET.',
    changes='free',
    folder=True,
    group=Group.OUTPUT,
  )
  resume: str | None = option(
    None,
    'The folder of a run to resume: all that no flag gives is as it was '
    'begun. Default: none.',
    folder=True,
    group=Group.OUTPUT,
    kept=False,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the dataset's, else the network's.",
    group=Group.DATA,
  )
  train_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the dataset's, "
    "else the network's.",
    low=1,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  use_grayscale: bool = option(
    False, 'Train on images of one channel.', changes='never', group=Group.DATA
  )
  batch_size: int = option(
    None,
    'Examples in a step of one replica; of all, as long as there is one.',
    low=1,
    otherwise=32,
    group=Group.OPTIMIZATION,
  )
  max_number_of_steps: int | None = option(
    None,
    "Steps to train. Default: the dataset's, else without end.",
    low=1,
    changes='free',
    group=Group.OPTIMIZATION,
  )
  num_epochs: float | None = option(
    None,
    'Epochs to train. With --max_number_of_steps too, the smaller counts.',
    above=0,
    changes='free',
    group=Group.OPTIMIZATION,
  )
  seed: int = option(
    0,
    'Fixes initial values, order and augmentation.',
    low=0,
    high=2**31 - 1,
    group=Group.OPTIMIZATION,
  )

  # Augmentation, besides that of the preprocessing.
  rand_augment_layers: int = option(
    0,
    'RandAugment: transformations of each image; 2 is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
    group=Group.AUGMENTATION,
  )
  rand_augment_magnitude: float = option(
    9.0,
    'RandAugment: strength of the transformations, 0 to 30.',
    low=0,
    high=30,
    task=CLASSIFICATION,
    group=Group.AUGMENTATION,
  )
  random_erasing: float = option(
    0.0,
    'Share of the images in which a rectangle is erased; 0.25 is usual, 0 '
    'is off.',
    low=0,
    high=1,
    task=CLASSIFICATION,
    group=Group.AUGMENTATION,
  )
  mixup_alpha: float = option(
    0.0,
    'Mixup: mixes pairs of images by a weight from Beta(alpha, alpha); 0.2 '
    'is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
    group=Group.AUGMENTATION,
  )
  cutmix_alpha: float = option(
    0.0,
    'CutMix: pastes a part of another image, area from Beta(alpha, alpha); '
    '1 is usual, 0 is off.',
    low=0,
    task=CLASSIFICATION,
    group=Group.AUGMENTATION,
  )

  # Batch norm.
  batch_norm_decay: float = option(
    0.997,
    'Decay of the moving averages of batch norm.',
    low=0,
    high=1,
    group=Group.BATCH_NORM,
  )
  recalibrate_batch_norm_batches: int | None = option(
    None,
    'Batches of batch-norm recalibration at the end; 0 is off. Default: '
    'one epoch, at most 100.',
    low=0,
    group=Group.BATCH_NORM,
  )
  freeze_batch_norm: bool = option(
    None,
    'Use, and keep, the moving averages of the checkpoint. Default: '
    'segmentation, under 12 crops.',
    otherwise=False,
    group=Group.BATCH_NORM,
  )

  # Fine-tuning.
  checkpoint_path: str | None = option(
    None,
    'The checkpoint to start from: a file, a folder whose newest is taken, or '
    'a name such as pretrained:resnet_v1_50.',
    group=Group.OUTPUT,
  )
  checkpoint_exclude_scopes: tuple[str, ...] | None = option(
    None,
    'Scopes not to restore from it, comma-separated.',
    form=parsing.SCOPES,
    group=Group.OUTPUT,
  )
  trainable_scopes: tuple[str, ...] | None = option(
    None,
    'Scopes to train, comma-separated; all others stay fixed. Default: all.',
    changes='never',
    form=parsing.SCOPES,
    group=Group.OUTPUT,
  )
  ignore_missing_vars: bool = option(
    False,
    'Accept a checkpoint in which variables of the network are missing.',
    group=Group.OUTPUT,
  )

  # Evaluation while training.
  evaluate_every: parsing.Length | None = option(
    None,
    'Interval of evaluation while training, such as 500 or 1epoch. '
    'Default: only at the end.',
    form=parsing.INTERVAL,
    group=Group.EVALUATION,
  )
  best_metric: str = option(
    None,
    'The metric that selects the best checkpoints. Default: accuracy; miou '
    'for segmentation.',
    choices=tasks.metrics,
    group=Group.EVALUATION,
  )
  keep_best: int = option(
    1,
    'Number of best checkpoints kept in TRAIN_DIR/best.',
    low=1,
    changes='free',
    group=Group.EVALUATION,
  )
  early_stopping_patience: int | None = option(
    None,
    'Stop after this many evaluations without a better --best_metric. '
    'Default: never.',
    low=1,
    group=Group.EVALUATION,
  )

  # The loop.
  recompute: bool = option(
    False,
    'Gradient checkpointing: recompute activations in the backward pass. '
    'Less memory, more time.',
    group=Group.MACHINE,
  )
  log_every_n_steps: int = option(
    10,
    'Steps between two lines of progress.',
    low=1,
    changes='free',
    group=Group.OUTPUT,
  )
  save_summaries_secs: int = option(
    600,
    'Seconds between two summaries of images for TensorBoard.',
    low=1,
    changes='free',
    group=Group.OUTPUT,
  )
  save_interval_secs: int = option(
    600,
    'Seconds between two checkpoints.',
    low=1,
    changes='free',
    group=Group.OUTPUT,
  )
  keep_checkpoints: int = option(
    5,
    'Number of newest checkpoints kept.',
    low=1,
    changes='free',
    group=Group.OUTPUT,
  )
  profile_steps: tuple[int, int] | None = option(
    None,
    'First and last step to profile for TensorBoard, such as 20,30. '
    'Default: none.',
    form=parsing.SPAN,
    changes='free',
    group=Group.MACHINE,
  )
  accept_changes: bool = option(
    False,
    'Resume the run in --train_dir although flags have changed.',
    changes='free',
    group=Group.OUTPUT,
  )

  @property
  def examples_per_step(self) -> int:
    """The number of examples in a step of all replicas, once it is known."""
    return self.global_batch_size or self.batch_size

  @property
  def learning_rate_scale(self) -> float:
    """What the learning rate is multiplied by, once the step is known."""
    return SCALES[self.scale_learning_rate](
      self.examples_per_step / self.batch_size
    )

  def __post_init__(self):
    super().__post_init__()
    optimizers.check(self)
    schedules.check(self)
    if self.resize_factor and not (
      self.min_resize_value or self.max_resize_value
    ):
      raise ValueError(
        '--resize_factor rounds the sides of images that are resized: pass '
        '--min_resize_value or --max_resize_value too.'
      )
    if self.sync_batch_norm and self.recompute:
      raise ValueError(
        '--recompute computes layers twice, and --sync_batch_norm sums over '
        'the replicas once: leave one of both out.'
      )
    if self.evaluate_every is None:
      for name in ('early_stopping_patience', 'plateau_patience'):
        if getattr(self, name) is not None:
          raise ValueError(
            f'--{name} counts evaluations: set '
            '--evaluate_every too, such as 1epoch.'
          )


@dataclasses.dataclass(frozen=True)
class EvalConfig(
  RetiredEvalConfig,
  ClusterConfig,
  PipelineConfig,
  ExportedConfig,
  ResizingConfig,
  ModelConfig,
):
  """Evaluates a checkpoint on every example of a split.

  What `eval_image_classifier.py` is told.
  """

  examples = (
    '--checkpoint_path=runs/resnet_v2_50-digits',
    '--checkpoint_path=runs/a,runs/b --flip',
    '--exported=runs/resnet_v2_50-digits/export/tflite_int8',
  )
  with_exported = (
    'dataset_name',
    'dataset_split_name',
    'dataset_dir',
    'ignore_label',
    'eval_dir',
    'batch_size',
    'max_num_batches',
    'skip_bad_examples',
    'max_image_pixels',
    'num_preprocessing_threads',
  )

  checkpoint_path: tuple[str, ...] = option(
    None,
    'Checkpoint, run folder or a name such as pretrained:resnet_v1_50; '
    'several, comma-separated, are an ensemble. '
    'Default: runs/MODEL-DATASET.',
    form=parsing.PATHS,
    group=Group.OUTPUT,
  )
  checkpoints: str = option(
    'newest',
    'Which checkpoints of a run: newest, best, all, or each new one until '
    'training ends.',
    choices=('newest', 'best', 'all', 'new'),
    group=Group.OUTPUT,
  )
  timeout_secs: float | None = option(
    None,
    '--checkpoints=new: seconds without a new checkpoint before it ends. '
    'Default: no limit.',
    above=0,
    group=Group.OUTPUT,
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
    group=Group.MODEL,
  )
  dataset_name: str = option(
    None, "The dataset. Default: the run's, else digits.", group=Group.DATA
  )
  dataset_split_name: str = option(
    None,
    "The split. Default: the run's, else the dataset's last.",
    group=Group.DATA,
  )
  dataset_dir: str | None = option(
    None,
    "The folder of TFRecords. Default: the run's.",
    folder=True,
    remote=True,
    group=Group.DATA,
  )
  labels_offset: int = option(
    None,
    "Subtracted from every label. Default: the run's, else 0.",
    low=0,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  ignore_label: int = option(
    None,
    "Mask value of the ignored label; -1 for none. Default: the run's, "
    "else the dataset's.",
    low=-1,
    high=255,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the run's, else the dataset's, else the "
    "network's.",
    group=Group.DATA,
  )
  eval_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the run's, the "
    "dataset's, or the network's.",
    low=1,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  eval_crop_size: tuple[int, int] | None = option(
    None,
    'Evaluate larger images in windows of this size, such as 513 or '
    '513,769. Default: whole images.',
    form=parsing.SIZE,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  use_grayscale: bool = option(
    None,
    'Evaluate on images of one channel. Default: as trained.',
    group=Group.DATA,
  )
  eval_dir: str = option(
    None,
    'Where results are written. Default: eval, beside the checkpoint; '
    'eval-NAME, beside an exported model.',
    folder=True,
    group=Group.OUTPUT,
  )
  batch_size: int | None = option(
    None,
    'Examples in a step. Default: 100; segmentation: up to a million '
    'pixels, at most 16.',
    low=1,
    group=Group.EVALUATION,
  )
  max_num_batches: int | None = option(
    None,
    'Stop after this many batches. Default: the whole split.',
    low=1,
    group=Group.EVALUATION,
  )
  moving_average_decay: float | None = option(
    None,
    'Evaluate the moving averages of the weights, of this decay. Default: '
    "the run's.",
    low=0,
    high=1,
    group=Group.EVALUATION,
  )
  raw_weights: bool = option(
    False,
    'Evaluate the weights themselves although the run has moving averages.',
    group=Group.EVALUATION,
  )
  flip: bool = option(
    False,
    'Average the probabilities of each image and its mirror image.',
    group=Group.EVALUATION,
  )
  ten_crop: bool = option(
    False,
    'Average over four corners, the centre, and their mirror images.',
    task=CLASSIFICATION,
    group=Group.EVALUATION,
  )
  scales: tuple[float, ...] | None = option(
    None,
    'Average over sizes of the image, such as 0.8,1,1.2. Default: one size.',
    form=parsing.POSITIVES,
    group=Group.EVALUATION,
  )
  recalibrate_batch_norm_batches: int | None = option(
    None,
    "Batches of the run's training split to measure batch norm on; 0 is off. "
    "Default: the run's, before its end.",
    low=0,
    group=Group.BATCH_NORM,
  )
  compare_batch_statistics: int = option(
    1000,
    'Examples evaluated again with batch statistics instead of moving '
    'averages; 0 is off.',
    low=0,
    group=Group.EVALUATION,
  )


@dataclasses.dataclass(frozen=True)
class InspectConfig(Config):
  """Tells what is in a checkpoint or an exported model.

  What `inspect_checkpoint.py` is told, besides the checkpoint.
  """

  arguments = 'CHECKPOINT_OR_FOLDER'
  examples = (
    'runs/resnet_v2_50-digits',
    'resnet_v1_50.ckpt --model_name=resnet_v1_50',
    'runs/resnet_v2_50-digits/export/tflite',
  )

  model_name: str | None = option(
    None,
    'A network to compare the checkpoint with. Default: none.',
    group=Group.MODEL,
  )
  json: bool = option(False, 'Print JSON.', group=Group.OUTPUT)
  list_pretrained: bool = list_option()


@dataclasses.dataclass(frozen=True)
class ClassifyConfig(ExportedConfig, ResizingConfig, ModelConfig):
  """Names what images show, or writes their masks.

  What `classify_image.py` is told, besides the images.
  """

  arguments = '--checkpoint_path=RUN IMAGE_OR_FOLDER ...'
  examples = (
    '--checkpoint_path=runs/resnet_v2_50-digits a.png folder/',
    '--checkpoint_path=resnet_v1_50.ckpt --model_name=resnet_v1_50 '
    '--labels_file=labels.txt a.png',
    '--checkpoint_path=runs/resnet_v1_50-digit_scenes --flip frames/',
  )
  with_exported = ('output_dir', 'skip_existing', 'top', 'json', 'batch_size')

  checkpoint_path: str = option(
    None,
    'The checkpoint, a run folder whose newest is taken, or a name such as '
    'pretrained:resnet_v1_50. Required without --exported.',
    group=Group.OUTPUT,
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
    group=Group.MODEL,
  )
  labels_file: str | None = option(
    None,
    'Class names: lines such as 0:chef, or JSON such as {"0": "chef"}. '
    "Default: the run's.",
    group=Group.DATA,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the run's, else the network's.",
    group=Group.DATA,
  )
  eval_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the run's, else "
    "the network's.",
    low=1,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  eval_crop_size: tuple[int, int] | None = option(
    None,
    'Segment larger images in windows of this size, such as 513 or '
    '513,769. Default: whole images.',
    form=parsing.SIZE,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  flip: bool = option(
    False,
    'Average the probabilities of each image and its mirror image.',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  scales: tuple[float, ...] | None = option(
    None,
    'Average over sizes of the image, such as 0.8,1,1.2. Default: one size.',
    form=parsing.POSITIVES,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  use_grayscale: bool = option(
    None, 'Feed images of one channel. Default: as trained.', group=Group.DATA
  )
  output_dir: str = option(
    None,
    'Where masks and overlays are written. Default: segmented, beside the '
    'checkpoint; segmented-NAME, beside an exported model.',
    folder=True,
    task=SEGMENTATION,
    group=Group.OUTPUT,
  )
  write_source_values: bool = option(
    False,
    'Write masks in the values of the source of the training data too, such '
    "as Cityscapes' label ids, to source_values/ in --output_dir.",
    task=SEGMENTATION,
    group=Group.OUTPUT,
  )
  skip_existing: bool = option(
    False,
    'Leave out files whose mask and overlay are in --output_dir already.',
    task=SEGMENTATION,
    group=Group.OUTPUT,
  )
  explain: bool = option(
    False,
    'Draw where the network sees the class, beside each image (Grad-CAM).',
    task=CLASSIFICATION,
    group=Group.EVALUATION,
  )
  explain_class: str | None = option(
    None,
    'The class that --explain is about. Default: the likeliest of each image.',
    task=CLASSIFICATION,
    group=Group.EVALUATION,
  )
  explain_stride: int | None = option(
    None,
    'Stride of the features that --explain weighs. Default: the last ones.',
    low=1,
    task=CLASSIFICATION,
    group=Group.EVALUATION,
  )
  explain_dir: str = option(
    None,
    'Where --explain writes its images. Default: explained, beside the '
    'checkpoint.',
    folder=True,
    task=CLASSIFICATION,
    group=Group.OUTPUT,
  )
  top: int = option(
    5,
    'Number of classes to print for each image.',
    low=1,
    group=Group.EVALUATION,
  )
  json: bool = option(
    False, 'Print JSON, one object per image.', group=Group.OUTPUT
  )
  batch_size: int | None = option(
    None,
    'Images in a step. Default: 32; segmentation: up to a million pixels, at '
    'most 16.',
    low=1,
    group=Group.MACHINE,
  )

  def __post_init__(self):
    super().__post_init__()
    for name in ('explain_class', 'explain_stride', 'explain_dir'):
      if getattr(self, name) is not None and not self.explain:
        raise ValueError(f'--{name} says how to explain: pass --explain too.')


@dataclasses.dataclass(frozen=True)
class ExtractConfig(ModelConfig):
  """Writes the features of images as an array.

  What `python -m nets.extract` is told, besides the images.
  """

  arguments = '--checkpoint_path=RUN IMAGE_OR_FOLDER ...'
  examples = (
    '--checkpoint_path=runs/resnet_v2_50-digits folder/',
    '--checkpoint_path=resnet_v1_50.ckpt --model_name=resnet_v1_50 '
    '--stride=16 --output_file=maps.npy folder/',
  )

  checkpoint_path: str = option(
    None,
    'The checkpoint, or a run folder whose newest is taken. Required.',
    group=Group.OUTPUT,
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
    group=Group.MODEL,
  )
  stride: int | None = option(
    None,
    'Write the last features of this stride, a map for each image. Default: '
    'the features that the logits are made of, averaged over the image.',
    low=1,
    group=Group.MODEL,
  )
  end_point: str | None = option(
    None,
    'Write this end point instead, such as resnet_v1_50/block3.',
    group=Group.MODEL,
  )
  output_file: str = option(
    None,
    'The file to write: .npz with the names of the images in it, or .npy with '
    'them in a .json beside it. Default: features.npz, beside the checkpoint.',
    group=Group.OUTPUT,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the run's, else the network's.",
    group=Group.DATA,
  )
  eval_image_size: int = option(
    None,
    "Height and width of the input, in pixels. Default: the run's, else "
    "the network's.",
    low=1,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  use_grayscale: bool = option(
    None, 'Feed images of one channel. Default: as trained.', group=Group.DATA
  )
  batch_size: int = option(32, 'Images in a step.', low=1, group=Group.MACHINE)

  def __post_init__(self):
    super().__post_init__()
    if self.stride is not None and self.end_point is not None:
      raise ValueError(
        f'--stride={self.stride} and --end_point={self.end_point} both say '
        'which features to write: leave one of both out.'
      )
    if self.output_file and not self.output_file.endswith(('.npz', '.npy')):
      raise ValueError(
        f'--output_file={self.output_file} must end in .npz or .npy, which '
        'tells what is written.'
      )
    if '://' in (self.output_file or ''):
      raise ValueError(
        f'--output_file={self.output_file} is an address; it must be a file of '
        'this machine.'
      )


@dataclasses.dataclass(frozen=True)
class ConvertConfig(Config):
  """Makes TFRecords of images and labels, or checks those there are.

  What `download_and_convert_data.py` is told.
  """

  arguments = '--dataset_dir=DATA'
  examples = (
    '--dataset_name=image_folder --source=PHOTOS --dataset_dir=DATA',
    '--verify --dataset_dir=DATA',
  )

  dataset_name: str | None = option(
    None,
    'What to convert (an unknown name lists all), or tfds:NAME. With '
    '--verify: what the folder holds.',
    group=Group.DATA,
  )
  dataset_dir: str = option(
    None,
    'The folder to write TFRecords to, or to verify.',
    folder=True,
    remote=True,
    group=Group.DATA,
  )
  source: str | None = option(
    None,
    'A folder, file, archive or URL to convert from. Default: the '
    "dataset's public address.",
    group=Group.DATA,
  )
  validation_fraction: float = option(
    0.1,
    'Share of each class for the validation split, where the source has '
    'one split.',
    above=0,
    high=0.99,
    group=Group.DATA,
  )
  labels_file: str | None = option(
    None,
    'csv, masks: class names, lines such as 0:chef. imagenet: the list of '
    'synsets.',
    group=Group.DATA,
  )
  color_table: str | None = option(
    None,
    'Masks: meaning of the colours: CSV with columns name,r,g,b, or '
    "CVAT's labelmap.txt.",
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  mask_values: tuple[int, ...] | None = option(
    None,
    'Masks: grey values of class 0, 1, ..., such as 0,255. Default: '
    'the class numbers.',
    form=parsing.MASK_VALUES,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  ignore_label: int = option(
    255,
    'Masks: value of the ignored label; -1 for none.',
    low=-1,
    high=255,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  num_shards: int | None = option(
    None,
    'Files per split. Default: one for each 1,000 examples.',
    low=1,
    high=99999,
    group=Group.OUTPUT,
  )
  seed: int = option(
    0,
    'Fixes the split and the order of the examples.',
    low=0,
    high=2**31 - 1,
    group=Group.DATA,
  )
  skip_bad_examples: int = option(
    0,
    'Bad images that may be skipped and named; one more is an error.',
    low=0,
    group=Group.DATA,
  )
  max_image_pixels: int = option(
    MAX_PIXELS,
    'The largest image or mask that is taken, in pixels (height x width).',
    low=1,
    high=MOST_PIXELS,
    group=Group.DATA,
  )
  max_unpacked_bytes: int | None = option(
    None,
    'The most that an archive may unpack to. Default: 1 GB, or 100 times '
    'its size if that is more.',
    low=1,
    group=Group.DATA,
  )
  num_threads: int | None = option(
    None,
    'Images read in parallel. Default: one per processor.',
    low=1,
    group=Group.MACHINE,
  )
  verify: bool = option(
    False,
    'Convert nothing: read every record of --dataset_dir and report what '
    'is there and what is wrong.',
    group=Group.DATA,
  )


# The scripts that have a network, and those that have a dataset too.
NetworkConfig = (
  TrainConfig | EvalConfig | ClassifyConfig | ExtractConfig | ExportConfig
)
DataConfig = TrainConfig | EvalConfig
# Of image files, or of an export, which begin with a checkpoint and no data.
FilesConfig = ClassifyConfig | ExportConfig
# Of what begins with a checkpoint: the same class in and out.
Files = TypeVar('Files', ClassifyConfig, ExtractConfig, ExportConfig)
Inference = TypeVar(
  'Inference', EvalConfig, ClassifyConfig, ExtractConfig, ExportConfig
)
# Of whole images, of any size.
DenseInference = TypeVar(
  'DenseInference', EvalConfig, ClassifyConfig, ExportConfig
)
