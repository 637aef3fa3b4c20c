"""The formats of TensorFlow itself: SavedModel and a frozen GraphDef."""

import os

import tensorflow.compat.v1 as tf

from engine.common import files, runtime
from engine.export import standalone
from engine.export.artefact import INPUT, Artefact

CLASS_NAMES = 'class_names.txt'


def write_frozen_graph(artefact: Artefact, folder: str) -> None:
  """Writes graph.pb, which the APIs of TensorFlow, OpenVINO and OpenCV read."""
  path = os.path.join(folder, standalone.FILES['frozen_graph'])
  with open(path, 'wb') as file:
    file.write(artefact.graph_def.SerializeToString(deterministic=True))


def write_saved_model(artefact: Artefact, folder: str) -> None:
  """Writes a SavedModel with one signature, and its facts as assets."""
  extra = os.path.join(folder, 'assets.tmp')
  os.makedirs(extra)
  assets = {standalone.DESCRIPTION: None, CLASS_NAMES: None}
  files.write_json(
    os.path.join(extra, standalone.DESCRIPTION), dict(artefact.told)
  )
  with open(os.path.join(extra, CLASS_NAMES), 'w', encoding='utf-8') as file:
    file.writelines(f'{name}\n' for name in artefact.told['class_names'])
  written = os.path.join(folder, 'written.tmp')
  with tf.Graph().as_default() as graph, runtime.session(graph) as session:
    tf.import_graph_def(artefact.graph_def, name='')
    for name in assets:
      tf.add_to_collection(
        tf.GraphKeys.ASSET_FILEPATHS, tf.constant(os.path.join(extra, name))
      )
    signature = tf.saved_model.predict_signature_def(
      {INPUT: graph.get_tensor_by_name(f'{INPUT}:0')},
      {
        name: graph.get_tensor_by_name(f'{name}:0') for name in artefact.outputs
      },
    )
    builder = tf.saved_model.Builder(written)
    builder.add_meta_graph_and_variables(
      session,
      [tf.saved_model.tag_constants.SERVING],
      {'serving_default': signature},
      assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS),
    )
    builder.save()
  for name in os.listdir(written):
    os.rename(os.path.join(written, name), os.path.join(folder, name))
  os.rmdir(written)
  for name in assets:
    os.remove(os.path.join(extra, name))
  os.rmdir(extra)
