"""The graph of a network without weights, as TF-Slim's script wrote it."""

import os

import tensorflow.compat.v1 as tf

from datasets import dataset_factory
from datasets.files import atomic
from engine.common import console, files
from engine.config.export import ExportConfig
from engine.model import build
from nets import nets_factory

_DATASET = 'imagenet'


def _num_classes(name, folder):
  """Returns the number of classes of a dataset, which need not be there."""
  known = not folder and dataset_factory.registered(name).num_classes
  return known or dataset_factory.get_specification(name, folder).num_classes


def write_untrained(given: ExportConfig) -> None:
  """Writes a GraphDef with a placeholder 'input', and variables.

  Raises:
    ValueError: an unknown name, or a place that cannot be written to.
  """
  config, path = build.complete(given), given.output_file
  assert path is not None  # as the configuration makes sure
  network = nets_factory.get_network(config.model_name)
  classes = _num_classes(config.dataset_name or _DATASET, config.dataset_dir)
  size = config.image_size or (network.default_image_size,) * 2
  channels = 1 if config.use_grayscale else 3
  num_classes = classes - (config.labels_offset or 0)
  if num_classes < 1:
    raise ValueError(
      f'--labels_offset={config.labels_offset} leaves none of the '
      f'{classes} classes.'
    )
  folder = os.path.dirname(os.path.abspath(path))
  files.check_folder(folder, 'output_file')
  with tf.Graph().as_default() as graph:
    images = tf.placeholder(
      tf.float32, [config.batch_size, *size, channels], 'input'
    )
    build.build_network(
      config, images, num_classes, is_training=config.is_training
    )
    graph_def = graph.as_graph_def()
  os.makedirs(folder, exist_ok=True)
  is_text = config.write_text_graphdef
  with atomic(path, 'w' if is_text else 'wb') as file:
    file.write(str(graph_def) if is_text else graph_def.SerializeToString())
  console.say(
    f'{path} is the graph of {config.model_name}, without '
    f'weights, of {num_classes:,} classes.'
  )
