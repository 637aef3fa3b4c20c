"""Flags of TF-Slim that have lost their meaning, accepted and explained.

Nothing here imports TensorFlow.
"""

import dataclasses
import functools

from engine.config import fields
from engine.config.fields import Config, Group

option = functools.partial(fields.option, group=Group.RETIRED)


@dataclasses.dataclass(frozen=True)
class RetiredTrainConfig(Config):
  """Flags of TF-Slim's training script without a meaning today."""

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

  quantize: bool = option(
    False,
    'TF-Slim: evaluate a quantized graph.',
    now='TensorFlow 2 has no graph rewriter for quantized training; the '
    'flag is ignored.',
  )
