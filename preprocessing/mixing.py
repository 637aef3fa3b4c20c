"""Random erasing, mixup and CutMix: what comes after a recipe.

`random_erasing` takes one preprocessed image; `mixup` and `cutmix` take a
batch with its labels. Each image is mixed with the next of the batch, the last
with the first. Reversing the batch instead would make every pair twice, and
mix the middle image of an odd batch with itself.
"""

import functools
import math
from typing import Any

import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils


def random_erasing(
  image: tf.Tensor,
  seed: Any = None,
  probability: float = 0.25,
  area_range: tuple[float, float] = (0.02, 1 / 3),
  aspect_ratio_range: tuple[float, float] = (0.3, 3.3),
  value: Any = 0.0,
) -> tf.Tensor:
  """Erases a random rectangle of some images.

  Zhong et al., Random Erasing Data Augmentation,
  https://arxiv.org/abs/1708.04896. A rectangle that is longer than the
  image is clipped to its side, and so has less area than was drawn; the
  paper draws again instead. The place is uniform.

  Args:
    image: float32 [height, width, C], preprocessed.
    seed: None or int [2]; the output is a function of it and the image.
    probability: of erasing anything, in [0, 1].
    area_range: least and largest part of the image's area, in [0, 1].
    aspect_ratio_range: least and largest height / width; its logarithm is
      drawn uniformly, so that a ratio and its inverse are equally likely.
    value: what to put there, a number or a colour [C]. 0 is the mean of 'vgg'
      and 'cifar' images, and mid-grey of 'inception'. None is normal noise
      with the mean and the deviation of each channel of the image.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: an image, a seed or an option other than described.
  """
  image = tf.convert_to_tensor(image)
  if image.dtype != tf.float32 or image.shape.rank != 3:
    raise ValueError(
      f'Random erasing takes one float32 image [height, width, C] and got '
      f'{image.dtype.name} {image.shape}. Call it after the preprocessing '
      'and before the batches.'
    )
  _check_erasing(probability, area_range, aspect_ratio_range)
  seed = utils.as_seed(seed)

  def erase():
    window = _sample_erased(
      tf.shape(image), seed, area_range, aspect_ratio_range
    )
    shape = tf.concat([window[2:], tf.shape(image)[2:]], 0)
    patch = (
      _noise(image, seed, shape)
      if value is None
      else tf.broadcast_to(tf.cast(value, tf.float32), shape)
    )
    return _replace(image[None], patch[None], window)[0]

  output = tf.cond(
    utils.draw(seed, 'erasing/apply') < probability,
    erase,
    lambda: tf.identity(image),
  )
  output.set_shape(image.shape)
  return output


def mixup(
  images: tf.Tensor, labels: tf.Tensor, seed: Any = None, alpha: float = 0.2
) -> tuple[tf.Tensor, tf.Tensor]:
  """Replaces each image and label by a weighted mean with its neighbour's.

  Zhang et al., mixup: Beyond Empirical Risk Minimization,
  https://arxiv.org/abs/1710.09412. The weight is drawn from Beta(alpha,
  alpha), one for the batch.

  Args:
    images: float [batch, height, width, C].
    labels: float [batch, classes], one-hot or soft.
    seed: None or int [2]; the output is a function of it and the batch.
    alpha: above 0; the smaller, the more weights are near 0 or 1.

  Returns:
    Images and labels of the same shapes and dtypes. A batch of one comes back
    as it is.

  >>> images = tf.zeros([4, 32, 32, 3])
  >>> mixed, shares = mixup(images, tf.one_hot([0, 1, 2, 1], 3), seed=[0, 1])
  >>> mixed.shape.as_list(), shares.shape.as_list()
  ([4, 32, 32, 3], [4, 3])

  Raises:
    ValueError: a batch, a seed or an alpha other than described.
  """
  images, labels = _check_batch(images, labels, alpha)
  kept = _draw_beta(utils.as_seed(seed), 'mixup', alpha)
  return _mix(images, kept), _mix(labels, kept)


def cutmix(
  images: tf.Tensor, labels: tf.Tensor, seed: Any = None, alpha: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
  """Replaces a rectangle of each image by that of its neighbour.

  Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with
  Localizable Features, https://arxiv.org/abs/1905.04899. The rectangle has
  the image's aspect and a part of its area that is drawn from Beta(alpha,
  alpha), one for the batch. As in the paper its centre is uniform in the
  image, and what lies outside of the image is cut off. Labels are mixed by the
  area that is left, counted in pixels.

  Args:
    images: float [batch, height, width, C].
    labels: float [batch, classes], one-hot or soft.
    seed: None or int [2]; the output is a function of it and the batch.
    alpha: above 0; with 1 the area is uniform.

  Returns:
    Images and labels of the same shapes and dtypes. A batch of one comes back
    as it is.

  Raises:
    ValueError: a batch, a seed or an alpha other than described.
  """
  images, labels = _check_batch(images, labels, alpha)
  seed, shape = utils.as_seed(seed), tf.shape(images)[1:]
  part = 1.0 - _draw_beta(seed, 'cutmix', alpha)
  start, stop = [], []
  for axis, name in enumerate('yx'):
    length = tf.cast(shape[axis], tf.float64) * tf.sqrt(part)
    length = tf.cast(tf.rint(length), tf.int32)
    first = (
      utils.draw(seed, f'cutmix/{name}', 0, shape[axis], tf.int32) - length // 2
    )
    start.append(tf.maximum(first, 0))
    stop.append(tf.minimum(first + length, shape[axis]))
  window = tf.stack([*start, stop[0] - start[0], stop[1] - start[1]])
  kept = 1.0 - tf.cast(window[2] * window[3], tf.float64) / tf.cast(
    shape[0] * shape[1], tf.float64
  )
  patches = tf.roll(_cut(images, window), -1, 0)
  return _replace(images, patches, window), _mix(labels, kept)


def mix(
  images: tf.Tensor,
  labels: tf.Tensor,
  seed: Any,
  mixup_alpha: float = 0.0,
  cutmix_alpha: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Applies `mixup` or `cutmix`; of both, each with a probability of 1/2.

  Args:
    images: float [batch, height, width, C].
    labels: float [batch, classes], one-hot or soft.
    seed: None or int [2]; the output is a function of it and the batch.
    mixup_alpha: of `mixup`, 0 for none.
    cutmix_alpha: of `cutmix`, 0 for none.

  Returns:
    Images and labels of the same shapes and dtypes.
  """
  seed = utils.as_seed(seed)
  chosen = [
    functools.partial(function, images, labels, seed, alpha)
    for function, alpha in ((mixup, mixup_alpha), (cutmix, cutmix_alpha))
    if alpha
  ]
  if len(chosen) == 2:
    return tf.cond(utils.draw(seed, 'mix') < 0.5, *chosen)
  return chosen[0]() if chosen else (images, labels)


def _check_erasing(probability, area_range, aspect_ratio_range):
  if not 0 <= probability <= 1:
    raise ValueError(
      f'probability is {probability}; it is that of erasing a part of an '
      'image and must be from 0 to 1.'
    )
  if not 0 <= area_range[0] <= area_range[1] <= 1:
    raise ValueError(
      f'area_range is {tuple(area_range)}; it must be the least and the '
      'largest part of the area, from 0 to 1 and in this order.'
    )
  if not 0 < aspect_ratio_range[0] <= aspect_ratio_range[1] < math.inf:
    raise ValueError(
      f'aspect_ratio_range is {tuple(aspect_ratio_range)}; it must be the '
      'least and the largest height / width, above 0 and in this order.'
    )


def _check_batch(images, labels, alpha):
  """Returns both as tensors."""
  if not 0 < alpha < math.inf:
    raise ValueError(
      f'alpha is {alpha}; it shapes Beta(alpha, alpha), from which the '
      'weight is drawn, and must be above 0. To mix nothing, leave the '
      'call out.'
    )
  images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
  if not images.dtype.is_floating or images.shape.rank != 4:
    raise ValueError(
      'Mixing takes float images [batch, height, width, C] and got '
      f'{images.dtype.name} {images.shape}. Call it after the batches.'
    )
  if not labels.dtype.is_floating or labels.shape.rank != 2:
    raise ValueError(
      'Mixing takes float labels [batch, classes] and got '
      f'{labels.dtype.name} {labels.shape}. Pass tf.one_hot(labels, '
      'classes): class numbers have no mean.'
    )
  return images, labels


def _sample_erased(shape, seed, area_range, aspect_ratio_range):
  """Returns the window int32 [4], (y, x, height, width), in the image."""
  area = utils.draw(seed, 'erasing/area', *area_range)
  aspect = tf.exp(
    utils.draw(seed, 'erasing/aspect', *map(math.log, aspect_ratio_range))
  )
  area *= tf.cast(shape[0], tf.float32) * tf.cast(shape[1], tf.float32)
  size = tf.sqrt(tf.stack([area * aspect, area / aspect]))
  size = tf.minimum(tf.cast(tf.rint(size), tf.int32), shape[:2])
  free = shape[:2] - size + 1
  # Not utils.place_window: its draws may place the crop of the same image.
  y = utils.draw(seed, 'erasing/y', 0, free[0], tf.int32)
  x = utils.draw(seed, 'erasing/x', 0, free[1], tf.int32)
  return tf.stack([y, x, size[0], size[1]])


def _noise(image, seed, shape):
  mean, variance = tf.nn.moments(image, [0, 1])
  noise = tf.random.stateless_normal(shape, _subseed(seed, 'erasing/noise'))
  return mean + noise * tf.sqrt(variance)


def _cut(images, window):
  """Returns the window, (y, x, height, width), of [batch, h, w, C]."""
  y, x, height, width = tf.unstack(window)
  return images[:, y : y + height, x : x + width]


def _replace(images, patches, window):
  """Returns [batch, h, w, C] with `patches` in the window."""
  # Copies only: much faster than tf.where with a mask that is broadcast.
  y, x, height, width = tf.unstack(window)
  band = images[:, y : y + height]
  band = tf.concat([band[:, :, :x], patches, band[:, :, x + width :]], 2)
  output = tf.concat([images[:, :y], band, images[:, y + height :]], 1)
  output.set_shape(images.shape)
  return output


def _mix(x, kept):
  """Returns kept * x + (1 - kept) * neighbours, x itself in a batch of one."""
  part = tf.cast(1.0 - kept, x.dtype)
  return x + part * (tf.roll(x, -1, 0) - x)


def _draw_beta(seed, name, alpha):
  """Returns the float64 scalar in [0, 1] from Beta(alpha, alpha)."""
  first, second = (
    _log_gamma_variate(seed, f'{name}/{i}', alpha) for i in range(2)
  )
  # G / (G + H), from logarithms.
  return tf.sigmoid(first - second)


def _log_gamma_variate(seed, name, alpha):
  """Returns the logarithm of a draw from Gamma(alpha).

  For small alpha the draw itself is often below the smallest float, and two
  such have no ratio. Gamma(alpha + 1) * U^(1 / alpha) is distributed as
  Gamma(alpha), and its logarithm is moderate.
  """
  gamma = tf.random.stateless_gamma(
    [], _subseed(seed, f'{name}/gamma'), alpha + 1.0, dtype=tf.float64
  )
  uniform = utils.draw(seed, f'{name}/uniform', dtype=tf.float64)
  # The draw is in [0, 1), and 0 has no logarithm.
  return tf.log(gamma) + tf.log1p(-uniform) / alpha


def _subseed(seed, name):
  """Returns the seed, int64 [2], of a draw that `utils.draw` does not have."""
  return tf.stack(
    [
      utils.draw(seed, f'{name}/{i}', 0, tf.int64.max, tf.int64)
      for i in range(2)
    ]
  )
