"""The tables and images of an evaluation, against NumPy and sklearn."""

import csv
import warnings

import numpy as np
import pytest
import sklearn.metrics
from matplotlib import figure
from PIL import Image

from metrics import classification, reports


def _random(examples=50, classes=7, seed=0):
  random = np.random.RandomState(seed)
  return (
    random.normal(0, 3, (examples, classes)).astype(np.float32),
    random.randint(0, classes, examples),
  )


def _confusion(logits, labels):
  found = classification.outcomes(logits, labels)
  return classification.confusion_matrix(found, logits.shape[-1])


def _rows(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.reader(file))


def test_predictions(tmp_path):
  """A row an example, with the labels of the data, names that need quotes."""
  logits, labels = _random(20, 3)
  shares = np.exp(logits - logits.max(-1, keepdims=True))
  shares = shares / shares.sum(-1, keepdims=True)
  names = ['a', 'b, "c"', '猫']
  origins = [(f'{i}.png', f'record {i} of f') for i in range(20)]
  path = tmp_path / 'predictions.csv'
  reports.write_predictions(
    path, classification.outcomes(logits, labels), iter(origins), names, 10
  )
  header, *rows = _rows(path)
  assert header == [
    'file',
    'record',
    'label',
    'name',
    'predicted',
    'predicted_name',
    'correct',
    'probability',
    'label_probability',
    'loss',
  ]
  predicted = logits.argmax(-1)
  assert [tuple(row[:7]) for row in rows] == [
    (
      *origin,
      str(label + 10),
      names[label],
      str(guess + 10),
      names[guess],
      str(int(label == guess)),
    )
    for origin, label, guess in zip(origins, labels, predicted, strict=True)
  ]
  found = np.array([row[7:] for row in rows], float)
  right = shares[np.arange(20), labels]
  np.testing.assert_allclose(
    found, np.stack([shares.max(-1), right, -np.log(right)], 1), atol=2e-6
  )
  assert {row[6] for row in rows} == {'0', '1'}


def test_a_table_replaces_another_when_it_is_whole(tmp_path):
  path = tmp_path / 'a.csv'
  reports.write_table(path, ['a'], [[1]])

  def fail():
    yield [2]
    raise OSError('full')

  with pytest.raises(OSError, match='full'):
    reports.write_table(path, ['a'], fail())
  assert _rows(path) == [['a'], ['1']]
  reports.write_table(path, ['a'], [[3]])
  assert _rows(path) == [['a'], ['3']]
  assert len([*tmp_path.iterdir()]) == 1


def test_describing_a_mistake():
  names = ['zero', 'one 50%', '2']
  assert reports.describe_mistake(0, 1, 0.993, names, 7) == (
    'is 7 zero',
    '99 % sure: 8 one 50%',
  )
  assert reports.describe_mistake(2, 0, 1, names) == (
    'is 2',
    '100 % sure: 0 zero',
  )


def test_per_class(tmp_path):
  """Class 3 has no examples, 5 is never predicted, 6 is neither."""
  logits, labels = _random(100, 7, seed=1)
  logits[:, 5:] = -100
  labels[np.isin(labels, (3, 6))] = 0
  labels[:4] = 5
  predicted = logits.argmax(-1)
  assert 3 in predicted and 5 in labels
  names = ['a', 'b, "c"', 'ü', 'd', 'e', 'f', '猫']
  path = tmp_path / 'per_class.csv'
  reports.write_per_class(path, _confusion(logits, labels), names)
  rows = _rows(path)
  assert rows[0] == ['label', 'name', 'examples', 'precision', 'recall', 'f1']
  expected = sklearn.metrics.precision_recall_fscore_support(
    labels, predicted, labels=range(7), zero_division=0
  )
  assert [row[:3] for row in rows[1:]] == [
    [str(i), name, str(count)]
    for i, (name, count) in enumerate(zip(names, expected[3], strict=True))
  ]
  np.testing.assert_allclose(
    np.array([row[3:] for row in rows[1:]], float).T, expected[:3], atol=5.1e-7
  )


@pytest.mark.parametrize('classes, side', [(2, 500), (10, 700), (200, 1600)])
def test_drawing(tmp_path, classes, side):
  logits, labels = _random(300, classes)
  confusion = _confusion(logits, labels)
  confusion[0] = 0  # a class without examples
  path = tmp_path / 'a.png'
  reports.draw_confusion_matrix(
    path, confusion, [f'class {i}' for i in range(classes)]
  )
  with Image.open(path) as image:
    image.load()
    assert image.format == 'PNG' and image.size == (side, side)
    assert len(image.convert('RGB').getcolors(1 << 24)) > 20  # not blank


def test_drawing_is_in_percent_and_cuts_names(monkeypatch, tmp_path):
  figures = []
  monkeypatch.setattr(
    figure.Figure, 'savefig', lambda fig, *_, **__: figures.append(fig)
  )
  names = ['cat', 'worm fence, snake fence, snake-rail fence']
  for percent in False, True:
    confusion = np.array([[900, 100], [0, 2000]])
    reports.draw_confusion_matrix(
      tmp_path / 'a.png', confusion, names, percent=percent
    )
    matrix, bar = figures[-1].axes
    assert bar.get_ylabel() == 'percent of the actual class'
    assert matrix.images[0].get_array().tolist() == [[90, 10], [0, 100]]
    assert [text.get_text() for text in matrix.get_yticklabels()] == [
      'cat',
      'worm fence, snake fence…',
    ]
    fields = [text.get_text() for text in matrix.texts]
    assert fields == (
      ['90', '10', '100'] if percent else ['900', '100', '2000']
    )
  assert figures[0].axes[0].get_title() == '3,000 examples, 96.67% correct'


def test_drawing_is_of_the_matrix(tmp_path):
  drawn = []
  for i, confusion in enumerate([[[9, 1], [2, 8]], [[9, 1], [3, 7]]]):
    path = tmp_path / f'{i}.png'
    reports.draw_confusion_matrix(path, np.array(confusion), 'ab')
    drawn.append(np.asarray(Image.open(path)))
  assert (drawn[0] != drawn[1]).any()


@pytest.mark.parametrize('name', ['5$ to 10_$', '$\\frac$', 'a\\b^{', '猫'])
def test_drawing_of_strange_names(tmp_path, name):
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # of glyphs that a font lacks
    reports.draw_confusion_matrix(
      tmp_path / 'a.png', np.eye(2, dtype=int), [name, 'b']
    )
  assert (tmp_path / 'a.png').stat().st_size > 1000
