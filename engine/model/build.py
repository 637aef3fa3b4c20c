"""A network and its decoder, as a configuration says."""

from typing import Any, TypeVar

import tensorflow.compat.v1 as tf

from engine.config.export import ExportConfig
from engine.config.scripts import (
  ClassifyConfig,
  EvalConfig,
  ExtractConfig,
  NetworkConfig,
  TrainConfig,
)
from nets import decoders, nets_factory, resnet_generator, resnet_utils
from nets.heads import deeplab

Given = TypeVar(
  'Given', TrainConfig, EvalConfig, ClassifyConfig, ExtractConfig, ExportConfig
)


def complete(config: Given) -> Given:
  """Returns the configuration with the options that its network takes.

  Raises:
    ValueError: there is no such network, it does not take a given option, or
      the option has no such value.
  """
  own = nets_factory.get_network(config.model_name).options
  for option, values in nets_factory.OPTIONS.items():
    given = getattr(config, option)
    if given is None and option in own:
      config = config.replace(**{option: own[option].default})
    elif given is not None and given not in values:
      raise ValueError(
        f'--{option}={given} is unknown. It can be {", ".join(values)}.'
      )
    elif given is not None and option not in own:
      takes = [
        name
        for name, network in nets_factory.NETWORKS.items()
        if option in network.options
      ]
      raise ValueError(
        f'--{option}={given}: {config.model_name} has no such option. Leave '
        f'it out, or take one of {", ".join(takes)}.'
      )
  _check_root(config)
  return config


def _check_root(config):
  """Refuses a root that is wider than shortcuts of zeros can begin with."""
  if config.shortcut != 'A':
    return
  *_, (_, root, _, _) = resnet_generator.ROOT_BLOCKS[
    config.root_block
  ].convolutions
  network = nets_factory.get_network(config.model_name)
  width = config.depth_multiplier
  first = network.blocks(**({'depth_multiplier': width} if width else {}))[
    0
  ].args[0]['depth']
  if root > first:
    raise ValueError(
      f'--root_block={config.root_block} has {root} channels, the first '
      f'block of {config.model_name} {first}, of which --shortcut=A cannot '
      'be made: pass --shortcut=B, or another root.'
    )


def output_stride(config: NetworkConfig) -> int:
  """Returns the default output stride of dense features, 16 or less."""
  network = nets_factory.get_network(config.model_name)
  root = resnet_generator.get_root(config.root_block or network.root_block)
  return min(
    16, resnet_utils.reachable_strides(network.blocks(), root.stride)[-1]
  )


def network_options(config: NetworkConfig) -> dict[str, Any]:
  """Returns the arguments of its network that a configuration gives."""
  return {
    option: getattr(config, option)
    for option in (*nets_factory.OPTIONS, 'depth_multiplier')
    if getattr(config, option) is not None
  }


def arg_scope_options(config: NetworkConfig) -> dict[str, Any]:
  """Returns the arguments of an arg scope that a configuration gives."""
  epsilon = config.batch_norm_epsilon
  return {} if epsilon is None else {'batch_norm_epsilon': epsilon}


def end_points_by_stride(
  config: NetworkConfig, flag: str, stride: int | None
) -> dict[int, str]:
  """Returns the end points of a network's features by their strides.

  Args:
    config: complete.
    flag: that names a stride, for the error.
    stride: one that must be there; None for any.

  Raises:
    ValueError: it is not.
  """
  options = network_options(config)
  found = {
    each.stride: each.end_point
    for each in nets_factory.feature_descriptions(config.model_name, **options)
  }
  if stride is not None and stride not in found:
    raise ValueError(
      f'--{flag}={stride}: {config.model_name} has features of the strides '
      f'{", ".join(map(str, found))}.'
    )
  return found


def decoder_options(config: NetworkConfig) -> dict[str, Any]:
  """Returns what `decoders.check` is told of a complete configuration."""
  return {
    'network_name': config.model_name,
    'decoder': config.decoder,
    'output_stride': config.output_stride,
    'multi_grid': config.multi_grid,
    'atrous_rates': config.atrous_rates,
    'network_options': network_options(config),
    'decoder_options': {name: getattr(config, name) for name in deeplab.NAMES},
  }


def build_network(
  config: NetworkConfig,
  images: tf.Tensor,
  num_classes: int | None,
  is_training: bool = False,
  reuse: bool | None = None,
  **options: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Builds the network of a complete configuration.

  Args:
    config: its model_name and options.
    images: float32 [batch, height, width, channels].
    num_classes: the number of logits; None for features alone.
    is_training: whether batch norm uses the batch's statistics.
    reuse: whether to reuse the variables.
    **options: of the network's arg scope; see `nets_factory.get_network_fn`.

  Returns:
    The logits, float32 [batch, classes], and the end points.
  """
  network_fn = nets_factory.get_network_fn(
    config.model_name,
    num_classes,
    is_training=is_training,
    **arg_scope_options(config),
    **options,
  )
  return network_fn(images, reuse=reuse, **network_options(config))


def build_dense(
  config: NetworkConfig,
  images: tf.Tensor,
  num_classes: int,
  is_training: bool = False,
  reuse: bool | None = None,
  **options: Any,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Builds the network of a complete configuration with its decoder.

  Args:
    config: its model_name and options, and those of its decoder.
    images: float32 [batch, height, width, channels].
    num_classes: the number of logits of a pixel.
    is_training: whether batch norm uses the batch's statistics.
    reuse: whether to reuse the variables.
    **options: of the network's arg scope; see `decoders.build`.

  Returns:
    The logits, float32 [batch, height_out, width_out, classes], and the end
    points.
  """
  # Of a checkpoint the features are good already; small logits spare them.
  logits_stddev = {'logits_stddev': None} if not config.checkpoint_path else {}
  return decoders.build(
    **decoder_options(config),
    **logits_stddev,
    images=images,
    num_classes=num_classes,
    is_training=is_training,
    depth=config.decoder_depth,
    reuse=reuse,
    **arg_scope_options(config),
    **options,
  )
