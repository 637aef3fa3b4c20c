"""A sheet of examples with their names, for people to look at."""

import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from datasets import dataset_utils, files
from datasets.images import image_files
from datasets.records import tfrecord
from datasets.records.examples import BadExample, Examiner, features_of
from datasets.text import cut

COLUMNS, ROWS = 8, 6
CELL, GAP, TEXT, _CAPTION = 128, 8, 12, 32  # pixels
PAPER, BEHIND, INK = 'white', (224, 224, 224), 'black'
_MOST_READ = 2000  # records of a split, among which images are picked


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


def _label(record):
  """Returns the label of a record, -1 if it has none."""
  label = features_of(record)['image/class/label'].int64_list.value
  return next(iter(label), -1)


def _candidates(reader, random):
  """Yields numbers of records at random, the classes in turn."""
  found = {}
  for index in random.permutation(len(reader))[:_MOST_READ]:
    try:
      label = _label(reader.read(int(index)))
    except (ValueError, OSError, tf.errors.OpError):
      continue  # damaged
    found.setdefault(label, []).append(int(index))
  for turn in range(max(map(len, found.values()), default=0)):
    for indices in found.values():
      if turn < len(indices):
        yield indices[turn]


def _of_split(split, reader, random, count, examiner, class_names):
  """Returns up to `count` images of a split, by label."""
  found = []
  for index in _candidates(reader, random):
    if len(found) == count:
      break
    try:
      label, _, image, _ = examiner(reader.read(index))
    except BadExample:
      continue
    height, width = image.shape[:2]
    # Only what is drawn is kept.
    found.append(
      (
        label,
        Shown(
          np.asarray(fit(image)),
          f'{label} {class_names[label]}',
          f'{split} {width}x{height}',
        ),
      )
    )
  return [shown for _, shown in sorted(found, key=lambda pair: pair[0])]


def pick(
  paths: Mapping[str, Sequence[str]],
  class_names: Sequence[str],
  max_pixels: int = image_files.MAX_PIXELS,
  count: int = COLUMNS * ROWS,
  seed: int = 0,
) -> list[Shown]:
  """Returns examples at random, evenly over splits and classes.

  Classes are told apart among 2,000 records of a split; bad records are
  passed over.

  Args:
    paths: the files of each split, as `Report.paths`.
    class_names: the name of each label.
    max_pixels: the largest height x width of an image.
    count: how many, at most.
    seed: fixes the choice.
  """
  examiner = Examiner(range(len(class_names)), max_pixels)
  return share_out(
    paths, count, seed, lambda *split: _of_split(*split, examiner, class_names)
  )


def share_out(
  paths: Mapping[str, Sequence[str]],
  count: int,
  seed: int,
  choose: Callable[[str, tfrecord.Reader, np.random.Generator, int], list],
) -> list:
  """Returns what is chosen of every split, as evenly as they allow.

  Args:
    paths: the files of each split.
    count: how many, at most.
    seed: fixes the choice.
    choose: given the name of a split, its records, what to draw lots with,
      and how many, returns no more than that.
  """
  readers = {
    split: tfrecord.Reader(files, dataset_utils.offsets_dir())
    for split, files in paths.items()
  }
  found = {}
  # The smallest first: what it lacks the others make up.
  for split in sorted(readers, key=lambda split: len(readers[split])):
    share = (count - sum(map(len, found.values()))) // (
      len(readers) - len(found)
    )
    random = np.random.default_rng([seed, zlib.crc32(split.encode())])
    found[split] = choose(split, readers[split], random, share)
  return [shown for split in paths for shown in found[split]]


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
