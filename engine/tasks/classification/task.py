"""Classification: one class an image. Follows `engine.tasks.base.Task`."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets.label_kinds import CLASSIFICATION
from datasets.specification import Specification
from engine.common import files
from engine.config.export import ExportConfig
from engine.config.scripts import (
  ClassifyConfig,
  EvalConfig,
  ExtractConfig,
  Inference,
  NetworkConfig,
  TrainConfig,
)
from engine.input import pixel_mean
from engine.input.pipeline import Batch, Source
from engine.model.build import build_network
from engine.tasks.base import EvaluatedSplit, Said, Shares
from engine.tasks.classification import (
  examples,
  explanations,
  image_files,
  report,
)
from engine.tasks.classification.predictor import (
  Predictions,
  Predictor,
  gathered,
  predict_together,
)
from engine.tasks.classification.served import ServedClasses
from metrics import classification
from nets.nets_factory import Network
from preprocessing import preprocessing_factory

_BATCH = 100  # examples at once in evaluation, if nothing else is said


class Classification:
  """One class an image."""

  name = CLASSIFICATION
  own_flags = {
    'train_crop_size': 'train_image_size',
    'eval_crop_size': 'eval_image_size',
  }
  default_dataset = 'digits'
  follows_released = True

  def recognizes(self, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether it is of this task: whatever no other task recognizes is."""
    return False

  def preprocessing(self, network: Network) -> str:
    """Returns the one that the network was published with."""
    return network.preprocessing

  def training_defaults(
    self, given: TrainConfig, specification: Specification
  ) -> dict[str, Any]:
    """Returns nothing: what all tasks have suffices."""
    return {}

  def check_training(self, config: TrainConfig) -> None:
    """Checks the preprocessing, and its mean image."""
    preprocessing_factory.get_preprocessing(config.preprocessing_name, True)
    pixel_mean.check(config, config.train_dir)

  def complete_training(
    self, given: TrainConfig, config: TrainConfig, dataset: Dataset
  ) -> TrainConfig:
    """Returns the configuration as it is."""
    return config

  def evaluation_defaults(self, specification: Specification) -> dict[str, Any]:
    """Returns the size of a batch."""
    return {'batch_size': _BATCH}

  def evaluated_split(self, splits: Sequence[str]) -> str:
    """Returns the last split."""
    return splits[-1]

  def complete_inference(
    self,
    given: Inference,
    config: Inference,
    checkpoint: str,
    run: Mapping[str, Any],
  ) -> Inference:
    """Finds the mean image beside the checkpoint, and where to explain."""
    config = pixel_mean.found(config, checkpoint)
    if isinstance(config, ClassifyConfig) and config.explain:
      folder = config.explain_dir or os.path.join(
        os.path.dirname(checkpoint), explanations.FOLDER
      )
      files.check_folder(folder, 'explain_dir')
      config = config.replace(explain_dir=folder)
    return config

  def prepare_dataset(self, config: EvalConfig, dataset: Dataset) -> None:
    """Leaves the split as it is."""

  def open_training(
    self, config: TrainConfig, dataset: Dataset, resumes: bool
  ) -> Source:
    """Returns augmented images with their labels."""
    return examples.open_training(config, dataset, resumes)

  def describe_training(self, config: TrainConfig) -> str:
    """Returns such as 'images of 224x224'."""
    return f'images of {config.train_image_size}x{config.train_image_size}'

  def build(
    self,
    config: NetworkConfig,
    images: tf.Tensor,
    num_classes: int,
    is_training: bool = False,
    reuse: bool | None = None,
    **options: Any,
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns float32 logits [batch, classes], and the end points."""
    return build_network(
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
    """Adds nothing: there is one loss."""

  def loss(
    self,
    config: TrainConfig,
    logits: tf.Tensor,
    end_points: Mapping[str, tf.Tensor],
    labels: tf.Tensor,
    step: tf.Tensor,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the cross-entropy, and the share of images that are right."""
    return (
      classification.loss(logits, labels, config.label_smoothing),
      classification.accuracy(logits, labels),
    )

  def summarize(
    self, config: TrainConfig, batch: Batch, logits: tf.Tensor
  ) -> None:
    """Adds nothing: the images are all there is to see."""

  def open_split(
    self, config: EvalConfig, dataset: Dataset, num_classes: int
  ) -> Predictor:
    """Returns a network and a split to run it on."""
    return Predictor(config, dataset, num_classes)

  def describe_evaluation(self, config: EvalConfig) -> str:
    """Returns such as 'at 224x224'."""
    return f'at {config.eval_image_size}x{config.eval_image_size}'

  def sizes(self, config: EvalConfig) -> dict[str, Any]:
    """Returns the image size, in pixels."""
    return {'image_size': config.eval_image_size}

  def combiner(
    self, checkpoint: str
  ) -> Callable[..., tuple[list[Predictions], Predictions]]:
    """Returns what makes the mean of probabilities."""
    return predict_together

  def brief(self, metrics: Mapping[str, Any]) -> str:
    """Returns accuracy and loss."""
    return report.brief(metrics)

  def lines(self, metrics: Mapping[str, Any], num_classes: int) -> list[str]:
    """Returns what is printed of an evaluation."""
    return report.lines(metrics, num_classes)

  def more_metrics(
    self, split: EvaluatedSplit, found: Predictions
  ) -> dict[str, Any]:
    """Returns no more metrics than there are."""
    return {}

  def write_report(
    self, split: EvaluatedSplit, found: Predictions, path: Callable[[str], str]
  ) -> list[str]:
    """Writes tables and images to path(name); returns their names."""
    return report.write(split, found, path)

  def serve(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ) -> ServedClasses:
    """Returns what an exported model takes and gives."""
    return ServedClasses(config, run, names)

  def gather(
    self,
    config: EvalConfig,
    dataset: Dataset,
    num_classes: int,
    said: Iterable[Said],
  ) -> Predictions:
    """Returns what an exported model predicted on a split."""
    return gathered(said, config.labels_offset)

  def network_input(
    self, config: ExtractConfig, pixels: tf.Tensor
  ) -> tf.Tensor:
    """Returns the image as classification prepares it."""
    size = config.eval_image_size
    return examples.for_evaluation(config)(pixels, size, size)

  def unfinished(
    self, config: ClassifyConfig, paths: Sequence[str]
  ) -> list[str]:
    """Returns all files."""
    return list(paths)

  def show_files(
    self,
    config: ClassifyConfig,
    names: Sequence[str],
    paths: Sequence[str],
    said: Iterable[Said],
  ) -> Shares:
    """Prints the most likely classes by an exported model."""
    return image_files.show_classes(
      config,
      names,
      paths,
      (
        image_files.Classified(each.source, each.outputs['probabilities'])
        for each in said
      ),
    )

  def predict_files(
    self,
    config: ClassifyConfig,
    checkpoint: str,
    run: Mapping[str, Any],
    names: Sequence[str],
    paths: Sequence[str],
  ) -> Shares:
    """Prints the most likely classes of image files."""
    return image_files.classify_files(config, checkpoint, run, names, paths)
