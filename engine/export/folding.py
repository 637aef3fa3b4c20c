"""Batch norm folded into the convolutions before it, in a graph for inference.

With fixed statistics batch norm is a scale and an offset of each channel:
y = (x - mean) * scale + beta, where scale = gamma / sqrt(variance + epsilon).
Behind a convolution the scale goes into its filters and the rest is its bias
(Jacob et al., arXiv:1712.05877, section 3.2).
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

# What may stand between a convolution and its batch norm: they treat every
# channel alike, and zeros stay zeros.
_BETWEEN = ('BatchToSpaceND', 'Identity')
_NORM = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')


class Fold(NamedTuple):
  """A convolution and the batch norm behind it.

  Fields:
    convolution: the operation, of type Conv2D.
    bias: the BiasAdd between the two, None if there is none.
    norm: the operation, of type FusedBatchNorm*.
  """

  convolution: tf.Operation
  bias: tf.Operation | None
  norm: tf.Operation


def find(graph: tf.Graph) -> list[Fold]:
  """Returns all pairs that can be folded.

  A convolution whose output is used elsewhere too is left as it is, as is
  batch norm in front of a convolution.
  """
  found = []
  for norm in graph.get_operations():
    if norm.type not in _NORM or norm.get_attr('is_training'):
      continue
    before, bias = norm.inputs[0], None
    while len(before.consumers()) == 1 and (
      before.op.type in _BETWEEN or before.op.type == 'BiasAdd' and not bias
    ):
      bias = before.op if before.op.type == 'BiasAdd' else bias
      before = before.op.inputs[0]
    if before.op.type == 'Conv2D' and len(before.consumers()) == 1:
      found.append(Fold(before.op, bias, norm))
  return found


def _parameters(each: Fold) -> dict[str, tf.Tensor]:
  """Returns what the folded filters and biases follow from."""
  names = 'gamma', 'beta', 'mean', 'variance'
  found = dict(zip(names, each.norm.inputs[1:5], strict=True))
  found['filters'] = each.convolution.inputs[1]
  return {**found, 'bias': each.bias.inputs[1]} if each.bias else found


def fold(graph: tf.Graph, session: tf.Session) -> tf.GraphDef:
  """Returns the graph with batch norm in the filters and biases before it.

  The names of all tensors stay; what batch norm gave is what its bias gives.

  Args:
    graph: a graph for inference.
    session: with the weights.
  """
  folds = find(graph)
  values = session.run([_parameters(each) for each in folds])
  graph_def = graph.as_graph_def()
  nodes = {node.name: node for node in graph_def.node}
  for each, known in zip(folds, values, strict=True):
    epsilon = each.norm.get_attr('epsilon')
    deviation = np.sqrt(known['variance'].astype(np.float64) + epsilon)
    scale = known['gamma'] / deviation
    offset = known['beta'] + (known.get('bias', 0) - known['mean']) * scale
    filters = nodes[each.convolution.name]
    _set_input(graph_def, filters, 'weights', known['filters'] * scale)
    if each.bias:  # of which the folded one is a part
      _become(nodes[each.bias.name], 'Identity', each.bias.inputs[:1])
    _become(nodes[each.norm.name], 'BiasAdd', each.norm.inputs[:1])
    _set_input(graph_def, nodes[each.norm.name], 'biases', offset)
  return graph_def


def _become(node: Any, operation: str, inputs: list[tf.Tensor]) -> None:
  """Makes a node another operation on the same first input."""
  node.op = operation
  del node.input[:]
  node.input.extend(tensor.name for tensor in inputs)
  kept = node.attr['T']
  node.attr.clear()
  node.attr['T'].CopyFrom(kept)


def _set_input(
  graph_def: tf.GraphDef, node: Any, name: str, value: np.ndarray
) -> None:
  """Makes the second input of a node a constant, float32."""
  constant = graph_def.node.add(op='Const', name=f'{node.name}/folded_{name}')
  constant.attr['dtype'].type = tf.float32.as_datatype_enum
  constant.attr['value'].tensor.CopyFrom(
    tf.make_tensor_proto(value.astype(np.float32))
  )
  node.input[1:] = [constant.name]
