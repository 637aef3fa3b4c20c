"""What an exported model takes and gives, for every task."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from datasets.suggestions import nearest
from engine.config.export import ExportConfig


class Served(abc.ABC):
  """What an exported model takes and gives.

  Attributes:
    input_size: height and width of the network's input; None, None for any.
    image_size: height and width of images that the preprocessing does not
      resize.
    preprocessing: what is done to an image, in words.
  """

  input_size: tuple[int, int] | tuple[None, None]
  image_size: tuple[int, int]
  preprocessing: str

  def __init__(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ):
    """Builds nothing yet.

    Args:
      config: complete.
      run: what the training wrote, {} if there is nothing.
      names: of the classes; () of a network without logits.
    """
    self.config, self.run, self.names = config, run, list(names)

  @property
  def channels(self) -> int:
    """The channels of the network's input."""
    return 1 if self.config.use_grayscale else 3

  @abc.abstractmethod
  def prepare(self, images: tf.Tensor) -> tf.Tensor:
    """Returns the network's input, float32 [..., height, width, channels].

    Args:
      images: uint8 [height, width, 3], of any size, or a batch of a known
        one.
    """

  @abc.abstractmethod
  def network(
    self, prepared: tf.Tensor
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds the network; returns its logits and its end points."""

  @abc.abstractmethod
  def results(self, logits: tf.Tensor, texts: bool) -> dict[str, tf.Tensor]:
    """Returns what is put out, by name.

    Args:
      logits: what `network` returned.
      texts: whether names of classes may be among it.
    """

  def outputs(self, prepared: tf.Tensor, texts: bool) -> dict[str, tf.Tensor]:
    """Builds the network; returns what is put out, by name.

    Args:
      prepared: its input, float32 [batch, height, width, channels].
      texts: whether names of classes may be among it.

    Raises:
      ValueError: an end point is asked for that is not there.
    """
    logits, end_points = self.network(prepared)
    name = self.config.end_point
    if name is None:
      return self.results(logits, texts)
    if name not in end_points:
      near = nearest(name, end_points, n=3, cutoff=0.3)
      raise ValueError(
        f'--end_point={name}: {self.config.model_name} has no such end point. '
        f'The nearest are {", ".join(near or list(end_points)[:5])}.'
      )
    return {'features': tf.cast(end_points[name], tf.float32)}
