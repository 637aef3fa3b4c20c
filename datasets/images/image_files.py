"""Image files of any kind as bytes that TensorFlow decodes to the same thing.

TensorFlow reads JPEG and PNG, but knows nothing of EXIF, shows what hides
below transparency, and takes the palettes of some BMPs for grey. What it would
show wrongly is encoded again; what has no single right form is refused.
"""

import io
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image, ImageOps

from datasets import sessions
from datasets.limits import MAX_PIXELS, MOST_PIXELS

SUFFIXES = (
  '.png',
  '.jpg',
  '.jpeg',
  '.gif',
  '.bmp',
  '.webp',
  '.tif',
  '.tiff',
  '.ppm',
  '.pgm',
)

_DECODED = (b'\xff\xd8\xff', b'\x89PNG', b'GIF8', b'BM')  # by TensorFlow
_EXIF_ORIENTATION = 0x0112
_JPEG = ('JPEG', 'MPO')  # MPO: a JPEG of a phone, with a preview behind it
_GREY = ('1', 'L', 'LA', 'La', 'I;16', 'I;16L', 'I;16B', 'I;16N')
_WIDE = ('I', 'F')  # 32 bits


class BadImage(ValueError):
  """Says what is wrong, to go on behind the image's name."""


class TooLarge(BadImage):
  """The image has more pixels than are decoded."""


class EncodedImage(NamedTuple):
  """An image file that TensorFlow decodes rightly.

  Fields:
    data: the encoded bytes.
    format: b'jpeg' or b'png'.
    height: in pixels.
    width: in pixels.
    channels: 1 for a grey image, else 3.
    images: how many the file holds; this is the first.
  """

  data: bytes
  format: bytes
  height: int
  width: int
  channels: int
  images: int = 1


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
  """Returns the image with nothing but its header read.

  Raises:
    BadImage: no image, or one too large.
  """
  if not data:
    raise BadImage('is empty')
  try:
    image = Image.open(io.BytesIO(data))
  except Image.DecompressionBombError:
    raise TooLarge(f'has more than {MOST_PIXELS:,} pixels: shrink it') from None
  except Exception:  # Pillow's readers raise what they like
    raise BadImage('is no image, or is damaged') from None
  width, height = image.size
  if width * height > max_pixels:
    raise TooLarge(
      f'has {width}x{height} = {width * height:,} pixels, more than '
      f'--max_image_pixels={max_pixels}: shrink it, or raise the limit'
    )
  return image


class Decoder:
  """TensorFlow's decoder of JPEG, PNG, GIF and BMP; safe in many threads."""

  def __init__(self):
    with tf.Graph().as_default() as graph:
      self._data = tf.placeholder(tf.string, [])
      self._image = tf.io.decode_image(
        self._data, channels=3, expand_animations=False
      )
      self._session = sessions.on_cpu(graph)

  def __call__(self, data: bytes) -> np.ndarray:
    """Returns uint8 [height, width, 3].

    Raises:
      BadImage: it is damaged, or of another kind.
    """
    try:
      # New versions take WebP too, which old ones and the training do not.
      if data.startswith(_DECODED):
        return self._session.run(self._image, {self._data: data})
    except (tf.errors.OpError, UnicodeDecodeError):  # its text quotes bytes
      pass
    raise BadImage('is damaged, or is no JPEG, PNG, GIF or BMP image')


def _has_orientation(image):
  return image.getexif().get(_EXIF_ORIENTATION, 1) in range(2, 9)


def _is_inverted(image):
  """Whether TensorFlow takes the inks of a CMYK JPEG for their opposites."""
  return (
    image.format in _JPEG and image.mode == 'CMYK' and 'adobe' not in image.info
  )


def _is_transparent(image):
  if not (
    image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La')
    or 'transparency' in image.info
  ):
    return False
  return image.convert('RGBA').getchannel('A').getextrema()[0] < 255


def _upright(image):
  """Returns the image as people see it, in 8 bits, grey or RGB, on white."""
  if image.mode in _WIDE:
    raise BadImage(
      f'has 32-bit pixels (mode {image.mode}), so what is white '
      'is unknown: save it with 8 or 16 bits'
    )
  image = ImageOps.exif_transpose(image)
  if image.mode.startswith('I;16'):
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if _is_transparent(image):
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, 'white')
    return Image.alpha_composite(white, image).convert('RGB')
  return image.convert('L' if image.mode in _GREY else 'RGB')


def encode(image: Image.Image, form: str, **options) -> bytes:
  """Returns the bytes of a file of the format `form`, as Pillow calls it."""
  data = io.BytesIO()
  image.save(data, form, **options)
  return data.getvalue()


def encode_png(image: np.ndarray) -> bytes:
  """Returns a PNG file.

  Args:
    image: uint8 [height, width] for grey or [height, width, 3] for colour.
  """
  return encode(Image.fromarray(np.ascontiguousarray(image)), 'png')


def standard(
  data: bytes,
  decoder: Decoder,
  max_pixels: int = MAX_PIXELS,
  first_of_many: bool = False,
) -> EncodedImage:
  """Returns the image in a form that TensorFlow decodes rightly.

  Arguments and errors are those of `decoded`.
  """
  return decoded(data, decoder, max_pixels, first_of_many)[0]


def decoded(
  data: bytes,
  decoder: Decoder,
  max_pixels: int = MAX_PIXELS,
  first_of_many: bool = False,
) -> tuple[EncodedImage, np.ndarray]:
  """Returns the image in a form that TensorFlow decodes rightly, and decoded.

  JPEG and PNG bytes stay as they are, unless EXIF gives an orientation or
  parts are transparent: then the image is rotated (JPEGs are written again
  with quality 95, without chroma subsampling) or laid on white. So are CMYK
  JPEGs without Adobe's marker. Every other format becomes PNG. 16-bit images
  keep their high byte.

  Args:
    data: the bytes of the file.
    decoder: tries whether the image is whole.
    max_pixels: the largest height x width.
    first_of_many: whether to take the first image of an animation, rather
      than refuse it.

  Returns:
    The file, and what the decoder makes of it, uint8 [height, width, 3].

  Raises:
    BadImage: it is empty, no image, damaged, too large, animated, or has
      32-bit pixels.
  """
  image = open_image(data, max_pixels)
  width, height = image.size
  try:
    frames = 1
    if image.format not in _JPEG:
      frames = getattr(image, 'n_frames', 1)  # may read the whole file
    if frames > 1 and not first_of_many:
      raise BadImage(
        f'holds {frames} images, an animation or a stack: keep one of them'
      )
    known = image.format in (*_JPEG, 'PNG')
    if known and not (
      _has_orientation(image) or _is_inverted(image) or _is_transparent(image)
    ):
      form = b'png' if image.format == 'PNG' else b'jpeg'
      found = EncodedImage(
        data, form, height, width, 1 if image.mode in (*_GREY, *_WIDE) else 3
      )
    else:
      if known:  # Pillow does not mind a missing end
        decoder(data)
      upright = _upright(image)  # reads every pixel
      form, options = (
        ('jpeg', {'quality': 95, 'subsampling': 0})
        if image.format in _JPEG
        else ('png', {})
      )
      found = EncodedImage(
        encode(upright, form, **options),
        form.encode(),
        upright.height,
        upright.width,
        1 if upright.mode == 'L' else 3,
      )
  except BadImage:
    raise
  except Exception:  # Pillow's readers raise what they like
    raise BadImage('is damaged') from None
  pixels = decoder(found.data)
  if pixels.shape != (found.height, found.width, 3):
    raise BadImage('is damaged')
  return found._replace(images=frames), pixels
