"""What is known of a dataset without reading its records."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from datasets import label_kinds


@dataclasses.dataclass(frozen=True)
class Specification:
  """What is known of a dataset without reading its records.

  Attributes:
    file_pattern: a glob of a split's files, with %s for the split.
    splits: the names of the splits; () where the folder tells them.
    num_classes: the number of classes, background included; 0 where the
      folder tells it.
    ensure: makes the dataset in a folder, where that needs no source.
    suggestions: settings that fit the data, by the names of the flags; a
      flag that is given goes before them.
    annealing: the same, of the rate and its schedule, for a training whose end
      is known and to which no flag says how it learns.
    task: a key of `label_kinds.KINDS`.
    ignore_label: the value of a mask's pixels that do not count, which may be
      that of a class; None if all count.
    class_names: of the labels, for a folder without labels.txt; () if that
      is the one place that has them.
  """

  file_pattern: str
  splits: tuple[str, ...]
  num_classes: int
  ensure: Callable[[str], None] | None = None
  suggestions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  task: str = label_kinds.DEFAULT
  ignore_label: int | None = None
  class_names: tuple[str, ...] = ()
  source_values: tuple[int, ...] = ()
  annealing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
