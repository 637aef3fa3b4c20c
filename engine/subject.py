"""What an evaluation is of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from datasets.dataset_factory import Dataset
from datasets.records.examples import Examples
from engine.config import EvalConfig


class Subject(NamedTuple):
  """What is evaluated.

  Fields:
    config: a complete configuration.
    dataset: the split.
    examples: its records.
    names: the name of each class.
    mask: of masks, mask(image) returns what is predicted; see
      `Segmenter.mask`.
  """

  config: EvalConfig
  dataset: Dataset
  examples: Examples
  names: Sequence[str]
  mask: Callable[[np.ndarray], np.ndarray] | None = None
