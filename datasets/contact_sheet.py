"""A sheet of examples with their names, for people to look at."""
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from datasets import dataset_utils, pictures, tfrecord
from datasets.download import disk_errors
from datasets.examples import BadExample, Examiner, features_of
from datasets.report import cut

COLUMNS, ROWS = 8, 6
CELL, _GAP, _CAPTION, _TEXT = 128, 8, 32, 12  # pixels
_PAPER, _BEHIND, _INK = 'white', (224, 224, 224), 'black'
_MOST_READ = 2000  # records of a split, among which pictures are picked


class Shown(NamedTuple):
  """A picture for the sheet.

  Fields:
    image: uint8 [height, width, 3].
    title: the first line below it, such as the name of its class.
    detail: the second line.
  """
  image: np.ndarray
  title: str
  detail: str = ''


def _fit(image: np.ndarray) -> Image.Image:
  """Returns the picture as large as a cell allows, in its proportions."""
  height, width = image.shape[:2]
  scale = CELL / max(height, width)
  size = max(1, round(width * scale)), max(1, round(height * scale))
  return Image.fromarray(image).resize(
      size, Image.Resampling.NEAREST if scale > 1 else
      Image.Resampling.LANCZOS)


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


def _of_split(split, reader, examiner, class_names, seed, count):
  """Returns up to `count` (label, picture) of a split, by label."""
  random = np.random.default_rng([seed, zlib.crc32(split.encode())])
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
    found.append((label, Shown(np.asarray(_fit(image)),
                               f'{label} {class_names[label]}',
                               f'{split} {width}x{height}')))
  return [shown for _, shown in sorted(found, key=lambda pair: pair[0])]


def pick(paths: Mapping[str, Sequence[str]], class_names: Sequence[str],
         max_pixels: int = pictures.MAX_PIXELS,
         count: int = COLUMNS * ROWS, seed: int = 0) -> list[Shown]:
  """Returns examples at random, evenly over splits and classes.

  Classes are told apart among 2,000 records of a split; bad records are
  passed over.

  Args:
    paths: the files of each split, as `Report.paths`.
    class_names: the name of each label.
    max_pixels: the largest height x width of a picture.
    count: how many, at most.
    seed: fixes the choice.
  """
  readers = {split: tfrecord.Reader(files, dataset_utils.offsets_dir())
             for split, files in paths.items()}
  examiner = Examiner(range(len(class_names)), max_pixels)
  found = {}
  # The smallest first: what it lacks the others make up.
  for split in sorted(readers, key=lambda split: len(readers[split])):
    share = ((count - sum(map(len, found.values())))
             // (len(readers) - len(found)))
    found[split] = _of_split(split, readers[split], examiner, class_names,
                             seed, share)
  return [shown for split in paths for shown in found[split]]


def _font():
  return ImageFont.truetype(
      str(pathlib.Path(matplotlib.get_data_path(), 'fonts', 'ttf',
                       'DejaVuSans.ttf')), _TEXT)


def _shorten(text, font):
  """Returns the text, cut to a cell's width."""
  text = cut(text, CELL)
  if font.getlength(text) <= CELL:
    return text
  while text and font.getlength(text + '…') > CELL:
    text = text[:-1]
  return text + '…'


def _cells() -> Iterator[tuple[int, int]]:
  """Yields the left upper corner of each cell, row by row."""
  row = 0
  while True:
    for column in range(COLUMNS):
      yield (_GAP + column * (CELL + _GAP),
             _GAP + row * (CELL + _CAPTION + _GAP))
    row += 1


def draw(path: str | os.PathLike, shown: Sequence[Shown]) -> None:
  """Draws pictures with their captions on a sheet, eight a row, as a PNG.

  Raises:
    ValueError: no pictures, or the file cannot be written.
  """
  if not shown:
    raise ValueError('There are no pictures to draw.')
  corners = list(zip(shown, _cells()))  # noqa: B905 - cells never end
  sheet = Image.new('RGB', (
      _GAP + min(len(shown), COLUMNS) * (CELL + _GAP),
      corners[-1][1][1] + CELL + _CAPTION + _GAP), _PAPER)
  pen, font = ImageDraw.Draw(sheet), _font()
  for picture, (left, top) in corners:
    pen.rectangle((left, top, left + CELL - 1, top + CELL - 1), _BEHIND)
    image = _fit(picture.image)
    sheet.paste(image, (left + (CELL - image.width) // 2,
                        top + (CELL - image.height) // 2))
    for line, text in enumerate((picture.title, picture.detail)):
      pen.text((left, top + CELL + 1 + line * (_TEXT + 2)),
               _shorten(text, font), _INK, font)
  with disk_errors(os.path.dirname(os.path.abspath(path)), 'Make room.'):
    sheet.save(path, 'png')
