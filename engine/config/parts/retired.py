"""Flags of TF-Slim that have lost their meaning, accepted and explained.

Nothing here imports TensorFlow.
"""

import dataclasses
import functools

from engine.config import fields
from engine.config.fields import Config, Group

_ONE_DEVICE = (
  'this version trains in one process on one device; the flag is ignored.'
)

option = functools.partial(fields.option, group=Group.RETIRED)


@dataclasses.dataclass(frozen=True)
class RetiredTrainConfig(Config):
  """Flags of TF-Slim's training script without a meaning today."""

  master: str = option(
    '', 'TF-Slim: address of the TensorFlow master.', now=_ONE_DEVICE
  )
  num_clones: int = option(
    1, 'TF-Slim: number of clones to deploy.', now=_ONE_DEVICE
  )
  clone_on_cpu: bool = option(
    False,
    'TF-Slim: deploy clones on CPUs.',
    now='set CUDA_VISIBLE_DEVICES=-1 to keep off the GPU; the flag is ignored.',
  )
  worker_replicas: int = option(
    1, 'TF-Slim: number of worker replicas.', now=_ONE_DEVICE
  )
  num_ps_tasks: int = option(
    0, 'TF-Slim: number of parameter servers.', now=_ONE_DEVICE
  )
  sync_replicas: bool = option(
    False, 'TF-Slim: synchronize the replicas.', now=_ONE_DEVICE
  )
  replicas_to_aggregate: int = option(
    1, 'TF-Slim: gradients to collect before an update.', now=_ONE_DEVICE
  )
  num_readers: int = option(
    4,
    'TF-Slim: number of parallel readers.',
    now='records are read by their number, in an order that the seed fixes; '
    'the flag is ignored.',
  )
  quantize_delay: int = option(
    -1,
    'TF-Slim: steps before quantized training.',
    now='TensorFlow 2 has no graph rewriter for quantized training; the '
    'flag is ignored.',
  )


@dataclasses.dataclass(frozen=True)
class RetiredEvalConfig(Config):
  """Flags of TF-Slim's evaluation script without a meaning today."""

  master: str = option(
    '',
    'TF-Slim: address of the TensorFlow master.',
    now='this version evaluates in one process; the flag is ignored.',
  )
  quantize: bool = option(
    False,
    'TF-Slim: evaluate a quantized graph.',
    now='TensorFlow 2 has no graph rewriter for quantized training; the '
    'flag is ignored.',
  )
