"""Classification: what is written and drawn of an evaluation."""

import contextlib
import csv
import io
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from metrics import classification

if TYPE_CHECKING:  # matplotlib is imported when something is drawn
  from matplotlib import figure

_LONGEST = 24  # characters of a class's name beside the confusion matrix
_NUMBERS = itertools.count()  # next() is atomic, so that threads differ too


@contextlib.contextmanager
def _whole(path: str | os.PathLike) -> Iterator[BinaryIO]:
  """Yields what becomes the file at the end, which nobody sees in part."""
  unfinished = f'{os.fspath(path)}.{os.getpid()}-{next(_NUMBERS)}.tmp'
  try:
    with open(unfinished, 'wb') as file:
      yield file
    os.replace(unfinished, path)
  except BaseException:
    with contextlib.suppress(OSError):
      os.remove(unfinished)
    raise


def write_table(
  path: str | os.PathLike, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
  """Writes a CSV file; what was there stays until all is written.

  Args:
    path: the file.
    header: the names of the columns.
    rows: their values.
  """
  with _whole(path) as file:
    text = io.TextIOWrapper(file, 'utf-8', newline='')
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    text.detach()  # which writes what is left, and keeps the file open


def save_figure(fig: 'figure.Figure', path: str | os.PathLike) -> None:
  """Writes a figure as a PNG, in whole or not at all."""
  with _whole(path) as file:
    fig.savefig(file, dpi=100, format='png')


def write_per_class(
  path: str | pathlib.Path,
  confusion: np.ndarray,
  names: Sequence[str],
  labels_offset: int = 0,
) -> None:
  """Writes a line a class: label, name, examples, precision, recall, f1.

  Args:
    path: the CSV file.
    confusion: int [classes, classes], from
      `classification.confusion_matrix`.
    names: the classes' names.
    labels_offset: what the labels in the data were lowered by.
  """
  found = np.stack(classification.per_class(confusion), axis=1)
  counts = confusion.sum(1)
  write_table(
    path,
    ['label', 'name', 'examples', 'precision', 'recall', 'f1'],
    (
      [
        i + labels_offset,
        name,
        counts[i],
        *(f'{value:.6f}' for value in found[i]),
      ]
      for i, name in enumerate(names)
    ),
  )


def write_predictions(
  path: str | pathlib.Path,
  found: classification.Outcomes,
  origins: Iterable[tuple[str, str]],
  names: Sequence[str],
  labels_offset: int = 0,
) -> None:
  """Writes a line an example: what it is, and what it was taken for.

  The columns are file, record, label, name, predicted, predicted_name,
  correct (1 or 0), probability (of what was predicted), label_probability
  and loss (in nats).

  Args:
    path: the CSV file.
    found: what was predicted.
    origins: the file and the record of each example.
    names: the classes' names.
    labels_offset: what the labels in the data were lowered by.
  """
  columns = (
    found.labels,
    found.predicted,
    np.exp(-found.losses),
    found.losses,
    found.confidences,
  )
  write_table(
    path,
    [
      'file',
      'record',
      'label',
      'name',
      'predicted',
      'predicted_name',
      'correct',
      'probability',
      'label_probability',
      'loss',
    ],
    (
      [
        *origin,
        label + labels_offset,
        names[label],
        guess + labels_offset,
        names[guess],
        int(label == guess),
        f'{share:.6f}',
        f'{right:.6f}',
        f'{loss:.6f}',
      ]
      for origin, label, guess, right, loss, share in zip(
        origins, *columns, strict=True
      )
    ),
  )


def describe_mistake(
  label: int,
  guess: int,
  share: float,
  names: Sequence[str],
  labels_offset: int = 0,
) -> tuple[str, str]:
  """Returns two texts, such as 'is 7 seven' and '99 % sure: 1 one'.

  The share comes first, so that it is there where a long name is cut.

  Args:
    label: what the example is, in [0, classes).
    guess: what it was taken for.
    share: the probability of that, in [0, 1].
    names: the classes' names.
    labels_offset: what the labels in the data were lowered by.
  """

  def named(number):
    shown, name = str(number + labels_offset), names[number]
    return name if name == shown else f'{shown} {name}'

  return f'is {named(label)}', f'{share * 100:.0f} % sure: {named(guess)}'


def _cut(name):
  """Returns a name that leaves room for the matrix."""
  return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + '…'


def draw_confusion_matrix(
  path: str | pathlib.Path,
  confusion: np.ndarray,
  names: Sequence[str],
  title: str | None = None,
  percent: bool = False,
) -> None:
  """Draws the confusion matrix as a PNG, each row in percent of its class.

  Args:
    path: the image.
    confusion: int [classes, classes]; [i, j] counts class i taken for j.
    names: the classes' names.
    title: None for the number of examples and the share that is correct.
    percent: whether to write the percents into the fields, without those
      below 0.5, instead of the counts.
  """
  from matplotlib import figure

  classes = len(names)
  shown_names = [_cut(name) for name in names]
  long = max(max(map(len, shown_names)) - 8, 0)  # beyond what has room
  side = 0.45 * classes + 2.5 + 0.07 * long
  side = min(max(5.0, side), 16.0)
  fig = figure.Figure(figsize=(side, side), layout='constrained')
  axes = fig.subplots()
  shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
  shown = axes.imshow(100 * shares, cmap='Blues', vmin=0, vmax=100)
  hits = confusion.trace() / max(confusion.sum(), 1)
  axes.set(
    xlabel='predicted',
    ylabel='actual',
    title=title or f'{confusion.sum():,} examples, {hits:.2%} correct',
  )
  fig.colorbar(shown, ax=axes, shrink=0.8, label='percent of the actual class')
  if classes <= 30:
    # A $ in a name is no mathematics.
    axes.set_xticks(
      range(classes),
      shown_names,
      rotation=60,
      ha='right',
      rotation_mode='anchor',
      parse_math=False,
    )
    axes.set_yticks(range(classes), shown_names, parse_math=False)
    fields = np.rint(shares * 100).astype(int) if percent else confusion
    for i, j in np.argwhere(fields):
      axes.text(
        j,
        i,
        str(fields[i, j]),
        ha='center',
        va='center',
        color='white' if shares[i, j] > 0.5 else 'black',
      )
  save_figure(fig, path)
