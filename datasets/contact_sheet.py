"""What people look at: a data set's figures as a table, pictures on a sheet."""
import dataclasses
import os
import pathlib
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from datasets import dataset_utils, pictures, tfrecord
from datasets.download import disk_errors
from datasets.examples import BadExample, Examiner

_WIDTH, _ROWS, _SPLITS, _SENTENCES = 100, 40, 6, 20  # that are shown
COLUMNS, ROWS = 8, 6
CELL, _GAP, _CAPTION, _TEXT = 128, 8, 32, 12  # pixels
_PAPER, _BEHIND, _INK = 'white', (224, 224, 224), 'black'
_MOST_READ = 2000  # records of a split, among which pictures are picked


@dataclasses.dataclass(frozen=True)
class SplitReport:
  """What is in a split.

  Attributes:
    paths: its files.
    records: their number, good or bad.
    bad: a sentence for each bad record; a file's damaged end counts as one.
    examples_per_class: the number of good records of each label.
    heights: the least, the median and the greatest, in pixels.
    widths: the same of the widths.
    median_bytes: of the encoded pictures.
    repeated: records whose picture and label an earlier one has.
  """
  paths: tuple[str, ...]
  records: int
  bad: tuple[str, ...]
  examples_per_class: tuple[int, ...]
  heights: tuple[int, int, int]
  widths: tuple[int, int, int]
  median_bytes: int
  repeated: int

  @property
  def imbalance(self) -> float:
    """The largest class over the smallest one that is not empty."""
    counts = [n for n in self.examples_per_class if n]
    return max(counts) / min(counts) if counts else 1.0


@dataclasses.dataclass(frozen=True)
class Report:
  """What is in a data set.

  Attributes:
    name: as in the registry.
    folder: where it is.
    class_names: of each label.
    splits: by name, those that have files.
    leaked: for two splits, how many pictures of the second are in the first.
    conflicts: the number of pictures that have more than one label.
    problems: sentences on what has to be mended.
    notes: sentences on what one should know.
  """
  name: str
  folder: str
  class_names: tuple[str, ...]
  splits: Mapping[str, SplitReport]
  leaked: Mapping[tuple[str, str], int]
  conflicts: int
  problems: tuple[str, ...]
  notes: tuple[str, ...]

  @property
  def paths(self) -> dict[str, tuple[str, ...]]:
    """The files of each split that can be read."""
    return {name: split.paths for name, split in self.splits.items()}

  def lines(self) -> list[str]:
    """Returns it as text; see `describe`."""
    return describe(self)


def _columns(character):
  """Returns how many columns of a terminal a character takes."""
  if unicodedata.combining(character):
    return 0
  return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


def columns(text: str) -> int:
  """Returns how many columns of a terminal a text takes.

  >>> columns('rose'), columns('薔薇')
  (4, 4)
  """
  return sum(map(_columns, text))


def cut(text: str, width: int) -> str:
  """Returns the text on one line, with '…' for what is beyond the width.

  >>> cut('sunflowers', 7), cut('薔薇の花', 7)
  ('sunflo…', '薔薇の…')
  """
  text = ''.join(c if c.isprintable() else '?' for c in text)
  if columns(text) <= width:
    return text
  while columns(text) > width - 1:
    text = text[:-1]
  return text + '…'


def _wrap(text):
  """Returns lines; a word that is too long for one, such as a path, stays."""
  lines = ['- ']
  for word in text.split():
    if lines[-1].strip(' -') and columns(f'{lines[-1]} {word}') >= _WIDTH:
      lines.append('  ')
    lines[-1] += word if lines[-1] in ('- ', '  ') else f' {word}'
  return lines


def _sentences(title, texts):
  if not texts:
    return []
  more = len(texts) - _SENTENCES
  return ['', title, *(line for text in texts[:_SENTENCES]
                       for line in _wrap(text)),
          *([f'- and {more:,} more'] if more > 0 else [])]


def _class_rows(report, splits):
  """Returns cells: a class, its examples in each split, its share of all."""
  totals = np.sum([split.examples_per_class
                   for split in report.splits.values()], axis=0)
  every = max(totals.sum(), 1)
  order = list(range(len(totals)))
  if len(order) > _ROWS:
    order.sort(key=lambda label: -totals[label])
  rows = [[f'{label} {report.class_names[label]}',
           *(f'{split.examples_per_class[label]:,}' for split in splits),
           f'{totals[label] / every:.1%}'] for label in order]
  left_out = rows[_ROWS // 2:-_ROWS // 2]
  if len(rows) > _ROWS:
    rows[_ROWS // 2:-_ROWS // 2] = [
        [f'... {len(left_out):,} classes between'] + [''] * (len(splits) + 1)]
  return rows


def _figure_rows(splits):
  """Returns cells: a figure, its value for each split."""
  figures = {
      'examples': lambda split: sum(split.examples_per_class),
      'bad records': lambda split: len(split.bad),
      'files': lambda split: len(split.paths),
      'height, least': lambda split: split.heights[0],
      'height, median': lambda split: split.heights[1],
      'height, greatest': lambda split: split.heights[2],
      'width, least': lambda split: split.widths[0],
      'width, median': lambda split: split.widths[1],
      'width, greatest': lambda split: split.widths[2],
      'bytes a picture, median': lambda split: split.median_bytes}
  return [[name, *(f'{value(split):,}' for split in splits), '']
          for name, value in figures.items()]


def describe(report: Report) -> list[str]:
  """Returns a report as lines of at most 100 columns.

  Of more than 40 classes the 20 largest and the 20 smallest are shown, of
  problems and of notes the first 20 each.
  """
  names = list(report.splits)[:_SPLITS]
  splits = [report.splits[name] for name in names]
  classes, figures = _class_rows(report, splits), _figure_rows(splits)
  rows = [['class', *(cut(name, 12) for name in names), 'share'],
          *classes, *figures]
  widths = [max(columns(row[i]) for row in rows) + 2
            for i in range(1, len(names) + 2)]
  room = min(max(columns(row[0]) for row in rows), _WIDTH - sum(widths))

  def line(row):
    first = cut(row[0], room)
    return (first + ' ' * (room - columns(first)) + ''.join(
        ' ' * (width - columns(cell)) + cell
        for cell, width in zip(row[1:], widths, strict=True))).rstrip()

  rule = '-' * (room + sum(widths))
  table = [line(rows[0]), rule, *map(line, classes), rule, *map(line, figures)]
  if len(report.splits) > _SPLITS:
    table.append(f'and {len(report.splits) - _SPLITS} more splits')
  return [f'{report.name} in {report.folder}: '
          f'{len(report.class_names):,} classes', '', *table,
          *_sentences('Notes', report.notes),
          *_sentences('Problems', report.problems), '',
          f'{len(report.problems):,} problems.' if len(report.problems) > 1
          else 'One problem.' if report.problems else 'No problems.']


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
  try:
    features = tf.train.Example.FromString(record).features.feature
  except Exception:  # each protobuf runtime has an error of its own
    return -1
  return next(iter(features['image/class/label'].int64_list.value), -1)


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
