"""What is known of a dataset once all is read."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from datasets import label_kinds


class Values(NamedTuple):
  """What the good masks of a split hold.

  Fields:
    examples: the number of masks.
    pixels: those of each value, 0 to 255.
    masks: the number of masks in which each value occurs.
  """

  examples: int
  pixels: tuple[int, ...]
  masks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class SplitReport:
  """What is in a split.

  Attributes:
    paths: its files.
    records: their number, good or bad.
    examples: the number of good ones.
    bad: a sentence for each bad record; a file's damaged end counts as one.
    examples_per_class: the number of good records that have each class: that is
      their label, or occurs in their mask.
    heights: the least, the median and the greatest, in pixels.
    widths: the same of the widths.
    median_bytes: of the encoded images.
    repeated: records whose image and label an earlier one has.
    values: what the masks hold; None where there are none.
  """

  paths: tuple[str, ...]
  records: int
  examples: int
  bad: tuple[str, ...]
  examples_per_class: tuple[int, ...]
  heights: tuple[int, int, int]
  widths: tuple[int, int, int]
  median_bytes: int
  repeated: int
  values: Values | None = None

  @property
  def imbalance(self) -> float:
    """The largest class over the smallest one that is not empty."""
    counts = [n for n in self.examples_per_class if n]
    return max(counts) / min(counts) if counts else 1.0


@dataclasses.dataclass(frozen=True)
class Report:
  """What is in a dataset.

  Attributes:
    name: as in the registry.
    folder: where it is.
    class_names: of each label.
    splits: by name, those that have files.
    leaked: for two splits, how many images of the second are in the first.
    conflicts: the number of images that have more than one label, or mask.
    problems: sentences on what has to be repaired.
    notes: sentences on what one should know.
    task: a key of `label_kinds.KINDS`.
    ignore_label: the value of pixels that do not count; None if all do.
  """

  name: str
  folder: str
  class_names: tuple[str, ...]
  splits: Mapping[str, SplitReport]
  leaked: Mapping[tuple[str, str], int]
  conflicts: int
  problems: tuple[str, ...]
  notes: tuple[str, ...]
  task: str = label_kinds.DEFAULT
  ignore_label: int | None = None

  @property
  def paths(self) -> dict[str, tuple[str, ...]]:
    """The files of each split that can be read."""
    return {name: split.paths for name, split in self.splits.items()}
