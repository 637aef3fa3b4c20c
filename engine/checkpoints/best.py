"""The best checkpoints of a run, and best.json, which names them."""

import glob
import math
import os
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.files import copy_into
from datasets.text import cut, is_writable
from engine.checkpoints import contents, locate
from engine.checkpoints.ranking import Row, ranked
from engine.common import files
from engine.config.runs import CONFIG_FILENAME
from engine.input import pixel_mean

BEST_FILENAME, BEST_DIR = 'best.json', 'best'
# What evaluation looks for beside a checkpoint.
_COPIED = CONFIG_FILENAME, pixel_mean.FILENAME


class _Kept(TypedDict):
  step: int
  value: float | None
  checkpoint: str


_KINDS = {'metric': str, 'finished': bool, 'best': list[_Kept]}


def read(train_dir: str) -> dict:
  """Returns what best.json says, {} if there is none.

  Raises:
    ValueError: the file is not as `Best` writes it.
  """
  return files.read_json(os.path.join(train_dir, BEST_FILENAME), _KINDS)


def is_finished(train_dir: str) -> bool:
  """Whether the run says that it is finished."""
  return bool(read(train_dir).get('finished'))


def find(train_dir: str) -> str:
  """Returns the best checkpoint of a run.

  Raises:
    ValueError: the run has not been told to look for it, or best.json names
      something else.
  """
  found = read(train_dir).get('best')
  if not found:
    raise ValueError(
      f'There is no best checkpoint in {train_dir}, where '
      f'{BEST_FILENAME} would name it: train with --evaluate_every, '
      'or leave --checkpoints=best out for the newest.'
    )
  name, path = found[0]['checkpoint'], os.path.join(train_dir, BEST_FILENAME)
  if os.path.dirname(name) != BEST_DIR or not is_writable(name):
    raise ValueError(
      f'{path} names {cut(name, 60)!r}, which is no checkpoint of {BEST_DIR}/: '
      'restore it, or name a checkpoint with --checkpoint_path.'
    )
  return locate.find(os.path.join(train_dir, name))


def _json(value):
  return value if math.isfinite(value) else None  # JSON has no NaN


class Best:
  """Keeps the checkpoints of the best evaluations in TRAIN_DIR/best.

  Each is what was evaluated: the weights, with batch norm's statistics as
  they were for it, and no optimizer. best.json follows from the evaluations
  and the files, so that a kill between any two writes is repaired on
  restart. A checkpoint is removed only when better ones are there.
  """

  def __init__(self, train_dir: str, metric: str, keep: int):
    """Keeps the `keep` best by `metric`, see `tasks.metrics`."""
    self._train_dir, self._metric, self._keep = train_dir, metric, keep
    self.folder = os.path.join(train_dir, BEST_DIR)

  def _prefix(self, row):
    return os.path.join(self.folder, f'model.ckpt-{int(row["step"])}')

  def kept(self, rows: list[Row]) -> list[Row]:
    """Returns the best of the evaluations whose checkpoints are there."""
    there = [row for row in rows if locate.exists(self._prefix(row))]
    return ranked(there, self._metric)[: self._keep]

  def offer(
    self, row: Row, rows: list[Row], values: Mapping[str, np.ndarray]
  ) -> bool:
    """Writes the checkpoint of an evaluation if it is among the best.

    Args:
      row: the evaluation, of one step.
      rows: the others of the run.
      values: what it evaluated, by name.

    Returns:
      Whether it is the best of all.
    """
    if row in ranked([*self.kept(rows), row], self._metric)[: self._keep]:
      os.makedirs(self.folder, exist_ok=True)
      for path in filter(
        os.path.exists,
        (os.path.join(self._train_dir, name) for name in _COPIED),
      ):
        copy_into(path, self.folder)
      contents.write_values(self._prefix(row), values)
    return ranked([*rows, row], self._metric)[0] is row

  def _write(self, finished, entries):
    files.write_json(
      os.path.join(self._train_dir, BEST_FILENAME),
      {'metric': self._metric, 'finished': finished, 'best': entries},
    )

  def _keep_found(self, finished):
    """Has best.json name, of what it names, what is still there."""
    if os.path.isdir(self.folder):
      self._write(
        finished,
        [
          entry
          for entry in read(self._train_dir).get('best', ())
          if locate.exists(os.path.join(self._train_dir, entry['checkpoint']))
        ],
      )

  def settle(self, rows: list[Row], finished: bool = False) -> None:
    """Writes best.json, and removes the checkpoints that it does not name.

    Where it names none, as when training resumes from before the first
    evaluation, they stay until one is made.
    """
    best = self.kept(rows)
    if not best:
      self._keep_found(finished)
      return
    self._write(
      finished,
      [
        {
          'step': int(row['step']),
          'value': _json(row[self._metric]),
          'checkpoint': os.path.relpath(self._prefix(row), self._train_dir),
        }
        for row in best
      ],
    )
    # The last of the list is what a folder of checkpoints means.
    paths = [self._prefix(row) for row in reversed(best)]
    tf.train.update_checkpoint_state(self.folder, paths[-1], paths)
    kept = {os.path.basename(self._prefix(row)) for row in best}
    for path in glob.glob(
      os.path.join(glob.escape(self.folder), 'model.ckpt-*.*')
    ):
      if os.path.basename(path).rpartition('.')[0] not in kept:
        os.remove(path)
