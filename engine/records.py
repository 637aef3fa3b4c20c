"""metrics.csv: what training was like, every few steps."""

import csv
import os

METRICS_FILENAME = 'metrics.csv'


def read_metrics(train_dir: str) -> list[dict[str, float]]:
  """Returns the rows of a run's metrics.csv, [] if there is none."""
  path = os.path.join(train_dir, METRICS_FILENAME)
  if not os.path.exists(path):
    return []
  rows = []
  with open(path, newline='') as file:
    for row in csv.DictReader(file):
      try:
        rows.append({name: float(value) for name, value in row.items()})
      except (TypeError, ValueError):  # cut short by a crash or a full disk
        continue
  return rows


class Records:
  """Appends to metrics.csv, and forgets what a restarted run does again."""

  def __init__(self, train_dir: str, columns: list[str], start_step: int):
    rows = [row for row in read_metrics(train_dir) if row['step'] <= start_step]
    path = os.path.join(train_dir, METRICS_FILENAME)
    self._file = open(f'{path}.tmp', 'w', newline='')
    self._writer = csv.DictWriter(
      self._file, columns, restval='nan', extrasaction='ignore'
    )
    self._writer.writeheader()
    for row in rows:
      self.add(row)
    os.replace(f'{path}.tmp', path)  # the open file goes along

  def add(self, row: dict[str, float]) -> None:
    self._writer.writerow(
      {
        **{name: f'{value:.6g}' for name, value in row.items()},
        'step': int(row['step']),
      }
    )
    self._file.flush()

  def close(self) -> None:
    self._file.close()
