"""The image of a run's curves."""

import json

import numpy as np
import pytest
from matplotlib import figure
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


@pytest.fixture
def drawn(monkeypatch):
  """The figures that are saved."""
  figures = []
  monkeypatch.setattr(
    figure.Figure, 'savefig', lambda fig, *_, **__: figures.append(fig)
  )
  return figures


def _run(folder, evaluations='', **config):
  folder.mkdir(exist_ok=True)
  (folder / 'config.json').write_text(json.dumps(config))
  _record(folder, range(1, 5))
  if evaluations:
    (folder / 'evaluations.csv').write_text(evaluations)
  return str(folder)


def _lines(axes):
  return {
    line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
    for line in axes.lines
  }


def test_a_split_is_one_line(tmp_path, drawn):
  """The last evaluation is in evaluations.csv, or not yet."""
  run = _run(
    tmp_path / 'some_run',
    'step,loss,accuracy\n2,0.75,0.25\n4,0.5,0.5\n',
    model_name='resnet_v2_50',
    dataset_name='digits',
    eval_split_name='test',
  )
  last = {'step': 4, 'split': 'test', 'loss': 0.5, 'accuracy': 0.5}
  curves.draw(run, last)
  loss, accuracy = drawn[0].axes
  assert [*_lines(loss)] == [*_lines(accuracy)] == ['training', 'test']
  assert _lines(loss)['test'] == ([2, 4], [0.75, 0.5])
  assert _lines(accuracy)['test'] == ([2, 4], [25, 50])
  assert accuracy.get_ylabel() == 'accuracy [%]'
  assert drawn[0].get_suptitle() == 'some_run: resnet_v2_50 on digits'
  # Another split has another colour.
  curves.draw(run, {**last, 'split': 'train'})
  assert [*_lines(drawn[1].axes[0])] == ['training', 'test', 'train']
  colours = {line.get_color() for line in drawn[1].axes[0].lines}
  assert len(colours) == 3


def test_a_ratio_has_an_axis_of_its_own(tmp_path, drawn):
  run = _run(
    tmp_path / 'resnet_v1_50-scenes',
    'step,loss,miou,pixel_accuracy\n2,0.75,0.125,0.25\n',
    model_name='resnet_v1_50',
    dataset_name='scenes',
    eval_split_name='validation',
  )
  curves.draw(run)
  loss, accuracy, ratio = drawn[0].axes
  assert accuracy.get_ylabel() == 'pixel accuracy [%]'
  assert _lines(accuracy)['validation'] == ([2], [25])
  assert 'training' in _lines(accuracy)
  assert ratio.get_ylabel() == 'mIOU'
  assert _lines(ratio) == {'validation': ([2], [0.125])}
  assert drawn[0].get_suptitle() == 'resnet_v1_50-scenes'
