"""The registry of segmentation's losses, and which flags they take.

Nothing here imports TensorFlow; metrics/segmentation_losses.py has the
functions.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from datasets.suggestions import did_you_mean


class LossEntry(NamedTuple):
  """What is known of a loss.

  Fields:
    implementation: where its function is, 'module:function'.
    arguments: argument of the function -> field of the configuration.
  """

  implementation: str
  arguments: Mapping[str, str]


_OURS = 'metrics.segmentation_losses:'
_WEIGHTS = {'class_weights': 'class_weights'}
_OF_PIXELS = {**_WEIGHTS, 'top_k_percent': 'top_k_percent_pixels'}

LOSSES = {
  'cross_entropy': LossEntry(_OURS + 'cross_entropy', _OF_PIXELS),
  'dice': LossEntry(_OURS + 'dice', _WEIGHTS),
  'focal': LossEntry(_OURS + 'focal', {**_OF_PIXELS, 'gamma': 'focal_gamma'}),
  'lovasz': LossEntry(_OURS + 'lovasz_softmax', _WEIGHTS),
}


def check(config: Any) -> None:
  """Raises ValueError where flags of a `SegmentationConfig` do not fit."""
  chosen = [name for name, _ in config.segmentation_loss]
  text = f'--segmentation_loss={config.text("segmentation_loss")}'
  for name in chosen:
    if name not in LOSSES:
      raise ValueError(
        f'{text}: there is no loss {name}.{did_you_mean(name, LOSSES, n=1)} '
        f'It can be {", ".join(LOSSES)}, or a sum such as '
        'cross_entropy,dice:0.5.'
      )
  fields = {
    field for loss in LOSSES.values() for field in loss.arguments.values()
  }
  for field in sorted(fields & config.given().keys()):
    takes = [
      name for name, loss in LOSSES.items() if field in loss.arguments.values()
    ]
    if not set(takes) & set(chosen):
      raise ValueError(
        f'--{field}={config.text(field)} is for {" and ".join(takes)}, and '
        f'{text} has none: leave it out, or add one.'
      )
