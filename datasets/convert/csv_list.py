"""Images listed in a CSV file, with their labels."""

import csv
import functools
import io
import os
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from datasets import dataset_utils, files
from datasets.sources import listing
from datasets.text import check_name, few
from datasets.writing import splitting
from datasets.writing.plan import Item, Options, Plan

NEEDED = ('path', 'label')
# A larger number is rather a mistake, e.g. an identifier, than a class.
LARGEST_LABEL = 99_999

_INTEGER = re.compile(r'[+-]?[0-9]{1,18}')


class _Row(NamedTuple):
  """A line of the file: `where` is e.g. 'list.csv, line 7'."""

  where: str
  path: str
  label: str
  split: str


def _text(path: pathlib.Path) -> str:
  if not path.exists():
    raise ValueError(f'{path} does not exist. Is --source mistyped?')
  if path.is_dir():
    raise ValueError(f'{path} is a folder; --source should be a CSV file here.')
  data = files.read_bytes(path)
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    line = error.object.count(b'\n', 0, error.start) + 1
    raise ValueError(
      f'{path}, line {line}: this is not UTF-8. Save the file as UTF-8.'
    ) from error


def _cells(path: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
  """Yields where a row is, and its cells; empty lines are passed over."""
  reader = csv.reader(io.StringIO(_text(path), newline=''), strict=True)
  while True:
    try:
      cells = next(reader, None)
    except csv.Error as error:
      raise ValueError(
        f'{path}, line {reader.line_num}: this is not CSV: '
        f'{error}. Check its quotes.'
      ) from error
    if cells is None:
      return
    if cells:
      yield f'{path}, line {reader.line_num}', cells


def _columns(path: pathlib.Path, header: list[str]) -> dict[str, int]:
  header = [name.strip() for name in header]
  missing = [name for name in NEEDED if name not in header]
  if missing:
    raise ValueError(
      f'{path} has no column {" and ".join(missing)} in its first line; it '
      f'has {few(map(repr, header)) or "nothing"}. The first line should '
      'be: path,label'
    )
  columns = [name for name in (*NEEDED, 'split') if name in header]
  for name in columns:
    if header.count(name) > 1:
      raise ValueError(f'{path} has the column {name} twice. Rename one.')
  return {name: header.index(name) for name in columns}


def _rows(path: pathlib.Path) -> Iterator[_Row]:
  rows = _cells(path)
  _, header = next(rows, ('', []))
  columns = _columns(path, header)
  for where, cells in rows:
    if len(cells) != len(header):
      raise ValueError(
        f'{where}: it has {len(cells)} cells and the first line has '
        f'{len(header)}. Add what is missing; quote a cell with a comma.'
      )
    values = {name: cells[index] for name, index in columns.items()}
    for name, value in values.items():
      if not value.strip():
        raise ValueError(f'{where}: the {name} is empty. Fill it in.')
      check_name(value, f'{where}: the {name}')
    yield _Row(
      where,
      values['path'],
      values['label'],
      _split(where, values.get('split', 'train')),
    )


def _split(where: str, split: str) -> str:
  if split.strip() not in splitting.SPLITS:
    raise ValueError(
      f'{where}: the split is {split!r}; it should be one of '
      f'{", ".join(splitting.SPLITS)}.'
    )
  return splitting.SPLITS[split.strip()]


def _by_file(folder: pathlib.Path, rows: Iterator[_Row]) -> dict[str, _Row]:
  """Returns the row of each file; rows that say the same again are left out.

  Left twice, an example might be in train and in validation.
  """
  found: dict[str, _Row] = {}
  for row in rows:
    file = os.path.abspath(folder / row.path)
    first = found.setdefault(file, row)
    for name in ('label', 'split'):
      values = getattr(first, name), getattr(row, name)
      if values[0] != values[1]:
        raise ValueError(
          f'{row.where}: {row.path} has the {name} {values[1]!r}, and '
          f'{values[0]!r} in {first.where.rpartition(", ")[2]}. Keep one.'
        )
  return found


def _check_files(path: pathlib.Path, found: dict[str, _Row]) -> None:
  missing = [row for file, row in found.items() if not os.path.isfile(file)]
  if missing:
    raise ValueError(
      f'{missing[0].where}: there is no file {missing[0].path!r}; '
      f'{len(missing)} of {len(found)} are missing. Paths are relative to '
      f'{path.absolute().parent}.'
    )


def _read_labels(labels_file: str) -> dict[int, str]:
  if not os.path.isfile(labels_file):
    raise ValueError(f'The labels file {labels_file} does not exist.')
  return dataset_utils.read_label_file(*os.path.split(labels_file))


def _numbers(
  rows: list[_Row], labels_file: str | None
) -> tuple[dict[str, int], list[str]]:
  """Returns the label of each number in the file, and the class names."""
  names = _read_labels(labels_file) if labels_file else None
  largest = LARGEST_LABEL if names is None else len(names) - 1
  source = f' of {labels_file}' if labels_file else ''
  for row in rows:
    if not 0 <= int(row.label) <= largest:
      raise ValueError(
        f'{row.where}: the label {row.label} should be a number '
        f'from 0 to {largest:,}{source}, or a name.'
      )
  labels = {row.label: int(row.label) for row in rows}
  if names is None:
    return labels, [str(i) for i in range(max(labels.values()) + 1)]
  return labels, list(names.values())


def _names(
  rows: list[_Row], labels_file: str | None
) -> tuple[dict[str, int], list[str]]:
  """Returns the label of each name in the file, and the class names."""
  if labels_file is None:
    names = sorted({row.label for row in rows})
  else:
    names = list(_read_labels(labels_file).values())
  labels = {name: label for label, name in enumerate(names)}
  for row in rows:
    if row.label not in labels:
      raise ValueError(
        f'{row.where}: the label {row.label!r} is not in '
        f'{labels_file}. Add it there, or correct it.'
      )
  return labels, [name.strip() for name in names]


def _item_name(folder: pathlib.Path, file: str) -> str:
  path, top = pathlib.Path(file), os.path.abspath(folder)
  inside = path.is_relative_to(top)
  return (path.relative_to(top) if inside else path).as_posix()


def plan(source: str, options: Options) -> Plan:
  """Plans the images that a CSV file lists.

  Its first line names the columns: path and label, perhaps split (train,
  test, val or validation), and any others, which are passed over. Paths are
  relative to the file's folder. Where there is no split but train, a part of
  each class becomes validation.

  Args:
    source: the file, in UTF-8.
    options: what part is validation, and the seed of that choice. Where all
      labels are numbers, a labels file ('0:daisy' a line) names them; else
      it gives the order of the names.

  Returns:
    The splits that there are; the class names are sorted, or '0', '1'...

  Raises:
    ValueError: a file that is not as described; it names the line.
  """
  path = pathlib.Path(source)
  found = _by_file(path.parent, _rows(path))
  rows = list(found.values())
  if not rows:
    raise ValueError(f'{path} has no rows below its first line. Add some.')
  numbers = all(_INTEGER.fullmatch(row.label.strip()) for row in rows)
  labels, class_names = (_numbers if numbers else _names)(
    rows, options.labels_file
  )
  classes: dict[str, set[str]] = {'train': set()}
  splits: dict[str, list[Item]] = {'train': []}
  for file, row in found.items():
    label = labels[row.label]
    classes.setdefault(row.split, set()).add(
      str(label) if numbers else row.label
    )
    splits.setdefault(row.split, []).append(
      Item(
        _item_name(path.parent, file),
        label,
        functools.partial(listing.read_file, file),
      )
    )
  if not splits['train']:
    raise ValueError(f'{path} has no row of the split train. Add some.')
  splitting.check_classes(classes, str(path))
  _check_files(path, found)
  return Plan(str(source), class_names, splitting.complete(splits, options))
