"""How examples are read: the fields that training and evaluation share.

Nothing here imports TensorFlow.
"""

import dataclasses

from datasets.label_kinds import CLASSIFICATION
from datasets.limits import MAX_PIXELS, MOST_PIXELS
from engine.config.fields import Config, Group, option

CACHES = ('memory', 'file')


@dataclasses.dataclass(frozen=True)
class PipelineConfig(Config):
  """How examples are read."""

  skip_bad_examples: int = option(
    0,
    'Bad examples that may be skipped and counted; one more is an error. '
    'Decodes JPEGs whole.',
    low=0,
    group=Group.DATA,
  )
  max_image_pixels: int = option(
    MAX_PIXELS,
    'The largest image that is decoded, in pixels (height x width).',
    low=1,
    high=MOST_PIXELS,
    group=Group.DATA,
  )
  cache: str | None = option(
    None,
    'Decode every image once and keep it: in memory, or in a file in the '
    'cache folder for later runs.',
    choices=CACHES,
    changes='free',
    task=CLASSIFICATION,
    group=Group.MACHINE,
  )
  num_preprocessing_threads: int = option(
    4, 'Images decoded in parallel.', low=1, changes='free', group=Group.MACHINE
  )
