"""What an evaluation of segmentation prints and writes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from datasets.images import overlays
from engine.tasks.base import EvaluatedSplit
from engine.tasks.segmentation.predictor import DensePredictions, ImageMetrics
from metrics import segmentation, segmentation_reports

_SHOWN = 4  # of the worst images on the sheet, and of others between


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
  return [
    f'{brief(metrics)} ({metrics["examples"]:,} images){left}',
    f'mean accuracy of the classes {metrics["mean_accuracy"]:.2%}, frequency '
    f'weighted IoU {metrics["frequency_weighted_iou"]:.4f}, boundary F1 '
    f'{metrics["boundary_f1"]:.4f}',
    'IoU: '
    + ', '.join(
      f'{name} {value:.3f}'
      for name, value in metrics['iou'].items()
      if value is not None
    ),
  ]


def more(split: EvaluatedSplit, found: DensePredictions) -> dict:
  """Returns the IoU of each class, and which classes are absent."""
  iou = dict(
    zip(
      split.names,
      segmentation.per_class_iou(found.confusion).iou.tolist(),
      strict=True,
    )
  )
  return {
    'iou': {
      name: None if math.isnan(value) else value for name, value in iou.items()
    },
    'absent_classes': [
      name for name, value in iou.items() if math.isnan(value)
    ],
  }


def _chosen(images: list[ImageMetrics]) -> list[ImageMetrics]:
  """Returns the worst images, and some evenly between worst and best."""
  ranked = sorted(
    images, key=lambda image: image.pixel_accuracy if image.pixels else math.inf
  )
  between = np.linspace(0, len(ranked) - 1, 2 * _SHOWN).round().astype(int)
  numbers = dict.fromkeys([*range(min(_SHOWN, len(ranked))), *between.tolist()])
  return [ranked[number] for number in [*numbers][: 2 * _SHOWN]]


def _rows(split, found):
  for image in _chosen(found.images):
    example = split.examples.example(image.record)
    if example is not None:
      yield overlays.Row(
        example.image,
        [example.label, split.predictor.mask(example.image).astype(np.uint8)],
        # The name last, so that a long one alone is cut.
        f'mIOU {image.miou:.3f}, pixel accuracy {image.pixel_accuracy:.1%}: '
        f'{example.filename or split.examples.name(image.record)}',
        ('image', 'mask', 'predicted'),
      )


def write(
  split: EvaluatedSplit, found: DensePredictions, path: Callable
) -> list[str]:
  """Writes files to path(name).

  They are per_class.csv, per_image.csv, confusion_matrix.png, and
  overlays.png with the worst images and some others.

  Returns:
    The names of the files.
  """
  segmentation_reports.write_per_class(
    path('per_class.csv'), found.confusion, split.names
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
  overlays.draw(
    path('overlays.png'),
    [*_rows(split, found)],
    split.names,
    split.dataset.ignore_label,
  )
  return [
    'per_class.csv',
    'per_image.csv',
    'confusion_matrix.png',
    'overlays.png',
  ]
