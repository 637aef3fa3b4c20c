"""What a converter finds in a source: the examples that are to be written."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from datasets import label_kinds
from datasets.limits import MAX_PIXELS
from datasets.progress import no_progress
from datasets.text import check_name


@dataclasses.dataclass(frozen=True)
class Options:
  """What a converter is told besides its source.

  Attributes:
    validation_fraction: the part of each class that becomes the validation
      split where the source has one split only, in (0, 1).
    seed: fixes that choice.
    labels_file: for sources whose classes are named in a file of its own.
    color_table: for masks in colours, the file that tells their classes.
    mask_values: for masks of other greys than ids, those of class 0, 1...
    ignore_label: for masks, the id of pixels that do not count, in [0, 255];
      None if every pixel counts.
    max_pixels: the largest height x width of a mask.
    progress: called with a number of files, 0 and a title, where many are
      read to plan; returns a context manager with update().
  """

  validation_fraction: float = 0.1
  seed: int = 0
  labels_file: str | None = None
  color_table: str | None = None
  mask_values: tuple[int, ...] = ()
  ignore_label: int | None = 255
  max_pixels: int = MAX_PIXELS
  progress: Callable = no_progress


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
  """One example that is to be written.

  Attributes:
    name: what people call it: a path within the source, or 'image 7 of FILE'.
      Errors name it; it is stored as image/filename.
    label: its class, an index of `Plan.class_names`; None if its label is
      another one.
    read: returns the bytes of the image file; called in any thread, once.
    features: further features of the example, by name: bytes, int, float, or
      a list of one of them.
    read_mask: for segmentation, returns the class of each pixel of the
      image as people see it, or the ignore label: uint8 [height, width];
      called in any thread, once. It may raise `image_files.BadImage`.
  """

  name: str
  label: int | None
  read: Callable[[], bytes]
  features: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  read_mask: Callable[[], np.ndarray] | None = None


class Labelled(NamedTuple):
  """What is written of an item.

  Fields:
    example: a tf.train.Example.
    classes: which it has, each once.
    pixels: int64 [256], how many pixels have each value, where its kind of
      label counts them; else 0.
  """

  example: Any
  classes: Sequence[int]
  pixels: np.ndarray | int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
  """All examples of a source.

  Attributes:
    source: the file, folder or address they are read from.
    class_names: the name of each label.
    splits: the examples of each split, by its name.
    name: the dataset's name in the registry; 'tfrecord' for one's own.
    task: a key of `label_kinds.KINDS`, the kind of label of the examples.
    ignore_label: the value of pixels that do not count, in [0, 255]; None if
      every pixel counts.
    notes: sentences on how the source was understood, to be told.
    source_values: for masks, the value, in [0, 255], of each class in masks of
      the source's own form, into which predictions are written back; () where
      those are the labels, or nothing tells them.
  """

  source: str
  class_names: list[str]
  splits: dict[str, list[Item]]
  name: str = 'tfrecord'
  task: str = label_kinds.DEFAULT
  ignore_label: int | None = None
  notes: tuple[str, ...] = ()
  source_values: tuple[int, ...] = ()

  def __post_init__(self):
    """Refuses names of classes that are blank, unwritable or shared."""
    first: dict[str, int] = {}
    for label, name in enumerate(self.class_names):
      if not name.strip():
        raise ValueError(
          f'{self.source}: the name of class {label} is blank. Name it.'
        )
      check_name(name, f'{self.source}: the class')
      other = first.setdefault(name, label)
      if other != label:
        raise ValueError(
          f'{self.source}: the classes {other} and {label} have the same '
          f'name, {name!r}. Rename one of them, or make one class of them.'
        )
