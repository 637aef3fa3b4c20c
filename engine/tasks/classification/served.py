"""What an exported network for classification takes and gives."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from engine.config.export import ExportConfig
from engine.model.build import build_network
from engine.tasks.classification import examples
from engine.tasks.served import Served
from preprocessing import preprocessing_factory

_TOP = 5  # classes that are named


class ServedClasses(Served):
  """Images of any size in; logits, probabilities and names out."""

  def __init__(
    self, config: ExportConfig, run: Mapping[str, Any], names: Sequence[str]
  ):
    super().__init__(config, run, names)
    size = config.eval_image_size
    self.input_size = size, size
    self.image_size = preprocessing_factory.unresized(
      config.preprocessing_name, size, size
    )
    self._prepare = examples.for_evaluation(config)
    self.preprocessing = (
      f'{config.preprocessing_name}, as in evaluation, to {size}x{size} and '
      f'{self.channels} channels'
    )

  def prepare(self, images: tf.Tensor) -> tf.Tensor:
    """Returns the network's input; see `Served`."""
    return self._prepare(images, *self.input_size)

  def network(
    self, prepared: tf.Tensor
  ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Builds the network; returns its logits and its end points."""
    return build_network(self.config, prepared, len(self.names) or None)

  def results(self, logits: tf.Tensor, texts: bool) -> dict[str, tf.Tensor]:
    """Returns probabilities, logits and the names of the likeliest classes."""
    found = {'probabilities': tf.nn.softmax(logits), 'logits': logits}
    if texts:
      top = tf.nn.top_k(found['probabilities'], min(_TOP, len(self.names)))
      found['top_probabilities'] = top.values
      found['top_names'] = tf.gather(tf.constant(self.names), top.indices)
    return found
