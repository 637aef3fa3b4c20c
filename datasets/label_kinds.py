"""The kinds of label that a dataset may have, and all that differs by them.

A further kind is a module that reads, writes, counts and draws its labels, and
an entry of `KINDS` that names what it has. Nothing else in datasets knows the
kinds apart.

Nothing here imports TensorFlow or NumPy, so that flags are parsed before they
start: what needs them is imported as it is called.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from datasets import suggestions
from datasets.limits import MOST_IDS

CLASSIFICATION, SEGMENTATION = 'classification', 'segmentation'
# The kind of records and of folders that do not say which they have.
DEFAULT = CLASSIFICATION

_SMALL = 64  # pixels of a side
_MOST_CROP = 513  # pixels of a side


class Later(NamedTuple):
  """A function or class that is imported when it is called.

  Fields:
    module: where it is.
    name: its name there.
  """

  module: str
  name: str

  def load(self) -> Callable:
    """Returns the function or class."""
    return getattr(importlib.import_module(self.module), self.name)

  def __call__(self, *args, **kwargs):
    return self.load()(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class LabelKind:
  """All that is particular to a kind of label.

  Attributes:
    noun: what the data have, for sentences: 'a label for every image'.
    preposition: what images are to their classes: 5 images 'in' 2 classes.
    feature: the feature of a record that holds its label, as one value.
    feature_type: 'bytes', 'int64' or 'float'.
    read_label: called with the labels that may occur, a range, and the
      ignored label or None; returns what is called, in any thread, with the
      value of the feature and the image, uint8 [height, width, 3], and
      returns the label, or raises `label_readers.BadExample`.
    slim_form: returns the `slim_decoders.Form` of the records.
    make_example: called with an `Item`, its `EncodedImage` and the `Plan`;
      returns the `Labelled` example that is written. It may raise
      `image_files.BadImage`.
    statistics: called with a dataset, which has a name, class_names and an
      ignore_label; returns what counts and judges the labels of a split, as
      `verifying.labels.LabelStatistics` does.
    class_table: called with a `Report` and the `SplitReport`s that are shown;
      returns the titles of the columns behind those of the splits, and the
      rows on the classes, lists of cells.
    draw_samples: called with the path of a PNG, a `Report`, the largest
      height x width of an image and a seed; draws some of the records, and
      returns whether there are any.
    check_splits: called with the `description.Split`s that were written, by
      name, and the `Plan`; raises ValueError if nothing can be learnt.
    suggest: called with the greatest height and width of the images; returns
      settings that fit, by the names of the flags.
    classes_per_example: the least and the greatest number of classes that an
      example has; None for as many as there are.
    least_classes: the least number of classes of a dataset.
    most_classes: the greatest; None if there is no limit.
    has_ignore_label: whether a value of labels may be ignored.
    assumed_ignore_label: that value where nothing tells it; None for none.
    counts_pixels: whether the pixels of each class are counted.
  """

  noun: str
  preposition: str
  feature: str
  feature_type: str
  read_label: Callable
  slim_form: Callable
  make_example: Callable
  statistics: Callable
  class_table: Callable
  draw_samples: Callable
  check_splits: Callable = lambda splits, plan: None
  suggest: Callable[[tuple[int, int]], Mapping[str, Any]] = lambda largest: {}
  classes_per_example: tuple[int, int | None] = (1, 1)
  least_classes: int = 2
  most_classes: int | None = None
  has_ignore_label: bool = False
  assumed_ignore_label: int | None = None
  counts_pixels: bool = False


def _suggest_for_small(largest):
  """Returns what fits images that are too small to be cropped."""
  if max(largest) > _SMALL:
    return {}
  return {'preprocessing_name': 'cifar', 'train_image_size': max(32, *largest)}


def _suggest_crop(largest):
  """Returns crops that hold a whole image, of a side of 513 at most.

  A multiple of 16, the usual output stride, plus one.
  """
  side = -(-(max(largest) - 1) // 16) * 16 + 1
  return {'train_crop_size': str(min(_MOST_CROP, side))}


KINDS = {
  CLASSIFICATION: LabelKind(
    noun='a label for every image',
    preposition='in',
    feature='image/class/label',
    feature_type='int64',
    read_label=Later('datasets.records.label_readers', 'ClassReader'),
    slim_form=Later('datasets.records.slim_decoders', 'class_form'),
    make_example=Later('datasets.writing.class_examples', 'make_example'),
    statistics=Later('datasets.verifying.labels', 'LabelStatistics'),
    class_table=Later('datasets.verifying.table', 'examples_per_class'),
    draw_samples=Later('datasets.verifying.samples', 'draw_images'),
    suggest=_suggest_for_small,
  ),
  SEGMENTATION: LabelKind(
    noun='masks, with a label for every pixel',
    preposition='with masks of',
    feature='image/segmentation/class/encoded',
    feature_type='bytes',
    read_label=Later('datasets.records.label_readers', 'MaskReader'),
    slim_form=Later('datasets.records.slim_decoders', 'mask_form'),
    make_example=Later('datasets.writing.mask_examples', 'make_example'),
    statistics=Later('datasets.verifying.masks', 'MaskStatistics'),
    class_table=Later('datasets.verifying.table', 'pixels_per_value'),
    draw_samples=Later('datasets.verifying.samples', 'draw_masks'),
    check_splits=Later('datasets.writing.mask_examples', 'check_splits'),
    suggest=_suggest_crop,
    classes_per_example=(0, None),
    most_classes=MOST_IDS,
    has_ignore_label=True,
    assumed_ignore_label=255,
    counts_pixels=True,
  ),
}


def get(task: str) -> LabelKind:
  """Returns the kind of a name, which is that of the task it is for.

  Raises:
    ValueError: there is none; the sentence has the nearest names, and all.
  """
  return suggestions.entry('label kind', KINDS, task)
