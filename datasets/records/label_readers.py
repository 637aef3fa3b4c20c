"""What a record says of its image: the number of a class, or a mask."""

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import sessions
from datasets.images import png
from datasets.limits import MOST_IDS, MOST_PIXELS

_AGAIN = 'convert the data again'
_BY_SCRIPT = (
  'convert the data with download_and_convert_data.py '
  '--dataset_name=mask_folder, which writes ids'
)
# PNG's kinds of pixels that are no grey channel alone.
_KINDS = {
  2: 'of 3 channels, RGB',
  4: 'of 2 channels, grey and alpha',
  6: 'of 4 channels, RGB and alpha',
  3: 'with a palette, of which TensorFlow '
  'would read how bright the colours are',
}
_SHOWN = 6  # values in a sentence


class BadExample(ValueError):
  """Says what is wrong with a record, to go on behind its name.

  Attributes:
    has_cure: whether it says what to do as well.
  """

  def __init__(self, wrong: str, cure: str = ''):
    """Sets what is wrong, and what to do if that is special."""
    super().__init__(f'{wrong}: {cure}' if cure else wrong)
    self.has_cure = bool(cure)


class ClassReader:
  """Checks the number of a class."""

  def __init__(self, labels: range, ignore_label: int | None = None):
    """Sets the labels that may occur; none is ignored."""
    self._labels = labels

  def __call__(self, label: int, image: np.ndarray) -> int:
    """Returns the label.

    Raises:
      BadExample: it is no class.
    """
    if label not in self._labels:
      low, high = self._labels.start, self._labels.stop - 1
      raise BadExample(
        f'has the label {label}, which is not in {low} to '
        f'{high}, with --labels_offset={low}'
      )
    return int(label)


class MaskReader:
  """Decodes and checks a mask, a PNG of class ids; safe in many threads."""

  def __init__(
    self,
    labels: range,
    ignore_label: int | None = None,
    max_pixels: int = MOST_PIXELS,
  ):
    """Sets what is right.

    Args:
      labels: the ids that may occur.
      ignore_label: the id of ignored pixels; None if there is none.
      max_pixels: the largest height x width that is decoded.
    """
    self._max_pixels = max_pixels
    self._labels, self._ignore_label = labels, ignore_label
    self._known = np.isin(
      np.arange(MOST_IDS),
      [*labels, *([] if ignore_label is None else [ignore_label])],
    )
    with tf.Graph().as_default() as graph:
      self._data = tf.placeholder(tf.string, [])
      self._mask = tf.io.decode_png(self._data, channels=1)[..., 0]
      self._session = sessions.on_cpu(graph)

  def __call__(
    self, data: bytes, image: np.ndarray | None = None
  ) -> np.ndarray:
    """Returns the mask, uint8 [height, width].

    Args:
      data: the bytes of the PNG.
      image: the image, uint8 [height, width, 3], if its size is to be
        compared.

    Raises:
      BadExample: no PNG of one grey channel of 8 bits, another size than the
        image's, or a value that is neither a class nor the ignore label.
    """
    _check_header(
      data, self._max_pixels, None if image is None else image.shape[:2]
    )
    try:
      mask = self._session.run(self._mask, {self._data: data})
    except (tf.errors.OpError, UnicodeDecodeError):  # its text quotes bytes
      raise BadExample('has a damaged mask') from None
    self._check_values(np.bincount(mask.ravel(), minlength=MOST_IDS))
    return mask

  def _check_values(self, counts):
    strange = np.flatnonzero((counts > 0) & ~self._known)
    if not len(strange):
      return
    many = len(strange) > 1
    values = ', '.join(map(str, strange[:_SHOWN]))
    if len(strange) > _SHOWN:
      values += f' and {len(strange) - _SHOWN} more'
    share = counts[strange].sum() / counts.sum()
    classes = f'(0 to {self._labels.stop - 1})'
    if self._ignore_label is None:
      wrong = ('are no classes' if many else 'is no class') + f' {classes}'
    else:
      wrong = (
        'are neither classes' if many else 'is neither a class'
      ) + f' {classes} nor the ignore label {self._ignore_label}'
    cure = (
      'name every class, or give each of these values one by --mask_values'
      if many
      else 'name every class, or '
      f'{_AGAIN} with --ignore_label={strange[0]} if such pixels are not '
      'to count'
    )
    raise BadExample(
      f'has the value{"s" * many} {values} in its mask '
      f'({share:.1%} of it), which {wrong}',
      cure,
    )


def _check_header(data, max_pixels, size):
  """Checks what a PNG says of its pixels and its size, (height, width)."""
  if not data:
    raise BadExample('has an empty mask', _AGAIN)
  header = png.read_header(data)
  if header is None:
    raise BadExample('has a mask that is no PNG', _BY_SCRIPT)
  if header.kind in _KINDS or header.bits != 8:
    wrong = _KINDS.get(header.kind, f'of {header.bits} bits a pixel')
    raise BadExample(
      f'has a mask {wrong}, where class ids should be one grey '
      'channel of 8 bits',
      _BY_SCRIPT,
    )
  if size and (header.height, header.width) != size:
    raise BadExample(
      f'has a mask of {header.width}x{header.height} pixels for an image of '
      f'{size[1]}x{size[0]}',
      _AGAIN,
    )
  pixels = header.width * header.height
  if pixels > max_pixels:
    raise BadExample(
      f'has a mask of {header.width}x{header.height} = {pixels:,} pixels, more '
      f'than --max_image_pixels={max_pixels}',
      'raise the limit, or convert the data again with smaller images',
    )
