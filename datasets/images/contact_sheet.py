"""A sheet of examples with their names, for people to look at."""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets import files
from datasets.text import cut

COLUMNS, ROWS = 8, 6
CELL, GAP, TEXT, _CAPTION = 128, 8, 12, 32  # pixels
PAPER, BEHIND, INK = 'white', (224, 224, 224), 'black'


class Shown(NamedTuple):
  """An image for the sheet.

  Fields:
    image: uint8 [height, width, 3].
    title: the first line below it, such as the name of its class.
    detail: the second line.
  """

  image: np.ndarray
  title: str
  detail: str = ''


def fit(
  image: np.ndarray, cell: int = CELL, smooth: bool = True
) -> Image.Image:
  """Returns the image as large as a cell allows, in its proportions.

  Args:
    image: uint8 [height, width, 3], or [height, width] for one channel.
    cell: the side of the cell, in pixels.
    smooth: whether a larger image is averaged; a smaller one never is.
  """
  height, width = image.shape[:2]
  scale = cell / max(height, width)
  size = max(1, round(width * scale)), max(1, round(height * scale))
  return Image.fromarray(image).resize(
    size,
    Image.Resampling.LANCZOS
    if smooth and scale <= 1
    else Image.Resampling.NEAREST,
  )


def font() -> ImageFont.FreeTypeFont:
  """Returns the font of captions, which matplotlib brings along."""
  return ImageFont.truetype(
    str(
      pathlib.Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    ),
    TEXT,
  )


def shorten(text: str, face: ImageFont.FreeTypeFont, width: int = CELL) -> str:
  """Returns the text on one line, cut to a width in pixels."""
  text = cut(text, width)
  if face.getlength(text) <= width:
    return text
  while text and face.getlength(text + '…') > width:
    text = text[:-1]
  return text + '…'


def save(sheet: Image.Image, path: str | os.PathLike) -> None:
  """Writes a sheet as a PNG.

  Raises:
    ValueError: the file cannot be written.
  """
  folder = os.path.dirname(os.path.abspath(path))
  with (
    files.disk_errors(folder, 'Make room.'),
    files.atomic(path, 'wb') as file,
  ):
    sheet.save(file, 'png')


def _cells() -> Iterator[tuple[int, int]]:
  """Yields the left upper corner of each cell, row by row."""
  row = 0
  while True:
    for column in range(COLUMNS):
      yield (GAP + column * (CELL + GAP), GAP + row * (CELL + _CAPTION + GAP))
    row += 1


def draw(path: str | os.PathLike, shown: Sequence[Shown]) -> None:
  """Draws images with their captions on a sheet, eight a row, as a PNG.

  Raises:
    ValueError: no images, or the file cannot be written.
  """
  if not shown:
    raise ValueError('There are no images to draw.')
  corners = list(zip(shown, _cells()))  # noqa: B905 - cells never end
  sheet = Image.new(
    'RGB',
    (
      GAP + min(len(shown), COLUMNS) * (CELL + GAP),
      corners[-1][1][1] + CELL + _CAPTION + GAP,
    ),
    PAPER,
  )
  pen, face = ImageDraw.Draw(sheet), font()
  for each, (left, top) in corners:
    pen.rectangle((left, top, left + CELL - 1, top + CELL - 1), BEHIND)
    image = fit(each.image)
    sheet.paste(
      image,
      (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2),
    )
    for line, text in enumerate((each.title, each.detail)):
      pen.text(
        (left, top + CELL + 1 + line * (TEXT + 2)),
        shorten(text, face),
        INK,
        face,
      )
  save(sheet, path)
