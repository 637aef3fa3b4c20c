"""Which classes a split lacks, and whether that is grave."""

from collections.abc import Sequence
from typing import Any

from datasets.text import cut, few


def is_learnt(split: Any) -> bool:
  """Whether a split is for training: what it lacks is grave."""
  return split.name.startswith('train')


def empty_classes(
  split: Any,
  class_names: Sequence[str],
  counts: Sequence[int],
  exempt: Sequence[int],
) -> list[str]:
  """Returns a sentence on the classes that a split lacks, if there are any.

  Args:
    split: has a name, and rows.
    class_names: of each label.
    counts: the examples of each label.
    exempt: labels that may lack.
  """
  empty = [
    cut(name, 40)
    for label, name in enumerate(class_names)
    if not counts[label] and label not in exempt
  ]
  if not empty or not len(split.rows):
    return []
  return [
    f'The split {split.name} has no example of {len(empty):,} of the '
    f'{len(class_names):,} classes: {few(empty)}.'
  ]
