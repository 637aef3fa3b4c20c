"""A sheet of examples with their names, for people to look at."""

import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets import files
from datasets.text import cut

COLUMNS, ROWS = 8, 6
CELL, GAP, TEXT = 128, 8, 12  # pixels
_LINE, _HEADING = TEXT + 2, TEXT + 10  # the height of each, in pixels
_MOST_LINES = 2  # of a title, and of a detail
PAPER, BEHIND, INK = 'white', (224, 224, 224), 'black'


class Shown(NamedTuple):
  """An image for the sheet.

  Fields:
    image: uint8 [height, width, 3].
    title: what stands below it, such as the name of its class.
    detail: what stands below the title.
    heading: what stands above it and all that follow with the same, which
      begin a row; '' for none.
  """

  image: np.ndarray
  title: str
  detail: str = ''
  heading: str = ''


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


def wrap(text: str, face: ImageFont.FreeTypeFont) -> list[str]:
  """Returns the text on as many lines as a caption has, the last one cut."""
  words, lines = cut(text, _MOST_LINES * CELL).split(' '), []
  while words and len(lines) < _MOST_LINES - 1:
    fits = [
      count
      for count in range(1, len(words) + 1)
      if face.getlength(' '.join(words[:count])) <= CELL
    ]
    taken = max(fits, default=0)
    if not taken:  # a word that is too long stays with what follows
      break
    lines.append(' '.join(words[:taken]))
    words = words[taken:]
  return [*lines, *([shorten(' '.join(words), face)] if words else [])]


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


class _Placed(NamedTuple):
  """Where an image is drawn.

  Fields:
    shown: the image.
    lines: its caption.
    left: of its cell, in pixels.
    top: of its cell, in pixels.
    heads: whether its heading stands above it.
  """

  shown: Shown
  lines: list[str]
  left: int
  top: int
  heads: bool


def _place(shown, face):
  """Returns the place of every image, row by row, and the sheet's height."""
  captions = [
    [*wrap(each.title, face), *wrap(each.detail, face)] for each in shown
  ]
  step = CELL + 4 + _LINE * max(2, *map(len, captions)) + GAP
  placed, top = [], GAP
  for heading, group in itertools.groupby(
    zip(shown, captions, strict=True), lambda pair: pair[0].heading
  ):
    top += _HEADING if heading else 0
    for number, (each, lines) in enumerate(group):
      row, column = divmod(number, COLUMNS)
      left = GAP + column * (CELL + GAP)
      placed.append(
        _Placed(each, lines, left, top + row * step, not number and heading)
      )
    top = placed[-1].top + step
  return placed, top


def draw(path: str | os.PathLike, shown: Sequence[Shown]) -> None:
  """Draws images with their captions on a sheet, eight a row, as a PNG.

  Raises:
    ValueError: no images, or the file cannot be written.
  """
  if not shown:
    raise ValueError('There are no images to draw.')
  face = font()
  placed, height = _place(shown, face)
  width = max(each.left for each in placed) + CELL + GAP
  sheet = Image.new('RGB', (width, height), PAPER)
  pen = ImageDraw.Draw(sheet)
  for each in placed:
    left, top = each.left, each.top
    pen.rectangle((left, top, left + CELL - 1, top + CELL - 1), BEHIND)
    image = fit(each.shown.image)
    sheet.paste(
      image,
      (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2),
    )
    for line, text in enumerate(each.lines):
      pen.text((left, top + CELL + 1 + line * _LINE), text, INK, face)
    if each.heads:
      _head(pen, each, face, width)
  save(sheet, path)


def _head(pen, placed, face, width):
  """Writes a heading above the first image below it, on a line."""
  top = placed.top - _HEADING
  pen.line((GAP, top, width - GAP, top), BEHIND)
  pen.text(
    (GAP, top + 3),
    shorten(placed.shown.heading, face, width - 2 * GAP),
    INK,
    face,
    stroke_width=0.3,
  )
