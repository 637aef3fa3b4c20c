"""A network and its decoder, as a configuration says."""
import tensorflow.compat.v1 as tf

from engine import forms
from engine.segmentation import SEGMENTATION, ModelConfig
from nets import decoders, nets_factory


def _rates(text):
  return tuple(forms.whole(text)) if text else None


def decoder_options(config: ModelConfig) -> dict:
  """Returns what `decoders.check` is told of a complete configuration."""
  return {'network_name': config.model_name, 'decoder': config.decoder,
          'output_stride': config.output_stride,
          'multi_grid': _rates(config.multi_grid),
          'atrous_rates': _rates(config.atrous_rates)}


def build(config: ModelConfig, images: tf.Tensor, num_classes: int,
          is_training: bool = False, reuse: bool | None = None, **options
          ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Builds the network of a complete configuration.

  Args:
    config: its model_name and task, and for segmentation its decoder.
    images: float32 [batch, height, width, channels].
    num_classes: the number of logits.
    is_training: whether batch norm uses the batch's statistics.
    reuse: whether to reuse the variables.
    **options: of the network's arg scope; see `nets_factory.get_network_fn`.

  Returns:
    The logits, float32 [batch, classes], or of segmentation [batch, height_out,
    width_out, classes]; and the end points.
  """
  if config.task == SEGMENTATION:
    return decoders.build(
        **decoder_options(config), images=images, num_classes=num_classes,
        is_training=is_training, depth=config.decoder_depth, reuse=reuse,
        **options)
  network_fn = nets_factory.get_network_fn(
      config.model_name, num_classes, is_training=is_training, **options)
  return network_fn(images, reuse=reuse)
