"""Masks in colours, over their images, for people to look at."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from datasets.images import contact_sheet
from datasets.images.contact_sheet import GAP, INK, PAPER, TEXT
from datasets.limits import MOST_IDS

IGNORED = (224, 224, 224)  # the colour of ignored pixels
WRONG = (255, 0, 0)  # of those that are wrong
CELL, EXAMPLES = 192, 24
_ACROSS, _NEAR = 8, 2  # cells side by side; pixels between those of a row
_LINE = TEXT + 4
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
_PATCH, _NAME = 12, 180  # the colour and the name in the legend, in pixels


class Row(NamedTuple):
  """An image for the sheet, and its masks.

  Fields:
    image: uint8 [height, width, 3].
    masks: each uint8 [height, width], shown over the image.
    caption: the line below them.
    titles: a line below the image, each mask and `wrong`; () for none.
    wrong: bool [height, width], shown over the image at last; None for
      nothing.
  """

  image: np.ndarray
  masks: Sequence[np.ndarray]
  caption: str = ''
  titles: Sequence[str] = ()
  wrong: np.ndarray | None = None


def palette(classes: int) -> np.ndarray:
  """Returns PASCAL VOC's colours of classes: uint8 [classes, 3].

  The bits of the number are dealt to red, green and blue in turn, and make
  up each colour from its highest bit down.

  >>> palette(3).tolist()
  [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
  """
  bits = np.arange(classes)[:, None] >> np.arange(24) & 1  # the lowest first
  weights = 128 >> np.arange(8)
  return (bits.reshape(-1, 8, 3) * weights[:, None]).sum(1).astype(np.uint8)


def _colours(ignore_label):
  """Returns the colour of each value of a mask: uint8 [256, 3]."""
  colours = palette(MOST_IDS)
  if ignore_label is not None:
    colours[ignore_label] = IGNORED
  return colours


def colour(mask: np.ndarray, ignore_label: int | None = None) -> np.ndarray:
  """Returns a mask in the colours of its classes.

  Args:
    mask: uint8 [height, width].
    ignore_label: the value of ignored pixels, which are light grey.

  Returns:
    uint8 [height, width, 3].
  """
  return _colours(ignore_label)[mask]


def blend(
  image: np.ndarray,
  mask: np.ndarray,
  ignore_label: int | None = None,
  alpha: float = 0.55,
  transparent: int | None = 0,
) -> np.ndarray:
  """Returns an image with a mask's colours over it.

  Below them it is grey, so that they look like those of the legend.

  Args:
    image: uint8 [height, width, 3].
    mask: uint8 [height, width].
    ignore_label: the value of ignored pixels, which are light grey.
    alpha: the part of the colours, in [0, 1].
    transparent: the value below which the image stays as it is, unless that
      is the ignore label; None for no value.

  Returns:
    uint8 [height, width, 3].
  """
  grey = (image @ _BRIGHTNESS)[..., None]
  over = np.round(grey * (1 - alpha) + colour(mask, ignore_label) * alpha)
  clear = transparent is not None and transparent != ignore_label
  return np.where(
    (mask[..., None] == transparent) & clear, image, over.astype(np.uint8)
  )


def mark(image: np.ndarray, wrong: np.ndarray) -> np.ndarray:
  """Returns an image in pale grey, with the wrong pixels in their colour.

  Args:
    image: uint8 [height, width, 3].
    wrong: bool [height, width].

  Returns:
    uint8 [height, width, 3].
  """
  pale = 128 + (image @ _BRIGHTNESS)[..., None] / 2
  return np.where(wrong[..., None], WRONG, pale.astype(np.uint8)).astype(
    np.uint8
  )


def _transparent(class_names):
  return 0 if class_names[0] == 'background' else None


def _row_image(row, cell, high, ignore_label, transparent):
  """Returns the image and its overlays side by side, `high` pixels high."""
  image = contact_sheet.fit(row.image, cell)
  shown = [
    image,
    *(
      Image.fromarray(
        blend(
          np.asarray(image),
          np.asarray(contact_sheet.fit(mask, cell, smooth=False)),
          ignore_label,
          transparent=transparent,
        )
      )
      for mask in row.masks
    ),
  ]
  if row.wrong is not None:  # smaller, a few wrong pixels are still there
    shown.append(contact_sheet.fit(mark(row.image, row.wrong), cell))
  strip = Image.new('RGB', (_width(row, cell), high), PAPER)
  for number, each in enumerate(shown):
    strip.paste(
      each,
      (
        number * (cell + _NEAR) + (cell - each.width) // 2,
        (high - each.height) // 2,
      ),
    )
  return strip


def _cells(row):
  return 1 + len(row.masks) + (row.wrong is not None)


def _width(row, cell):
  return _cells(row) * (cell + _NEAR) - _NEAR


def _highest(rows, cell):
  """Returns the height of the highest image as it is drawn."""
  return max(
    contact_sheet.fit(row.image, cell, smooth=False).height for row in rows
  )


def _legend(rows, class_names, ignore_label, transparent):
  """Returns what occurs: the colour, None for that of the image; the name."""
  values = np.unique(
    np.concatenate([np.unique(mask) for row in rows for mask in row.masks])
  )
  entries = []
  for value in values.tolist():
    name = (
      class_names[value] if value < len(class_names) else f'{value}, no class'
    )
    if value == ignore_label:
      name = f'ignored ({name})' if value < len(class_names) else 'ignored'
    clear = value == transparent != ignore_label
    entries.append(
      (None if clear else tuple(_colours(ignore_label)[value].tolist()), name)
    )
  if any(row.wrong is not None for row in rows):
    entries.append((WRONG, 'where they differ'))
  return entries


def _draw_legend(pen, face, entries, top, width):
  """Draws the legend in columns from `top` down; returns its height."""
  across = max(1, (width - GAP) // (_PATCH + GAP + _NAME))
  down = -(-len(entries) // across)
  for number, (fill, name) in enumerate(entries):
    column, line = divmod(number, down)
    left, upper = GAP + column * (_PATCH + GAP + _NAME), top + line * _LINE
    pen.rectangle(
      (left, upper + 2, left + _PATCH - 1, upper + _PATCH + 1),
      fill or PAPER,
      None if fill and fill != IGNORED else 'grey',
    )
    pen.text(
      (left + _PATCH + GAP // 2, upper),
      contact_sheet.shorten(name, face, _NAME),
      INK,
      face,
    )
  return down * _LINE


def draw(
  path: str | os.PathLike,
  rows: Sequence[Row],
  class_names: Sequence[str],
  ignore_label: int | None = None,
  cell: int = CELL,
) -> None:
  """Draws images, each beside its masks, as a PNG with a legend.

  What a class named background covers stays as it is.

  Args:
    path: of the PNG.
    rows: with one number of masks, and all with `wrong` or none; short ones
      stand side by side.
    class_names: the name of each label.
    ignore_label: the value of ignored pixels; None if there is none.
    cell: the pixels of the longer side of an image, as it is drawn.

  Raises:
    ValueError: no rows, or the file cannot be written.
  """
  if not rows:
    raise ValueError('There are no images to draw.')
  transparent, face = _transparent(class_names), contact_sheet.font()
  entries = _legend(rows, class_names, ignore_label, transparent)
  across = min(len(rows), max(1, _ACROSS // _cells(rows[0])))
  titled = any(row.titles for row in rows)
  high = _highest(rows, cell)
  step = high + _LINE * (1 + titled) + GAP
  width = 2 * GAP + across * (_width(rows[0], cell) + 2 * GAP) - 2 * GAP
  bottom = GAP + -(-len(rows) // across) * step
  sheet = Image.new('RGB', (width, bottom + _LINE * (len(entries) + 1)), PAPER)
  pen = ImageDraw.Draw(sheet)
  for number, row in enumerate(rows):
    left = GAP + number % across * (_width(row, cell) + 2 * GAP)
    top = GAP + number // across * step
    sheet.paste(
      _row_image(row, cell, high, ignore_label, transparent), (left, top)
    )
    for column, title in enumerate(row.titles):
      pen.text(
        (left + column * (cell + _NEAR), top + high + 1),
        contact_sheet.shorten(title, face, cell),
        INK,
        face,
      )
    pen.text(
      (left, top + step - GAP - _LINE + 1),
      contact_sheet.shorten(row.caption, face, _width(row, cell)),
      INK,
      face,
    )
  legend = _draw_legend(pen, face, entries, bottom + GAP, width)
  contact_sheet.save(sheet.crop((0, 0, width, bottom + legend + 2 * GAP)), path)
