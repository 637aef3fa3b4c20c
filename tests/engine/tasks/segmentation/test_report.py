"""The sheet of the worst images, of made predictions."""

import types

import numpy as np
import pytest
from PIL import Image

from datasets.images import overlays
from engine.tasks.base import EvaluatedSplit
from engine.tasks.segmentation import predictor, report
from tests import builders

NAMES = ('background', 'a' * 50, 'grün [2]')


def _split(sizes, shifts, names):
  """A split, and what is found of it: each mask is moved to the right."""
  examples, predicted = [], {}
  for seed, (size, shift, name) in enumerate(
    zip(sizes, shifts, names, strict=True)
  ):
    if min(size) > 10:
      image, label = builders.shape(seed, size)
    else:
      image, label = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    mask = np.roll(np.where(label == 255, 0, label), shift, 1)
    examples.append(
      types.SimpleNamespace(image=image, label=label, filename=name)
    )
    predicted[id(image)] = (mask if min(size) > 10 else mask + shift).astype(
      np.int32
    )
  records = types.SimpleNamespace(
    example=lambda record: examples[record],
    name=lambda record: f'record {record} of a file',
  )
  split = EvaluatedSplit(
    types.SimpleNamespace(ignore_label=255),
    types.SimpleNamespace(ignore_label=255, name='made', split_name='val'),
    NAMES,
    types.SimpleNamespace(
      examples=records, mask=lambda image: predicted[id(image)]
    ),
  )
  found = predictor.gathered(
    (
      predictor.measure(
        each.label.astype(np.int32),
        predicted[id(each.image)],
        None,
        None,
        record,
        3,
        255,
      )
      for record, each in enumerate(examples)
    ),
    split.dataset,
    3,
    255,
  )
  return split, found


def _captions(split, found):
  return [row.caption for row in report._worst_rows(split, found)]


def test_the_worst_come_first():
  """By mIOU, then by record; without those that are right."""
  shifts = [1, 0, 3, 0, 1]
  split, found = _split(
    [(40, 50)] * 5, shifts, ['a', 'b', '', 'd', 'x [ü] $1$ {y}']
  )
  rows = [*report._worst_rows(split, found)]
  assert len(rows) == 3
  expected = sorted((found.images[record].miou, record) for record in (0, 2, 4))
  for row, (miou, record) in zip(rows, expected, strict=True):
    image = split.examples.example(record)
    label, mask = row.masks
    assert row.image is image.image and label is image.label
    assert (row.wrong == ((label != mask) & (label != 255))).all()
    assert row.wrong.any()
    assert row.caption.startswith(f'mIOU {miou:.3f} (')
    assert row.caption.endswith(f'): {image.filename or "record 2 of a file"}')
  iou = {}
  for number in (1, 2):
    mask, label = rows[0].masks[1], rows[0].masks[0]
    mine, true = (mask == number) & (label != 255), label == number
    iou[number] = (mine & true).sum() / (mine | true).sum()
  for number, name in ((1, 'a' * 23 + '…'), (2, 'grün [2]')):
    assert f'{name} {iou[number]:.2f}' in rows[0].caption


def test_a_class_that_is_right_is_not_among_the_worst():
  split, found = _split([(1, 1), (40, 40)], [2, 0], ['a', 'b'])
  assert _captions(split, found) == [
    'mIOU 0.000 (background 0.00, grün [2] 0.00): a'
  ]


@pytest.mark.parametrize(
  'sizes',
  [[(1, 1)], [(33, 700)], [(20, 21), (1300, 900), (3, 5)], [(24, 32)] * 30],
  ids=['one pixel', 'wide', 'sizes', 'many'],
)
def test_drawing(tmp_path, sizes):
  """A row for each, at most twelve; the same bytes each time."""
  split, found = _split(
    sizes, [2] * len(sizes), ['a [1]/薔薇 ü' + 'x' * 300] * len(sizes)
  )
  drawn = []
  for path in tmp_path / 'a.png', tmp_path / 'b.png':
    assert report._draw_worst(path, split, found)
    drawn.append(path.read_bytes())
  assert drawn[0] == drawn[1]
  sheet = np.asarray(Image.open(tmp_path / 'a.png'))
  rows = min(len(sizes), 12)
  across = min(rows, 2)
  assert sheet.shape[1] == across * (4 * (overlays.CELL + 2) + 14)
  assert (sheet == overlays.WRONG).all(-1).any()
  assert len(_captions(split, found)) == rows


def test_no_mistakes(tmp_path, capsys):
  """What an earlier evaluation drew is no longer there."""
  split, found = _split([(40, 50)], [0], ['a'])
  path = tmp_path / 'worst_images.png'
  path.write_bytes(b'earlier')
  for _ in range(2):
    assert not report._draw_worst(path, split, found)
  assert not path.exists()
  assert 'There is no worst_images.png, as there are no' in (
    capsys.readouterr().out
  )


def test_what_is_printed_without_probabilities():
  split, found = _split([(40, 50)], [1], ['a'])
  metrics = {**found.metrics(), **report.more(split, found)}
  assert 'calibration_error' not in metrics
  assert 'expected_calibration_error' not in metrics
  assert not any('calibration' in line for line in report.lines(metrics, 3))
