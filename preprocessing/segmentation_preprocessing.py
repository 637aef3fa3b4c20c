"""The recipe for dense labels: what moves the image moves its mask.

Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation,
https://arxiv.org/abs/1706.05587, section 4.1: images are scaled by 0.5 to
2, cut or filled up to one size and mirrored.

Image and mask are aligned by construction: one window of whole pixels is
cut from both, and both are resized from it to one size with the corner pixels
on the corners, the image bilinearly, the mask to the nearest pixel.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from preprocessing import (
  imagenet_preprocessing,
  inception_preprocessing,
  vgg_preprocessing,
)
from preprocessing import preprocessing_utils as utils
from preprocessing.encoded import Encoded

# What a network expects of an image, float32 in 0..255. 0 is the mean colour
# of each: what the padding has.
NORMALIZATIONS = {
  'vgg': vgg_preprocessing.centre,
  'inception': lambda image: image / 127.5 - 1.0,
  **{
    name: imagenet_preprocessing.normalization_of(name)
    for name in imagenet_preprocessing.SOURCES
  },
}


class Range(NamedTuple):
  """The sides that an image is resized to, as DeepLab does it.

  Fields:
    least: of the shorter side, which becomes that long; None to leave it.
    most: of the longer side, for which the shorter may become less; None for
      any.
    factor: the sides are rounded up to a multiple of it plus one, which is
      still not above `most`.
  """

  least: int | None
  most: int | None
  factor: int = 1

  @classmethod
  def of(
    cls, least: int | None, most: int | None, factor: int | None
  ) -> 'Range | None':
    """Returns the range, None if the sides are free."""
    return cls(least, most, factor or 1) if least or most else None

  def size(self, size: tf.Tensor) -> tf.Tensor:
    """Returns the size that an image gets.

    >>> with tf.Session() as session:
    ...   print(session.run(Range(100, 321, 16).size(tf.constant([50, 80]))))
    [113 161]

    Args:
      size: int32 [2], its height and width.

    Returns:
      int32 [2].
    """
    size = tf.cast(size, tf.int64)
    found = size
    if self.least:
      found = size * self.least // tf.reduce_min(size)
    if self.most:
      most = self.most - (self.most - 1) % self.factor
      longest = tf.reduce_max(size)
      found = tf.where(
        tf.reduce_max(found) > most, size * most // longest, found
      )
    found += (1 - found) % self.factor
    return tf.cast(tf.maximum(found, 1), tf.int32)


class Placement(NamedTuple):
  """What part of an image goes where in the output.

  Fields:
    window: int32 [4], (y, x, height, width) in the image.
    size: int32 [2], the height and width that the window is resized to.
    offset: int32 [2], the (y, x) where that lies in the output.
  """

  window: tf.Tensor
  size: tf.Tensor
  offset: tf.Tensor


def sample_scale(
  seed: Any,
  min_scale_factor: float = 0.5,
  max_scale_factor: float = 2.0,
  scale_factor_step_size: float = 0.25,
) -> tf.Tensor:
  """Draws by what to enlarge an image.

  Args:
    seed: None or int [2].
    min_scale_factor: the least.
    max_scale_factor: the largest.
    scale_factor_step_size: the step from the least to the next, and so on,
      all equally likely; 0 for anything between.

  Returns:
    A float32 scalar.

  Raises:
    ValueError: not 0 < least <= largest, or a negative step.
  """
  if not 0 < min_scale_factor <= max_scale_factor or scale_factor_step_size < 0:
    raise ValueError(
      f'min_scale_factor {min_scale_factor} and max_scale_factor '
      f'{max_scale_factor} must be positive and in this order, and '
      f'scale_factor_step_size {scale_factor_step_size} must not be '
      'negative; change them.'
    )
  seed = utils.as_seed(seed)
  if not scale_factor_step_size:
    return utils.draw(seed, 'scale', min_scale_factor, max_scale_factor)
  # The small number is for what 0.3 / 0.1 lacks to 3.
  steps = int(
    (max_scale_factor - min_scale_factor) / scale_factor_step_size + 1e-6
  )
  step = utils.draw(seed, 'scale', 0, steps + 1, tf.int32)
  return min_scale_factor + scale_factor_step_size * tf.cast(step, tf.float32)


def place(
  shape: tf.Tensor,
  output_height: int,
  output_width: int,
  scale: Any = 1.0,
  seed: Any = None,
) -> Placement:
  """Chooses what part of an image to take, from its shape alone.

  A side that is longer than the output when it is scaled is cut, and one that
  is shorter is filled up. The window is whole pixels, so that the scale is met
  up to half a pixel of the window; scale 1 changes no pixel.

  >>> with tf.Session() as session:
  ...   placed = session.run(place(tf.constant([100, 20, 3]), 33, 33))
  >>> placed.window.tolist(), placed.size.tolist(), placed.offset.tolist()
  ([33, 0, 33, 20], [33, 20], [0, 6])

  Args:
    shape: int32 [3], the image's (height, width, channels).
    output_height: int.
    output_width: int.
    scale: by what to enlarge the image, a number or a float32 scalar.
    seed: int [2] for a uniform place, or None for the centre.
  """
  size, output = shape[:2], tf.constant([output_height, output_width])

  def scaled(lengths, by):
    # Between the centres of the first and the last pixel there is one less.
    spans = tf.cast(lengths - 1, tf.float32) * by
    return tf.cast(tf.rint(spans), tf.int32) + 1

  window = tf.minimum(size, scaled(output, 1 / scale))
  target = tf.minimum(output, scaled(size, scale))
  if seed is None:
    begin, offset = (size - window) // 2, (output - target) // 2
    return Placement(tf.concat([begin, window], 0), target, offset)
  offset = tf.stack(
    [
      utils.draw(seed, name, 0, room + 1, tf.int32)
      for name, room in zip(
        ('top', 'left'), tf.unstack(output - target), strict=True
      )
    ]
  )
  return Placement(
    utils.place_window(shape, window[0], window[1], seed), target, offset
  )


def preprocess_for_train(
  image: Any,
  mask: tf.Tensor,
  output_height: int,
  output_width: int,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  normalization: str = 'vgg',
  ignore_label: int = 255,
  min_scale_factor: float = 0.5,
  max_scale_factor: float = 2.0,
  scale_factor_step_size: float = 0.25,
  flip: bool = True,
  photometric: float = 0.0,
  resize_to: Range | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Scales, crops or pads, flips, distorts the colours, and normalises.

  Where the scaled image is smaller than the output, it lies anywhere in it.

  Args:
    image: uint8 [height, width, 1 or 3] of any size, or `encoded.Encoded`.
    mask: uint8 [height, width] or [height, width, 1], class ids.
    output_height: int.
    output_width: int.
    use_grayscale: whether the image has one channel instead of three.
    seed: None or int [2]; the output is a function of it, image and mask.
    normalization: a key of `NORMALIZATIONS`.
    ignore_label: what the mask has in the padding.
    min_scale_factor: see `sample_scale`.
    max_scale_factor: see `sample_scale`.
    scale_factor_step_size: see `sample_scale`.
    flip: whether to mirror the image, with a probability of 1/2.
    photometric: strength of the colour distortion, from 0 for none to 1 for
      that of `inception_preprocessing.distort_color`, all four of brightness,
      saturation, hue and contrast. Between them the two are blended.
    resize_to: what image and mask are resized to before all else.

  Returns:
    image: float32 [output_height, output_width, 3 or 1]; the padding is 0,
      the mean colour.
    mask: int32 [output_height, output_width].

  Raises:
    ValueError: an image, a mask, a seed or an option other than described.
      A mask of another size than the image is an InvalidArgumentError when
      the graph runs.
  """
  if not 0 <= photometric <= 1:
    raise ValueError(
      f'photometric is {photometric}; it is the strength of the colour '
      "distortion and must be from 0 (none) to 1 (the inception recipe's)."
    )
  seed = utils.as_seed(seed)
  scale = sample_scale(
    seed, min_scale_factor, max_scale_factor, scale_factor_step_size
  )

  def change(pixels):
    if not photometric:
      return pixels
    distorted = 255 * inception_preprocessing.distort_color(
      pixels / 255, seed, fast_mode=False
    )
    return pixels + photometric * (distorted - pixels)

  return _window(
    image,
    mask,
    output_height,
    output_width,
    use_grayscale,
    normalization,
    ignore_label,
    change,
    scale,
    seed,
    flip,
    resize_to,
  )


def preprocess_for_eval(
  image: Any,
  mask: tf.Tensor,
  output_height: int | None = None,
  output_width: int | None = None,
  use_grayscale: bool = False,
  seed: Any = None,
  *,
  normalization: str = 'vgg',
  ignore_label: int = 255,
  resize_to: Range | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Normalises the image; of a given size it is the centre, or padded.

  Args:
    image: uint8 [height, width, 1 or 3] of any size, or `encoded.Encoded`.
    mask: uint8 [height, width] or [height, width, 1], class ids.
    output_height: None, as output_width, for the image's own.
    output_width: None, as output_height, for the image's own.
    use_grayscale: whether the image has one channel instead of three.
    seed: unused; here nothing is random.
    normalization: a key of `NORMALIZATIONS`.
    ignore_label: what the mask has in the padding.
    resize_to: what image and mask are resized to before all else.

  Returns:
    As `preprocess_for_train`, or float32 [height, width, 3 or 1] and int32
    [height, width] of the image's own size, or that of `resize_to`.

  Raises:
    ValueError: an image, a mask or an option other than described, or one of
      height and width alone. A mask of another size than the image is an
      InvalidArgumentError when the graph runs.
  """
  if output_height is not None or output_width is not None:
    return _window(
      image,
      mask,
      output_height,
      output_width,
      use_grayscale,
      normalization,
      ignore_label,
      lambda pixels: pixels,
      resize_to=resize_to,
    )
  mask = _checked(mask, _size(image))
  if resize_to:
    mask = _nearest(mask, resize_to.size(_size(image)))
  image = normalized(image, use_grayscale, normalization, resize_to)
  return image, tf.cast(mask, tf.int32)[..., 0]


def normalized(
  image: Any,
  use_grayscale: bool = False,
  normalization: str = 'vgg',
  resize_to: Range | None = None,
) -> tf.Tensor:
  """Returns what `preprocess_for_eval` makes of an image of its own size.

  Args:
    image: uint8 [height, width, 1 or 3] of any size, a batch of a known one,
      or `encoded.Encoded`.
    use_grayscale: whether the image has one channel instead of three.
    normalization: a key of `NORMALIZATIONS`.
    resize_to: what an image, which is then no batch, is resized to.

  Returns:
    float32 [..., height, width, 3 or 1].

  Raises:
    ValueError: an image or an option other than described.
  """
  normalize = _normalization(normalization)
  image = utils.as_image(image, use_grayscale, batches=resize_to is None)
  if resize_to:
    image = _bilinear(image, resize_to.size(tf.shape(image)[:2]))
  return normalize(tf.cast(image, tf.float32))


def _bilinear(image, size):
  return tf.image.resize_bilinear(image[None], size, align_corners=True)[0]


def _nearest(mask, size):
  return tf.image.resize_nearest_neighbor(mask[None], size, align_corners=True)[
    0
  ]


def _window(
  image,
  mask,
  height,
  width,
  use_grayscale,
  normalization,
  ignore_label,
  change,
  scale=1.0,
  seed=None,
  flip=False,
  resize_to=None,
):
  """Returns what lies in the output, and the padding around it.

  `change` is a function of the image, float32 in 0..255, without padding.
  """
  if height is None or width is None or min(height, width) < 1:
    raise ValueError(
      f'The output size {height} x {width} is not positive; give the height '
      'and width of the crop, such as 513 x 513.'
    )
  normalize = _normalization(normalization)
  size = _size(image)
  mask = _checked(mask, size)
  if resize_to:
    size = resize_to.size(size)
    image = _bilinear(utils.as_image(image, use_grayscale), size)
    mask = _nearest(mask, size)
  at = place(tf.concat([size, [3]], 0), height, width, scale, seed)
  image = utils.as_image(
    image,
    use_grayscale,
    (tf.float32 if resize_to else tf.uint8,),
    window=lambda _: at.window,
  )
  mask = utils.crop(mask, at.window)
  if flip:  # here, where a pixel has a byte
    image, mask = (utils.random_flip(x, seed) for x in (image, mask))
  image = normalize(change(_bilinear(image, at.size)))
  mask = tf.cast(_nearest(mask, at.size), tf.int32)
  after = [height, width] - at.offset - at.size
  room = tf.pad(tf.stack([at.offset, after], 1), [[0, 1], [0, 0]])
  image, mask = (
    tf.pad(image, room),
    tf.pad(mask, room, constant_values=ignore_label),
  )
  return (
    tf.ensure_shape(image, [height, width, 1 if use_grayscale else 3]),
    tf.ensure_shape(mask, [height, width, 1])[..., 0],
  )


def _normalization(name):
  if name not in NORMALIZATIONS:
    raise ValueError(
      utils.unknown(
        'normalization of dense preprocessing', name, NORMALIZATIONS
      )
    )
  return NORMALIZATIONS[name]


def _size(image):
  """Returns height and width, int32 [2]."""
  if isinstance(image, Encoded):
    return image.size
  return tf.shape(image)[:2]


def _checked(mask, size):
  """Returns the mask as uint8 [height, width, 1], with a check of its size."""
  mask = tf.convert_to_tensor(mask)
  rank = mask.shape.rank
  if (
    mask.dtype != tf.uint8
    or rank not in (2, 3)
    or (rank == 3 and mask.shape.as_list()[2] != 1)
  ):
    raise ValueError(
      'A mask must be uint8 class ids of the static shape [height, width] '
      f'or [height, width, 1], and this is {mask.dtype.name} {mask.shape}. '
      'Decode it with decode_png(channels=1).'
    )
  mask = mask[..., None] if rank == 2 else mask
  fits = tf.reduce_all(tf.equal(tf.shape(mask)[:2], size))
  with tf.control_dependencies(
    [
      tf.debugging.Assert(
        fits,
        [
          'The mask has',
          tf.shape(mask)[:2],
          'pixels and the image',
          size,
          '(height and width).',
        ],
      )
    ]
  ):
    return tf.identity(mask)
