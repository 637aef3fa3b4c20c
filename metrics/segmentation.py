"""Dense classification: what is predicted of each pixel, minimized, counted.

A pixel is valid if its label is not the ignore label, which may be one of the
classes (0 of ADE20K's) or none (255).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf


def loss(
  logits: tf.Tensor,
  labels: tf.Tensor,
  ignore_label: int = 255,
  class_weights: Sequence[float] | None = None,
  top_k_percent: Any = 1.0,
) -> tf.Tensor:
  """Returns the mean cross-entropy of valid pixels, without regularization.

  Each pixel's is weighted by its class, and their sum is divided by the
  number of pixels whose weight is not 0, as DeepLab's. Only the hardest may
  count (Shrivastava et al., arXiv:1604.03540): those of the highest weighted
  cross-entropy.

  Args:
    logits: float32 [batch, height, width, classes].
    labels: int [batch, height, width], classes and the ignore label.
    ignore_label: marks the pixels that do not count.
    class_weights: [classes], at least 0; None for 1 each.
    top_k_percent: the part of the valid pixels that counts, in (0, 1], for
      all images of the batch together; a number or a float32 scalar, such as
      `mined_share`. At least one pixel counts.

  Returns:
    A float32 scalar. Without a valid pixel it is 0, as are its gradients; of
    logits that are NaN it is NaN.

  Raises:
    ValueError: `class_weights` or `top_k_percent` other than described.
  """
  weights, labels = _pixel_weights(
    labels, ignore_label, class_weights, logits.shape.as_list()[-1]
  )
  losses = weights * tf.nn.sparse_softmax_cross_entropy_with_logits(
    labels=labels, logits=logits
  )
  count = tf.math.count_nonzero(weights, dtype=tf.float32)
  mean = tf.reduce_sum(losses) / tf.maximum(count, 1.0)
  if not tf.is_tensor(top_k_percent):
    _check_share(top_k_percent)
    if top_k_percent == 1:
      return mean
  kept = tf.maximum(tf.rint(top_k_percent * count), 1.0)
  hardest = tf.nn.top_k(
    tf.reshape(losses, [-1]), tf.cast(kept, tf.int32), sorted=False
  ).values
  # Where NaN is in the order of numbers is anybody's guess.
  return tf.where(tf.is_nan(mean), mean, tf.reduce_sum(hardest) / kept)


def _check_share(share):
  if not 0 < share <= 1:
    raise ValueError(
      f'top_k_percent is {share}; it is the part of the pixels that counts '
      'and must be above 0 and at most 1, such as 0.25 for a quarter.'
    )


def _pixel_weights(labels, ignore_label, class_weights, classes):
  """Returns float32 weights, and labels of which none is the ignore label."""
  labels = tf.cast(labels, tf.int32)
  valid = tf.not_equal(labels, ignore_label)
  labels = tf.where(valid, labels, tf.zeros_like(labels))
  weights = tf.cast(valid, tf.float32)
  if class_weights is None:
    return weights, labels
  values = np.asarray(class_weights, np.float32)
  if values.shape != (classes,) or not (values >= 0).all():
    raise ValueError(
      f'class_weights are {values.tolist()}; there must be one for each of '
      f'the {classes} classes, and none may be negative.'
    )
  # A label that is no class is an error of the cross-entropy's.
  return weights * tf.gather(
    values, tf.clip_by_value(labels, 0, classes - 1)
  ), labels


def mined_share(
  step: tf.Tensor, top_k_percent: float, hard_example_mining_step: int
) -> tf.Tensor | float:
  """Returns what part of the pixels counts at a step, as DeepLab does.

  Args:
    step: int scalar, the global step.
    top_k_percent: the part in the end, in (0, 1].
    hard_example_mining_step: until this step the part falls from 1 in a
      straight line; 0 to begin with the last part.

  Returns:
    A float32 scalar, or `top_k_percent` itself where nothing changes.

  Raises:
    ValueError: a part or a step other than described.
  """
  _check_share(top_k_percent)
  if hard_example_mining_step < 0:
    raise ValueError(
      f'hard_example_mining_step is {hard_example_mining_step}; it is a '
      'number of steps and must be 0 or more.'
    )
  if top_k_percent == 1 or not hard_example_mining_step:
    return top_k_percent
  done = tf.minimum(tf.cast(step, tf.float32) / hard_example_mining_step, 1.0)
  return 1.0 - done * (1.0 - top_k_percent)


def accuracy(
  logits: tf.Tensor, labels: tf.Tensor, ignore_label: int = 255
) -> tf.Tensor:
  """Returns the share of valid pixels predicted right, float32; 0 of none.

  See `loss` for the arguments.
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
    'miou': _mean(of.iou),
    'pixel_accuracy': _mean(of.recall, of.pixels),
    'mean_accuracy': _mean(of.recall),
    'frequency_weighted_iou': _mean(of.iou, of.pixels),
    **others,
  }


def _mean(values, weights=None):
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
