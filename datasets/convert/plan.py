"""What a converter finds in a source: the examples that are to be written."""
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
  """What a converter is told besides its source.

  Attributes:
    validation_fraction: the part of each class that becomes the validation
      split where the source has one split only, in (0, 1).
    seed: fixes that choice.
    labels_file: for sources whose classes are named in a file of its own.
  """
  validation_fraction: float = 0.1
  seed: int = 0
  labels_file: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
  """One example that is to be written.

  Attributes:
    name: what people call it: a path within the source, or 'image 7 of FILE'.
      Errors name it; it is stored as image/filename.
    label: its class, an index of `Plan.class_names`.
    read: returns the bytes of the picture file; called in any thread, once.
    features: further features of the example, by name: bytes, int, float, or
      a list of one of them.
  """
  name: str
  label: int
  read: Callable[[], bytes]
  features: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Plan:
  """All examples of a source.

  Attributes:
    source: the file, folder or address they are read from.
    class_names: the name of each label.
    splits: the examples of each split, by its name.
    name: the data set's name in the registry; 'tfrecord' for one's own.
  """
  source: str
  class_names: list[str]
  splits: dict[str, list[Item]]
  name: str = 'tfrecord'
