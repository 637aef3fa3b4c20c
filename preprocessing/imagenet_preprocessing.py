"""The recipes that Keras, torchvision and timm feed their ImageNet weights.

They differ in numbers alone: how pixels are scaled, how the shorter side is
resized, and how much of it the crop keeps. `SOURCES` has them. Resizing is
Pillow's, which torchvision and timm take: where an image shrinks, an output
pixel is the weighted mean of all the pixels that it covers, which TensorFlow
calls antialiased, columns before rows, and each in whole numbers of 0..255.

>>> image = tf.zeros([300, 400, 3], tf.uint8)
>>> preprocess_image(image, 224, 224, interpolation='bicubic').shape.as_list()
[224, 224, 3]
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from preprocessing import inception_preprocessing
from preprocessing import preprocessing_utils as utils
from preprocessing.vgg_preprocessing import LUMA

# Of the colours of ImageNet's images, of 0 to 1.
_MEAN_RGB = np.array([0.485, 0.456, 0.406])
_DEVIATION_RGB = np.array([0.229, 0.224, 0.225])
# Of 0 to 255, as the Caffe networks have it.
_CAFFE_MEAN_RGB = np.array([123.68, 116.779, 103.939])


class Kernel(NamedTuple):
  """How much a pixel counts for an output pixel.

  Fields:
    name: what `ScaleAndTranslate` calls it.
    weight: a function of the distance between the two, float [...], in
      pixels of the one of the images that has fewer.
    overshoots: whether an output may lie beyond the pixels it is made of.
  """

  name: str
  weight: Callable[[np.ndarray], np.ndarray]
  overshoots: bool


def _triangle(x):
  return np.maximum(1 - np.abs(x), 0)


def _cubic(x):
  """Keys's kernel of a = -0.5, which is zero from 2 on."""
  x = np.minimum(np.abs(x), 2)
  near = (1.5 * x - 2.5) * x * x + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return np.where(x < 1, near, far)


INTERPOLATIONS = {
  'bilinear': Kernel('triangle', _triangle, False),
  'bicubic': Kernel('keyscubic', _cubic, True),
}


def _colour(image, rgb):
  """Returns a value for each channel of an image, of those for RGB."""
  return (
    rgb if image.shape.as_list()[-1] == 3 else np.array([np.dot(LUMA, rgb)])
  )


def _row(image, values):
  """Returns a value for each channel as a whole row, which is faster."""
  width = image.shape.as_list()[-2]
  row = np.array([values], np.float32)
  return row if width is None else np.tile(row, [width, 1])


def _caffe(image):
  mean = _colour(image, _CAFFE_MEAN_RGB)
  return tf.reverse(image, [-1]) - _row(image, mean[::-1])


def _torch(image):
  mean, deviation = (
    255 * _colour(image, rgb) for rgb in (_MEAN_RGB, _DEVIATION_RGB)
  )
  return image * _row(image, 1 / deviation) - _row(image, mean / deviation)


# Functions of float32 [..., height, width, 1 or 3] in 0..255. 0 is the mean
# colour of each.
NORMALIZATIONS = {
  # BGR, less the mean.
  'caffe': _caffe,
  # The mean of ImageNet's pixels 0, and their deviation 1.
  'torch': _torch,
  # -1 to 1.
  'tf': lambda image: image / 127.5 - 1.0,
}

# The options of each source, by the name of its preprocessing.
SOURCES: dict[str, dict[str, Any]] = {
  # keras.applications.resnet.preprocess_input, and that of resnet_v2; it takes
  # images of the network's size, which therefore stay.
  'caffe': {'normalization': 'caffe', 'keeps_size': True},
  'keras_v2': {'normalization': 'tf', 'keeps_size': True},
  # torchvision's IMAGENET1K_V1, which resizes to 256, and _V2, to 232.
  'torchvision': {},
  'torchvision_232': {'crop_share': 0.965},
  # timm's default_cfgs, by their crop_pct.
  'timm_bicubic': {'interpolation': 'bicubic', 'crop_share': 0.95},
  'timm_bicubic_875': {'interpolation': 'bicubic'},
}


def sample_window(shape: tf.Tensor, seed: Any) -> tf.Tensor:
  """Chooses what part of an image to train on, from its shape alone.

  It has 8 to 100 % of the image's area, and from 3/4 to 4/3 as many columns
  as rows. torchvision and timm draw the logarithm of that ratio uniformly,
  and this the ratio.

  Args:
    shape: int32 [3], the image's (height, width, channels).
    seed: None or int [2].

  Returns:
    int32 [4], the window (y, x, height, width) within `shape`.
  """
  return inception_preprocessing.sample_window(
    shape,
    seed,
    min_object_covered=0.0,
    aspect_ratio_range=(3 / 4, 4 / 3),
    area_range=(0.08, 1.0),
  )


def preprocess_for_train(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  normalization: str = 'torch',
  interpolation: str = 'bilinear',
  flip: bool = True,
  augment: Callable | None = None,
) -> tf.Tensor:
  """Crops a random window, squashes it to size, flips, and normalises.

  Args:
    image: uint8 [height, width, 1 or 3] of any size.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: None or int [2]; the output is a function of it and the image.
    normalization: a key of `NORMALIZATIONS`.
    interpolation: a key of `INTERPOLATIONS`.
    flip: whether to mirror the image, with a probability of 1/2.
    augment: None, or augment(image, seed) that changes the image, float32
      in 0..255, after it was cropped and before it is normalised.

  Returns:
    float32 [output_height, output_width, 3 or 1].

  Raises:
    ValueError: an image, a seed or an option other than described.
  """
  normalize = _entry('normalization', NORMALIZATIONS, normalization)
  kernel = _entry('interpolation', INTERPOLATIONS, interpolation)
  seed = utils.as_seed(seed)
  image = utils.as_image(
    image, use_grayscale, window=lambda shape: sample_window(shape, seed)
  )
  if flip:  # here, where a pixel has a byte
    image = utils.random_flip(image, seed)
  output = output_height, output_width
  image = _scale(image, output, (0, 0), output, kernel)
  if kernel.overshoots:
    image = tf.clip_by_value(image, 0.0, 255.0)
  return normalize(augment(image, seed) if augment else image)


def preprocess_for_eval(
  image: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  normalization: str = 'torch',
  interpolation: str = 'bilinear',
  crop_share: float = 0.875,
  keeps_size: bool = False,
) -> tf.Tensor:
  """Resizes the shorter side, crops the centre and normalises.

  Args:
    image: uint8 [height, width, 1 or 3] of any size, or a batch of a known
      one.
    output_height: int.
    output_width: int.
    use_grayscale: whether the output has one channel instead of three.
    seed: unused; here nothing is random.
    normalization: a key of `NORMALIZATIONS`.
    interpolation: a key of `INTERPOLATIONS`.
    crop_share: what part of the shorter side the crop keeps, in (0, 1]: that
      side is resized to the output's divided by it, rounded down.
    keeps_size: whether an image of the output's size stays as it is.

  Returns:
    float32 [output_height, output_width, 3 or 1].

  Raises:
    ValueError: an image or an option other than described.
  """
  normalize = _entry('normalization', NORMALIZATIONS, normalization)
  kernel = _entry('interpolation', INTERPOLATIONS, interpolation)
  image = utils.as_image(image, use_grayscale, batches=True)
  output = output_height, output_width
  target = unresized(*output, crop_share=crop_share)
  known = image.shape.as_list()[-3:-1]
  if None not in known:
    resized = known
    if not (keeps_size and known == [*output]):
      resized = _resized(known, target)
    offset = [
      round((side - length) / 2)  # to the even one of two as near, as below
      for side, length in zip(resized, output, strict=True)
    ]
    return normalize(_static(image, resized, offset, output, kernel))
  size = tf.shape(image)[-3:-1]
  resized = tf.stack(_resized(tf.unstack(tf.cast(size, tf.int64)), target))
  if keeps_size:
    same = tf.reduce_all(tf.equal(size, output))
    resized = tf.where(same, tf.cast(size, tf.int64), resized)
  offset = tf.rint(tf.cast(resized - output, tf.float32) / 2)
  return normalize(_dynamic(image, resized, offset, output, kernel))


preprocess_image = utils.recipe(preprocess_for_train, preprocess_for_eval)


def unresized(
  output_height: int, output_width: int, *, crop_share: float = 0.875
) -> tuple[int, int]:
  """Returns a size of images that evaluation crops without resizing them.

  >>> unresized(224, 224), unresized(288, 288, crop_share=0.95)
  ((256, 256), (303, 303))

  Raises:
    ValueError: the share is none.
  """
  if not 0 < crop_share <= 1:
    raise ValueError(
      f'crop_share is {crop_share}; it is the part of the shorter side that '
      'the crop keeps, and must be above 0 and at most 1.'
    )
  return (
    math.floor(output_height / crop_share),
    math.floor(output_width / crop_share),
  )


def normalization_of(source: str) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns what a source does to pixels, see `NORMALIZATIONS`.

  Args:
    source: a key of `SOURCES`.
  """
  return NORMALIZATIONS[SOURCES[source].get('normalization', 'torch')]


def whole(side: int) -> dict[str, Any]:
  """Returns the options by which evaluation crops as little as it can.

  Args:
    side: height and width of the output.
  """
  del side
  return {'crop_share': 1.0}


def _entry(what, registry, name):
  if name not in registry:
    raise ValueError(utils.unknown(what, name, registry))
  return registry[name]


def _resized(size, target):
  """Returns the least size of the same shape that has the target in it.

  As torchvision, it rounds the other side down.

  Args:
    size: height and width, of numbers or int64 scalars.
    target: likewise, of numbers.
  """
  (height, width), (least_height, least_width) = size, target
  by_height = least_height, least_height * width // height
  by_width = least_width * height // width, least_width
  is_wide = least_height * width >= least_width * height
  if not tf.is_tensor(height):
    return by_height if is_wide else by_width
  return [
    tf.where(is_wide, *(tf.cast(side, tf.int64) for side in sides))
    for sides in zip(by_height, by_width, strict=True)
  ]


def _whole_numbers(image, kernel):
  # Weights such as 1/8 make many values that end with .5 but for the last
  # bits, which differ from one way of computing to another.
  image = tf.floor(image + (0.5 + 2**-11))
  return tf.clip_by_value(image, 0.0, 255.0) if kernel.overshoots else image


def _scale(image, resized, offset, output, kernel):
  """Resizes [h, w, C] and returns a window of that, float32."""
  size = tf.cast(tf.shape(image)[:2], tf.float32)
  scaled = tf.raw_ops.ScaleAndTranslate(
    images=image[None],
    size=output,
    scale=tf.cast(resized, tf.float32) / size,
    translation=tf.negative(tf.cast(offset, tf.float32)),
    kernel_type=kernel.name,
    antialias=True,
  )[0]
  sides = [None if tf.is_tensor(side) else side for side in output]
  scaled.set_shape([*sides, image.shape.as_list()[-1]])
  return scaled


def _dynamic(image, resized, offset, output, kernel):
  """Returns the window of the resized image, for [h, w, C] of any size."""
  height = tf.shape(image)[0]
  image = _scale(
    image,
    tf.stack([tf.cast(height, tf.int64), resized[1]]),
    tf.stack([0.0, offset[1]]),
    (height, output[1]),
    kernel,
  )
  image = _whole_numbers(image, kernel)
  image = _scale(
    image,
    tf.stack([resized[0], output[1]]),
    tf.stack([offset[0], 0.0]),
    output,
    kernel,
  )
  return _whole_numbers(image, kernel)


def _matrix(size, resized, offset, length, kernel):
  """Returns how much each pixel of a line counts, [length, size]."""
  scale = size / resized
  centres = (np.arange(length) + offset + 0.5) * scale
  distances = (np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1)
  weights = kernel.weight(distances)
  return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _static(image, resized, offset, output, kernel):
  """As `_dynamic`, for [..., h, w, C] of a known size.

  Products of matrices, since no other format knows the operation of
  TensorFlow's that is taken there.
  """
  image = tf.cast(image, tf.float32)
  height, width, channels = image.shape.as_list()[-3:]
  batch = tf.shape(image)[:-3]
  (top, left), (rows, columns) = offset, output
  if resized[1] == width:
    image = image[..., left : left + columns, :]
  else:
    image = _whole_numbers(
      tf.matmul(_matrix(width, resized[1], left, columns, kernel), image),
      kernel,
    )
  if resized[0] == height:
    image = image[..., top : top + rows, :, :]
  else:
    lines = tf.reshape(image, tf.concat([batch, [height, -1]], 0))
    lines = tf.matmul(_matrix(height, resized[0], top, rows, kernel), lines)
    image = _whole_numbers(
      tf.reshape(lines, tf.concat([batch, [*output, channels]], 0)), kernel
    )
  image.set_shape([*image.shape.as_list()[:-3], *output, channels])
  return image
