"""Which devices and processes work together.

Nothing here imports TensorFlow.
"""

import dataclasses
import functools

from engine.config import fields, parsing
from engine.config.fields import Config, Group

SCALES = {
  'none': lambda replicas: 1.0,
  'sqrt': lambda replicas: replicas**0.5,
  'linear': float,
}

# None of it is of the run: it may be another each time that it is resumed.
option = functools.partial(
  fields.option, group=Group.DEVICES, changes='free', kept=False
)


@dataclasses.dataclass(frozen=True)
class ClusterConfig(Config):
  """The processes; TF_CONFIG names them too."""

  worker_hosts: tuple[str, ...] | None = option(
    None,
    'Addresses of all workers, as host:port,host:port; the first is the '
    'chief. Default: those of TF_CONFIG or Slurm, else one process alone.',
    form=parsing.ADDRESSES,
  )
  task_index: int = option(
    0,
    'Which of --worker_hosts this process is, from 0. --task=1 is the same.',
    low=0,
  )
  worker_replicas: int = option(
    1, 'TF-Slim: the number of workers, for comparison with theirs.', low=1
  )
  worker_timeout_secs: float = option(
    60.0,
    'Seconds without an answer after which a worker counts as lost.',
    low=5,
  )
  master: str = option('', "TF-Slim: this worker's own address.")
  num_ps_tasks: int = option(
    0,
    'TF-Slim: number of parameter servers.',
    now='workers sum their gradients by all-reduce, and need no parameter '
    'server; the flag is ignored.',
  )


@dataclasses.dataclass(frozen=True)
class ReplicasConfig(ClusterConfig):
  """The devices of each process, and how a step is shared by them."""

  num_clones: int | None = option(
    None,
    'Replicas in this process, one a device. Default: one for each GPU, 1 on '
    'a CPU.',
    low=1,
  )
  clone_on_cpu: bool = option(
    False, 'Keep off the GPUs: the clones are devices of the CPU.'
  )
  global_batch_size: int | None = option(
    None,
    'Examples in a step of all replicas together, instead of --batch_size '
    'for each of them.',
    low=1,
    kept=True,
  )
  scale_learning_rate: str = option(
    'none',
    'How the learning rate grows with the number of replicas: linear '
    '(arXiv:1706.02677), sqrt or none.',
    choices=SCALES,
    changes='told',
    kept=True,
  )
  sync_batch_norm: bool = option(
    False,
    'Batch norm measures over the batches of all replicas; without, over that '
    'of each.',
    changes='told',
    kept=True,
  )
  all_reduce: str = option(
    'auto',
    'How sums go between devices and workers: ring over the network, nccl '
    'between GPUs, or auto, which takes nccl where all are GPUs.',
    choices=('auto', 'ring', 'nccl'),
  )
  gpu_allow_growth: bool = option(
    True, 'Take memory of a GPU as it is needed, not all at once.'
  )
  gpu_layout: str = option(
    'auto',
    'Layout of activations on a GPU: auto lets TensorFlow change to '
    'channels_first, channels_last keeps what the graph says.',
    choices=('auto', 'channels_last'),
  )
  xla: bool = option(
    False,
    'Compile parts of the graph by XLA. On a CPU it does nothing by itself.',
  )
  sync_replicas: bool = option(
    False,
    'TF-Slim: synchronize the replicas.',
    now='replicas are always synchronous; the flag is ignored.',
  )
  replicas_to_aggregate: int = option(
    1,
    'TF-Slim: gradients to collect before an update.',
    now='an update has the gradients of all replicas; --num_micro_batches '
    'collects more of each; the flag is ignored.',
  )
