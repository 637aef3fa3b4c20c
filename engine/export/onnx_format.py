"""ONNX, which ONNX Runtime and many others run."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.export import standalone
from engine.export.artefact import INPUT, Artefact


def _rename(graph: Any, names: dict[str, str]) -> None:
  """Gives inputs and outputs of a graph other names, wherever they occur."""
  for value in (*graph.input, *graph.output):
    value.name = names[value.name]
  for node in graph.node:
    for values in node.input, node.output:
      values[:] = [names.get(name, name) for name in values]


def _exact_sizes(graph: Any) -> None:
  """Makes sure that a resize gives the size that it should.

  tf2onnx writes the ratio of two sizes, such as 17 / 9, as float32, and the
  size is what 9 times that is rounded down to: 16 if the ratio is a bit less.
  """
  from onnx import numpy_helper

  constants = {each.name: each for each in graph.initializer}
  for name in {
    node.input[2]
    for node in graph.node
    if node.op_type == 'Resize' and node.input[2] in constants
  }:
    ratios = numpy_helper.to_array(constants[name])
    more = np.nextafter(ratios, np.float32(np.inf))
    constants[name].CopyFrom(
      numpy_helper.from_array(np.where(ratios % 1, more, ratios), name)
    )


@contextlib.contextmanager
def _without_copies() -> Iterator[None]:
  """Lets tf2onnx stop at an error of its optimizations.

  Else it copies the graph with its weights before each of some 30, to go on
  from: 8 GB for a ResNet-101.
  """
  name = 'TF2ONNX_CATCH_ERRORS'
  before = os.environ.get(name)
  os.environ[name] = 'false'
  try:
    yield
  finally:
    del os.environ[name]
    if before is not None:
      os.environ[name] = before


def write(artefact: Artefact, folder: str) -> None:
  """Writes model.onnx, with the facts of model.json as metadata_props."""
  import onnx
  import tf2onnx

  names = {f'{name}:0': name for name in (INPUT, *artefact.outputs)}
  with _without_copies():
    model, _ = tf2onnx.convert.from_graph_def(
      artefact.graph_def,
      input_names=[f'{INPUT}:0'],
      output_names=[f'{name}:0' for name in artefact.outputs],
      opset=artefact.told['opset'],
    )
  _rename(model.graph, names)
  _exact_sizes(model.graph)
  for name, value in artefact.told.items():
    text = value if isinstance(value, str) else json.dumps(value)
    model.metadata_props.add(key=name, value=text)
  onnx.checker.check_model(model)
  onnx.save(model, os.path.join(folder, standalone.FILES['onnx']))
