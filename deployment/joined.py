"""The workers of a cluster: TensorFlow's server, and what they exchange.

Each worker runs TensorFlow's own server (`tf.distribute.Server`). All that is
sent goes through it: sums and gathers are TensorFlow's collective operations.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from deployment.cluster import Cluster
from engine.common import ending, runtime
from engine.replicas.workers import Workers

_JOB = 'worker'
_GROUP = 3  # of collective operations; engine.replicas has the first two
_WORD = 8  # bytes of an int64
# Numbers that are gathered at once: of the lengths, of short and of long data.
_SIZES = 1, 1 << 10, 1 << 20


class Joined(Workers):
  """The workers of a cluster, of which this process is one."""

  def __init__(
    self,
    cluster: Cluster,
    cpus: int = 1,
    accelerator: runtime.Accelerator = runtime.ACCELERATOR,
  ):
    """Starts this worker's server.

    Args:
      cluster: the addresses.
      cpus: the devices that it makes of the CPU.
      accelerator: how it uses GPUs.

    Raises:
      ending.Fault: its port cannot be had.
    """
    self.addresses: Sequence[str] = cluster.addresses
    self.count, self.index = len(cluster.addresses), cluster.index
    own = runtime.session_config(accelerator=accelerator)
    own.device_count['CPU'] = cpus
    try:
      self._server = tf.distribute.Server(
        {_JOB: list(cluster.addresses)},
        job_name=_JOB,
        task_index=cluster.index,
        config=self.session_config(own),
      )
    except tf.errors.OpError:
      raise ending.Fault(
        f'Worker {self.index} cannot listen at its address, '
        f'{cluster.addresses[self.index]}: another process has the port, or '
        'another worker has the same index. Stop that process, or name '
        'another port.'
      ) from None
    ending.at_once()
    self.master = self._server.target
    self._session: tf.Session | None = None

  def session_config(self, config: tf.ConfigProto) -> tf.ConfigProto:
    """Returns the configuration of a session that sums with other workers."""
    found = tf.ConfigProto()
    found.CopyFrom(config)
    found.experimental.collective_group_leader = f'/job:{_JOB}/replica:0/task:0'
    # It sees its own devices alone, and begins without the others.
    found.device_filters.append(f'/job:{_JOB}/task:{self.index}')
    return found

  def exchange(self, data: bytes) -> list[bytes]:
    """Returns what each worker gives; see `Workers.exchange`."""
    lengths = [int(each[0]) for each in self._gather(0, np.array([len(data)]))]
    kind = 1 if max(lengths) <= _SIZES[1] * _WORD else 2
    size = _SIZES[kind] * _WORD
    parts: list[list[bytes]] = [[] for _ in lengths]
    for begin in range(0, max(lengths), size):
      part = data[begin : begin + size].ljust(size, b'\0')
      found = self._gather(kind, np.frombuffer(part, np.int64))
      for own, each in zip(parts, found, strict=True):
        own.append(each.tobytes())
    return [
      b''.join(own)[:length] for own, length in zip(parts, lengths, strict=True)
    ]

  def _gather(self, kind, numbers):
    """Returns int64 [workers, numbers]."""
    if self._session is None:
      self._session = self._open()
    found = self._session.run(
      f'gathered_{kind}:0', {f'own_{kind}:0': numbers.astype(np.int64)}
    )
    return found.reshape(self.count, -1)

  def _open(self):
    """Returns a session that gathers numbers of each size."""
    graph = tf.Graph()
    with graph.as_default():
      for kind, size in enumerate(_SIZES):
        tf.raw_ops.CollectiveGatherV2(
          input=tf.placeholder(tf.int64, [size], f'own_{kind}'),
          group_size=self.count,
          group_key=_GROUP,
          instance_key=kind + 1,
          ordering_token=[],
          communication_hint='auto',
          name=f'gathered_{kind}',
        )
    return ending.never_closed(
      tf.Session(
        self.master, graph=graph, config=self.session_config(tf.ConfigProto())
      )
    )
