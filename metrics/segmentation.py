"""Dense classification: what is predicted of each pixel, and counted.

A pixel is valid if its label is not the ignore label, which may be one of the
classes (0 of ADE20K's) or none (255).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf


def accuracy(
  logits: tf.Tensor, labels: tf.Tensor, ignore_label: int = 255
) -> tf.Tensor:
  """Returns the share of valid pixels predicted right, float32; 0 of none.

  Args:
    logits: float32 [batch, height, width, classes].
    labels: int [batch, height, width], classes and the ignore label.
    ignore_label: marks the pixels that do not count.
  """
  labels = tf.cast(labels, tf.int32)
  valid = tf.not_equal(labels, ignore_label)
  hits = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels)
  count = tf.math.count_nonzero(valid, dtype=tf.float32)
  right = tf.math.count_nonzero(tf.logical_and(hits, valid), dtype=tf.float32)
  return right / tf.maximum(count, 1.0)


def resize_logits(
  logits: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
) -> tf.Tensor:
  """Resizes [batch, h, w, classes] bilinearly, the corners on the corners."""
  return tf.image.resize_bilinear(logits, [height, width], align_corners=True)


def resize_labels(
  labels: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
) -> tf.Tensor:
  """Resizes [batch, h, w] to the nearest pixel, the corners on the corners."""
  return tf.image.resize_nearest_neighbor(
    labels[..., None], [height, width], align_corners=True
  )[..., 0]


def confusion_matrix(
  labels: np.ndarray,
  predicted: np.ndarray,
  classes: int,
  ignore_label: int = 255,
) -> np.ndarray:
  """Counts valid pixels; [i, j] are those of label i predicted as j.

  Args:
    labels: int [...], classes and the ignore label.
    predicted: int of the same shape, in [0, classes).
    classes: their number.
    ignore_label: marks the pixels that do not count.

  Returns:
    int64 [classes, classes]; those of several images may be added up.

  Raises:
    ValueError: different shapes, or a number that is no class.
  """
  labels, predicted = np.asarray(labels), np.asarray(predicted)
  if labels.shape != predicted.shape:
    raise ValueError(
      f'The labels have the shape {labels.shape} and the predictions '
      f'{predicted.shape}; resize one to the other.'
    )
  valid = labels != ignore_label
  found = {'label': labels[valid], 'prediction': predicted[valid]}
  for what, values in found.items():
    if values.size and not 0 <= values.min() <= values.max() < classes:
      wrong = values.min() if values.min() < 0 else values.max()
      raise ValueError(
        f'A {what} is {wrong}, which is neither one of the {classes} '
        f'classes (0 to {classes - 1}) nor the ignore label '
        f'{ignore_label}. Verify the data with '
        'download_and_convert_data.py --verify.'
      )
  pairs = found['label'].astype(np.int64) * classes + found['prediction']
  return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class PerClass(NamedTuple):
  """Figures of each class, [classes].

  Fields:
    pixels: int64, how many are of the class.
    iou: float64 in [0, 1]: of the pixels that are of the class or were taken
      for it, the share that is both. NaN where there is none.
    precision: of what was taken for the class, the share that is of it. NaN
      where nothing was.
    recall: of what is of the class, the share that was taken for it: the
      accuracy of the class. NaN where nothing is.
  """

  pixels: np.ndarray
  iou: np.ndarray
  precision: np.ndarray
  recall: np.ndarray


def per_class_iou(confusion: np.ndarray) -> PerClass:
  """Returns the metrics of each class.

  Args:
    confusion: int [classes, classes], from `confusion_matrix`.
  """
  hits = confusion.diagonal().astype(float)
  actual, predicted = confusion.sum(1), confusion.sum(0)

  def share(of):
    return np.divide(hits, of, out=np.full_like(hits, np.nan), where=of > 0)

  return PerClass(
    actual, share(actual + predicted - hits), share(predicted), share(actual)
  )


def metrics(confusion: np.ndarray, **others: float) -> dict[str, float]:
  """Returns the four measures of Long et al., arXiv:1411.4038, section 5.

  A class that is neither in the labels nor predicted is left out of every
  mean, as tf.metrics.mean_iou does; one that is predicted and never there has
  an intersection over union of 0.

  Args:
    confusion: int [classes, classes], from `confusion_matrix`, of all images.
    **others: what else was measured, such as loss; it comes last.

  Returns:
    miou: the mean intersection over union of the classes.
    pixel_accuracy: the share of the pixels that is right.
    mean_accuracy: the mean over the classes that occur of the share of their
      pixels that is right.
    frequency_weighted_iou: the mean intersection over union of the classes,
      each weighted by its pixels.
    All are in [0, 1], and NaN if no pixel was counted.
  """
  of = per_class_iou(confusion)
  return {
    'miou': mean_of_known(of.iou),
    'pixel_accuracy': mean_of_known(of.recall, of.pixels),
    'mean_accuracy': mean_of_known(of.recall),
    'frequency_weighted_iou': mean_of_known(of.iou, of.pixels),
    **others,
  }


def mean_of_known(
  values: np.ndarray, weights: np.ndarray | None = None
) -> float:
  """Returns the mean of what is not NaN, or NaN if all is."""
  known = ~np.isnan(values)
  weights = np.ones(len(values)) if weights is None else weights
  total = weights[known].sum()
  return float(values[known] @ weights[known] / total) if total else np.nan


def auto_class_weights(
  pixels: Sequence[int],
  image_pixels: Sequence[int] | None = None,
  largest: float = 10.0,
) -> np.ndarray:
  """Returns class weights that make rare classes count as frequent ones.

  Median frequency balancing (Eigen and Fergus, arXiv:1411.4734): the median
  of the classes' frequencies by that of the class. That would weight a class
  of one pixel by millions, and one that is nearly everywhere by nearly 0; so
  it is kept within 1 / `largest` and `largest`. Then all are scaled such that
  the mean weight of the pixels is 1, and the learning rate keeps its meaning.

  Args:
    pixels: int [classes], how many are of each class in the training set.
    image_pixels: int [classes], how many valid pixels the images have in
      which the class occurs, for frequencies within those, as in the paper.
      None for those of the whole set, where a class in few images is rare.
    largest: at least 1.

  Returns:
    float32 [classes]; 0 for a class that does not occur.

  Raises:
    ValueError: no pixels, or arguments other than described.
  """
  pixels = np.asarray(pixels, np.float64)
  of = pixels.sum() if image_pixels is None else np.asarray(image_pixels)
  occurs = pixels > 0
  if not occurs.any() or (pixels < 0).any() or largest < 1:
    raise ValueError(
      f'Class weights need at least one pixel of a class, no negative '
      f'counts, and a largest of at least 1; the counts are '
      f'{pixels.astype(int).tolist()} and largest is {largest}. Verify the '
      'data with download_and_convert_data.py --verify.'
    )
  frequency = np.divide(pixels, of, out=np.zeros_like(pixels), where=occurs)
  weights = np.zeros_like(pixels)
  weights[occurs] = np.clip(
    np.median(frequency[occurs]) / frequency[occurs], 1 / largest, largest
  )
  return (weights * (pixels.sum() / (weights @ pixels))).astype(np.float32)
