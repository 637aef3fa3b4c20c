"""The image of a run's curves."""

import numpy as np
import pytest
from PIL import Image

from engine.training import curves
from engine.training.metrics_log import MetricsLog


def _record(folder, steps):
  records = MetricsLog(str(folder), ['step', 'loss', 'accuracy'], 0)
  for step in steps:
    records.add({'step': step, 'loss': 1 / step, 'accuracy': 1 - 1 / step})
  records.close()


def test_nothing_recorded(tmp_path):
  assert curves.draw(str(tmp_path)) is None
  _record(tmp_path, [])
  assert curves.draw(str(tmp_path)) is None
  assert not (tmp_path / 'curves.png').exists()


@pytest.mark.parametrize('steps', [[1], [10, 20], range(1, 100)])
def test_image(tmp_path, steps):
  _record(tmp_path, steps)
  path = curves.draw(str(tmp_path))
  assert path == str(tmp_path / 'curves.png')
  with Image.open(path) as image:
    image.load()
    assert image.format == 'PNG' and image.size == (900, 400)


def test_evaluation_is_drawn(tmp_path):
  _record(tmp_path, [1, 2, 3])
  drawn = [
    np.asarray(Image.open(curves.draw(str(tmp_path), evaluated)))
    for evaluated in (
      None,
      {'step': 3, 'split': 'test', 'loss': 0.5, 'accuracy': 0.5, 'examples': 7},
    )
  ]
  assert (drawn[0] != drawn[1]).any()
