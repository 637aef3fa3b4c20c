"""Dense metrics, against NumPy, loops and tf.metrics."""

import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import ndimage

from metrics import boundaries, segmentation

NAN = float('nan')


def _random(seed=0, shape=(2, 9, 7), classes=5, ignore_label=255):
  random = np.random.RandomState(seed)
  labels = random.randint(0, classes, shape)
  labels[random.rand(*shape) < 0.3] = ignore_label
  return random.normal(0, 3, (*shape, classes)).astype(np.float32), labels


def _value(tensor, feed=None):
  with tf.Session() as session:
    return session.run(tensor, feed)


@pytest.mark.parametrize('ignore_label', [255, 0])
def test_accuracy(graph, ignore_label):
  logits, labels = _random(ignore_label=ignore_label)
  value = segmentation.accuracy(
    tf.constant(logits), tf.constant(labels), ignore_label
  )
  assert value.dtype == tf.float32 and value.shape == ()
  valid = labels != ignore_label
  hits = (logits.argmax(-1) == labels)[valid]
  assert 0 < hits.mean() < 1
  assert _value(value) == pytest.approx(hits.mean(), rel=1e-6)


def test_accuracy_of_no_pixel(graph):
  logits, labels = tf.constant(_random()[0]), tf.fill([2, 9, 7], 255)
  assert _value(segmentation.accuracy(logits, labels)) == 0


@pytest.mark.parametrize('size', [(3, 4), (17, 13), (9, 7), (33, 25), (1, 1)])
def test_resizing(graph, size):
  """The corners on the corners; integers exactly, logits in a straight line."""
  labels = np.random.RandomState(0).randint(0, 255, (2, 9, 7))
  y, x = (
    np.arange(n) * ((old - 1) / max(n - 1, 1))
    for n, old in zip(size, (9, 7), strict=True)
  )
  # What is half way goes up.
  rows, columns = (np.floor(at + 0.5).astype(int) for at in (y, x))
  plane = np.add.outer(2.0 * np.arange(9), np.arange(7)).astype('f')
  got, logits = _value(
    [
      segmentation.resize_labels(tf.constant(labels), *size),
      segmentation.resize_logits(
        tf.constant(np.stack([plane, -plane], -1)[None]), *size
      ),
    ]
  )
  np.testing.assert_array_equal(got, labels[:, rows][:, :, columns])
  want = np.add.outer(2 * y, x)
  np.testing.assert_allclose(logits[0], np.stack([want, -want], -1), atol=1e-5)


@pytest.mark.parametrize('ignore_label', [255, 0, 4])
def test_confusion_matrix(ignore_label):
  logits, labels = _random(ignore_label=ignore_label)
  predicted = logits.argmax(-1).astype(np.uint8)
  want = np.zeros((5, 5), int)
  for label, guess in zip(labels.flat, predicted.flat, strict=True):
    if label != ignore_label:
      want[label, guess] += 1
  got = segmentation.confusion_matrix(labels, predicted, 5, ignore_label)
  assert got.dtype == np.int64
  np.testing.assert_array_equal(got, want)


def test_confusion_of_bytes_does_not_overflow():
  labels = np.full((2, 2), 199, np.uint8)
  got = segmentation.confusion_matrix(labels, labels, 200)
  assert got[199, 199] == got.sum() == 4


@pytest.mark.parametrize(
  'label, predicted, match',
  [
    ([5, 255], [0, 0], 'label is 5, .*0 to 4. nor .* label 255.*--verify'),
    ([-1, 0], [0, 0], 'label is -1'),
    ([0, 0], [0, 5], 'prediction is 5'),
    ([0, 0], [0], r'shape \(2,\) and the predictions \(1,\); resize'),
  ],
)
def test_bad_labels(label, predicted, match):
  with pytest.raises(ValueError, match=match):
    segmentation.confusion_matrix(np.array(label), np.array(predicted), 5)


def _loop(confusion):
  """The four measures, class by class, as Long et al. write them."""
  n, total = len(confusion), confusion.sum()
  ious, recalls, weighted = [], [], 0
  for i in range(n):
    actual = sum(confusion[i])
    union = actual + sum(confusion[:, i]) - confusion[i, i]
    if union:
      ious.append(confusion[i, i] / union)
      weighted += actual * ious[-1] / total
    if actual:
      recalls.append(confusion[i, i] / actual)
  return {
    'miou': sum(ious) / len(ious),
    'pixel_accuracy': sum(confusion[i, i] for i in range(n)) / total,
    'mean_accuracy': sum(recalls) / len(recalls),
    'frequency_weighted_iou': weighted,
  }


@pytest.mark.parametrize('seed', range(20))
def test_metrics(seed):
  random = np.random.RandomState(seed)
  confusion = random.randint(0, 100, (6, 6)) + np.diag([200] * 6)
  gone, unseen = random.permutation(6)[:2]
  confusion[gone] = 0  # never there: predicted for even seeds
  if seed % 2:
    confusion[:, gone] = 0
  confusion[:, unseen] = 0  # never predicted
  metrics = segmentation.metrics(confusion, boundary_f1=0.5, loss=1.25)
  assert list(metrics) == [
    'miou',
    'pixel_accuracy',
    'mean_accuracy',
    'frequency_weighted_iou',
    'boundary_f1',
    'loss',
  ]
  assert (metrics.pop('boundary_f1'), metrics.pop('loss')) == (0.5, 1.25)
  assert metrics == pytest.approx(_loop(confusion), rel=1e-12)


@pytest.mark.parametrize('ignore_label', [255, 0])
def test_miou_is_that_of_tf_metrics(graph, ignore_label):
  """With its weights 0 for ignored pixels, over two batches."""
  labels, predicted = (tf.placeholder(tf.int64, [None]) for _ in range(2))
  weights = tf.cast(tf.not_equal(labels, ignore_label), tf.float32)
  miou, update = tf.metrics.mean_iou(
    tf.where(weights > 0, labels, tf.zeros_like(labels)), predicted, 8, weights
  )
  total = 0
  with tf.Session() as session:
    session.run(tf.local_variables_initializer())
    for seed in range(2):
      logits, label = _random(seed, ignore_label=ignore_label)
      guess = np.where(label % 2, label % 5, logits.argmax(-1))
      session.run(update, {labels: label.ravel(), predicted: guess.ravel()})
      total += segmentation.confusion_matrix(label, guess, 8, ignore_label)
    want = session.run(miou)
  assert 0.1 < want < 0.9
  assert segmentation.metrics(total)['miou'] == pytest.approx(want, rel=1e-6)


def test_per_class():
  confusion = np.array([[6, 2, 1, 0], [0, 0, 4, 0], [0, 0, 0, 0], [0] * 4])
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    metrics = segmentation.per_class_iou(confusion)
    nothing = segmentation.metrics(0 * confusion)
  np.testing.assert_array_equal(metrics.pixels, [9, 4, 0, 0])
  np.testing.assert_allclose(metrics.iou, [6 / 9, 0, 0, NAN])
  np.testing.assert_allclose(metrics.precision, [1, 0, 0, NAN])
  np.testing.assert_allclose(metrics.recall, [6 / 9, 0, NAN, NAN])
  assert len(nothing) == 4 and np.isnan([*nothing.values()]).all()


def _slow_boundary_f1(label, predicted, ignore_label, tolerance):
  """Class by class, with distance transforms."""
  valid, scores = label != ignore_label, []

  def boundary(of, number):
    on = np.zeros(of.shape, bool)
    for y, x in np.argwhere((of == number) & valid):
      on[y, x] = any(
        0 <= a < of.shape[0]
        and 0 <= b < of.shape[1]
        and valid[a, b]
        and of[a, b] != number
        for a, b in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
      )
    return on

  for number in np.unique(label[valid]):
    true, found = boundary(label, number), boundary(predicted, number)
    if true.any() and found.any():
      precision, recall = (
        (ndimage.distance_transform_edt(~to)[at] <= tolerance).mean()
        for at, to in ((found, true), (true, found))
      )
      both = precision + recall
      scores.append(2 * precision * recall / both if both else 0)
    elif true.any() or found.any():
      scores.append(0)
  return np.mean(scores) if scores else NAN


@pytest.mark.parametrize('seed', range(16))
def test_boundary_f1(seed):
  random = np.random.RandomState(seed)
  ignore_label = (255, 0)[seed % 2]
  label = np.kron(
    random.randint(0, 4, random.randint(1, 7, 2)),
    np.ones([random.randint(1, 6)] * 2, int),
  )
  predicted = np.roll(label, random.randint(0, 4, 2), (0, 1))
  predicted[random.rand(*label.shape) < 0.02 * seed] = 4
  label[random.rand(*label.shape) < 0.1] = ignore_label
  for tolerance in 0, 1, 1.5, 2.9, 5:
    got = boundaries.boundary_f1(label, predicted, 5, ignore_label, tolerance)
    want = _slow_boundary_f1(label, predicted, ignore_label, tolerance)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_boundary_f1_of_a_moved_square():
  """0.75 % of the diagonal of 300 x 400 is 3.75 pixels."""
  label = np.zeros((300, 400), np.uint8)
  label[100:200, 100:200] = 20
  for shift, low, high in (0, 1, 1), (3, 1, 1), (4, 0.45, 0.55), (150, 0, 0.01):
    score = boundaries.boundary_f1(label, np.roll(label, shift, 1), 21)
    assert low <= score <= high, shift
  # Ignored pixels: what was ignored of the right edge was moved there.
  masked = label.copy()
  masked[:, 190:] = 255
  assert boundaries.boundary_f1(masked, np.roll(label, 9, 1), 21) < 0.9
  cut = label.copy()
  cut[:, 195:] = 0
  assert boundaries.boundary_f1(masked, cut, 21) == 1


def test_boundary_f1_without_boundaries():
  one, other = np.zeros((5, 6), int), np.ones((5, 6), int)
  assert np.isnan(boundaries.boundary_f1(one, one, 2))
  assert np.isnan(boundaries.boundary_f1(one, other, 2))
  assert np.isnan(boundaries.boundary_f1(one + 255, one, 2))
  half = one.copy()
  half[:, 3:] = 1
  assert boundaries.boundary_f1(half, one, 2) == 0
  assert boundaries.boundary_f1(one, half, 2) == 0
  with pytest.raises(ValueError, match=r'\(5, 6\) and the .*\(6, 5\); resize'):
    boundaries.boundary_f1(one, one.T, 2)


def test_auto_class_weights():
  """The median frequency by each, in what the images have or in all."""
  pixels = [600, 300, 90, 10, 0]
  raw = np.array([195 / 600, 195 / 300, 195 / 90, 10, 0])
  want = raw * 1000 / (raw @ pixels)
  got = segmentation.auto_class_weights(pixels)
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, want, rtol=1e-6)
  assert got @ pixels == pytest.approx(1000)  # of a mean of 1
  frequency = np.array([0.6, 0.6, 0.9, 0.2])
  raw = np.append(0.6 / frequency, 0)
  got = segmentation.auto_class_weights(pixels, [1000, 500, 100, 50, 0])
  np.testing.assert_allclose(got, raw * 1000 / (raw @ pixels), rtol=1e-6)


def test_auto_class_weights_are_limited():
  pixels = [10**9, 10**5, 10**5, 1]
  for largest, ratio in (10, 100), (2, 4), (1, 1):
    weights = segmentation.auto_class_weights(pixels, largest=largest)
    assert weights[3] / weights[0] == pytest.approx(ratio, rel=1e-5)
  np.testing.assert_array_equal(segmentation.auto_class_weights([0, 7]), [0, 1])


@pytest.mark.parametrize(
  'pixels, largest', [([0, 0], 10), ([1, -1], 10), ([1, 1], 0.5)]
)
def test_bad_counts(pixels, largest):
  with pytest.raises(ValueError, match='at least one pixel.*--verify'):
    segmentation.auto_class_weights(pixels, largest=largest)
