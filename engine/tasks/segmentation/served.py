"""What an exported network for segmentation takes and gives."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from engine.config.export import ExportConfig
from engine.tasks.segmentation import examples
from engine.tasks.segmentation.dense_model import dense_logits
from engine.tasks.served import Served

_SIZE = 513, 513  # of images, if nothing else is said


class ServedMasks(Served):
  """Images of any size in; the classes of their pixels out."""

  input_size = None, None

  def __init__(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ):
    super().__init__(config, run, names)
    self.image_size = (
      config.eval_crop_size or run.get('train_crop_size') or _SIZE
    )
    self.preprocessing = (
      f'the normalization of {config.preprocessing_name}, at the size of the '
      f'image, of {self.channels} channels'
    )

  def prepare(self, images: tf.Tensor) -> tf.Tensor:
    """Returns the network's input; see `Served`."""
    return examples.prepared(self.config, images)

  def network(
    self, prepared: tf.Tensor
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns the logits of every pixel, and the end points."""
    return dense_logits(self.config, prepared, len(self.names))

  def results(self, logits: tf.Tensor, texts: bool) -> dict[str, tf.Tensor]:
    """Returns the class of every pixel, and logits if the flags say so."""
    found = {'classes': tf.argmax(logits, -1, output_type=tf.int32)}
    return {**found, 'logits': logits} if self.config.logits else found
