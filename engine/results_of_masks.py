"""What an evaluation of segmentation prints and writes."""

import math
from collections.abc import Callable

import numpy as np

from datasets.images import overlays
from engine.segmenter import Segmented
from engine.subject import Subject
from tasks import segmentation, segmentation_reports

_SHOWN = 4  # of the worst images on the sheet, and of others between


def brief(figures: dict) -> str:
  """Returns mIOU, pixel accuracy and loss."""
  return (
    f'mIOU {figures["miou"]:.4f}, pixel accuracy '
    f'{figures["pixel_accuracy"]:.2%}, loss {figures["loss"]:.4f}'
  )


def lines(figures: dict, classes: int) -> list[str]:
  """Returns what is printed of an evaluation."""
  absent = figures['absent_classes']
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
    f'{brief(figures)} ({figures["examples"]:,} images){left}',
    f'mean accuracy of the classes {figures["mean_accuracy"]:.2%}, frequency '
    f'weighted IoU {figures["frequency_weighted_iou"]:.4f}, boundary F1 '
    f'{figures["boundary_f1"]:.4f}',
    'IoU: '
    + ', '.join(
      f'{name} {value:.3f}'
      for name, value in figures['iou'].items()
      if value is not None
    ),
  ]


def more(subject: Subject, found: Segmented) -> dict:
  """Returns the figures of each class, and which classes are absent."""
  iou = dict(
    zip(
      subject.names,
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


def _chosen(pictures):
  """Returns the worst images, and some evenly between worst and best."""
  ranked = sorted(
    pictures,
    key=lambda picture: picture.pixel_accuracy if picture.pixels else math.inf,
  )
  between = np.linspace(0, len(ranked) - 1, 2 * _SHOWN).round().astype(int)
  numbers = dict.fromkeys([*range(min(_SHOWN, len(ranked))), *between.tolist()])
  return [ranked[number] for number in [*numbers][: 2 * _SHOWN]]


def _rows(subject, found):
  for picture in _chosen(found.pictures):
    example = subject.examples.example(picture.record)
    if example is not None:
      yield overlays.Row(
        example.image,
        [example.label, subject.mask(example.image).astype(np.uint8)],
        f'{example.filename or subject.examples.name(picture.record)}: mIOU '
        f'{picture.miou:.3f}, pixel accuracy {picture.pixel_accuracy:.1%}',
        ('image', 'mask', 'predicted'),
      )


def write(subject: Subject, found: Segmented, path: Callable) -> list[str]:
  """Writes files to path(name).

  They are per_class.csv, per_image.csv, confusion_matrix.png, and
  overlays.png with the worst images and some others.

  Returns:
    The names of the files.
  """
  segmentation_reports.write_per_class(
    path('per_class.csv'), found.confusion, subject.names
  )
  segmentation_reports.write_per_image(
    path('per_image.csv'),
    [
      segmentation_reports.ImageFigures(
        **{
          **picture._asdict(),
          'file': subject.examples.filename(picture.record),
          'record': subject.examples.name(picture.record),
        }
      )
      for picture in found.pictures
    ],
  )
  segmentation_reports.draw_confusion_matrix(
    path('confusion_matrix.png'), found.confusion, subject.names
  )
  overlays.draw(
    path('overlays.png'),
    [*_rows(subject, found)],
    subject.names,
    subject.dataset.ignore_label,
  )
  return [
    'per_class.csv',
    'per_image.csv',
    'confusion_matrix.png',
    'overlays.png',
  ]
