"""Dense classification: what is written and drawn of an evaluation."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from metrics import reports, segmentation


class ImageRow(NamedTuple):
  """The metrics of one image; the names are those of the columns.

  Fields:
    file: the image's name.
    record: which record of which file it is.
    height: in pixels.
    width: in pixels.
    pixels: the number of those that are valid.
    miou: see `segmentation.metrics`, here of this image alone.
    pixel_accuracy: the same.
    boundary_f1: see `boundaries.boundary_f1`; None if it was not measured.
    loss: the mean cross-entropy of the valid pixels, in nats; None if it is
      unknown.
    mean_boundary_iou: the mean over the classes of `boundaries.boundary_iou`,
      here of this image alone.
  """

  file: str
  record: str
  height: int
  width: int
  pixels: int
  miou: float
  pixel_accuracy: float
  boundary_f1: float | None
  loss: float | None
  mean_boundary_iou: float


def write_per_class(
  path: str | os.PathLike,
  confusion: np.ndarray,
  names: Sequence[str],
  **others: np.ndarray,
) -> None:
  """Writes a line a class: label, name, pixels, iou, precision, recall.

  Args:
    path: the CSV file. What is NaN in `segmentation.PerClass` is empty.
    confusion: int [classes, classes], from `segmentation.confusion_matrix`.
    names: the classes' names.
    **others: further columns, [classes], by their names.
  """
  columns = {**segmentation.per_class_iou(confusion)._asdict(), **others}
  reports.write_table(
    path,
    ['label', 'name', *columns],
    (
      [i, name, *map(_cell, found)]
      for i, (name, *found) in enumerate(
        zip(names, *columns.values(), strict=True)
      )
    ),
  )


def write_per_image(path: str | os.PathLike, rows: Iterable[ImageRow]) -> None:
  """Writes a line an image, with the fields of `ImageRow` as columns.

  Args:
    path: the CSV file. What is NaN or None is empty.
    rows: the metrics.
  """
  reports.write_table(path, ImageRow._fields, (map(_cell, row) for row in rows))


def _cell(value):
  """Returns what a table has of a metric."""
  if value is None or value != value:  # NaN
    return ''
  return f'{value:.6f}' if isinstance(value, float | np.floating) else value


def draw_confusion_matrix(
  path: str | os.PathLike, confusion: np.ndarray, names: Sequence[str]
) -> None:
  """Draws the confusion matrix as a PNG, each row in percent of its class."""
  of = segmentation.metrics(confusion)
  reports.draw_confusion_matrix(
    path,
    confusion,
    names,
    f'{confusion.sum():,} pixels\nmIOU {of["miou"]:.4f}, '
    f'{of["pixel_accuracy"]:.2%} correct',
    percent=True,
  )
