"""What the recipes share: images in, named random draws, windows, options."""

import difflib
import functools
import inspect
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow.compat.v1 as tf

from preprocessing.encoded import Encoded


def unknown(what: str, name: Any, valid: Iterable[str]) -> str:
  """Returns the sentence that refuses `name` and lists what is valid.

  >>> unknown('preprocessing', 'vggg', ['vgg', 'cifar'])
  "Unknown preprocessing 'vggg'. Did you mean 'vgg'? Valid: cifar, vgg."
  """
  valid = sorted(valid)
  nearest = difflib.get_close_matches(str(name), valid, 1)
  hint = f' Did you mean {nearest[0]!r}?' if nearest else ''
  return f'Unknown {what} {name!r}.{hint} Valid: {", ".join(valid)}.'


def recipe(train: Callable, evaluate: Callable) -> Callable[..., tf.Tensor]:
  """Returns the `preprocess_image` of a recipe's two functions.

  Their keyword-only arguments are the options. One that only the other
  function has is ignored, so that one set of options can describe training
  and evaluation, as in TF-Slim.
  """

  def preprocess_image(
    image: tf.Tensor,
    output_height: int,
    output_width: int,
    is_training: bool = False,
    use_grayscale: bool = False,
    seed: Any = None,
    **options: Any,
  ) -> tf.Tensor:
    """Calls `preprocess_for_train` or `preprocess_for_eval`.

    Returns:
      What the function returns: float32 [output_height, output_width, C].

    Raises:
      TypeError: an option that neither function has; all are listed.
      ValueError: an output size that is not positive.
    """
    if min(output_height, output_width) < 1:
      raise ValueError(
        f'The output size {output_height} x {output_width} is not positive; '
        'give the height and width that the network takes.'
      )
    chosen, other = (train, evaluate) if is_training else (evaluate, train)
    return chosen(
      image,
      output_height,
      output_width,
      use_grayscale,
      seed,
      **own_options(chosen, other, options),
    )

  return preprocess_image


def own_options(
  chosen: Callable, other: Callable, options: dict[str, Any]
) -> dict[str, Any]:
  """Returns those of the options that `chosen` has.

  >>> def train(image, *, flip=True, padding=4): ...
  >>> def evaluate(image, *, central_fraction=0.875): ...
  >>> own_options(train, evaluate, {'flip': False, 'central_fraction': 1.0})
  {'flip': False}

  Raises:
    TypeError: an option that neither function has; all are listed.
  """
  own, foreign = keyword_options(chosen), keyword_options(other)
  for name in options:
    if name not in own | foreign:
      raise TypeError(unknown('preprocessing option', name, own | foreign))
  return {name: options[name] for name in options if name in own}


def keyword_options(function: Callable) -> set[str]:
  """Returns the names of the keyword-only arguments of `function`.

  >>> keyword_options(lambda image, *, flip=True: image)
  {'flip'}
  """
  return {
    p.name
    for p in inspect.signature(function).parameters.values()
    if p.kind is p.KEYWORD_ONLY
  }


def as_image(
  image: Any,
  use_grayscale: bool = False,
  dtypes: tuple = (tf.uint8,),
  window: Callable[[tf.Tensor], tf.Tensor] | None = None,
  batches: bool = False,
) -> tf.Tensor:
  """Returns the image, or a part of it, with three channels or one.

  Args:
    image: [height, width, 1 or 3], or an `Encoded` image.
    use_grayscale: whether to return one channel instead of three.
    dtypes: the dtypes that the recipe understands.
    window: a function of the image's shape, int32 [3], that returns the
      part, int32 [4] (y, x, height, width). None for all.
    batches: whether `image` may be a batch, of known height and width.

  Raises:
    ValueError: another dtype, or another shape.
  """
  if isinstance(image, Encoded):
    image = image.pixels(window)
  else:
    image = _check(image, dtypes, batches)
    if window is not None:
      image = crop(image, window(tf.shape(image)))
  grey = image.shape.as_list()[-1] == 1
  if use_grayscale:
    return image if grey else tf.image.rgb_to_grayscale(image)
  return tf.image.grayscale_to_rgb(image) if grey else image


def _check(image, dtypes, batches):
  image = tf.convert_to_tensor(image)
  if image.dtype not in dtypes:
    names = ', '.join(dtype.name for dtype in dtypes)
    raise ValueError(
      f'This preprocessing takes {names} images and got '
      f'{image.dtype.name}. Pass the decoded uint8 pixels (0 to 255), '
      'neither scaled to [0, 1] or [-1, 1] nor centred: that is its work.'
    )
  shape = image.shape.as_list() if image.shape.rank is not None else []
  is_batch = batches and len(shape) == 4 and None not in shape[1:3]
  if not (is_batch or len(shape) == 3) or shape[-1] not in (1, 3):
    raise ValueError(
      'An image must have the static shape [height, width, 1 or 3], one '
      f'image at a time, and this has {image.shape}. Decode it with '
      'channels=3, or state the shape with set_shape([None, None, 3]).'
    )
  return image


def as_seed(seed: Any = None) -> tf.Tensor:
  """Returns `seed` as int64 [2], or draws one where it is None.

  Raises:
    ValueError: not two integers.
  """
  if seed is None:
    return tf.random.uniform([2], maxval=tf.int64.max, dtype=tf.int64)
  # preferred_dtype, not dtype: it lets int32 tensors and 64-bit lists pass.
  seed = tf.convert_to_tensor(seed, preferred_dtype=tf.int64)
  if not seed.dtype.is_integer or not seed.shape.is_compatible_with([2]):
    raise ValueError(
      f'seed is {seed.dtype.name} {seed.shape}; it must be None or two '
      'integers, int32 or int64 [2], such as [run_seed, example_number].'
    )
  return tf.cast(seed, tf.int64)


def draw(
  seed: tf.Tensor,
  name: str,
  low: Any = 0.0,
  high: Any = 1.0,
  dtype: tf.DType = tf.float32,
) -> tf.Tensor:
  """Returns the uniform scalar in [low, high) that `seed` has for `name`.

  The name, not the order of the calls, tells the draws of an image apart:
  an option that adds or drops a draw leaves all others as they were.

  Args:
    seed: int32 or int64 [2].
    name: what is drawn; no two draws of a recipe may share a name.
    low: number or scalar tensor.
    high: number or scalar tensor, excluded.
    dtype: float32 or float64, or int32 or int64 for whole numbers.
  """
  # The seeds of runs are below 2^31, so that no two pairs of a seed and a name
  # meet. The raw ops take a fraction of the time of tf.random.stateless_*.
  seed = tf.cast(seed, tf.int64) + [zlib.crc32(name.encode()) << 31, 0]
  scalar = tf.constant([], tf.int32)
  if dtype.is_integer:
    return tf.raw_ops.StatelessRandomUniformInt(
      shape=scalar,
      seed=seed,
      minval=tf.cast(low, dtype),
      maxval=tf.cast(high, dtype),
    )
  value = tf.raw_ops.StatelessRandomUniform(
    shape=scalar, seed=seed, dtype=dtype
  )
  return value * (high - low) + low


def place_window(
  shape: tf.Tensor, height: Any, width: Any, seed: tf.Tensor
) -> tf.Tensor:
  """Returns a window of the given size, uniformly placed in an image.

  Args:
    shape: int32 [3], the image's (height, width, channels).
    height: int32 number or scalar, from 1 to shape[0].
    width: int32 number or scalar, from 1 to shape[1].
    seed: int32 or int64 [2].

  Returns:
    int32 [4], (y, x, height, width): what `crop` here and the crop_window of
    tf.image.decode_and_crop_jpeg take.
  """
  y = draw(seed, 'y', 0, shape[0] - height + 1, tf.int32)
  x = draw(seed, 'x', 0, shape[1] - width + 1, tf.int32)
  return tf.stack([y, x, height, width])


def crop(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
  """Returns the `window`, int32 [4] (y, x, height, width), of [h, w, C]."""
  y, x, height, width = tf.unstack(window)
  cut = tf.slice(image, [y, x, 0], tf.stack([height, width, -1]))
  cut.set_shape([None, None, image.shape.as_list()[2]])
  return cut


def central_window(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Returns the centre, [..., height, width, C], of [..., h, w, C].

  What is known to have the size is left as it is.

  Args:
    image: its h and w are known, and at least `height` and `width`.
    height: int.
    width: int.
  """
  *batch, h, w, _ = image.shape.as_list()
  if [h, w] == [height, width]:
    return image
  none, all_of_it = [0] * len(batch), [-1] * len(batch)
  return tf.slice(
    image,
    [*none, (h - height) // 2, (w - width) // 2, 0],
    [*all_of_it, height, width, -1],
  )


def random_flip(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  """Mirrors [h, w, C] left to right for one half of all seeds."""
  return tf.cond(
    draw(seed, 'flip') < 0.5, lambda: tf.reverse(image, [1]), lambda: image
  )


def resize(
  image: tf.Tensor, height: int, width: int, half_pixel_centers: bool = False
) -> tf.Tensor:
  """Resizes [..., h, w, C] bilinearly to float32 [..., height, width, C].

  The default is TensorFlow 1's sampling, from the top left corner of each
  pixel, which the published checkpoints were trained and measured with. An
  image that is known to have the size already is left as it is.
  """
  if image.shape.as_list()[-3:-1] == [height, width]:
    return tf.cast(image, tf.float32)
  is_batch = len(image.shape) == 4
  # Of the same bits. TensorFlow resizes floats by vector instructions, and
  # TFLite resizes nothing else.
  image = tf.cast(image, tf.float32)
  resized = tf.image.resize_bilinear(
    image if is_batch else image[None],
    [height, width],
    half_pixel_centers=half_pixel_centers,
  )
  return resized if is_batch else resized[0]


def resize_and_crop(
  image: tf.Tensor,
  resized: tf.Tensor,
  offset: tf.Tensor,
  height: int,
  width: int,
) -> tf.Tensor:
  """Returns a window of the resized image, computing no other pixel.

  The bits are those of `resize` to the whole size and a crop after it, which
  for an image of 1 x 10000 pixels would take gigabytes.

  Args:
    image: [..., h, w, C], any number type.
    resized: int32 [2], height and width of the resized image.
    offset: int32 [2], y and x of the window in the resized image.
    height: of the window.
    width: of the window.

  Returns:
    float32 [..., height, width, C], in the range of `image`.
  """
  size = tf.shape(image)[-3:-1]
  scale = tf.cast(size, tf.float32) / tf.cast(resized, tf.float32)

  def neighbours(axis, length):
    at = tf.cast(offset[axis] + tf.range(length), tf.float32) * scale[axis]
    low = tf.cast(tf.floor(at), tf.int32)
    return low, tf.minimum(low + 1, size[axis] - 1), at - tf.floor(at)

  top, bottom, down = neighbours(0, height)
  left, right, across = neighbours(1, width)

  def rows(at):
    line = tf.gather(image, at, axis=-3)
    ends = [
      tf.cast(tf.gather(line, columns, axis=-2), tf.float32)
      for columns in (left, right)
    ]
    return ends[0] + (ends[1] - ends[0]) * across[:, None]

  above, below = rows(top), rows(bottom)
  return above + (below - above) * down[:, None, None]


def select(
  index: tf.Tensor, cases: Iterable[Callable], image: tf.Tensor
) -> tf.Tensor:
  """Returns `cases[index](image)`; the other cases are not computed."""
  return tf.switch_case(
    index, [functools.partial(case, image) for case in cases]
  )
