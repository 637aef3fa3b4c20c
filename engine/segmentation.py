"""The configuration of dense segmentation, which labels every pixel.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
The names of the flags are DeepLab's where it has one.
"""

import dataclasses

from engine import forms
from engine.options import Config, option
from engine.selection import TASK_METRICS

TASKS = CLASSIFICATION, SEGMENTATION = tuple(TASK_METRICS)
_STRIDES = (1, 2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
  """What a network is made of, beside its name, and what it is fed."""

  root_block: str | None = option(
    None,
    "The first convolutions: 7x7, beta (DeepLab's three of 3x3), or "
    'for images of 32x32, without pooling, 3x3 or cifar, which has 16 '
    "channels. Default: the network's.",
    changes='never',
  )
  shortcut: str | None = option(
    None,
    'The shortcuts where channels change: A (padded with zeros), B '
    "(projected), or C (projected everywhere). Default: the network's.",
    changes='never',
  )
  per_pixel_mean: str | None = option(
    None,
    'A file with the mean image that some preprocessing subtracts. '
    'Default: per_pixel_mean.npy, which a training measures and keeps in '
    'its folder.',
    changes='free',
    task=CLASSIFICATION,
  )
  task: str | None = option(
    None,
    'What the labels are of: classification, of an image, or '
    'segmentation, of every pixel. Default: the dataset tells. A number, '
    "TF-Slim's number of this worker, is ignored.",
    changes='free',
  )
  decoder: str | None = option(
    None,
    "What makes dense logits of the network's features: fcn (a 1x1 "
    "convolution), aspp (DeepLabv3's, with image pooling) or "
    'deeplabv3plus (that, and a skip from block1).',
    otherwise='aspp',
    changes='never',
    task=SEGMENTATION,
  )
  decoder_depth: int | None = option(
    None,
    'Channels of the layers of the decoder.',
    low=1,
    otherwise=256,
    changes='never',
    task=SEGMENTATION,
  )
  output_stride: int | None = option(
    None,
    'The size of the image over that of the features: 16, or 8 for '
    'finer ones that take longer; the network tells what else is possible. '
    'Default: 16, or its own if that is less.',
    task=SEGMENTATION,
  )
  atrous_rates: str | None = option(
    None,
    "The rates of aspp's three convolutions. Default: 6,12,18 at "
    'output stride 16, 12,24,36 at 8.',
    form=forms.whole,
    task=SEGMENTATION,
  )
  multi_grid: str | None = option(
    None,
    "Factors on the rates of the last block's units, such as 1,2,4.",
    form=forms.whole,
    changes='never',
    task=SEGMENTATION,
  )

  def __post_init__(self):
    super().__post_init__()
    if (
      self.task is not None
      and not self.legacy_task
      and (self.task not in TASKS)
    ):
      raise ValueError(
        f'--task={self.task} is unknown. It can be {" or ".join(TASKS)}.'
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


@dataclasses.dataclass(frozen=True)
class SegmentationConfig(ModelConfig):
  """How dense labels are trained on."""

  train_crop_size: str | None = option(
    None,
    'Height and width of the crops, such as 513 or 513,769. A '
    'multiple of the output stride plus one keeps features and pixels '
    'aligned.',
    form=forms.size,
    otherwise='513',
    task=SEGMENTATION,
  )
  ignore_label: int | None = option(
    None,
    'The value in the masks of pixels without a label; -1 for none. '
    "Default: the dataset's.",
    low=-1,
    high=255,
    changes='never',
    task=SEGMENTATION,
  )
  class_weights: str | None = option(
    None,
    'Weights of the classes in the loss, such as 0.5,1,1; auto for '
    'more weight the rarer a class is: the median frequency over its own, '
    'within a tenth and ten, then 1 in the mean over the pixels, and 0 for '
    'a class that is not there.',
    form=forms.weights,
    task=SEGMENTATION,
  )
  upsample_logits: bool = option(
    True,
    'Compare logits that are enlarged to the size of the labels; else '
    'labels that are reduced to the size of the logits.',
    task=SEGMENTATION,
  )
  top_k_percent_pixels: float = option(
    1.0,
    'The share of pixels, those of the highest loss, that are trained '
    'on: 0.25 for the hardest quarter.',
    above=0,
    high=1,
    task=SEGMENTATION,
  )
  hard_example_mining_step: int = option(
    0,
    'The step at which that share is reached, falling from all.',
    low=0,
    task=SEGMENTATION,
  )
  min_scale_factor: float | None = option(
    None,
    'The least size that an image is scaled to at random.',
    above=0,
    otherwise=0.5,
    task=SEGMENTATION,
  )
  max_scale_factor: float | None = option(
    None, 'The greatest such size.', above=0, otherwise=2.0, task=SEGMENTATION
  )
  scale_factor_step_size: float | None = option(
    None,
    'The difference between two such sizes; 0 for any size between.',
    low=0,
    otherwise=0.25,
    task=SEGMENTATION,
  )
  random_flip: bool | None = option(
    None, 'Mirror every second image.', otherwise=True, task=SEGMENTATION
  )
  photometric: float | None = option(
    None,
    'How much brightness, contrast, saturation and hue are changed at '
    'random; 1 is usual, 0 for none.',
    low=0,
    high=1,
    otherwise=0.0,
    task=SEGMENTATION,
  )

  @property
  def crop(self) -> tuple[int, int]:
    """The height and width of the crops."""
    return forms.size(self.train_crop_size)

  def __post_init__(self):
    super().__post_init__()
    if None not in (self.min_scale_factor, self.max_scale_factor) and (
      self.min_scale_factor > self.max_scale_factor
    ):
      raise ValueError(
        f'--min_scale_factor={self.min_scale_factor} is above '
        f'--max_scale_factor={self.max_scale_factor}: swap them.'
      )
