"""How a network is trained on dense labels.

The names of the flags are DeepLab's where it has one. Nothing here imports
TensorFlow.
"""

import dataclasses
import functools

from datasets.label_kinds import SEGMENTATION
from engine.config import fields, losses, parsing
from engine.config.fields import Group
from engine.config.parts.model import ModelConfig

option = functools.partial(fields.option, group=Group.SEGMENTATION)


@dataclasses.dataclass(frozen=True)
class SegmentationConfig(ModelConfig):
  """How a network is trained on dense labels."""

  train_crop_size: tuple[int, int] = option(
    None,
    'Size of the crops, such as 513 or 513,769 (height,width): a multiple '
    'of the stride, plus 1.',
    form=parsing.SIZE,
    otherwise=(513, 513),
    task=SEGMENTATION,
  )
  ignore_label: int = option(
    None,
    'Mask value of the ignored label: pixels that do not count; -1 for '
    "none. Default: the dataset's.",
    low=-1,
    high=255,
    changes='never',
    task=SEGMENTATION,
  )
  segmentation_loss: tuple[tuple[str, float], ...] = option(
    (('cross_entropy', 1.0),),
    f'Sum of losses with weights, such as cross_entropy,dice:0.5, of '
    f'{", ".join(losses.LOSSES)}.',
    form=parsing.WEIGHTED,
    task=SEGMENTATION,
  )
  focal_gamma: float = option(
    2.0,
    'focal: power of 1 - p, the share that a pixel of probability p counts; '
    '0 is cross_entropy.',
    low=0,
    task=SEGMENTATION,
  )
  auxiliary_loss_weight: float = option(
    0.0,
    'Weight of the loss of an auxiliary head on the last block but one, in '
    'training only; 0.4 is usual, 0 is off.',
    low=0,
    changes='never',
    task=SEGMENTATION,
  )
  class_weights: tuple[float, ...] | None = option(
    None,
    'Weights of the classes in the loss, such as 0.5,1,1; auto: more for '
    'rarer classes. Default: all 1.',
    form=parsing.WEIGHTS,
    task=SEGMENTATION,
  )
  upsample_logits: bool = option(
    True,
    'Enlarge the logits to the size of the labels for the loss; otherwise '
    'reduce the labels.',
    task=SEGMENTATION,
  )
  top_k_percent_pixels: float = option(
    1.0,
    'Share of the pixels, those of highest loss, that are trained on; 1 is '
    'all.',
    above=0,
    high=1,
    task=SEGMENTATION,
  )
  hard_example_mining_step: int = option(
    0,
    'Step at which --top_k_percent_pixels is reached, falling from 1.',
    low=0,
    task=SEGMENTATION,
  )
  min_scale_factor: float = option(
    None,
    'Smallest factor of random scaling.',
    above=0,
    otherwise=0.5,
    task=SEGMENTATION,
  )
  max_scale_factor: float = option(
    None,
    'Largest factor of random scaling.',
    above=0,
    otherwise=2.0,
    task=SEGMENTATION,
  )
  scale_factor_step_size: float = option(
    None,
    'Step between the factors of random scaling; 0 for any factor between.',
    low=0,
    otherwise=0.25,
    task=SEGMENTATION,
  )
  random_flip: bool = option(
    None,
    'Mirror half of the images at random.',
    otherwise=True,
    task=SEGMENTATION,
  )
  photometric: float = option(
    None,
    'Strength of random brightness, contrast, saturation and hue; 1 is '
    'usual, 0 is off.',
    low=0,
    high=1,
    otherwise=0.0,
    task=SEGMENTATION,
  )

  def __post_init__(self):
    super().__post_init__()
    losses.check(self)
    if None not in (self.min_scale_factor, self.max_scale_factor) and (
      self.min_scale_factor > self.max_scale_factor
    ):
      raise ValueError(
        f'--min_scale_factor={self.min_scale_factor} is above '
        f'--max_scale_factor={self.max_scale_factor}: swap them.'
      )
