"""What the engine asks of a task, such as classification or segmentation.

A task is a class that follows `Task`, and an entry of
`engine.config.tasks.TASKS`. All that depends on the kind of label is behind it:
resolving, training, evaluation and the other scripts ask nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets.records.examples import Examples
from datasets.specification import Specification
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
from engine.tasks.predictor import SplitPredictor
from engine.tasks.served import Served
from nets.nets_factory import Network


class Found(Protocol):
  """What was predicted on a split."""

  def metrics(self) -> dict[str, Any]:
    """Returns the metrics, with 'examples', the number of good ones."""


class EvaluatedSplit(NamedTuple):
  """What is evaluated.

  Fields:
    config: a complete configuration.
    dataset: the split.
    names: the name of each class.
    predictor: the network and the split; of an exported model what has
      `examples` too, and of masks `mask`.
  """

  config: EvalConfig
  dataset: Dataset
  names: Sequence[str]
  predictor: Any

  @property
  def examples(self) -> Examples:
    """The records of the split."""
    return self.predictor.examples


class Said(NamedTuple):
  """What an exported model says of an image.

  Fields:
    source: the number of its record, or the path of its file.
    label: as it was written; None of a file.
    image: uint8 [height, width, 3], as the model is given it.
    outputs: those of the model, by name, without the batch; see
      `Served.results`.
  """

  source: Any
  label: Any
  image: np.ndarray
  outputs: Mapping[str, np.ndarray]


# {file: [(class name, share in [0, 1]), ...]}, the largest share first.
Shares = dict[str, list[tuple[str, float]]]


class Task(Protocol):
  """A kind of label, and all that follows from it.

  Attributes:
    name: its key in `TASKS`.
    own_flags: a flag of another task -> what it is called for this one.
    default_dataset: the dataset that needs no source.
    follows_released: whether a checkpoint that TF-Slim released tells what
      images and labels it expects.
  """

  name: str
  own_flags: Mapping[str, str]
  default_dataset: str
  follows_released: bool

  # Completing a configuration.

  def recognizes(self, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether a checkpoint's {variable: shape} tell that it is of this task."""

  def preprocessing(self, network: Network) -> str:
    """Returns the preprocessing of a network, if nothing else is said."""

  def training_defaults(
    self, given: TrainConfig, specification: Specification
  ) -> dict[str, Any]:
    """Returns values for fields that neither flags nor data give one."""

  def check_training(self, config: TrainConfig) -> None:
    """Raises ValueError where flags do not fit; before the data are opened."""

  def complete_training(
    self, given: TrainConfig, config: TrainConfig, dataset: Dataset
  ) -> TrainConfig:
    """Returns the configuration, complete, of a training on a split.

    Args:
      given: what the flags say.
      config: complete but for what the task decides.
      dataset: the split; the task may set its ignore_label.

    Raises:
      ValueError: a flag that does not fit the network or the data.
    """

  def evaluation_defaults(self, specification: Specification) -> dict[str, Any]:
    """Returns values for fields that neither flags, run nor data give one."""

  def evaluated_split(self, splits: Sequence[str]) -> str:
    """Returns the split to evaluate on, if nothing else is said."""

  def complete_inference(
    self,
    given: Inference,
    config: Inference,
    checkpoint: str,
    run: Mapping[str, Any],
  ) -> Inference:
    """Returns the configuration, complete, of evaluation or of files.

    Args:
      given: what the flags say.
      config: complete but for what the task decides.
      checkpoint: its prefix.
      run: what the training wrote, {} if there is nothing.
    """

  def prepare_dataset(self, config: EvalConfig, dataset: Dataset) -> None:
    """Makes a split what the complete configuration says."""

  # Training.

  def open_training(
    self, config: TrainConfig, dataset: Dataset, resumes: bool
  ) -> Source:
    """Returns the examples of a training, augmented as the flags say.

    Args:
      config: complete.
      dataset: the split.
      resumes: whether the run has begun before.
    """

  def describe_training(self, config: TrainConfig) -> str:
    """Returns what a step sees, such as 'images of 224x224'."""

  def build(
    self,
    config: NetworkConfig,
    images: tf.Tensor,
    num_classes: int,
    is_training: bool = False,
    reuse: bool | None = None,
    **options: Any,
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds the network of a complete configuration.

    Args:
      config: its model_name and options.
      images: float32 [batch, height, width, channels].
      num_classes: the number of logits.
      is_training: whether batch norm uses the batch's statistics.
      reuse: whether to reuse the variables.
      **options: of the network's arg scope; see
        `nets_factory.get_network_fn`.

    Returns:
      The logits, as `loss` takes them, and the end points.
    """

  def add_auxiliary(
    self,
    config: TrainConfig,
    end_points: dict[str, tf.Tensor],
    num_classes: int,
    is_training: bool,
    **options: Any,
  ) -> None:
    """Adds to the end points what the loss has beside the logits.

    It is built in a training alone; its variables are of no network that
    is evaluated.

    Args:
      config: complete.
      end_points: what `build` returned.
      num_classes: see `build`.
      is_training: see `build`.
      **options: see `build`.
    """

  def loss(
    self,
    config: TrainConfig,
    logits: tf.Tensor,
    end_points: Mapping[str, tf.Tensor],
    labels: tf.Tensor,
    step: tf.Tensor,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the loss without regularization, and the accuracy, of a batch.

    Args:
      config: complete.
      logits: what `build` returned.
      end_points: what `build` returned, and `add_auxiliary` added.
      labels: as in `pipeline.Batch`.
      step: the global step.

    Returns:
      Two float32 scalars; the accuracy is in [0, 1].
    """

  def summarize(
    self, config: TrainConfig, batch: Batch, logits: tf.Tensor
  ) -> None:
    """Adds more images for TensorBoard than those that the network sees."""

  # Evaluation.

  def open_split(
    self, config: EvalConfig, dataset: Dataset, num_classes: int
  ) -> SplitPredictor:
    """Returns a network and a split to run it on."""

  def describe_evaluation(self, config: EvalConfig) -> str:
    """Returns at what size images are evaluated, such as 'at 224x224'."""

  def sizes(self, config: EvalConfig) -> dict[str, Any]:
    """Returns that size as eval.json has it."""

  def combiner(self, checkpoint: str) -> Callable[..., tuple[list, Found]]:
    """Returns what predicts with several networks, side by side.

    It takes what `open_split` returned, with weights set, and the titles of
    progress bars. It returns what each predicts, and their mean, which is on
    the records of all.

    Raises:
      ValueError: they cannot be averaged; names the checkpoint.
    """

  def brief(self, metrics: Mapping[str, Any]) -> str:
    """Returns the most important metrics, in a line."""

  def lines(self, metrics: Mapping[str, Any], num_classes: int) -> list[str]:
    """Returns what is printed of an evaluation."""

  def more_metrics(self, split: EvaluatedSplit, found: Found) -> dict[str, Any]:
    """Returns metrics for eval.json besides those of `found`."""

  def write_report(
    self, split: EvaluatedSplit, found: Found, path: Callable[[str], str]
  ) -> list[str]:
    """Writes tables and images to path(name); returns their names.

    The network must have the weights that were evaluated.
    """

  # Export.

  def serve(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ) -> Served:
    """Returns what an exported model takes and gives.

    Args:
      config: complete.
      run: what the training wrote, {} if there is nothing.
      names: of the classes; () of a network without logits.
    """

  def gather(
    self,
    config: EvalConfig,
    dataset: Dataset,
    num_classes: int,
    said: Iterable[Said],
  ) -> Found:
    """Returns what an exported model predicted on a split.

    Args:
      config: complete, but for what the model was made of.
      dataset: the split.
      num_classes: the number of classes.
      said: of its examples.
    """

  # Files.

  def network_input(
    self, config: ExtractConfig, pixels: tf.Tensor
  ) -> tf.Tensor:
    """Returns what the network is fed of an image, in evaluation.

    Args:
      config: complete.
      pixels: uint8 [height, width, 3] of any size.

    Returns:
      float32 [side, side, channels], of known sides, the same for all images.

    Raises:
      ValueError: what the network is fed has no such size.
    """

  def unfinished(
    self, config: ClassifyConfig, paths: Sequence[str]
  ) -> list[str]:
    """Returns the files that are to be predicted, of those asked for.

    Raises:
      ValueError: the flags leave out some, and it cannot be told which.
    """

  def show_files(
    self,
    config: ClassifyConfig,
    names: Sequence[str],
    paths: Sequence[str],
    said: Iterable[Said],
  ) -> Shares:
    """Prints, and writes, what an exported model says of image files.

    Args:
      config: complete, but for what the model was made of.
      names: of the classes.
      paths: of all files that are asked for.
      said: of those that are images.
    """

  def predict_files(
    self,
    config: ClassifyConfig,
    checkpoint: str,
    run: Mapping[str, Any],
    names: Sequence[str],
    paths: Sequence[str],
  ) -> Shares:
    """Prints, and writes, what is predicted of image files.

    Args:
      config: complete.
      checkpoint: its prefix.
      run: what the training wrote, {} if there is nothing.
      names: of the classes.
      paths: the files; those that are no images are named, and left out.
    """
