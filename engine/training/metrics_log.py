"""metrics.csv: what training was like, every few steps."""

import csv
import os
from collections.abc import Mapping, Sequence
from typing import IO

from datasets.files import atomic, check_regular

METRICS_FILENAME = 'metrics.csv'


def read_metrics(train_dir: str) -> list[dict[str, float]]:
  """Returns the rows of a run's metrics.csv, [] if there is none.

  Raises:
    ValueError: something else than a file has its name.
  """
  path = os.path.join(train_dir, METRICS_FILENAME)
  if not os.path.exists(path):
    return []
  check_regular(path)
  rows = []
  with open(path, newline='') as file:
    for row in csv.DictReader(file):
      try:
        rows.append({name: float(value) for name, value in row.items()})
      except (TypeError, ValueError):  # cut short by a crash or a full disk
        continue
  return rows


class MetricsLog:
  """Appends to metrics.csv, and forgets what a resumed run does again."""

  def __init__(self, train_dir: str, columns: Sequence[str], start_step: int):
    """Opens the file.

    Args:
      train_dir: the run's folder.
      columns: the names of the columns, with 'step'.
      start_step: rows of later steps are dropped.
    """
    rows = [row for row in read_metrics(train_dir) if row['step'] <= start_step]
    path = os.path.join(train_dir, METRICS_FILENAME)
    with atomic(path, newline='') as file:
      writer = self._writer(file, columns)
      writer.writeheader()
      writer.writerows(map(self._text, rows))
    self._file = open(path, 'a', newline='')
    self._rows = self._writer(self._file, columns)

  @staticmethod
  def _writer(file: IO[str], columns: Sequence[str]) -> csv.DictWriter:
    return csv.DictWriter(file, columns, restval='nan', extrasaction='ignore')

  @staticmethod
  def _text(row: Mapping[str, float]) -> dict[str, str | int]:
    return {
      **{name: f'{value:.6g}' for name, value in row.items()},
      'step': int(row['step']),
    }

  def add(self, row: Mapping[str, float]) -> None:
    """Appends a row, which is in the file when this returns."""
    self._rows.writerow(self._text(row))
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()
