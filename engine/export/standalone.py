"""Runs an exported model with nothing but the runtime that it is for.

It imports nothing of this project, so that it can be copied beside a model:

  python standalone.py MODEL_FOLDER INPUTS.npz OUTPUTS.npz

INPUTS.npz has batches by any names: arrays as the model takes them, or, where
it takes files, uint8 [bytes], the content of one. OUTPUTS.npz has each output
of each batch as NAME/OUTPUT.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

DESCRIPTION = 'model.json'
FILES = {  # in the folder of each format
  'saved_model': 'saved_model.pb',
  'frozen_graph': 'graph.pb',
  'tflite': 'model.tflite',
  'onnx': 'model.onnx',
}

Outputs = dict[str, np.ndarray]
Run = Callable[[Any], Mapping[str, Any]]


def _session(graph: Any) -> Any:
  """Opens a session that joins operations, and optimizes no more.

  Other optimizations find nothing in these graphs, and each copies them with
  all of their weights.
  """
  import tensorflow.compat.v1 as tf

  config = tf.ConfigProto()
  config.graph_options.rewrite_options.optimizers.append('remap')
  config.graph_options.rewrite_options.meta_optimizer_iterations = 1
  return tf.Session(graph=graph, config=config)


def _saved_model(folder: str, told: Mapping[str, Any]) -> Run:
  import tensorflow.compat.v1 as tf

  graph = tf.Graph()
  with graph.as_default():
    session = _session(graph)
    model = tf.saved_model.load(session, ['serve'], folder)
  signature = model.signature_def['serving_default']
  outputs = {name: each.name for name, each in signature.outputs.items()}
  name = signature.inputs['input'].name
  return lambda inputs: session.run(outputs, {name: inputs})


def _frozen_graph(folder: str, told: Mapping[str, Any]) -> Run:
  import tensorflow.compat.v1 as tf

  with open(os.path.join(folder, FILES['frozen_graph']), 'rb') as file:
    graph_def = tf.GraphDef.FromString(file.read())
  graph = tf.Graph()
  with graph.as_default():
    tf.import_graph_def(graph_def, name='')
  session = _session(graph)
  outputs = {name: f'{name}:0' for name in told['outputs']}
  return lambda inputs: session.run(outputs, {'input:0': inputs})


def _tflite(folder: str, told: Mapping[str, Any]) -> Run:
  try:
    from ai_edge_litert.interpreter import Interpreter
  except ImportError:
    import tensorflow as tf

    Interpreter = tf.lite.Interpreter
  path = os.path.join(folder, FILES['tflite'])
  # The runner's interpreter is kept by the runner.
  runner = Interpreter(
    model_path=path, num_threads=os.cpu_count()
  ).get_signature_runner()
  return lambda inputs: runner(input=inputs)


def _onnx(folder: str, told: Mapping[str, Any]) -> Run:
  import onnxruntime

  session = onnxruntime.InferenceSession(
    os.path.join(folder, FILES['onnx']), providers=['CPUExecutionProvider']
  )
  outputs = list(told['outputs'])
  return lambda inputs: dict(
    zip(outputs, session.run(outputs, {'input': inputs}), strict=True)
  )


_RUNTIMES: dict[str, Callable[[str, Mapping[str, Any]], Run]] = {
  'saved_model': _saved_model,
  'frozen_graph': _frozen_graph,
  'tflite': _tflite,
  'onnx': _onnx,
}


def describe(folder: str | os.PathLike) -> dict[str, Any]:
  """Returns what `model.json` says of the model in a folder.

  Raises:
    ValueError: there is none, or it is of another kind.
  """
  path = os.path.join(folder, DESCRIPTION)
  try:
    with open(path, encoding='utf-8') as file:
      told = json.load(file)
    if told['format'] not in FILES:
      raise ValueError(f'the format {told["format"]!r} is unknown')
    told['input']['kind'], told['outputs'].keys(), told['task']
  except FileNotFoundError:
    raise ValueError(
      f'{os.fspath(folder)} holds no exported model: there is no '
      f'{DESCRIPTION}. Name the folder of a format, such as '
      'RUN/export/saved_model.'
    ) from None
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(
      f'{path} does not describe an exported model ({error}): export it again.'
    ) from None
  return told


def model_file(folder: str | os.PathLike, told: Mapping[str, Any]) -> str:
  """Returns the file of a model; ValueError if it is not there."""
  path = os.path.join(folder, FILES[told['format']])
  if not os.path.isfile(path):
    raise ValueError(
      f'{os.fspath(folder)} has no {os.path.basename(path)}: export the model '
      'again.'
    )
  return path


class Model:
  """An exported model in its own runtime.

  Attributes:
    told: what `model.json` says.
  """

  def __init__(self, folder: str | os.PathLike):
    """Loads the model.

    Raises:
      ValueError: the folder holds no model, or half of one.
    """
    self.told = describe(folder)
    model_file(folder, self.told)
    self._run = _RUNTIMES[self.told['format']](os.fspath(folder), self.told)

  def __call__(self, inputs: Any) -> Outputs:
    """Returns the outputs by name.

    Args:
      inputs: an array [batch, ...]; of a model that takes files, a list of
        their bytes.
    """
    found = self._run(inputs)
    return {name: np.asarray(found[name]) for name in self.told['outputs']}


def main(folder: str, inputs: str, outputs: str) -> None:
  """Runs a model on a file of inputs; see the top."""
  model = Model(folder)
  found: dict[str, Any] = {}
  takes_files = model.told['input']['kind'] == 'encoded'
  copies = model.told['input']['shape'][0] or 1
  with np.load(inputs) as batches:
    for name in batches.files:
      batch = batches[name]
      results = model([batch.tobytes()] * copies if takes_files else batch)
      for output, value in results.items():
        if value.dtype != object:  # texts, which follow from the rest
          found[f'{name}/{output}'] = value
  np.savez(outputs, **found)


if __name__ == '__main__':
  main(*sys.argv[1:])
