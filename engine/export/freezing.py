"""A network that is served, as a graph without variables."""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from engine.checkpoints.inference import InferenceSession
from engine.export import folding
from engine.export.artefact import INPUT
from engine.input import image_files
from engine.tasks.served import Served

_UNNAMED = 'served_{}'  # until a name at the top is free in the GraphDef


class Frozen(NamedTuple):
  """A graph without variables.

  Fields:
    graph_def: has a placeholder 'input', and operations named as the outputs.
    input: the dtype and shape of the input.
    outputs: those of the outputs, by name.
  """

  graph_def: tf.GraphDef
  input: tf.TensorSpec
  outputs: dict[str, tf.TensorSpec]


def _each(prepare, served):
  """Returns what prepares each of a batch, of whatever size, by itself."""
  spec = tf.TensorSpec([*served.input_size, served.channels], tf.float32)
  return lambda inputs: tf.map_fn(prepare, inputs, fn_output_signature=spec)


def input_of(
  served: Served,
  kind: str,
  any_size: bool,
  batch: int | None = None,
  size: tuple[int, int] | None = None,
) -> tf.TensorSpec:
  """Returns the dtype and shape of an input.

  Args:
    served: what is served.
    kind: out of `engine.config.export.INPUTS`.
    any_size: whether images may have any size.
    batch: the number of images, None for any.
    size: height and width, if they are given.

  Raises:
    ValueError: a size that the network does not take.
  """
  if kind == 'encoded':
    return tf.TensorSpec([batch], tf.string)
  if kind == 'image':
    free = (None, None) if any_size else served.image_size
    return tf.TensorSpec([batch, *(size or free), 3], tf.uint8)
  own = served.input_size
  if None in own:
    own = size or (own if any_size else served.image_size)
  elif size not in (None, own):
    raise ValueError(
      f'--image_size: the network takes {own[0]}x{own[1]}, as --input='
      'preprocessed does: pass --eval_image_size instead.'
    )
  return tf.TensorSpec([batch, *own, served.channels], tf.float32)


def freeze(
  served: Served,
  kind: str,
  spec: tf.TensorSpec,
  texts: bool,
  checkpoint: str,
  decay: float | None,
) -> Frozen:
  """Returns the network as a graph without variables; batch norm is folded.

  Args:
    served: what is served.
    kind: of the input.
    spec: what `input_of` returned.
    texts: whether names of classes may be put out.
    checkpoint: its prefix.
    decay: of the moving averages of the weights, None for the weights.
  """
  graph = tf.Graph()
  with graph.as_default():
    inputs = tf.placeholder(spec.dtype, spec.shape, INPUT)
    prepared = {
      'encoded': _each(
        lambda data: served.prepare(image_files.decoded(data)), served
      ),
      'image': served.prepare
      if None not in spec.shape[1:].as_list()
      else _each(served.prepare, served),
      'preprocessed': lambda inputs: inputs,
    }[kind](inputs)
    outputs = {
      name: tf.identity(tensor, _UNNAMED.format(name))
      for name, tensor in served.outputs(prepared, texts).items()
    }
  with InferenceSession(graph) as network:
    network.restore(checkpoint, decay)
    graph_def = tf.graph_util.convert_variables_to_constants(
      network.session,
      folding.fold(graph, network.session),
      [tensor.op.name for tensor in outputs.values()],
    )
  names = {tensor.op.name: name for name, tensor in outputs.items()}
  for node in graph_def.node:
    node.name = names.get(node.name, node.name)
  return Frozen(
    graph_def,
    spec,
    {
      name: tf.TensorSpec(tensor.shape, tensor.dtype)
      for name, tensor in outputs.items()
    },
  )
