"""Classification: what is predicted, minimized and counted."""

from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from metrics import calibration


def loss(
  logits: tf.Tensor, labels: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
  """Returns the mean cross-entropy of a batch, without regularization.

  Args:
    logits: float32 [batch, classes].
    labels: int64 [batch], in [0, classes); or float32 [batch, classes], the
      share of each class.
    label_smoothing: the share of each label that is spread over all classes
      (Szegedy et al., arXiv:1512.00567, section 7).

  Returns:
    A float32 scalar.
  """
  onehot = labels
  if labels.dtype.is_integer:
    onehot = tf.one_hot(labels, logits.shape.as_list()[-1])
  return tf.losses.softmax_cross_entropy(
    onehot, logits, label_smoothing=label_smoothing, loss_collection=None
  )


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Returns the share of a batch whose label is ranked first, float32.

  Of mixed labels the largest counts; see `loss` for the arguments.
  """
  if not labels.dtype.is_integer:
    labels = tf.argmax(labels, -1)
  hits = tf.equal(tf.argmax(logits, -1), labels)
  return tf.reduce_mean(tf.cast(hits, tf.float32))


def _shifted(logits):
  """Returns logits below 0, float64, and the logarithm of their sum of exp."""
  logits = logits.astype(np.float64)
  logits -= logits.max(-1, keepdims=True)
  return logits, np.log(np.exp(logits).sum(-1))


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the loss of each example, float64 [examples]."""
  logits, total = _shifted(logits)
  return total - logits[np.arange(len(labels)), labels]


def probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the probability of each label, float64 [examples] in [0, 1]."""
  return np.exp(-cross_entropies(logits, labels))


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the places of labels, where all classes were sorted by logits.

  The largest is first, NaN is last. Among equal logits the lower class number
  is first, as for tf.argmax. Nothing is sorted.

  Args:
    logits: float [examples, classes].
    labels: int [examples].

  Returns:
    int64 [examples], 0 for the first place.
  """
  own = np.take_along_axis(logits, labels[:, None], -1)
  ahead, equal = logits > own, logits == own
  if (nameless := np.isnan(own[:, 0])).any():
    equal[nameless] = np.isnan(logits[nameless])
    ahead[nameless] = ~equal[nameless]
  equal &= np.arange(logits.shape[-1]) < labels[:, None]
  return np.count_nonzero(ahead, -1) + np.count_nonzero(equal, -1)


class Outcomes(NamedTuple):
  """What is kept of predictions: some numbers of each, whatever the classes.

  Fields:
    labels: int [examples], in [0, classes).
    predicted: int64 [examples], the class of the largest logit.
    ranks: int64 [examples], see `ranks`.
    losses: float64 [examples], see `cross_entropies`.
    confidences: float64 [examples], the probabilities of `predicted`.
  """

  labels: np.ndarray
  predicted: np.ndarray
  ranks: np.ndarray
  losses: np.ndarray
  confidences: np.ndarray


def outcomes(logits: np.ndarray, labels: np.ndarray) -> Outcomes:
  """Returns what is kept of the logits of a batch.

  Args:
    logits: float [examples, classes].
    labels: int [examples], in [0, classes).
  """
  shifted, total = _shifted(logits)
  rows, predicted = np.arange(len(labels)), logits.argmax(-1)
  return Outcomes(
    labels,
    predicted,
    ranks(logits, labels),
    total - shifted[rows, labels],
    np.exp(shifted[rows, predicted] - total),
  )


def top_k(found: Outcomes, k: int) -> float:
  """Returns the share of examples whose label is among the `k` first."""
  return float(np.mean(found.ranks < k))


def calibration_error(found: Outcomes, bins: int = calibration.BINS) -> float:
  """Returns by how much probabilities differ from how often they are right.

  The expected calibration error; see `calibration.error`.

  Args:
    found: what was predicted.
    bins: their number.

  Returns:
    The mean difference in [0, 1], each example counting once. Not finite
    where the logits are not.
  """
  hits = found.predicted == found.labels
  return calibration.error(
    calibration.tally(found.confidences, hits, bins=bins)
  )


def metrics(found: Outcomes, classes: int) -> dict[str, float | int]:
  """Returns the metrics of an evaluation.

  Args:
    found: what was predicted.
    classes: the number of classes.

  Returns:
    examples: their number.
    accuracy: the share whose label is ranked first, in [0, 1].
    top_5_accuracy: the share whose label is among the first five, in [0, 1].
    loss: the mean cross-entropy in nats, at least 0.
    mean_recall, mean_f1: the means of recall and of F1 over the classes that
      occur, in [0, 1].
    expected_calibration_error: see `calibration_error`, in [0, 1].
    Logits that are not finite give a non-finite loss.
  """
  confusion = confusion_matrix(found, classes)
  each, occurs = per_class(confusion), confusion.sum(1) > 0
  return {
    'examples': len(found.labels),
    'accuracy': top_k(found, 1),
    'top_5_accuracy': top_k(found, 5),
    'loss': float(found.losses.mean()),
    'mean_recall': float(each.recall[occurs].mean()),
    'mean_f1': float(each.f1[occurs].mean()),
    'expected_calibration_error': calibration_error(found),
  }


def confusion_matrix(found: Outcomes, classes: int) -> np.ndarray:
  """Returns int [classes, classes]; [i, j] counts label i predicted as j."""
  pairs = found.labels * classes + found.predicted
  return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class PerClass(NamedTuple):
  """Figures of each class, float64 [classes], in [0, 1]; 0 for 0 of 0.

  Fields:
    precision: of what was taken for the class, the share that is of it.
    recall: of what is of the class, the share that was taken for it.
    f1: their harmonic mean.
  """

  precision: np.ndarray
  recall: np.ndarray
  f1: np.ndarray


def per_class(confusion: np.ndarray) -> PerClass:
  """Returns the metrics of each class.

  Args:
    confusion: int [classes, classes], from `confusion_matrix`.
  """
  hits = confusion.diagonal().astype(float)
  actual, predicted = confusion.sum(1), confusion.sum(0)

  def share(part, of):
    return np.divide(part, of, out=np.zeros_like(hits), where=of > 0)

  return PerClass(
    share(hits, predicted),
    share(hits, actual),
    share(2 * hits, actual + predicted),
  )


def worst_mistakes(found: Outcomes, count: int) -> np.ndarray:
  """Returns the wrong predictions of the highest loss, the highest first.

  Args:
    found: what was predicted.
    count: how many, at most.

  Returns:
    int [n <= count], of the examples.
  """
  wrong = np.flatnonzero(found.predicted != found.labels)
  order = np.argsort(-found.losses[wrong], kind='stable')
  return wrong[order[:count]]
