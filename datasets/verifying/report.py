"""What is known of a dataset once all is read, and as a table for people."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from datasets.limits import MOST_IDS
from datasets.records.description import CLASSIFICATION, SEGMENTATION
from datasets.text import columns, cut

_WIDTH, _ROWS, _SPLITS, _SENTENCES = 100, 40, 6, 20  # that are shown


class Values(NamedTuple):
  """What the good masks of a split hold.

  Fields:
    examples: the number of masks.
    pixels: those of each value, 0 to 255.
    masks: the number of masks in which each value occurs.
  """

  examples: int
  pixels: tuple[int, ...]
  masks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class SplitReport:
  """What is in a split.

  Attributes:
    paths: its files.
    records: their number, good or bad.
    bad: a sentence for each bad record; a file's damaged end counts as one.
    examples_per_class: the number of good records of each label; for
      segmentation of those in whose masks the class occurs.
    heights: the least, the median and the greatest, in pixels.
    widths: the same of the widths.
    median_bytes: of the encoded images.
    repeated: records whose image and label an earlier one has.
    values: what the masks hold; None for classification.
  """

  paths: tuple[str, ...]
  records: int
  bad: tuple[str, ...]
  examples_per_class: tuple[int, ...]
  heights: tuple[int, int, int]
  widths: tuple[int, int, int]
  median_bytes: int
  repeated: int
  values: Values | None = None

  @property
  def examples(self) -> int:
    """The number of good records."""
    return self.values.examples if self.values else sum(self.examples_per_class)

  @property
  def imbalance(self) -> float:
    """The largest class over the smallest one that is not empty."""
    counts = [n for n in self.examples_per_class if n]
    return max(counts) / min(counts) if counts else 1.0


@dataclasses.dataclass(frozen=True)
class Report:
  """What is in a dataset.

  Attributes:
    name: as in the registry.
    folder: where it is.
    class_names: of each label.
    splits: by name, those that have files.
    leaked: for two splits, how many images of the second are in the first.
    conflicts: the number of images that have more than one label, or mask.
    problems: sentences on what has to be mended.
    notes: sentences on what one should know.
    task: 'classification' or 'segmentation'.
    ignore_label: the value of pixels that do not count; None if all do.
  """

  name: str
  folder: str
  class_names: tuple[str, ...]
  splits: Mapping[str, SplitReport]
  leaked: Mapping[tuple[str, str], int]
  conflicts: int
  problems: tuple[str, ...]
  notes: tuple[str, ...]
  task: str = CLASSIFICATION
  ignore_label: int | None = None

  @property
  def paths(self) -> dict[str, tuple[str, ...]]:
    """The files of each split that can be read."""
    return {name: split.paths for name, split in self.splits.items()}

  def lines(self) -> list[str]:
    """Returns it as text; see `describe`."""
    return describe(self)


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
  return [
    '',
    title,
    *(line for text in texts[:_SENTENCES] for line in _wrap(text)),
    *([f'- and {more:,} more'] if more > 0 else []),
  ]


def _shortened(rows, totals):
  """Returns rows of cells, of many the largest and the smallest."""
  if len(rows) <= _ROWS:
    return rows
  rows = [rows[i] for i in sorted(range(len(rows)), key=lambda i: -totals[i])]
  left_out = len(rows) - _ROWS
  between = [f'... {left_out:,} classes between'] + [''] * (len(rows[0]) - 1)
  return [*rows[: _ROWS // 2], between, *rows[-_ROWS // 2 :]]


def _class_rows(report, splits):
  """Returns cells: a class, its examples in each split, its share of all."""
  totals = np.sum(
    [split.examples_per_class for split in report.splits.values()], axis=0
  )
  every = max(totals.sum(), 1)
  return _shortened(
    [
      [
        f'{label} {name}',
        *(f'{split.examples_per_class[label]:,}' for split in splits),
        f'{totals[label] / every:.1%}',
      ]
      for label, name in enumerate(report.class_names)
    ],
    totals,
  )


def _value_name(value, report):
  """Returns what is said of a value of masks."""
  known = value < len(report.class_names)
  name = report.class_names[value] if known else 'no class'
  if value == report.ignore_label:
    name = f'{name}, ignored' if known else 'ignored'
  return f'{value} {name}'


def _value_rows(report, splits):
  """Returns cells: a value, its share of each split's pixels and of all's.

  The last one is the number of masks that have it.
  """
  pixels, masks = (
    np.sum(
      [getattr(split.values, of) for split in report.splits.values()], axis=0
    )
    for of in ('pixels', 'masks')
  )
  classes = len(report.class_names)

  def row(value):
    counts = [split.values.pixels for split in splits] + [pixels]
    return [
      _value_name(value, report),
      *(f'{of[value] / max(sum(of), 1):.2%}' for of in counts),
      f'{masks[value]:,}',
    ]

  others = [value for value in range(classes, MOST_IDS) if pixels[value]]
  return [
    *_shortened([row(value) for value in range(classes)], pixels[:classes]),
    *_shortened([row(value) for value in others], pixels[others]),
  ]


# By task: the titles behind those of the splits, and what makes the rows.
_TABLES = {
  CLASSIFICATION: (['share'], _class_rows),
  SEGMENTATION: (['share', 'masks'], _value_rows),
}


def _figure_rows(splits):
  """Returns cells: a figure, its value for each split."""
  figures = {
    'examples': lambda split: split.examples,
    'bad records': lambda split: len(split.bad),
    'files': lambda split: len(split.paths),
    'height, least': lambda split: split.heights[0],
    'height, median': lambda split: split.heights[1],
    'height, greatest': lambda split: split.heights[2],
    'width, least': lambda split: split.widths[0],
    'width, median': lambda split: split.widths[1],
    'width, greatest': lambda split: split.widths[2],
    'bytes an image, median': lambda split: split.median_bytes,
  }
  return [
    [name, *(f'{value(split):,}' for split in splits)]
    for name, value in figures.items()
  ]


def describe(report: Report) -> list[str]:
  """Returns a report as lines of at most 100 columns.

  Of more than 40 classes the 20 largest and the 20 smallest are shown, of
  problems and of notes the first 20 each. For segmentation the figures of
  classes are shares of pixels, and the last column is the number of masks.
  """
  names = list(report.splits)[:_SPLITS]
  splits = [report.splits[name] for name in names]
  titles, make_rows = _TABLES[report.task]
  classes, figures = make_rows(report, splits), _figure_rows(splits)
  figures = [row + [''] * len(titles) for row in figures]
  rows = [
    ['class', *(cut(name, 12) for name in names), *titles],
    *classes,
    *figures,
  ]
  widths = [
    max(columns(row[i]) for row in rows) + 2 for i in range(1, len(rows[0]))
  ]
  room = min(max(columns(row[0]) for row in rows), _WIDTH - sum(widths))

  def line(row):
    first = cut(row[0], room)
    return (
      first
      + ' ' * (room - columns(first))
      + ''.join(
        ' ' * (width - columns(cell)) + cell
        for cell, width in zip(row[1:], widths, strict=True)
      )
    ).rstrip()

  rule = '-' * (room + sum(widths))
  table = [line(rows[0]), rule, *map(line, classes), rule, *map(line, figures)]
  if len(report.splits) > _SPLITS:
    table.append(f'and {len(report.splits) - _SPLITS} more splits')
  ignored = (
    '' if report.ignore_label is None else f', {report.ignore_label} is ignored'
  )
  return [
    f'{report.name} in {report.folder}: '
    f'{len(report.class_names):,} classes{ignored}',
    '',
    *table,
    *_sentences('Notes', report.notes),
    *_sentences('Problems', report.problems),
    '',
    f'{len(report.problems):,} problems.'
    if len(report.problems) > 1
    else 'One problem.'
    if report.problems
    else 'No problems.',
  ]
