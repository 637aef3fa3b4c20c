"""Masks of images of any size, by windows, scales and mirror images."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.config.scripts import ClassifyConfig, EvalConfig, FilesConfig
from engine.model.build import build_dense
from metrics import segmentation

# What goes through the network at once: probabilities, and images.
_VALUES, _IMAGES = 1 << 24, 16
_OVERLAP = 1 / 3  # of a window with the next, at the least
_TINY = np.float32(1e-37)  # a probability whose logarithm is finite


class ScaledView(NamedTuple):
  """A way to look at an image.

  Fields:
    scale: its size over that of the image.
    mirrored: whether left and right are swapped.
  """

  scale: float = 1.0
  mirrored: bool = False


def views(scales: Sequence[float] | None, flip: bool) -> list[ScaledView]:
  """Returns the views that the flags --scales and --flip ask for."""
  return [
    ScaledView(*view)
    for view in itertools.product(scales or (1.0,), [False, True][: 1 + flip])
  ]


def starts(length: int, window: int) -> list[int]:
  """Returns where windows begin that overlap by a third, and cover a side.

  >>> starts(100, 60)
  [0, 40]
  """
  if length <= window:
    return [0]
  steps = math.ceil((length - window) / max(1, window * (1 - _OVERLAP)))
  return [round(i * (length - window) / steps) for i in range(steps + 1)]


class PredictedMasks(NamedTuple):
  """What is predicted of images of one size.

  Fields:
    classes: int32 [images, height, width].
    losses: float32 [images], the mean cross-entropy in nats of the pixels
      that are not ignored, 0 if there are none; None without labels.
    confidences: float32 [images, height, width], the probabilities of the
      classes; None without labels.
  """

  classes: np.ndarray
  losses: np.ndarray | None = None
  confidences: np.ndarray | None = None


def dense_logits(
  config: EvalConfig | FilesConfig, images: tf.Tensor, num_classes: int
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
  """Returns the logits of every pixel, and the end points of the network.

  An image is padded to a multiple of the output stride plus one, at its right
  and lower end and by the mean colour, which keeps features and pixels
  aligned; the logits are enlarged to its size.

  Args:
    config: complete.
    images: float32 [images, height, width, channels], preprocessed.
    num_classes: the number of classes.

  Returns:
    float32 [images, height, width, classes], and the end points.
  """
  size = images.shape.as_list()[1:3]
  if None in size:
    size = tf.unstack(tf.shape(images)[1:3])
  down, right = [(1 - side) % config.output_stride for side in size]
  height, width = size
  fits = isinstance(down, int) and down == right == 0
  if not fits:
    images = tf.pad(images, [[0, 0], [0, down], [0, right], [0, 0]])
  logits, end_points = build_dense(config, images, num_classes)
  logits = segmentation.resize_logits(logits, height + down, width + right)
  return logits if fits else logits[:, :height, :width], end_points


def at_size(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Returns a mask at another size: the nearest pixels, corners on corners.

  >>> at_size(np.array([[1, 2], [3, 4]]), (2, 3))
  array([[1, 2, 2],
         [3, 4, 4]])

  Args:
    mask: [height, width].
    size: the new height and width.
  """
  rows, columns = (
    np.floor(np.linspace(0, length - 1, new) + 0.5).astype(int)
    for length, new in zip(mask.shape, size, strict=True)
  )
  return mask[np.ix_(rows, columns)]


class DenseModel:
  """A network and its decoder in the current graph, for images of any size.

  See `dense_logits` for how a size is met.
  """

  def __init__(
    self,
    config: EvalConfig | ClassifyConfig,
    num_classes: int,
    looks: list[ScaledView],
    ignore_label: int = -1,
  ):
    """Builds the network.

    Args:
      config: complete, with an eval_crop_size.
      num_classes: the number of classes.
      looks: the views whose probabilities are averaged.
      ignore_label: of labels; -1 for none.
    """
    self._config, self._views = config, looks
    self._num_classes = num_classes
    self._crop = config.eval_crop_size
    channels = 1 if config.use_grayscale else 3
    self._images = tf.placeholder(tf.float32, [None, None, None, channels])
    self._size = tf.placeholder(tf.int32, [2])
    self._resized = tf.image.resize_bilinear(
      self._images, self._size, align_corners=True
    )
    logarithms = self._look(num_classes)
    self._probabilities = tf.exp(logarithms)
    self._found = tf.placeholder(tf.float32, [None, None, None, num_classes])
    self._enlarged = tf.image.resize_bilinear(
      self._found, self._size, align_corners=True
    )
    # The logarithm of the mean probabilities; of one view it has no limit.
    self._mean = tf.placeholder_with_default(
      logarithms, [None, None, None, num_classes]
    )
    self._classes = tf.argmax(self._mean, -1, output_type=tf.int32)
    self._confidences = tf.exp(tf.reduce_max(self._mean, -1))
    self._labels = tf.placeholder(tf.int32, [None, None, None])
    self._losses = self._cross_entropy(ignore_label)

  def _look(self, num_classes):
    return tf.nn.log_softmax(
      dense_logits(self._config, self._images, num_classes)[0]
    )

  def _cross_entropy(self, ignore_label):
    counts = tf.not_equal(self._labels, ignore_label)
    labels = tf.where(counts, self._labels, tf.zeros_like(self._labels))
    share = tf.gather(self._mean, labels, batch_dims=3, axis=3)
    losses = tf.where(counts, -share, tf.zeros_like(share))
    total = tf.reduce_sum(tf.cast(counts, tf.float32), [1, 2])
    return tf.reduce_sum(losses, [1, 2]) / tf.maximum(total, 1)

  def together(self, height: int, width: int) -> int:
    """Returns how many images of a size go through the network at once."""
    return self._config.batch_size or max(
      1, min(_IMAGES, _VALUES // (height * width * self._num_classes))
    )

  def _fits(self, height, width):
    return not self._crop or (
      height <= self._crop[0] and width <= self._crop[1]
    )

  def _windows(self, session, images):
    """Returns the mean probabilities over the windows of images."""
    height, width = images.shape[1:3]
    if self._crop is None or self._fits(height, width):
      return session.run(self._probabilities, {self._images: images})
    down, right = self._crop
    total = np.zeros((*images.shape[:3], self._found.shape[-1]), np.float32)
    count = np.zeros((height, width, 1), np.float32)
    for y, x in itertools.product(starts(height, down), starts(width, right)):
      place = np.s_[:, y : y + down, x : x + right]
      total[place] += session.run(
        self._probabilities, {self._images: images[place]}
      )
      count[place[1:]] += 1
    return total / count

  def _look_at(self, session, images, view):
    """Returns the probabilities that a view gives, at the images' size."""
    size = images.shape[1:3]
    scaled = [max(1, round(side * view.scale)) for side in size]
    if view.scale != 1:
      images = session.run(
        self._resized, {self._images: images, self._size: scaled}
      )
    if view.mirrored:
      images = images[:, :, ::-1]
    found = self._windows(session, images)
    if view.mirrored:
      found = found[:, :, ::-1]
    if view.scale != 1:
      found = session.run(
        self._enlarged, {self._found: found, self._size: size}
      )
    return found

  def predict(
    self,
    session: tf.Session,
    images: np.ndarray,
    labels: np.ndarray | None = None,
  ) -> PredictedMasks:
    """Returns the masks of images.

    Args:
      session: with the weights.
      images: float32 [images, height, width, channels], preprocessed.
      labels: int [images, height, width], for losses and confidences.
    """
    fetches, feeds = [self._classes], {self._images: images}
    if labels is not None:
      fetches += [self._losses, self._confidences]
      feeds[self._labels] = labels
    if self._views != [ScaledView()] or not self._fits(*images.shape[1:3]):
      feeds[self._mean] = np.log(
        sum(self._look_at(session, images, view) for view in self._views)
        / len(self._views)
        + _TINY
      )
    return PredictedMasks(*session.run(fetches, feeds))
