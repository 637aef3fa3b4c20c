"""A report as a table for people."""

from collections.abc import Sequence

import numpy as np

from datasets import label_kinds
from datasets.limits import MOST_IDS
from datasets.text import columns, cut
from datasets.verifying.report import Report, SplitReport

_WIDTH, _ROWS, _SPLITS, _SENTENCES = 100, 40, 6, 20  # that are shown

# The titles of columns behind those of the splits, and rows of cells.
Table = tuple[list[str], list[list[str]]]


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


def examples_per_class(report: Report, splits: Sequence[SplitReport]) -> Table:
  """Returns rows of a class, its examples in each split, its share of all."""
  totals = np.sum(
    [split.examples_per_class for split in report.splits.values()], axis=0
  )
  every = max(totals.sum(), 1)
  return ['share'], _shortened(
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


def pixels_per_value(report: Report, splits: Sequence[SplitReport]) -> Table:
  """Returns rows of a value, its share of each split's pixels and of all's.

  The last cell is the number of masks that have it.
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
  return ['share', 'masks'], [
    *_shortened([row(value) for value in range(classes)], pixels[:classes]),
    *_shortened([row(value) for value in others], pixels[others]),
  ]


def _count_rows(splits):
  """Returns cells: a count, its value for each split."""
  counts = {
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
    for name, value in counts.items()
  ]


def describe(report: Report) -> list[str]:
  """Returns a report as lines of at most 100 columns.

  Of more than 40 classes the 20 largest and the 20 smallest are shown, of
  problems and of notes the first 20 each. For segmentation classes have
  shares of pixels, and the last column is the number of masks.
  """
  names = list(report.splits)[:_SPLITS]
  splits = [report.splits[name] for name in names]
  titles, classes = label_kinds.get(report.task).class_table(report, splits)
  counts = _count_rows(splits)
  counts = [row + [''] * len(titles) for row in counts]
  rows = [
    ['class', *(cut(name, 12) for name in names), *titles],
    *classes,
    *counts,
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
  table = [line(rows[0]), rule, *map(line, classes), rule, *map(line, counts)]
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
