"""Sums over devices and workers, by TensorFlow's collective operations.

They are what `tf.distribute`'s strategies run: a ring over gRPC between
processes and CPUs, NCCL between GPUs.
"""

from collections.abc import Iterator, Sequence

import tensorflow.compat.v1 as tf

# Bytes that are sent together: of small tensors most of the time would go into
# waiting, and what is sent late, behind a large one, could not overlap with
# computing.
PACK_BYTES = 16 << 20


class Member:
  """One of several that sum together, each on a device of its own.

  Sums have numbers, in the order in which they are built; those of the same
  number are one. So all members must build the same sums in the same order.
  """

  def __init__(self, group: int, size: int, hint: str = 'auto'):
    """Begins with the first sum.

    Args:
      group: what tells this group from others, 1 or more.
      size: the number of members.
      hint: 'ring', 'nccl', or 'auto', which is TensorFlow's choice.
    """
    self._group, self._size, self._hint = group, size, hint
    self._number = 0

  def sum(self, tensor: tf.Tensor) -> tf.Tensor:
    """Returns the sum of what the members give, of one shape and dtype.

    The gradient of a sum is the sum of the gradients.
    """
    forward, backward = self._next(), self._next()

    @tf.custom_gradient
    def summed(values):
      return self._reduce(values, forward), lambda slopes: self._reduce(
        slopes, backward
      )

    return summed(tensor)

  def sum_all(
    self, tensors: Sequence[tf.Tensor], pack_bytes: int = PACK_BYTES
  ) -> list[tf.Tensor]:
    """Returns the sums of many tensors, of which some are sent together.

    The last come first: the gradients of the last layers are there first.

    Args:
      tensors: of known shapes, any dtypes.
      pack_bytes: how many bytes are sent together at most; a larger tensor is
        sent alone.
    """
    found: dict[int, tf.Tensor] = {}
    for pack in packs(tensors, pack_bytes):
      summed = self._reduce(
        tf.concat([tf.reshape(tensors[i], [-1]) for i in pack], 0), self._next()
      )
      parts = tf.split(summed, [tensors[i].shape.num_elements() for i in pack])
      for i, part in zip(pack, parts, strict=True):
        found[i] = tf.reshape(part, tensors[i].shape)
    return [found[i] for i in range(len(tensors))]

  def _next(self):
    self._number += 1
    return self._number

  def _reduce(self, tensor, number):
    return tf.raw_ops.CollectiveReduceV2(
      input=tensor,
      group_size=self._size,
      group_key=self._group,
      instance_key=number,
      ordering_token=[],
      merge_op='Add',
      final_op='Id',
      communication_hint=self._hint,
    )


def packs(tensors: Sequence[tf.Tensor], pack_bytes: int) -> Iterator[list[int]]:
  """Yields the places of tensors that are sent together, from the last on."""
  pack: list[int] = []
  size = 0
  for i in reversed(range(len(tensors))):
    more = tensors[i].shape.num_elements() * tensors[i].dtype.size
    if pack and (
      tensors[i].dtype != tensors[pack[0]].dtype or size + more > pack_bytes
    ):
      yield pack
      pack, size = [], 0
    pack.append(i)
    size += more
  if pack:
    yield pack
