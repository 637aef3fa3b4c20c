"""Classification: what is predicted, minimized, counted and drawn."""
import csv
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf


def loss(logits: tf.Tensor, labels: tf.Tensor,
         label_smoothing: float = 0.0) -> tf.Tensor:
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
      onehot, logits, label_smoothing=label_smoothing, loss_collection=None)


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Returns the share of a batch whose label is ranked first, float32.

  Of mixed labels the largest counts; see `loss` for the arguments.
  """
  if not labels.dtype.is_integer:
    labels = tf.argmax(labels, -1)
  hits = tf.equal(tf.argmax(logits, -1), labels)
  return tf.reduce_mean(tf.cast(hits, tf.float32))


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns the loss of each example, float64 [examples]."""
  logits = logits.astype(np.float64)
  logits -= logits.max(-1, keepdims=True)
  return (np.log(np.exp(logits).sum(-1))
          - logits[np.arange(len(labels)), labels])


def top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
  """Returns the share of examples whose label is among the `k` first.

  Among equal logits the lower class number is first, as for tf.argmax.
  """
  order = np.argsort(-logits, axis=-1, kind='stable')[:, :k]
  return float(np.mean(np.any(order == labels[:, None], axis=-1)))


def metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | int]:
  """Returns the figures of an evaluation.

  Args:
    logits: float [examples, classes].
    labels: int [examples].

  Returns:
    examples (their number), accuracy and top_5_accuracy in [0, 1], and loss,
    the mean cross-entropy in nats. Logits that are not finite give a
    non-finite loss.
  """
  return {
      'examples': len(labels),
      'accuracy': top_k(logits, labels, 1),
      'top_5_accuracy': top_k(logits, labels, 5),
      'loss': float(cross_entropies(logits, labels).mean()),
  }


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Returns int [classes, classes]; [i, j] counts label i predicted as j."""
  classes = logits.shape[-1]
  pairs = labels * classes + logits.argmax(-1)
  return np.bincount(pairs, minlength=classes ** 2).reshape(classes, classes)


def write_per_class(path: str | pathlib.Path, confusion: np.ndarray,
                    names: Sequence[str], labels_offset: int = 0) -> None:
  """Writes a line a class: label, name, examples, precision, recall, f1.

  Args:
    path: the CSV file.
    confusion: int [classes, classes], from `confusion_matrix`.
    names: the classes' names.
    labels_offset: what the labels in the data were lowered by.
  """
  hits = confusion.diagonal().astype(float)
  actual, predicted = confusion.sum(1), confusion.sum(0)

  def share(of):
    return np.divide(hits, of, out=np.zeros_like(hits), where=of > 0)

  precision, recall = share(predicted), share(actual)
  f1 = np.divide(2 * hits, actual + predicted, out=np.zeros_like(hits),
                 where=actual + predicted > 0)
  with open(path, 'w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow(['label', 'name', 'examples', 'precision', 'recall', 'f1'])
    for i, name in enumerate(names):
      writer.writerow([i + labels_offset, name, actual[i],
                       *(f'{row[i]:.6f}' for row in
                         (precision, recall, f1))])


def draw_confusion_matrix(path: str | pathlib.Path, confusion: np.ndarray,
                          names: Sequence[str]) -> None:
  """Draws the confusion matrix as a PNG, each row in shares of its class."""
  from matplotlib import figure
  classes = len(names)
  side = min(max(5.0, 0.45 * classes + 2.5), 16.0)
  fig = figure.Figure(figsize=(side, side), layout='constrained')
  axes = fig.subplots()
  totals = np.maximum(confusion.sum(1, keepdims=True), 1)
  picture = axes.imshow(confusion / totals, cmap='Blues', vmin=0, vmax=1)
  hits = confusion.trace() / max(confusion.sum(), 1)
  axes.set(xlabel='predicted', ylabel='actual',
           title=f'{confusion.sum()} examples, {hits:.2%} correct')
  fig.colorbar(picture, ax=axes, shrink=0.8, label='share of the actual class')
  if classes <= 30:
    # A $ in a name is no mathematics.
    axes.set_xticks(range(classes), names, rotation=60, ha='right',
                    parse_math=False)
    axes.set_yticks(range(classes), names, parse_math=False)
    for i, j in np.argwhere(confusion):
      dark = confusion[i, j] > totals[i, 0] / 2
      axes.text(j, i, str(confusion[i, j]), ha='center', va='center',
                color='white' if dark else 'black')
  fig.savefig(path, dpi=100)
