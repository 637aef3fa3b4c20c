"""The tables and the image of a dense evaluation."""

import csv

import numpy as np
import pytest
from PIL import Image

from metrics import segmentation, segmentation_reports

CONFUSION = np.array([[60, 20, 10, 0], [0, 0, 40, 0], [0] * 4, [0] * 4])


def _rows(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.reader(file))


def test_per_class(tmp_path):
  """A class that is never there, and one that is not even predicted."""
  path = tmp_path / 'per_class.csv'
  names = ['a', 'b, "c"', '猫', 'd']
  segmentation_reports.write_per_class(path, CONFUSION, names)
  without = _rows(path)
  assert without == [
    ['label', 'name', 'pixels', 'iou', 'precision', 'recall'],
    ['0', 'a', '90', '0.666667', '1.000000', '0.666667'],
    ['1', 'b, "c"', '40', '0.000000', '0.000000', '0.000000'],
    ['2', '猫', '0', '0.000000', '0.000000', ''],
    ['3', 'd', '0', '', '', ''],
  ]
  other = np.array([0.5, 1, 0, np.nan])
  segmentation_reports.write_per_class(path, CONFUSION, names, other=other)
  cells = 'other', '0.500000', '1.000000', '0.000000', ''
  assert _rows(path) == [
    [*row, cell] for row, cell in zip(without, cells, strict=True)
  ]


def test_the_names_must_be_as_many(tmp_path):
  with pytest.raises(ValueError, match='zip'):
    segmentation_reports.write_per_class(tmp_path / 'a', CONFUSION, ['a'])


def test_per_image(tmp_path):
  path = tmp_path / 'per_image.csv'
  metrics = segmentation.metrics(CONFUSION)
  segmentation_reports.write_per_image(
    path,
    iter(
      [
        segmentation_reports.ImageRow(
          'a, b.jpg',
          'record 3 of f',
          10,
          14,
          130,
          metrics['miou'],
          metrics['pixel_accuracy'],
          np.float32(0.5),
          2.0,
          0.25,
        ),
        segmentation_reports.ImageRow(
          'c.jpg',
          'record 4 of f',
          7,
          5,
          0,
          float('nan'),
          float('nan'),
          None,
          0.0,
          float('nan'),
        ),
      ]
    ),
  )
  assert _rows(path) == [
    [
      'file',
      'record',
      'height',
      'width',
      'pixels',
      'miou',
      'pixel_accuracy',
      'boundary_f1',
      'loss',
      'mean_boundary_iou',
    ],
    [
      'a, b.jpg',
      'record 3 of f',
      '10',
      '14',
      '130',
      '0.222222',
      '0.461538',
      '0.500000',
      '2.000000',
      '0.250000',
    ],
    ['c.jpg', 'record 4 of f', '7', '5', '0', '', '', '', '0.000000', ''],
  ]


def test_drawing(tmp_path):
  """Ten times the pixels: the same percents under another title."""
  drawn = []
  for factor in 1, 10:
    path = tmp_path / f'{factor}.png'
    segmentation_reports.draw_confusion_matrix(path, CONFUSION * factor, 'abcd')
    with Image.open(path) as image:
      assert image.format == 'PNG' and image.size == (500, 500)
      drawn.append(np.asarray(image.convert('RGB')))
  rows = np.flatnonzero((drawn[0] != drawn[1]).any((1, 2)))
  assert 0 < len(rows) < 20 and rows[-1] < 100
  assert len(np.unique(drawn[0].reshape(-1, 3), axis=0)) > 20  # not blank
