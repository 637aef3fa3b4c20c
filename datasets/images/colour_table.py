"""Tables of the colours that masks have, and of their classes' names."""

import csv
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from datasets import files
from datasets.images import mask_files
from datasets.limits import MOST_IDS
from datasets.text import check_name

# Rows of these names are no classes, unless every pixel counts.
VOID = {'void', 'ignore', 'ignored', 'unlabeled', 'unlabelled'}
_COLUMNS = ('name', 'r', 'g', 'b')
_HEADER = 'name,r,g,b'


class Table(NamedTuple):
  """The classes of masks, and how they are read.

  Fields:
    class_names: in their order.
    rule: what the pixels stand for.
    ignored: the names of what is ignored.
    notes: sentences on what was taken for the classes.
    source_values: what the source calls the classes, where that is not
      `rule.values`; see `Plan.source_values`.
  """

  class_names: list[str]
  rule: mask_files.Rule
  ignored: list[str] = []
  notes: list[str] = []
  source_values: tuple[int, ...] = ()


def _csv_rows(path, lines) -> Iterator[tuple[str, str, list[str]]]:
  """Yields (line number, name, cells of the colour) of name,r,g,b."""
  reader = csv.reader(lines)
  header = [cell.strip().lower() for cell in next(reader, [])]
  missing = [name for name in _COLUMNS if name not in header]
  if missing:
    raise ValueError(
      f'{path} has no column {" and ".join(missing)} in its '
      f'first line; that should be: {_HEADER}.'
    )
  places = [header.index(name) for name in _COLUMNS]
  for cells in reader:
    if any(cell.strip() for cell in cells):
      cells += [''] * (len(header) - len(cells))
      name, *colour = (cells[place].strip() for place in places)
      yield reader.line_num, name, colour


def _labelmap_rows(_, lines) -> Iterator[tuple[str, str, list[str]]]:
  """Yields the same of lines such as cat:64,0,0:: with # for remarks."""
  for number, line in enumerate(lines, 1):
    if line.strip() and not line.lstrip().startswith('#'):
      name, _, rest = line.partition(':')
      yield number, name.strip(), rest.partition(':')[0].split(',')


def _rows(path):
  """Yields (where, name, colour)."""
  try:
    lines = files.read_bytes(path).decode('utf-8-sig').splitlines()
  except UnicodeDecodeError:
    raise ValueError(f'{path} is not UTF-8 text: save it as UTF-8.') from None
  written = [
    line for line in lines if line.strip() and not line.lstrip().startswith('#')
  ]
  read = _labelmap_rows if written and ':' in written[0] else _csv_rows
  try:
    for number, name, cells in read(path, lines):
      where = f'{path}, line {number}'
      cells = [cell.strip() for cell in cells]
      if len(cells) != 3 or not all(
        re.fullmatch('[0-9]{1,3}', cell) and int(cell) < MOST_IDS
        for cell in cells
      ):
        raise ValueError(
          f'{where}: the colour {",".join(cells)!r} should be '
          'three numbers from 0 to 255.'
        )
      if not name:
        raise ValueError(f'{where}: the name is empty. Fill it in.')
      check_name(name, f'{where}: the class')
      yield where, name, tuple(map(int, cells))
  except csv.Error as error:
    raise ValueError(f'{path} is not CSV: {error}. Check its quotes.') from None


def _check(path, table, rows):
  """Refuses tables from which masks cannot be read or learnt."""
  if len(table.class_names) < 2:
    raise ValueError(
      f'{path} names less than two classes; it should name two or more.'
    )
  label = table.rule.ignore_label
  if label is not None and (table.ignored and label < len(table.class_names)):
    raise ValueError(
      f'{path} names {table.ignored[0]}, which is ignored, and '
      f'--ignore_label={label} is the class {table.class_names[label]} as '
      'well: set it to 255, or to -1 for none.'
    )
  if len(rows) > MOST_IDS:
    raise ValueError(
      f'{path} has {len(rows)} rows; masks have room for {MOST_IDS} classes.'
    )


def read(path: str, ignore_label: int | None) -> Table:
  """Reads a CSV file with the columns name, r, g, b, or CVAT's labelmap.txt.

  Rows named void, ignore, ignored, unlabeled or unlabelled are ignored, not
  classes, where there is an ignore label.

  Args:
    path: of the file, in UTF-8.
    ignore_label: the id of pixels that do not count; None if all count.

  Raises:
    ValueError: no such file, or a row that is not as described, or repeats a
      name or a colour.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f'The table of colours {path} does not exist.')
  names, ignored, colours, called, first = [], [], {}, {}, {}
  rows = list(_rows(path))
  for where, name, colour in rows:
    for what, value in (('name', name), ('colour', mask_files.text(colour))):
      other = first.setdefault((what, value), where)
      if other != where:
        raise ValueError(
          f'{where}: the {what} {value} is that of '
          f'{other.rpartition(", ")[2]} too. Keep one.'
        )
    called[colour] = name
    if name.lower() in VOID and ignore_label is not None:
      ignored.append(name)
      colours[colour] = ignore_label
    else:
      colours[colour] = len(names)
      names.append(name)
  table = Table(
    names, mask_files.Rule(ignore_label, (), colours, called), ignored
  )
  _check(path, table, rows)
  return table
