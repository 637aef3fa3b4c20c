"""What the classes of a split's images are, and what is odd about them."""

import threading
from typing import Any

import numpy as np

from datasets.verifying.classes import empty_classes, is_learnt

_UNEVEN = 10  # largest to smallest class
_LARGE, _MANY = 1024, 0.1  # pixels of a side; a share of images


class LabelStatistics:
  """Counts the labels of a split; safe in many threads.

  Attributes:
    word: what a record has besides its image.
    alike: said of records with the same image and label.
    values: None, for there are no masks.
  """

  word, alike, values = 'label', 'of their class', None

  def __init__(self, data: Any):
    """Sets the dataset, which has a name and class_names."""
    self._data = data
    self._counts = [0] * len(data.class_names)
    self._lock = threading.Lock()

  @property
  def examined(self) -> range:
    """The labels that do not make a record bad."""
    return range(len(self._data.class_names))

  def add(self, index: int, label: int) -> int:
    """Counts the label of record `index`; returns what tells it from others."""
    with self._lock:
      self._counts[label] += 1
    return label

  @property
  def counted(self) -> dict[str, list[int]]:
    """What dataset.json should say, by the fields of its splits."""
    return {'examples_per_class': self._counts}

  def fact(self, label: int) -> str:
    """Returns what is said of a record with this label, behind its name."""
    return f'label {label}'

  def judge(self, split: Any) -> tuple[list[str], list[str]]:
    """Returns what has to be repaired, and what one should know."""
    names = self._data.class_names
    background = self._data.name == 'imagenet' or names[0] == 'background'
    lacks = empty_classes(split, names, self._counts, [0] * background)
    odd = [*self._uneven(split), *_large(split)]
    return (lacks, odd) if is_learnt(split) else ([], lacks + odd)

  def _uneven(self, split):
    counts = sorted(n for n in self._counts if n)
    if counts and counts[-1] > _UNEVEN * counts[0]:
      yield (
        f'The classes of the split {split.name} are uneven: the largest '
        f'has {counts[-1]:,} examples, the smallest {counts[0]:,}.'
      )


def _large(split):
  sides = np.minimum(split.rows['height'], split.rows['width'])
  large = int((sides > _LARGE).sum())
  if large > _MANY * len(sides):
    yield (
      f'Images of {split.name} with both sides above {_LARGE:,} pixels: '
      f'{large:,} of {len(sides):,}. Training is faster with copies of '
      'about 512.'
    )
