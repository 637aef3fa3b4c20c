"""Losses and metrics of classification, against NumPy and sklearn."""

import warnings

import numpy as np
import pytest
import sklearn.metrics
import tensorflow.compat.v1 as tf

from engine.config import tasks
from metrics import classification


def _random(examples=50, classes=7, seed=0):
  random = np.random.RandomState(seed)
  return (
    random.normal(0, 3, (examples, classes)).astype(np.float32),
    random.randint(0, classes, examples),
  )


def _log_softmax(logits):
  logits = logits.astype(np.float64)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def _top_k(logits, labels, k):
  return classification.top_k(classification.outcomes(logits, labels), k)


def _metrics(logits, labels):
  found = classification.outcomes(logits, labels)
  return classification.metrics(found, logits.shape[-1])


def _confusion(logits, labels):
  found = classification.outcomes(logits, labels)
  return classification.confusion_matrix(found, logits.shape[-1])


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 1.0])
def test_loss(graph, smoothing):
  logits, labels = _random()
  target = np.eye(7)[labels] * (1 - smoothing) + smoothing / 7
  expected = -(target * _log_softmax(logits)).sum(-1).mean()
  loss = classification.loss(
    tf.constant(logits), tf.constant(labels), smoothing
  )
  assert loss.dtype == tf.float32 and loss.shape == ()
  with tf.Session() as session:
    assert session.run(loss) == pytest.approx(expected, rel=1e-6)
  assert tf.losses.get_losses() == []  # the caller adds it up


def test_accuracy(graph):
  logits = tf.constant([[0.0, 2, 1], [5, 0, 0], [1, 2, 3], [1, 1, 0]])
  with tf.Session() as session:
    for labels, expected in (
      ([1, 0, 2, 0], 1),
      ([1, 1, 2, 1], 0.5),
      ([0, 1, 1, 2], 0),
    ):
      value = session.run(
        classification.accuracy(logits, tf.constant(labels, tf.int64))
      )
      assert value == expected


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_loss_of_mixed_labels(graph, smoothing):
  logits, _ = _random()
  shares = np.random.RandomState(1).dirichlet(np.ones(7), 50).astype('f')
  target = shares * (1 - smoothing) + smoothing / 7
  expected = -(target * _log_softmax(logits)).sum(-1).mean()
  loss = classification.loss(
    tf.constant(logits), tf.constant(shares), smoothing
  )
  assert loss.dtype == tf.float32 and loss.shape == ()
  with tf.Session() as session:
    assert session.run(loss) == pytest.approx(expected, rel=1e-6)
  assert tf.losses.get_losses() == []


def test_one_hot_labels_are_those_of_integers(graph):
  logits, labels = _random()
  both = [
    (
      classification.loss(logits, each, 0.1),
      classification.accuracy(logits, each),
    )
    for logits in [tf.constant(logits)]
    for each in (tf.constant(labels), tf.one_hot(labels, 7))
  ]
  with tf.Session() as session:
    integers, one_hot = session.run(both)
  assert integers == one_hot and 0 < integers[1] < 1


def test_accuracy_of_mixed_labels(graph):
  """The largest share is the label."""
  logits = tf.constant([[0.0, 2, 1], [5, 0, 0], [1, 2, 3], [1, 1, 0]])
  shares = tf.constant(
    [[0.3, 0.4, 0.3], [0.2, 0, 0.8], [0.1, 0.2, 0.7], [0.5, 0.5, 0]]
  )
  with tf.Session() as session:
    assert session.run(classification.accuracy(logits, shares)) == 0.75


def test_cross_entropies():
  logits, labels = _random()
  before = logits.copy()
  found = classification.cross_entropies(logits, labels)
  assert found.dtype == np.float64
  np.testing.assert_allclose(
    found, -_log_softmax(logits)[np.arange(50), labels], rtol=1e-12
  )
  np.testing.assert_array_equal(logits, before)


def test_cross_entropies_of_large_logits():
  logits = np.array([[1e4, 0], [-1e4, 0], [0, np.inf], [np.nan, 0]], np.float32)
  with np.errstate(invalid='ignore'):
    found = classification.cross_entropies(logits, np.zeros(4, int))
  assert found[0] == 0 and found[1] == 1e4
  assert not np.isfinite(found[2:]).any()


def test_top_k():
  logits = np.array([[0.1, 0.4, 0.2, 0.3], [0.4, 0.3, 0.2, 0.1]], np.float32)
  for labels, shares in (
    ([1, 0], [1, 1, 1, 1]),
    ([2, 1], [0, 0.5, 1, 1]),
    ([0, 3], [0, 0, 0, 1]),
  ):
    assert [_top_k(logits, np.array(labels), k) for k in (1, 2, 3, 4)] == shares


def test_top_k_of_equal_logits():
  """The lower number is first, so a label is not right for being equal."""
  logits = np.array([[1, 2, 2, 2]] * 4, np.float32)
  labels = np.array([0, 1, 2, 3])
  assert [_top_k(logits, labels, k) for k in (1, 2, 3, 4)] == [
    0.25,
    0.5,
    0.75,
    1,
  ]
  constant = np.zeros((10, 10), np.float32)
  assert _top_k(constant, np.arange(10), 1) == 0.1
  assert _top_k(constant, np.arange(10), 5) == 0.5


def test_top_k_of_many_equal_logits():
  """Enough of them that a sort which is not stable would mix them up."""
  random = np.random.RandomState(0)
  logits = random.randint(0, 3, (300, 200)).astype(np.float32)
  labels = random.randint(0, 30, 300)
  first = [
    sorted(range(200), key=lambda i, row=row: (-row[i], i)) for row in logits
  ]
  for k in (1, 5, 20):
    assert _top_k(logits, labels, k) == np.mean(
      [label in row[:k] for label, row in zip(labels, first, strict=True)]
    )
  assert _top_k(logits, labels, 1) == np.mean(logits.argmax(-1) == labels)


@pytest.mark.parametrize('values', [2, 5, 1000])
def test_ranks_are_those_of_a_stable_sort(values):
  """Of ties, of infinity, of NaN, and of zeros of either sign."""
  random = np.random.RandomState(values)
  logits = random.randint(0, values, (400, 37)).astype(np.float32)
  for value in (np.nan, np.inf, -np.inf, -0.0):
    logits[random.rand(*logits.shape) < 0.1] = value
  logits[0] = np.nan
  labels = random.randint(0, 37, 400)
  order = np.argsort(-logits, axis=-1, kind='stable')
  expected = np.argmax(order == labels[:, None], axis=-1)
  found = classification.ranks(logits, labels)
  np.testing.assert_array_equal(found, expected)
  assert found.min() == 0 and found.max() > 30


def test_outcomes_are_those_of_any_batches():
  """Each is of its own logits: the same bits, however many come together."""
  logits, labels = _random(60, 11)
  whole = classification.outcomes(logits, labels)
  for size in (1, 7, 60):
    parts = [
      classification.outcomes(logits[i : i + size], labels[i : i + size])
      for i in range(0, 60, size)
    ]
    for name, *some in zip(whole._fields, *parts, strict=True):
      np.testing.assert_array_equal(
        np.concatenate(some), getattr(whole, name), name
      )
  np.testing.assert_array_equal(whole.labels, labels)
  np.testing.assert_array_equal(whole.predicted, logits.argmax(-1))
  np.testing.assert_array_equal(
    whole.losses, classification.cross_entropies(logits, labels)
  )
  np.testing.assert_array_equal(
    whole.confidences, classification.probabilities(logits, whole.predicted)
  )


def test_top_k_of_few_classes():
  logits, labels = _random(classes=3)
  assert _top_k(logits, labels, 5) == 1


def test_top_k_agrees_with_tensorflow(graph):
  logits, labels = _random(200, 20)
  with tf.Session() as session:
    for k in (1, 5):
      hits = session.run(tf.nn.in_top_k(logits, labels, k))
      assert _top_k(logits, labels, k) == hits.mean()


def test_metrics():
  logits, labels = _random(200, 20)
  labels[labels == 3] = 4  # a class that does not occur
  found = _metrics(logits, labels)
  order = np.argsort(-logits)
  occur = np.unique(labels)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    _, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
      labels, order[:, 0], labels=occur, average='macro'
    )
  assert len(occur) == 19
  assert found == {
    'examples': 200,
    'accuracy': np.mean(order[:, 0] == labels),
    'top_5_accuracy': np.mean(
      [label in row[:5] for label, row in zip(labels, order, strict=True)]
    ),
    'loss': pytest.approx(
      -_log_softmax(logits)[np.arange(200), labels].mean(), rel=1e-12
    ),
    'mean_recall': pytest.approx(recall, rel=1e-12),
    'mean_f1': pytest.approx(f1, rel=1e-12),
    'expected_calibration_error': pytest.approx(
      _calibration_error(logits, labels, 15), rel=1e-9
    ),
  }


def test_metrics_are_what_can_select():
  """A best checkpoint is told by one of them."""
  names = tasks.TASKS['classification'].metrics.keys()
  assert names <= _metrics(*_random()).keys()


def _calibration_error(logits, labels, bins):
  """Guo et al., equations 2, 3 and 5, literally."""
  shares = np.exp(_log_softmax(logits))
  confidence, predicted = shares.max(-1), shares.argmax(-1)
  total = 0
  for m in range(1, bins + 1):
    inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
    if inside.any():
      accuracy = np.mean(predicted[inside] == labels[inside])
      total += (
        inside.sum() / len(labels) * abs(accuracy - confidence[inside].mean())
      )
  return total


@pytest.mark.parametrize('bins', [1, 2, 15])
def test_calibration_error(bins):
  for seed in range(5):
    logits, labels = _random(100, 4, seed)
    found = classification.calibration_error(
      classification.outcomes(logits, labels), bins
    )
    assert found == pytest.approx(
      _calibration_error(logits, labels, bins), rel=1e-9
    )
    assert 0 < found < 1


def test_calibration_error_of_what_is_known():
  sure = np.array([[50, 0], [50, 0], [0, 50], [0, 50]], np.float32)

  def error(logits, labels):
    return classification.calibration_error(
      classification.outcomes(logits, labels)
    )

  assert error(sure, np.array([0, 0, 1, 1])) == pytest.approx(0, abs=1e-9)
  assert error(sure, np.array([1, 1, 0, 0])) == pytest.approx(1)
  assert error(sure, np.array([0, 1, 0, 1])) == pytest.approx(0.5)
  # 75 % sure, and right three times of four.
  honest = np.log(np.array([[3, 1]] * 4, np.float32))
  assert error(honest, np.array([0, 0, 0, 1])) == pytest.approx(0, abs=1e-7)


def test_probabilities():
  logits, labels = _random()
  np.testing.assert_allclose(
    classification.probabilities(logits, labels),
    np.exp(_log_softmax(logits))[np.arange(50), labels],
    rtol=1e-12,
  )


def test_worst_mistakes():
  logits, labels = _random(60, 3)
  losses = -_log_softmax(logits)[np.arange(60), labels]
  wrong = [i for i in np.argsort(-losses) if logits[i].argmax() != labels[i]]
  assert 10 < len(wrong) < 60
  found = classification.outcomes(logits, labels)
  for count in (1, 10, 60):
    assert classification.worst_mistakes(found, count).tolist() == wrong[:count]
  right = classification.outcomes(logits, logits.argmax(-1))
  assert classification.worst_mistakes(right, 10).tolist() == []


def test_metrics_of_nan():
  logits, labels = _random()
  logits[3, 2] = np.nan
  assert not np.isfinite(_metrics(logits, labels)['loss'])


@pytest.mark.parametrize('classes', [2, 7, 40])
def test_confusion_matrix(classes):
  logits, labels = _random(300, classes)
  expected = np.zeros((classes, classes), int)
  for row, label in zip(logits, labels, strict=True):
    expected[label, np.argmax(row)] += 1
  found = _confusion(logits, labels)
  np.testing.assert_array_equal(found, expected)
  assert found.sum() == 300


def test_per_class():
  """Class 3 has no examples, 5 is never predicted, 6 is neither."""
  logits, labels = _random(100, 7, seed=1)
  logits[:, 5:] = -100
  labels[np.isin(labels, (3, 6))] = 0
  labels[:4] = 5
  expected = sklearn.metrics.precision_recall_fscore_support(
    labels, logits.argmax(-1), labels=range(7), zero_division=0
  )
  found = classification.per_class(_confusion(logits, labels))
  np.testing.assert_allclose(found, expected[:3], rtol=1e-12)
