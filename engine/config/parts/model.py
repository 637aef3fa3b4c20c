"""What a network is made of: the fields that all of its users share.

Nothing here imports TensorFlow.
"""

import dataclasses
from typing import Any

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from engine.config import parsing, tasks
from engine.config.fields import Config, Group, option

_STRIDES = (1, 2, 4, 8, 16, 32)


def list_option() -> Any:
  """Returns the field of scripts that take names of published weights."""
  return option(
    False,
    'Print the names of published weights that --checkpoint_path takes, and '
    'what is known of them, and do nothing else.',
    changes='free',
    group=Group.OUTPUT,
    kept=False,
  )


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
  """What a network is made of, beside its name, and what it is fed."""

  root_block: str = option(
    None,
    'The first convolutions: 7x7, 7x7_symmetric, beta, deep, 3x3 or cifar. '
    "Default: the network's.",
    changes='never',
    group=Group.MODEL,
  )
  shortcut: str | None = option(
    None,
    'Shortcuts: A zero-padded, B projected where channels change, C all '
    "projected, D as B of a mean. Default: the network's.",
    changes='never',
    group=Group.MODEL,
  )
  depth_multiplier: float | None = option(
    None,
    "Factor on the channels of all units. Default: the run's, else 1.",
    above=0,
    changes='never',
    group=Group.MODEL,
  )
  batch_norm_epsilon: float | None = option(
    None,
    "What batch norm adds to variances. Default: the run's, else the "
    "network's.",
    above=0,
    below=1,
    changes='never',
    group=Group.BATCH_NORM,
  )
  per_pixel_mean: str | None = option(
    None,
    'File of the mean image that some preprocessings subtract. Default: '
    "the run's own.",
    changes='free',
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  task: str = option(
    None,
    f"Kind of label: {' or '.join(tasks.TASKS)}. Default: the dataset's. "
    'A number is ignored.',
    changes='free',
    group=Group.DATA,
  )
  decoder: str = option(
    None,
    'What computes dense logits: fcn (1x1 convolution), aspp (DeepLabv3), '
    'deeplabv3plus (with a skip) or unet (with skips up to full size).',
    otherwise='aspp',
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  decoder_depth: int = option(
    None,
    'Channels of the layers of the decoder.',
    low=1,
    otherwise=256,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  output_stride: int = option(
    None,
    'Image size over feature size: 16, or 8 (finer, slower). Default: 16, '
    "or the network's if less.",
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  atrous_rates: tuple[int, ...] | None = option(
    None,
    "Rates of aspp's 3x3 convolutions. Default: 6,12,18 at output stride "
    '16; 12,24,36 at 8.',
    form=parsing.WHOLE,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  multi_grid: tuple[int, ...] | None = option(
    None,
    "Factors on the rates of the last block's units, such as 1,2,4. "
    'Default: all 1.',
    form=parsing.WHOLE,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  aspp_with_separable_conv: bool = option(
    None,
    "Make aspp's 3x3 convolutions separable. DeepLab's default is true.",
    otherwise=False,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  decoder_use_separable_conv: bool = option(
    None,
    "Make deeplabv3plus's 3x3 convolutions separable. DeepLab's default is "
    'true.',
    otherwise=False,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  add_image_level_feature: bool = option(
    None,
    'Give aspp the mean of the features.',
    otherwise=True,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  image_pooling_crop_size: tuple[int, int] | None = option(
    None,
    'Size in pixels of the windows of that mean, such as 513 or 513,769 '
    '(height,width). Default: the image.',
    form=parsing.SIZE,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  decoder_output_stride: tuple[int, ...] | None = option(
    None,
    'Strides of the features that the stages of deeplabv3plus join: 4, or '
    "4,2 (finer, slower). Default: the network's block1.",
    form=parsing.WHOLE,
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  decoder_low_level: str = option(
    None,
    'What deeplabv3plus joins of block1: the output of a unit (unit), or its '
    "last convolution (residual), as DeepLab. Default: the checkpoint's, else "
    'unit.',
    choices=('unit', 'residual'),
    otherwise='unit',
    changes='never',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  image_pyramid: tuple[float, ...] | None = option(
    None,
    'Scales at which the network sees an image, such as 0.5,1; the largest '
    'logits count.',
    form=parsing.POSITIVES,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )

  list_pretrained: bool = list_option()

  def __post_init__(self):
    super().__post_init__()
    if (
      self.task is not None
      and not self.legacy_task
      and (self.task not in tasks.TASKS)
    ):
      raise ValueError(
        f'--task={self.task} is unknown. It can be {" or ".join(tasks.TASKS)}.'
      )
    stride = self.output_stride
    if stride is not None and stride not in _STRIDES:
      raise ValueError(
        f'--output_stride={stride} cannot be reached, since the networks '
        'halve the size again and again: pass 16, or 8 for finer features '
        'that take longer; some reach 1, 2, 4 or 32.'
      )

  @property
  def legacy_task(self) -> bool:
    """Whether --task is what it was for TF-Slim, the number of a worker."""
    return self.task is not None and self.task.lstrip('-').isdigit()

  def notes(self) -> list[str]:
    """Returns what to tell of given flags that have lost their meaning."""
    found = super().notes()
    if self.legacy_task and int(self.task):
      found.append(
        f'--task={self.task}: this version trains in one process; '
        'the number of a worker is ignored.'
      )
    return found
