"""Gradient checkpointing: activations are recomputed instead of kept.

A training step keeps every activation of the forward pass until the backward
pass has used it, so its memory grows with depth. Here only the activations at a
few cuts of the network are kept; when the backward pass comes to a segment
between two of them, the segment is computed once more, used, and forgotten
(Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost,
arXiv:1604.06174).

Nothing need be known of the network: the cuts are the places of its graph that
a single tensor crosses, such as the end of any residual unit. The segments are
copies of the graph's own operations and read the same variables. Batch norm's
updates stay with the first pass, and so happen once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from engine.common import sums
from engine.model import gradients as summed

# What the names of all that is computed again begin with.
RECOMPUTED = 'recomputed_'


class _Segment(NamedTuple):
  """A part of a network.

  Fields:
    operations: its operations, in their order.
    enters: the one tensor that enters.
    leaves: the one tensor that leaves.
    size: the bytes of all that it computes.
  """

  operations: list[tf.Operation]
  enters: tf.Tensor
  leaves: tf.Tensor
  size: int


def _size(tensor):
  """Returns a tensor's bytes, with 1 for what is unknown, such as the batch."""
  shape = tensor.shape.as_list() if tensor.shape.rank is not None else []
  return math.prod(side or 1 for side in shape) * tensor.dtype.size


def _dependent(tensors):
  """Returns the set of operations that depend on any of the tensors."""
  found, stack = set(), list(tensors)
  while stack:
    for operation in stack.pop().consumers():
      if operation not in found:
        found.add(operation)
        stack.extend(operation.outputs)
  return found


def _between(inputs, loss):
  """Returns the operations on the ways from `inputs` to `loss`, in order."""
  dependent, found, stack = _dependent([inputs]), set(), [loss.op]
  while stack:
    operation = stack.pop()
    if operation in dependent and operation not in found:
      found.add(operation)
      stack.extend(tensor.op for tensor in operation.inputs)
  return [
    operation
    for operation in inputs.graph.get_operations()
    if operation in found
  ]


# What TensorFlow may fuse, forward or backward, with what is behind or before
# it. A fusion across a cut would make the second computing wait for itself.
_FUSED_WITH_NEXT = {'Conv2D', 'BiasAdd', 'FusedBatchNormV3'}
_FUSED_WITH_LAST = {'BiasAdd', 'Relu', 'Relu6', 'Elu', 'LeakyRelu'}


def _can_be_cut(tensor):
  """Whether no fusion reaches from before a tensor to behind it."""
  return tensor.op.type not in _FUSED_WITH_NEXT and not any(
    operation.type in _FUSED_WITH_LAST for operation in tensor.consumers()
  )


def _split(operations, inputs, loss):
  """Returns the segments between all cuts: a single tensor crosses each."""
  last_use = {
    tensor: i
    for i, operation in enumerate(operations)
    for tensor in operation.inputs
  }
  found, begin, enters, crossing = [], 0, inputs, {inputs}

  def segment(end, leaves):
    return _Segment(
      operations[begin:end],
      enters,
      leaves,
      sum(
        _size(tensor)
        for operation in operations[begin:end]
        for tensor in operation.outputs
      ),
    )

  for i, operation in enumerate(operations):
    crossing.update(
      tensor for tensor in operation.outputs if tensor in last_use
    )
    crossing.difference_update(
      [tensor for tensor in operation.inputs if last_use[tensor] == i]
    )
    if len(crossing) == 1 and crossing <= set(operation.outputs):
      (leaves,) = crossing
      if _can_be_cut(leaves):
        found.append(segment(i + 1, leaves))
        begin, enters = i + 1, leaves
  return [*found, segment(len(operations), loss)]


def _joined(segments, limit):
  """Joins neighbours as long as they are no larger than `limit` together."""
  found = segments[:1]
  for segment in segments[1:]:
    size = found[-1].size + segment.size
    if size > limit:
      found.append(segment)
    else:
      found[-1] = _Segment(
        found[-1].operations + segment.operations,
        found[-1].enters,
        segment.leaves,
        size,
      )
  return found


def _cheapest(segments):
  """Joins segments so that what is kept and the largest need least memory."""

  def memory(joined):
    return sum(_size(segment.enters) for segment in joined) + max(
      segment.size for segment in joined
    )

  total = sum(segment.size for segment in segments)
  parts = range(1, 2 * math.isqrt(len(segments)) + 2)
  return min((_joined(segments, total / n) for n in parts), key=memory)


def _copy(segment, replaced, name):
  """Returns the tensor that leaves a copy of a segment.

  Args:
    segment: the segment.
    replaced: the tensors that enter it from outside, by those that they stand
      for.
    name: a name scope.
  """
  definition = tf.GraphDef(versions=segment.leaves.graph.graph_def_versions)
  for operation in segment.operations:
    if operation.op_def.is_stateful:
      raise ValueError(
        f'{operation.name} ({operation.type}) may compute something else '
        'the second time, so that nothing around it can be recomputed. '
        'Leave --recompute out.'
      )
    node = definition.node.add()
    node.CopyFrom(operation.node_def)
    node.attr.pop('_class', None)  # names operations that are not copied
    data = [each for each in node.input if not each.startswith('^')]
    del node.input[:]
    node.input.extend(data)
  return tf.import_graph_def(
    definition,
    {old.name: new for old, new in replaced.items()},
    [segment.leaves.name],
    name,
  )[0]


def _backward(segment, gradient, trained, name):
  """Computes a segment once more, and its gradients.

  Args:
    segment: the segment.
    gradient: that of the loss with respect to what leaves the segment.
    trained: the operations that depend on variables.
    name: a name scope.

  Returns:
    The gradients with respect to what enters the segment: to `enters`, and a
    dict of those to values of variables.
  """
  own = set(segment.operations)
  outside = dict.fromkeys(
    tensor
    for operation in segment.operations
    for tensor in operation.inputs
    if tensor.op not in own
  )
  # Without the wait TensorFlow would take the copy for the segment itself.
  with tf.control_dependencies([gradient]):
    replaced = {
      tensor: tf.identity(tensor)
      if tensor is segment.enters or tensor.op in trained
      else tensor
      for tensor in outside
    }
  copy = _copy(segment, replaced, name)
  wanted = [tensor for tensor in outside if replaced[tensor] is not tensor]
  found = dict(
    zip(
      wanted,
      summed.gradients(copy, [replaced[tensor] for tensor in wanted], gradient),
      strict=True,
    )
  )
  return found.pop(segment.enters), {
    tensor: each for tensor, each in found.items() if each is not None
  }


def gradients(
  loss: tf.Tensor, variables: Sequence[tf.Variable], inputs: tf.Tensor
) -> list[tf.Tensor | None]:
  """Returns what `tf.gradients(loss, variables)` does, for less memory.

  With n units of one size, activations of about sqrt(n) units are kept, and as
  many are computed at once. The time is that of another forward pass, a third
  more.

  Args:
    loss: float scalar.
    variables: the variables.
    inputs: the tensor that the network was built on, such as the images; all
      that depends on it is kept or computed again.

  Raises:
    ValueError: the network has an operation that would compute something else
      the second time, such as dropout of a batch of unknown size.
  """
  *segments, last = _cheapest(_split(_between(inputs, loss), inputs, loss))
  gradient, *found = summed.gradients(
    loss, [last.enters, *variables], stop_gradients=[last.enters]
  )
  values: dict[tf.Tensor, list[tf.Tensor]] = {}
  trained = _dependent(each.op.outputs[0] for each in variables)
  for i, segment in reversed(list(enumerate(segments))):
    gradient, new = _backward(segment, gradient, trained, f'{RECOMPUTED}{i}')
    for tensor, each in new.items():
      values.setdefault(tensor, []).append(each)
  if not values:
    return found
  more = summed.gradients(
    list(values), variables, [sums.total(each) for each in values.values()]
  )
  return [
    b if a is None else a if b is None else a + b
    for a, b in zip(found, more, strict=True)
  ]
