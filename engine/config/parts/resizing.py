"""How images and masks are resized before anything else is done to them.

The names of the flags are DeepLab's. Nothing here imports TensorFlow.
"""

import dataclasses
import functools

from datasets.label_kinds import SEGMENTATION
from engine.config import fields
from engine.config.fields import Config, Group

option = functools.partial(
  fields.option, group=Group.SEGMENTATION, task=SEGMENTATION, low=1
)


@dataclasses.dataclass(frozen=True)
class ResizingConfig(Config):
  """How images and masks are resized before all else."""

  min_resize_value: int | None = option(
    None,
    'Resize images and masks first, to this length of the shorter side. '
    "Default: the run's, else none.",
  )
  max_resize_value: int | None = option(
    None,
    'The same, to at most this length of the longer side. Default: the '
    "run's, else none.",
  )
  resize_factor: int | None = option(
    None,
    'Round the sides up to a multiple of this, plus 1, where they are '
    "resized. Default: the run's, else 1.",
  )

  def __post_init__(self):
    super().__post_init__()
    least, most = self.min_resize_value, self.max_resize_value
    if least is not None and most is not None and least > most:
      raise ValueError(
        f'--min_resize_value={least} is above --max_resize_value={most}: swap '
        'them.'
      )


RESIZING = tuple(ResizingConfig.__annotations__)
