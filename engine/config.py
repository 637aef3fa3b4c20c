"""The configurations of the scripts. A field is a flag.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import dataclasses

from datasets.limits import MAX_PIXELS, MOST_PIXELS
from engine import forms, optimizers, schedules
from engine.optimization import OptimizationConfig
from engine.options import Config, option
from engine.segmentation import (
  CLASSIFICATION,
  SEGMENTATION,
  ModelConfig,
  SegmentationConfig,
)
from engine.selection import METRICS

CACHES = ('memory', 'file')

_WINDOWS = (
  'Look at larger images through windows of this size, such as 513 '
  'or 513,769, that overlap. Default: at the whole image.'
)
_ONE_DEVICE = (
  'this version trains in one process on one device; the flag is ignored.'
)


@dataclasses.dataclass(frozen=True)
class PipelineConfig(Config):
  """What training and evaluation are told of the way to the examples."""

  skip_bad_examples: int = option(
    0,
    'Leave out, and count, as many bad examples at the most; the next '
    'one is an error. JPEGs are then decoded whole, which takes longer.',
    low=0,
  )
  max_image_pixels: int = option(
    MAX_PIXELS,
    'The largest height x width of an image that is decoded.',
    low=1,
    high=MOST_PIXELS,
  )
  cache: str | None = option(
    None,
    'Decode every image once, at the start, and keep it in memory, '
    'or in a file below the cache folder that later runs find.',
    choices=CACHES,
    changes='free',
    task=CLASSIFICATION,
  )
  num_preprocessing_threads: int = option(
    4, 'Images that are decoded at once.', low=1, changes='free'
  )


@dataclasses.dataclass(frozen=True)
class TrainConfig(PipelineConfig, OptimizationConfig, SegmentationConfig):
  """What `train_image_classifier.py` is told."""

  # What to train, on what, and where to write it.
  model_name: str = option(
    'resnet_v2_50', 'The network to train.', changes='never'
  )
  dataset_name: str | None = option(
    None,
    'The dataset to train on. Default: tfrecord, which is what '
    '--dataset_dir describes; without that, digits.',
    changes='never',
  )
  dataset_split_name: str = option('train', 'The split to train on.')
  dataset_dir: str | None = option(
    None,
    'The folder of the TFRecords. Default: the cache, for a dataset '
    'that is made without a source.',
    changes='free',
    folder=True,
  )
  eval_split_name: str | None = option(
    None,
    'The split that the run is evaluated on at its end. Default: the '
    "dataset's other split.",
    changes='free',
  )
  labels_offset: int | None = option(
    None,
    'Subtracted from every label: 1 trains ImageNet without its '
    'background class, as the released resnet_v1 were, and as a fine-tuning '
    'from them does by itself.',
    low=0,
    otherwise=0,
    changes='never',
    task=CLASSIFICATION,
  )
  train_dir: str | None = option(
    None,
    'Where checkpoints and records of the run are written. Default: '
    'runs/MODEL-DATASET.',
    changes='free',
    folder=True,
  )
  preprocessing_name: str | None = option(
    None, "The preprocessing. Default: the dataset's, else the network's."
  )
  train_image_size: int | None = option(
    None,
    "Height and width of the network's input, in pixels. Default: "
    "the dataset's, else the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  use_grayscale: bool = option(False, 'Train on one channel.', changes='never')
  batch_size: int | None = option(
    None, 'Examples in a step.', low=1, otherwise=32
  )
  max_number_of_steps: int | None = option(
    None,
    "Steps to train. Default: the dataset's, else endless.",
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
    'RandAugment: transformations of each image; 2 is usual.',
    low=0,
    task=CLASSIFICATION,
  )
  rand_augment_magnitude: float = option(
    9.0,
    'RandAugment: how strong they are.',
    low=0,
    high=30,
    task=CLASSIFICATION,
  )
  random_erasing: float = option(
    0.0,
    'The share of images of which a part is erased; 0.25 is usual.',
    low=0,
    high=1,
    task=CLASSIFICATION,
  )
  mixup_alpha: float = option(
    0.0,
    'Mix each image and label with another of the batch, by a weight '
    'from Beta(alpha, alpha); 0.2 is usual, 0 for none.',
    low=0,
    task=CLASSIFICATION,
  )
  cutmix_alpha: float = option(
    0.0,
    "Replace a part of each image by another's, of an area from "
    'Beta(alpha, alpha); 1 is usual, 0 for none. With --mixup_alpha too '
    'every batch has one of both.',
    low=0,
    task=CLASSIFICATION,
  )

  # Batch norm.
  batch_norm_decay: float = option(
    0.997, "What a step keeps of batch norm's moving averages.", low=0, high=1
  )
  recalibrate_batch_norm_batches: int | None = option(
    None,
    "At the end, replace batch norm's moving averages by the "
    'statistics over this many training batches; 0 keeps them. Default: '
    'one pass over the data, at most 100.',
    low=0,
  )
  freeze_batch_norm: bool | None = option(
    None,
    'Normalize by the moving averages of the checkpoint, and leave '
    'them as they are; gamma and beta are trained. Default: for '
    'segmentation from a checkpoint with less than 12 crops at once.',
    otherwise=False,
  )

  # Fine-tuning.
  checkpoint_path: str | None = option(
    None, 'A checkpoint, or a folder of them, to start from.'
  )
  checkpoint_exclude_scopes: str | None = option(
    None, 'Scopes, with commas between, not to restore from it.'
  )
  trainable_scopes: str | None = option(
    None,
    'Scopes, with commas between, to train; others stay as they are.',
    changes='never',
  )
  ignore_missing_vars: bool = option(
    False, 'Accept a checkpoint that lacks variables of the network.'
  )

  # Evaluation while training.
  evaluate_every: str | None = option(
    None,
    'How often to evaluate, such as 500 or 1epoch. Default: at the end.',
    form=forms.interval,
  )
  best_metric: str | None = option(
    None,
    'The figure that tells the best checkpoints. Default: accuracy, or miou.',
    choices=tuple(METRICS),
  )
  keep_best: int = option(
    1,
    'The number of best checkpoints kept in TRAIN_DIR/best.',
    low=1,
    changes='free',
  )
  early_stopping_patience: int | None = option(
    None,
    'Stop after so many evaluations without a better --best_metric.',
    low=1,
  )

  # The loop.
  recompute: bool = option(
    False,
    'Compute maps again in the backward pass instead of keeping them: '
    'less memory, for another forward pass.',
  )
  log_every_n_steps: int = option(
    10, 'Steps between two lines.', low=1, changes='free'
  )
  save_summaries_secs: int = option(
    600,
    'Seconds between two batches of images in TensorBoard.',
    low=1,
    changes='free',
  )
  save_interval_secs: int = option(
    600, 'Seconds between two checkpoints.', low=1, changes='free'
  )
  keep_checkpoints: int = option(
    5, 'The number of newest checkpoints kept.', low=1, changes='free'
  )
  profile_steps: str | None = option(
    None,
    'Write a profile of these steps for TensorBoard, such as 20,30.',
    form=forms.span,
    changes='free',
  )
  accept_changes: bool = option(
    False,
    'Go on with the run in --train_dir though it was begun with other flags.',
    changes='free',
  )

  # Accepted from existing command lines.
  master: str = option('', 'Was: the TensorFlow master.', now=_ONE_DEVICE)
  num_clones: int = option(1, 'Was: clones to deploy.', now=_ONE_DEVICE)
  clone_on_cpu: bool = option(
    False,
    'Was: deploy clones on CPUs.',
    now='set CUDA_VISIBLE_DEVICES=-1 to keep off the GPU; the flag is ignored.',
  )
  worker_replicas: int = option(1, 'Was: worker replicas.', now=_ONE_DEVICE)
  num_ps_tasks: int = option(0, 'Was: parameter servers.', now=_ONE_DEVICE)
  sync_replicas: bool = option(
    False, 'Was: synchronize replicas.', now=_ONE_DEVICE
  )
  replicas_to_aggregate: int = option(
    1, 'Was: gradients to collect before an update.', now=_ONE_DEVICE
  )
  num_readers: int = option(
    4,
    'Was: parallel readers.',
    now='records are read by their number, in an order that the seed fixes; '
    'the flag is ignored.',
  )
  quantize_delay: int = option(
    -1,
    'Was: steps before quantized training.',
    now='TensorFlow 2 has no graph rewriter for quantized training; the '
    'flag is ignored.',
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
class EvalConfig(PipelineConfig, ModelConfig):
  """What `eval_image_classifier.py` is told."""

  checkpoint_path: str | None = option(
    None,
    'The checkpoint, or the folder of a run; several with commas '
    'between are an ensemble, whose probabilities are averaged. Default: '
    'runs/MODEL-DATASET.',
  )
  checkpoints: str = option(
    'newest',
    "Of a run's folder: the newest checkpoint, the best, all one "
    'after the other, or each new one as it appears, until the run is done.',
    choices=('newest', 'best', 'all', 'new'),
  )
  timeout_secs: float | None = option(
    None,
    '--checkpoints=new: end when no checkpoint has appeared for so '
    'long. Default: wait on.',
    above=0,
  )
  model_name: str | None = option(None, "The network. Default: the run's.")
  dataset_name: str | None = option(
    None, "The dataset. Default: the run's, else digits."
  )
  dataset_split_name: str | None = option(
    None, "The split. Default: the dataset's last."
  )
  dataset_dir: str | None = option(
    None, "The folder of the TFRecords. Default: the run's.", folder=True
  )
  labels_offset: int | None = option(
    None,
    "Subtracted from every label. Default: the run's, else 0.",
    low=0,
    task=CLASSIFICATION,
  )
  ignore_label: int | None = option(
    None,
    'The value in the masks of pixels that do not count; -1 for none. '
    "Default: the run's, else the dataset's.",
    low=-1,
    high=255,
    task=SEGMENTATION,
  )
  preprocessing_name: str | None = option(
    None,
    "The preprocessing. Default: the run's, else the dataset's, "
    "else the network's.",
  )
  eval_image_size: int | None = option(
    None,
    "Height and width of the network's input, in pixels. Default: the "
    "run's, else the dataset's, else the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  eval_crop_size: str | None = option(
    None, _WINDOWS, form=forms.size, task=SEGMENTATION
  )
  use_grayscale: bool | None = option(
    None, 'Evaluate on one channel. Default: as the run was trained.'
  )
  eval_dir: str | None = option(
    None,
    'Where the results are written. Default: eval, beside the checkpoint.',
    folder=True,
  )
  batch_size: int | None = option(
    None,
    'Examples in a step. Default: 100; for segmentation, where only '
    'images of one size go together, as many as have a million pixels, '
    'at most 16.',
    low=1,
  )
  max_num_batches: int | None = option(
    None, 'Stop after this many batches. Default: all of the split.', low=1
  )
  moving_average_decay: float | None = option(
    None,
    'If given, evaluate the moving averages of the weights. Default: '
    "the run's.",
    low=0,
    high=1,
  )
  raw_weights: bool = option(
    False, 'Evaluate the weights, though the run has moving averages.'
  )
  flip: bool = option(
    False, 'Average the probabilities of each image and its mirror image.'
  )
  ten_crop: bool = option(
    False,
    'Average over four corners, the centre, and their mirror images.',
    task=CLASSIFICATION,
  )
  scales: str | None = option(
    None,
    'Average over sizes of the image, such as 0.8,1,1.2.',
    form=forms.positives,
  )
  compare_batch_statistics: int = option(
    1000,
    'Evaluate this many examples a second time, with the statistics '
    "of their batch instead of batch norm's moving averages; 0 for none.",
    low=0,
  )
  master: str = option(
    '',
    'Was: the TensorFlow master.',
    now=('this version evaluates in one process; the flag is ignored.'),
  )
  quantize: bool = option(
    False,
    'Was: evaluate a quantized graph.',
    now='TensorFlow 2 has no graph rewriter for quantized training; the '
    'flag is ignored.',
  )


@dataclasses.dataclass(frozen=True)
class InspectConfig(Config):
  """What `inspect_checkpoint.py` is told, besides the checkpoint."""

  model_name: str | None = option(
    None, 'A network to compare the checkpoint with.'
  )
  json: bool = option(False, 'Print JSON.')


@dataclasses.dataclass(frozen=True)
class ClassifyConfig(ModelConfig):
  """What `classify_image.py` is told, besides the images."""

  checkpoint_path: str | None = option(
    None, 'The checkpoint, or the folder of a run, whose newest is taken.'
  )
  model_name: str | None = option(None, "The network. Default: the run's.")
  labels_file: str | None = option(
    None,
    'The names of the classes: lines such as 0:chef, or a JSON file '
    'such as {"0": "chef"}. Default: the run\'s.',
  )
  preprocessing_name: str | None = option(
    None, "The preprocessing. Default: the run's, else the network's."
  )
  eval_image_size: int | None = option(
    None,
    "Height and width of the network's input, in pixels. Default: the "
    "run's, else the network's.",
    low=1,
    task=CLASSIFICATION,
  )
  eval_crop_size: str | None = option(
    None, _WINDOWS, form=forms.size, task=SEGMENTATION
  )
  use_grayscale: bool | None = option(
    None, 'Feed one channel. Default: as the run was trained.'
  )
  output_dir: str | None = option(
    None,
    'Where masks and overlays are written. Default: segmented, beside '
    'the checkpoint.',
    folder=True,
    task=SEGMENTATION,
  )
  top: int = option(5, 'The number of classes to print.', low=1)
  json: bool = option(False, 'Print JSON, one object an image.')
  batch_size: int = option(32, 'Images in a step.', low=1)


@dataclasses.dataclass(frozen=True)
class ConvertConfig(Config):
  """What `download_and_convert_data.py` is told."""

  dataset_name: str | None = option(
    None,
    'What to convert: image_folder, csv, cifar10, cifar100, mnist, '
    'fashion_mnist, idenprof, flowers, signs, imagenet or tfds:NAME; with a '
    'mask for each image, mask_folder or voc_masks. With --verify, the '
    'dataset in --dataset_dir, where that does not say.',
  )
  dataset_dir: str | None = option(
    None, 'The folder to write the TFRecords to, or to verify.'
  )
  source: str | None = option(
    None,
    'What to convert it from: a folder, a file, an archive, or the URL '
    'of one. Default: the public address of the dataset.',
  )
  validation_fraction: float = option(
    0.1,
    'The share of each class that becomes the validation split, where '
    'the source has one split.',
    above=0,
    high=0.99,
  )
  labels_file: str | None = option(
    None,
    'csv and mask_folder: the names of the labels, in lines such as '
    '0:chef; imagenet: the list of its synsets.',
  )
  color_table: str | None = option(
    None,
    'mask_folder: what the colours of the masks mean, a CSV file with '
    "the columns name,r,g,b, or CVAT's labelmap.txt.",
    task=SEGMENTATION,
  )
  mask_values: str | None = option(
    None,
    'mask_folder: the grey values of the masks, in the order of the '
    "classes, such as 0,255. Default: they are the classes' numbers.",
    form=forms.mask_values,
    task=SEGMENTATION,
  )
  ignore_label: int = option(
    255,
    'mask_folder: the value of pixels that do not count; -1 for none.',
    low=-1,
    high=255,
    task=SEGMENTATION,
  )
  num_shards: int | None = option(
    None,
    'Files in a split. Default: one for a thousand examples.',
    low=1,
    high=99999,
  )
  seed: int = option(
    0, 'Fixes the split and the order of the examples.', low=0, high=2**31 - 1
  )
  skip_bad_examples: int = option(
    0,
    'Leave out, and name, as many bad images at the most; the next one '
    'is an error.',
    low=0,
  )
  max_image_pixels: int = option(
    MAX_PIXELS,
    'The largest height x width of an image that is taken.',
    low=1,
    high=MOST_PIXELS,
  )
  num_threads: int | None = option(
    None, 'Images that are read at once. Default: one a processor.', low=1
  )
  verify: bool = option(
    False,
    'Convert nothing; read every record of --dataset_dir and say what '
    'is there, and what is wrong.',
  )
