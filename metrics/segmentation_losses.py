"""Dense losses: what is minimized over the pixels of a batch.

A pixel counts if its label is not the ignore label and its class has no weight
of 0. Of logits that are NaN every loss is NaN; without a pixel that counts it
is 0, and so are its gradients.

  [1] Milletari, Navab, Ahmadi: V-Net. arXiv:1606.04797, 2016 (Dice)
  [2] Sudre, Li, Vercauteren, Ourselin, Cardoso: Generalised Dice overlap as a
      deep learning loss function for highly unbalanced segmentations.
      arXiv:1707.03237, 2017
  [3] Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss.
      arXiv:1705.08790, 2018
  [4] Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection.
      arXiv:1708.02002, 2017
  [5] Shrivastava, Gupta, Girshick: Training Region-based Object Detectors with
      Online Hard Example Mining. arXiv:1604.03540, 2016

All take these arguments:

  logits: float32 [batch, height, width, classes].
  labels: int [batch, height, width], classes and the ignore label.
  ignore_label: marks pixels that do not count.
  class_weights: [classes], at least 0; None for 1 each.

They return a float32 scalar, without regularization, or raise ValueError for
arguments other than described. A label that is no class is an
InvalidArgumentError of the graph.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

_TINY = 1e-37  # whose powers below 0 have finite products with 0


def cross_entropy(
  logits: tf.Tensor,
  labels: tf.Tensor,
  ignore_label: int = 255,
  class_weights: Sequence[float] | None = None,
  top_k_percent: Any = 1.0,
) -> tf.Tensor:
  """Returns the mean cross-entropy of the pixels that count.

  Each pixel's is weighted by its class, and their sum is divided by their
  number, as DeepLab's. Only the hardest may count [5]: those of the highest
  weighted cross-entropy.

  Args:
    logits: see above.
    labels: see above.
    ignore_label: see above.
    class_weights: see above.
    top_k_percent: the part of the pixels that counts, in (0, 1], for all
      images of the batch together; a number or a float32 scalar, such as
      `mined_share`. At least one pixel counts.
  """
  weights, labels = _pixel_weights(logits, labels, ignore_label, class_weights)
  return _mean(
    weights * _cross_entropies(logits, labels), weights, top_k_percent
  )


def focal(
  logits: tf.Tensor,
  labels: tf.Tensor,
  ignore_label: int = 255,
  class_weights: Sequence[float] | None = None,
  top_k_percent: Any = 1.0,
  gamma: float = 2.0,
) -> tf.Tensor:
  """Returns the focal loss [4]: cross-entropy that easy pixels hardly add to.

  A pixel's cross-entropy is multiplied by (1 - p) ** gamma, where p is the
  probability of its class. The rest is as in `cross_entropy`, the mean over
  the pixels too; class weights are the alpha of [4].

  Args:
    logits: see above.
    labels: see above.
    ignore_label: see above.
    class_weights: see above.
    top_k_percent: see `cross_entropy`; the hardest are those of the highest
      weighted focal loss.
    gamma: at least 0; 0 is cross-entropy.
  """
  weights, labels = _pixel_weights(logits, labels, ignore_label, class_weights)
  losses = _cross_entropies(logits, labels)
  missed = tf.maximum(-tf.math.expm1(-losses), _TINY)
  return _mean(weights * missed**gamma * losses, weights, top_k_percent)


def dice(
  logits: tf.Tensor,
  labels: tf.Tensor,
  ignore_label: int = 255,
  class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
  """Returns the soft Dice loss of the classes that are in the labels.

  That of a class is 1 - 2 sum(p g) / (sum(p^2) + sum(g)) over all pixels of
  the batch that count ([1], section 3), where p is its probability and g
  whether it is the pixel's. Their mean is weighted by the class weights, and
  leaves out classes that no pixel has, for which any p gives 1. Other than in
  [2] it is of each class by itself, whatever its size.

  Args:
    logits: see above.
    labels: see above.
    ignore_label: see above.
    class_weights: see above.
  """
  counts, truth = _one_hot(logits, labels, ignore_label, class_weights)
  shares = tf.nn.softmax(logits) * counts
  pixels = tf.reduce_sum(truth, [0, 1, 2])
  overlaps = tf.reduce_sum(shares * truth, [0, 1, 2])
  sizes = tf.reduce_sum(shares**2, [0, 1, 2]) + pixels
  losses = 1.0 - 2.0 * overlaps / tf.maximum(sizes, 1.0)
  return _mean_of_classes(losses, pixels, class_weights)


def lovasz_softmax(
  logits: tf.Tensor,
  labels: tf.Tensor,
  ignore_label: int = 255,
  class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
  """Returns the Lovász-Softmax loss [3] of the classes in the labels.

  That of a class is the Lovász extension of 1 - IoU at the errors |g - p| of
  all pixels of the batch that count: the errors in falling order, each times
  what its pixel adds to 1 - IoU when it is wrong beside those before it. The
  mean over the classes is that of `dice`.

  Args:
    logits: see above.
    labels: see above.
    ignore_label: see above.
    class_weights: see above.
  """
  counts, truth = _one_hot(logits, labels, ignore_label, class_weights)
  errors = tf.abs(truth - tf.nn.softmax(logits)) * counts
  # Behind all others, pixels that do not count change nothing.
  order = tf.argsort(
    _by_class(tf.stop_gradient(errors) + (counts - 1.0)), direction='DESCENDING'
  )
  hits = tf.gather(tf.cast(_by_class(truth), tf.int32), order, batch_dims=1)
  seen = tf.cumsum(hits, axis=1)
  pixels = seen[:, -1:]
  number = tf.range(1, tf.shape(order)[1] + 1)
  overlap = tf.cast(pixels - seen, tf.float32)
  union = tf.cast(pixels + number - seen, tf.float32)
  # Of a pixel of the class the overlap loses 1; of another the union gains 1.
  added = tf.where(
    hits > 0, 1.0 / union, overlap / (union * tf.maximum(union - 1.0, 1.0))
  )
  losses = tf.reduce_sum(
    tf.gather(_by_class(errors), order, batch_dims=1) * added, 1
  )
  return _mean_of_classes(losses, pixels[:, 0], class_weights)


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


def _check_share(share):
  if not 0 < share <= 1:
    raise ValueError(
      f'top_k_percent is {share}; it is the part of the pixels that counts '
      'and must be above 0 and at most 1, such as 0.25 for a quarter.'
    )


def _checked_weights(class_weights, classes):
  """Returns float32 [classes]."""
  if class_weights is None:
    return np.ones(classes, np.float32)
  values = np.asarray(class_weights, np.float32)
  if values.shape != (classes,) or not (values >= 0).all():
    raise ValueError(
      f'class_weights are {values.tolist()}; there must be one for each of '
      f'the {classes} classes, and none may be negative.'
    )
  return values


def _pixel_weights(logits, labels, ignore_label, class_weights):
  """Returns float32 weights, and labels of which none is the ignore label."""
  classes = logits.shape.as_list()[-1]
  labels = tf.cast(labels, tf.int32)
  valid = tf.not_equal(labels, ignore_label)
  labels = tf.where(valid, labels, tf.zeros_like(labels))
  weights = tf.cast(valid, tf.float32)
  if class_weights is None:
    return weights, labels
  # A label that is no class is found by others.
  return weights * tf.gather(
    _checked_weights(class_weights, classes),
    tf.clip_by_value(labels, 0, classes - 1),
  ), labels


def _cross_entropies(logits, labels):
  return tf.nn.sparse_softmax_cross_entropy_with_logits(
    labels=labels, logits=logits
  )


def _mean(losses, weights, top_k_percent):
  """Returns the mean of weighted losses, or of the highest of them."""
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


def _one_hot(logits, labels, ignore_label, class_weights):
  """Returns which pixels count, and the class of those, as numbers 0 and 1.

  Returns:
    float32 [batch, height, width, 1] and [batch, height, width, classes].
  """
  classes = logits.shape.as_list()[-1]
  weights, labels = _pixel_weights(logits, labels, ignore_label, class_weights)
  lowest, highest = tf.reduce_min(labels), tf.reduce_max(labels)
  known = tf.debugging.Assert(
    tf.logical_and(lowest >= 0, highest < classes),
    [f'Labels of {classes} classes are from', lowest, 'to', highest],
  )
  with tf.control_dependencies([known]):
    counts = tf.cast(weights > 0, tf.float32)[..., None]
  return counts, counts * tf.one_hot(labels, classes)


def _by_class(values):
  """Makes [classes, pixels] of [batch, height, width, classes]."""
  return tf.transpose(tf.reshape(values, [-1, values.shape.as_list()[-1]]))


def _mean_of_classes(losses, pixels, class_weights):
  """Returns the weighted mean of the classes that have pixels; 0 of none."""
  values = _checked_weights(class_weights, losses.shape.as_list()[0])
  weights = values * tf.cast(pixels > 0, tf.float32)
  total = tf.reduce_sum(weights)
  return tf.reduce_sum(weights * losses) / tf.where(
    total > 0, total, tf.ones_like(total)
  )
