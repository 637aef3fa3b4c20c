"""What an evaluation of segmentation prints and writes."""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from datasets.images import overlays
from datasets.text import cut
from engine.common import console
from engine.tasks.base import EvaluatedSplit
from engine.tasks.segmentation.predictor import DensePredictions, ImageMetrics
from metrics import boundaries, calibration, segmentation, segmentation_reports

_SHOWN = 4  # of the worst images on the sheet, and of others between
_WORST, _CLASSES = 12, 3  # images on the sheet of the worst, classes of each
_NAME = 24  # characters of a class's name below an image


def brief(metrics: Mapping[str, Any]) -> str:
  """Returns mIOU, pixel accuracy and loss, if that is known."""
  loss = f', loss {metrics["loss"]:.4f}' if 'loss' in metrics else ''
  return (
    f'mIOU {metrics["miou"]:.4f}, pixel accuracy '
    f'{metrics["pixel_accuracy"]:.2%}{loss}'
  )


def lines(metrics: Mapping[str, Any], classes: int) -> list[str]:
  """Returns what is printed of an evaluation."""
  absent = metrics['absent_classes']
  left = (
    ''
    if not absent
    else (
      f'; {len(absent)} of the {classes} classes are neither in the masks nor '
      f'predicted and do not count ({", ".join(absent[:5])}'
      f'{", ..." if len(absent) > 5 else ""})'
    )
  )
  calibrated = ''
  if 'expected_calibration_error' in metrics:
    error = metrics['expected_calibration_error']
    calibrated = (
      f'; probabilities differ from how often they are right by {error:.2%} '
      '(expected calibration error)'
    )
  return [
    f'{brief(metrics)} ({metrics["examples"]:,} images){left}',
    f'mean accuracy of the classes {metrics["mean_accuracy"]:.2%}, frequency '
    f'weighted IoU {metrics["frequency_weighted_iou"]:.4f}, boundary F1 '
    f'{metrics["boundary_f1"]:.4f}, mean boundary IoU '
    f'{metrics["mean_boundary_iou"]:.4f}{calibrated}',
    _listed('IoU', metrics['iou']),
    _listed('boundary IoU', metrics['boundary_iou']),
  ]


def _listed(title, values):
  """Returns a line with the known values of classes."""
  known = (
    f'{name} {value:.3f}' for name, value in values.items() if value is not None
  )
  return f'{title}: {", ".join(known)}'


def _columns(found: DensePredictions) -> dict[str, np.ndarray]:
  """Returns what is known of classes besides the confusion matrix."""
  assert found.overlap is not None  # as all images were evaluated
  columns = {'boundary_iou': boundaries.boundary_iou(found.overlap)}
  if found.tallied is not None:
    columns['calibration_error'] = calibration.class_errors(found.tallied)
  return columns


def more(split: EvaluatedSplit, found: DensePredictions) -> dict:
  """Returns the metrics of each class, and which classes are absent."""
  columns = {
    'iou': segmentation.per_class_iou(found.confusion).iou,
    **_columns(found),
  }
  by_class = {
    title: {
      name: None if math.isnan(value) else value
      for name, value in zip(split.names, values.tolist(), strict=True)
    }
    for title, values in columns.items()
  }
  iou = by_class['iou']
  return {
    **by_class,
    'absent_classes': [name for name, value in iou.items() if value is None],
  }


def _chosen(images: list[ImageMetrics]) -> list[ImageMetrics]:
  """Returns the worst images, and some evenly between worst and best."""
  ranked = sorted(
    images, key=lambda image: image.pixel_accuracy if image.pixels else math.inf
  )
  between = np.linspace(0, len(ranked) - 1, 2 * _SHOWN).round().astype(int)
  numbers = dict.fromkeys([*range(min(_SHOWN, len(ranked))), *between.tolist()])
  return [ranked[number] for number in [*numbers][: 2 * _SHOWN]]


def _name(split, image, example):
  return example.filename or split.examples.name(image.record)


def _spread_rows(split, found):
  """Yields the worst images and some others, for the sheet."""
  for image in _chosen(found.images):
    example = split.examples.example(image.record)
    if example is not None:
      yield overlays.Row(
        example.image,
        [example.label, split.predictor.mask(example.image).astype(np.uint8)],
        # The name last, so that a long one alone is cut.
        f'mIOU {image.miou:.3f}, pixel accuracy {image.pixel_accuracy:.1%}: '
        f'{_name(split, image, example)}',
        ('image', 'mask', 'predicted'),
      )


def _worst_classes(split, label, mask):
  """Returns the classes of an image of the lowest IoU, with it."""
  ignored = split.config.ignore_label
  iou = segmentation.per_class_iou(
    segmentation.confusion_matrix(label, mask, len(split.names), ignored)
  ).iou
  worst = np.argsort(iou, kind='stable')[:_CLASSES]  # NaN is the last
  return ', '.join(
    f'{cut(split.names[i], _NAME)} {iou[i]:.2f}' for i in worst if iou[i] < 1
  )


def _worst_rows(split, found):
  """Yields the images of the lowest mIOU that have a mistake, for the sheet."""
  wrong = [image for image in found.images if image.pixel_accuracy < 1]
  for image in sorted(wrong, key=lambda image: image.miou)[:_WORST]:
    example = split.examples.example(image.record)
    if example is None:
      continue
    label = example.label
    mask = split.predictor.mask(example.image).astype(np.uint8)
    yield overlays.Row(
      example.image,
      [label, mask],
      f'mIOU {image.miou:.3f} ({_worst_classes(split, label, mask)}): '
      f'{_name(split, image, example)}',
      ('image', 'mask', 'predicted', 'where they differ'),
      (label != mask) & (label != split.config.ignore_label),
    )


def _draw(path, rows, split):
  overlays.draw(path, rows, split.names, split.dataset.ignore_label)


def _draw_worst(path, split, found):
  """Draws the worst images; returns whether there are any."""
  rows = [*_worst_rows(split, found)]
  if rows:
    _draw(path, rows, split)
  else:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)  # an earlier one's
    console.say('There is no worst_images.png, as there are no mistakes.')
  return bool(rows)


def write(
  split: EvaluatedSplit, found: DensePredictions, path: Callable
) -> list[str]:
  """Writes files to path(name).

  They are per_class.csv, per_image.csv, confusion_matrix.png, overlays.png
  with the worst images and some others, and, if there are mistakes,
  worst_images.png.

  Returns:
    The names of the files.
  """
  segmentation_reports.write_per_class(
    path('per_class.csv'), found.confusion, split.names, **_columns(found)
  )
  segmentation_reports.write_per_image(
    path('per_image.csv'),
    [
      segmentation_reports.ImageRow(
        **{
          **image._asdict(),
          'file': split.examples.filename(image.record),
          'record': split.examples.name(image.record),
        }
      )
      for image in found.images
    ],
  )
  segmentation_reports.draw_confusion_matrix(
    path('confusion_matrix.png'), found.confusion, split.names
  )
  _draw(path('overlays.png'), [*_spread_rows(split, found)], split)
  written = [
    'per_class.csv',
    'per_image.csv',
    'confusion_matrix.png',
    'overlays.png',
  ]
  if _draw_worst(path('worst_images.png'), split, found):
    return [*written, 'worst_images.png']
  return written
