"""Mask files of any kind as the class of each pixel.

A mask is kept as class ids: a PNG of one channel. People's masks come as
palettes, in colours, as 0 and 255, in 1 bit or 16; read in the wrong way they
look right, and nothing is learnt from them. What has no single meaning is
refused.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageOps

from datasets import files
from datasets.images import image_files
from datasets.images.image_files import BadImage
from datasets.limits import MAX_PIXELS, MOST_IDS, MOST_PIXELS

Colour = tuple[int, int, int]

_SHOWN = 6  # colours or values in a sentence
# Formats that change values a little, as Pillow calls them.
_LOSSY = {
  'JPEG': 'a JPEG',
  'MPO': 'a JPEG',
  'JPEG2000': 'a JPEG 2000',
  'WEBP': 'a WebP',
}
_NONE = -1  # in tables of ids: no class
_AS_IT_CAME = 'put back the file as the dataset has it'


@dataclasses.dataclass(frozen=True)
class Rule:
  """What the pixels of mask files stand for.

  Attributes:
    ignore_label: the id of pixels that do not count, in [0, 255]; None if
      every pixel counts.
    values: the grey values, or places in the palette, of class 0, 1...; () if
      they are the ids themselves.
    colours: the id of each colour, where masks have colours; else {}.
    names: for errors, what a colour is called.
    ignored: beside `values`, those of pixels that do not count; () for the
      ignore label.
    form: for errors, what names the values or colours of a known dataset; ''
      where flags do.
  """

  ignore_label: int | None = None
  values: tuple[int, ...] = ()
  colours: Mapping[Colour, int] = dataclasses.field(default_factory=dict)
  names: Mapping[Colour, str] = dataclasses.field(default_factory=dict)
  ignored: tuple[int, ...] = ()
  form: str = ''


def encode(mask: np.ndarray) -> bytes:
  """Returns uint8 [height, width] as a grey PNG, which keeps its values."""
  return image_files.encode(Image.fromarray(mask), 'png')


def to_source(mask: np.ndarray, values: Sequence[int]) -> np.ndarray:
  """Returns a mask in the values that its source has for the classes.

  Args:
    mask: uint8 [height, width], of classes alone.
    values: of class 0, 1...; see `Plan.source_values`.

  >>> to_source(np.array([[0, 2]], np.uint8), [7, 8, 11]).tolist()
  [[7, 11]]
  """
  return np.array(values, np.uint8)[mask]


def text(colour: Colour) -> str:
  """Returns a colour as people write it: '64,128,0'."""
  return ','.join(map(str, colour))


def _codes(pixels):
  """Returns a number for each colour of uint8 [..., 3]."""
  red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
  return red << 16 | green << 8 | blue


def _colour_of(code):
  return int(code) >> 16, int(code) >> 8 & 255, int(code) & 255


def _common(codes):
  """Returns (colour, number of pixels), the most common first."""
  found, counts = np.unique(codes, return_counts=True)
  return [
    (_colour_of(found[i]), int(counts[i]))
    for i in np.argsort(-counts, kind='stable')
  ]


def _check_kind(image, rule):
  """Refuses what is no mask, whatever its pixels are."""
  lossy = _LOSSY.get(image.format)
  if image.info.get('compression') == 'jpeg':
    lossy = 'a TIFF compressed as JPEG'
  if lossy:
    raise BadImage(
      f'is {lossy}, whose compression changes ids and colours: '
      'export the masks again as PNG'
    )
  if image.format == 'GIF' and not rule.colours:
    raise BadImage(
      'is a GIF, in whose palette programs change the places: '
      'export the masks as PNG, or give --color_table'
    )
  if getattr(image, 'n_frames', 1) > 1:
    raise BadImage(f'holds {image.n_frames} images: keep one of them')
  if (
    image.mode in ('RGBA', 'LA') and image.getchannel('A').getextrema()[0] < 255
  ):
    raise BadImage(
      'has transparent parts, whose class is unknown: save it '
      'without transparency, with a value or a colour there'
    )


def _by_colour(pixels, rule):
  """Returns the ids of uint8 [height, width, 3] by the table of colours."""
  known = np.array(
    sorted(
      (int(_codes(np.array(colour))), label)
      for colour, label in rule.colours.items()
    )
  )
  codes = _codes(pixels)
  place = np.minimum(np.searchsorted(known[:, 0], codes), len(known) - 1)
  unknown = known[place, 0] != codes
  if unknown.any():
    raise BadImage(_unknown_colour(codes, unknown, rule))
  return known[place, 1].astype(np.uint8)


def _unknown_colour(codes, unknown, rule):
  """Returns what is said of colours that are not in the table."""
  colour, count = _common(codes[unknown])[0]
  y, x = np.argwhere(codes == int(_codes(np.array(colour))))[0]
  more = len(np.unique(codes[unknown])) - 1
  also = f', and {more:,} other such colours' if more else ''
  found = (
    f'has the colour {text(colour)} in {count:,} pixels (the first at '
    f'column {x}, row {y}){also}'
  )
  if rule.form:
    return f'{found}, which {rule.form} does not name: {_AS_IT_CAME}'
  nearest = min(
    rule.colours,
    key=lambda other: sum(
      (one - two) ** 2 for one, two in zip(colour, other, strict=True)
    ),
  )
  return (
    f'{found}, which --color_table does not name; the nearest it names is '
    f'{text(nearest)}, '
    f'{rule.names.get(nearest, rule.colours[nearest])}: add the colour '
    'to the table, or, if it lies between two classes, export the masks '
    'without smooth edges, as PNG'
  )


def _by_value(values, rule):
  """Returns the ids of whole numbers [height, width]."""
  if values.min() < 0 or values.max() >= MOST_IDS:
    raise BadImage(
      f'has the value {values.max():,}, and ids are below '
      f'{MOST_IDS}: export the masks with ids of classes'
    )
  if not rule.values:
    return values.astype(np.uint8)
  table = np.full(MOST_IDS, _NONE)
  if rule.ignore_label is not None:
    table[list(rule.ignored) or rule.ignore_label] = rule.ignore_label
  table[list(rule.values)] = range(len(rule.values))
  labels = table[values]
  strange = np.unique(values[labels == _NONE])
  if len(strange):
    found = (
      f'has the value{"s" * (len(strange) > 1)} '
      f'{", ".join(map(str, strange[:_SHOWN]))}'
    )
    if rule.form:
      raise BadImage(f'{found}, which {rule.form} does not name: {_AS_IT_CAME}')
    raise BadImage(
      f'{found}, which --mask_values={",".join(map(str, rule.values))} does '
      'not name: add what is missing in its place, or set --ignore_label if '
      'such pixels do not count'
    )
  return labels.astype(np.uint8)


def _colours_unasked(pixels):
  """Returns what is said of colours where no table tells their meaning."""
  colours = _common(_codes(pixels))
  shown = ' '.join(text(colour) for colour, _ in colours[:_SHOWN])
  more = f' and {len(colours) - _SHOWN:,} more' if len(colours) > _SHOWN else ''
  return (
    f'has colours ({shown}{more}), and nothing says which class each '
    'is: give --color_table, a CSV file with the lines name,r,g,b'
  )


def decode(data: bytes, rule: Rule, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Returns the id of each pixel of a mask file.

  With a table of colours the colours count, those of a palette too. Without
  one, values do: the places in a palette, as in PASCAL VOC, or the greys,
  which may come as three equal channels, in 1 bit or in 16.

  Args:
    data: the bytes of the file; of no format that changes values.
    rule: what they stand for.
    max_pixels: the largest height x width that is decoded.

  Returns:
    uint8 [height, width]. Without a table, ids may be no class: whoever knows
    the classes must check them.

  Raises:
    BadImage: it is no image or has no single meaning; the sentence goes
      on behind 'a mask that'.
  """
  image = image_files.open_image(data, max_pixels)
  try:
    _check_kind(image, rule)
    image = ImageOps.exif_transpose(image)
    if image.mode in ('F', 'CMYK', 'YCbCr', 'LAB'):
      raise BadImage(
        f'has pixels of the mode {image.mode}: export the masks '
        'as PNG of 8 bits'
      )
    if rule.colours:
      return _by_colour(np.asarray(image.convert('RGB')), rule)
    if image.mode in ('P', 'L', '1', 'I') or image.mode.startswith('I;16'):
      return _by_value(np.asarray(image).astype(np.int32), rule)
    pixels = np.asarray(image.convert('RGB'))
  except BadImage:
    raise
  except Exception:  # Pillow's readers raise what they like
    raise BadImage('is damaged') from None
  if (pixels != pixels[..., :1]).any():
    raise BadImage(_colours_unasked(pixels))
  return _by_value(pixels[..., 0], rule)


def read_palette(path: str) -> np.ndarray | None:
  """Returns the palette of a mask file, of which no pixel is read.

  Args:
    path: of the file.

  Returns:
    uint8 [colours, 3], those that the file has; None if it has none.

  Raises:
    BadImage: it is no image.
    Irregular: it is no regular file.
    OSError: it cannot be read.
  """
  return _palette_of(
    image_files.open_image(files.read_bytes(path), MOST_PIXELS)
  )


def _palette_of(image):
  if image.mode != 'P' or image.palette is None:
    return None
  # Of an image without pixels, since Pillow decodes those of this one first.
  bare = Image.new('P', (0, 0))
  bare.putpalette(image.palette)
  return np.array(bare.getpalette(), np.uint8).reshape(-1, 3)


def used_colours(
  data: bytes, max_pixels: int = MAX_PIXELS
) -> dict[int, Colour]:
  """Returns the places in a palette that a mask uses, with their colours.

  Args:
    data: the bytes of the file.
    max_pixels: the largest height x width that is decoded.

  Returns:
    {place: colour}; {} of a mask that has no palette.

  Raises:
    BadImage: it is no image, or is damaged.
  """
  image = image_files.open_image(data, max_pixels)
  palette = _palette_of(image)
  if palette is None:
    return {}
  try:
    used = np.flatnonzero(np.bincount(np.asarray(image).ravel()))
  except Exception:  # Pillow's readers raise what they like
    raise BadImage('is damaged') from None
  return {
    int(place): tuple(palette[place].tolist())
    for place in used
    if place < len(palette)
  }


def read(
  path: str, name: str, rule: Rule, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Reads a mask file; see `decode`.

  Args:
    path: of the file.
    name: what people call it.
    rule: what its pixels stand for.
    max_pixels: the largest height x width that is decoded.

  Raises:
    BadImage: it cannot be read, or `decode` refuses it; the sentence goes on
      behind the image's name.
  """
  try:
    return decode(files.read_bytes(path), rule, max_pixels)
  except files.Irregular as error:
    raise BadImage(f'has a mask, {name}, that {error.what}') from None
  except BadImage as bad:
    raise BadImage(f'has a mask, {name}, that {bad}') from None
  except OSError as error:
    raise BadImage(
      f'has a mask, {name}, that cannot be read: {error.strerror or error}'
    ) from None
