"""Segmentation: one class a pixel. Follows `engine.tasks.base.Task`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets.images import overlays
from datasets.label_kinds import SEGMENTATION
from datasets.specification import Specification
from engine.checkpoints import architecture
from engine.config.export import ExportConfig
from engine.config.scripts import (
  ClassifyConfig,
  EvalConfig,
  ExtractConfig,
  Inference,
  NetworkConfig,
  TrainConfig,
)
from engine.input.pipeline import Batch, Source
from engine.model import build
from engine.tasks.base import EvaluatedSplit, Said, Shares
from engine.tasks.segmentation import (
  completion,
  examples,
  image_files,
  losses,
  report,
)
from engine.tasks.segmentation.predictor import (
  DensePredictions,
  DensePredictor,
  gathered,
  measured,
)
from engine.tasks.segmentation.served import ServedMasks
from nets import decoders
from nets.heads import auxiliary
from nets.nets_factory import Network
from preprocessing import preprocessing_factory, segmentation_preprocessing

_CROPS = 8  # in a batch of a training, if nothing else is said
_IGNORED = 256  # the colour of the ignored label, behind those of the classes


def _many_sizes(config):
  """Returns why the features of images make no array."""
  return ValueError(
    f'{config.checkpoint_path} is of masks, whose images have many sizes, and '
    'no array holds their features: name a checkpoint for classification. '
    'nets_factory.features gives those of any network.'
  )


class Segmentation:
  """One class a pixel."""

  name = SEGMENTATION
  own_flags = {
    'train_image_size': 'train_crop_size',
    'eval_image_size': 'eval_crop_size',
  }
  default_dataset = 'digit_scenes'
  follows_released = False

  def recognizes(self, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether the variables are those of a decoder with layers of its own."""
    return architecture.decoder(shapes).depth is not None

  def preprocessing(self, network: Network) -> str:
    """Returns the network's own if it keeps a pixel apart from others.

    Standardised, as in 'cifar', a pixel would depend on what else is in a
    crop.
    """
    own = network.preprocessing
    known = segmentation_preprocessing.NORMALIZATIONS
    return own if own in known else 'inception'

  def training_defaults(
    self, given: TrainConfig, specification: Specification
  ) -> dict[str, Any]:
    """Returns the size of a batch, output stride, decoder, ignore label."""
    return {
      'batch_size': _CROPS,
      'output_stride': build.output_stride(given),
      # As in DeepLab, where it is what turns the decoder on.
      'decoder': given.decoder_output_stride and 'deeplabv3plus',
      'ignore_label': completion.ignore_label(specification),
    }

  def check_training(self, config: TrainConfig) -> None:
    """Checks the preprocessing, and that the network takes the decoder."""
    decoders.check(**build.decoder_options(config))
    preprocessing_factory.get_segmentation_preprocessing(
      config.preprocessing_name, True
    )

  def complete_training(
    self, given: TrainConfig, config: TrainConfig, dataset: Dataset
  ) -> TrainConfig:
    """Decides class weights, atrous rates and batch norm."""
    return completion.training(given, config, dataset)

  def evaluation_defaults(self, specification: Specification) -> dict[str, Any]:
    """Returns the ignore label; the size of a batch follows from the image."""
    return {'ignore_label': completion.ignore_label(specification)}

  def evaluated_split(self, splits: Sequence[str]) -> str:
    """Returns the first split that is none for training."""
    return next(
      (split for split in splits if not split.startswith('train')),
      next((split for split in splits if split != 'train'), splits[0]),
    )

  def complete_inference(
    self,
    given: Inference,
    config: Inference,
    checkpoint: str,
    run: Mapping[str, Any],
  ) -> Inference:
    """Finds the decoder, its output stride and its rates."""
    if isinstance(config, ExtractConfig):
      raise _many_sizes(config)
    return completion.inference(given, config, checkpoint, run)

  def prepare_dataset(self, config: EvalConfig, dataset: Dataset) -> None:
    """Sets the ignore label."""
    completion.set_ignore_label(dataset, config.ignore_label)

  def open_training(
    self, config: TrainConfig, dataset: Dataset, resumes: bool
  ) -> Source:
    """Returns augmented crops with their masks."""
    return examples.open_training(config, dataset)

  def describe_training(self, config: TrainConfig) -> str:
    """Returns the size of crops, output stride and decoder."""
    height, width = config.train_crop_size
    return (
      f'crops of {height}x{width} (height x width), output stride '
      f'{config.output_stride}, decoder {config.decoder}'
    )

  def build(
    self,
    config: NetworkConfig,
    images: tf.Tensor,
    num_classes: int,
    is_training: bool = False,
    reuse: bool | None = None,
    **options: Any,
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns float32 logits [batch, height, width, classes], end points."""
    return build.build_dense(
      config, images, num_classes, is_training, reuse, **options
    )

  def add_auxiliary(
    self,
    config: TrainConfig,
    end_points: dict[str, tf.Tensor],
    num_classes: int,
    is_training: bool,
    **options: Any,
  ) -> None:
    """Adds the logits of --auxiliary_loss_weight's head, if there is one."""
    if config.auxiliary_loss_weight:
      auxiliary.add(
        config.model_name, end_points, num_classes, is_training, **options
      )

  def loss(
    self,
    config: TrainConfig,
    logits: tf.Tensor,
    end_points: Mapping[str, tf.Tensor],
    labels: tf.Tensor,
    step: tf.Tensor,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns --segmentation_loss, and the share of pixels that are right."""
    return losses.loss(config, logits, end_points, labels, step)

  def summarize(
    self, config: TrainConfig, batch: Batch, logits: tf.Tensor
  ) -> None:
    """Adds the masks, and those that are predicted, in colours."""
    # What has no label, in the padding too, is in the last colour.
    colours = tf.constant(
      np.append(overlays.palette(_IGNORED), [overlays.IGNORED], 0), tf.uint8
    )
    shown = tf.where(
      tf.equal(batch.labels, config.ignore_label),
      tf.fill(tf.shape(batch.labels), _IGNORED),
      batch.labels,
    )
    predicted = tf.argmax(logits, -1, output_type=tf.int32)
    tf.summary.image('masks', tf.gather(colours, shown))
    tf.summary.image('predicted', tf.gather(colours, predicted))

  def open_split(
    self, config: EvalConfig, dataset: Dataset, num_classes: int
  ) -> DensePredictor:
    """Returns a network and a split to run it on."""
    return DensePredictor(config, dataset, num_classes)

  def describe_evaluation(self, config: EvalConfig) -> str:
    """Returns whether images are seen as a whole, and the output stride."""
    seen = (
      'each at its own size'
      if not config.eval_crop_size
      else f'through windows of {config.text("eval_crop_size")}'
    )
    return f'{seen}, output stride {config.output_stride}'

  def sizes(self, config: EvalConfig) -> dict[str, Any]:
    """Returns the size of windows, None without, and the output stride."""
    return {
      'eval_crop_size': config.text('eval_crop_size'),
      'output_stride': config.output_stride,
    }

  def combiner(self, checkpoint: str) -> Callable:
    """Raises ValueError: probabilities of pixels are not kept."""
    raise ValueError(
      'An ensemble averages the probabilities of images, and '
      f'{checkpoint} is for masks: name one checkpoint, and average '
      'over --flip and --scales.'
    )

  def brief(self, metrics: Mapping[str, Any]) -> str:
    """Returns mIOU, pixel accuracy and loss."""
    return report.brief(metrics)

  def lines(self, metrics: Mapping[str, Any], num_classes: int) -> list[str]:
    """Returns what is printed of an evaluation."""
    return report.lines(metrics, num_classes)

  def more_metrics(
    self, split: EvaluatedSplit, found: DensePredictions
  ) -> dict[str, Any]:
    """Returns the IoU of each class, and which classes are absent."""
    return report.more(split, found)

  def write_report(
    self,
    split: EvaluatedSplit,
    found: DensePredictions,
    path: Callable[[str], str],
  ) -> list[str]:
    """Writes tables and images to path(name); returns their names."""
    return report.write(split, found, path)

  def serve(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ) -> ServedMasks:
    """Returns what an exported model takes and gives."""
    return ServedMasks(config, run, names)

  def gather(
    self,
    config: EvalConfig,
    dataset: Dataset,
    num_classes: int,
    said: Iterable[Said],
  ) -> DensePredictions:
    """Returns what an exported model predicted on a split.

    There is a loss if logits are put out.
    """
    ignored = config.ignore_label
    return gathered(
      (measured(each, num_classes, ignored) for each in said),
      dataset,
      num_classes,
      ignored,
    )

  def network_input(
    self, config: ExtractConfig, pixels: tf.Tensor
  ) -> tf.Tensor:
    """Refuses: each image has features of another size."""
    raise _many_sizes(config)

  def unfinished(
    self, config: ClassifyConfig, paths: Sequence[str]
  ) -> list[str]:
    """Returns the files whose masks are not there, if flags ask for those."""
    return image_files.unfinished(config, paths)

  def show_files(
    self,
    config: ClassifyConfig,
    names: Sequence[str],
    paths: Sequence[str],
    said: Iterable[Said],
  ) -> Shares:
    """Writes masks and overlays by an exported model."""
    return image_files.show_masks(
      config,
      names,
      paths,
      ((each.source, each.image, each.outputs['classes']) for each in said),
    )

  def predict_files(
    self,
    config: ClassifyConfig,
    checkpoint: str,
    run: Mapping[str, Any],
    names: Sequence[str],
    paths: Sequence[str],
  ) -> Shares:
    """Writes masks and overlays of image files, and prints their classes."""
    return image_files.segment_files(config, checkpoint, run, names, paths)
