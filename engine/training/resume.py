"""Whether a training may resume the run that is in its folder."""

import contextlib
import dataclasses
import glob
import os
import shlex
import shutil
from collections.abc import Iterator

import filelock

from engine.checkpoints import best, contents, locate
from engine.common import console
from engine.config import runs
from engine.config.schedules import ends_with_training
from engine.config.scripts import TrainConfig

LOCK_FILENAME = '.lock'


def _sweep(train_dir):
  """Removes what a kill left of a checkpoint that was being written."""
  folder = glob.escape(train_dir)
  for pattern in ('*.tempstate*', '*.[0-9]*.tmp'):
    for path in glob.glob(os.path.join(folder, pattern)):
      os.remove(path)
  for path in glob.glob(os.path.join(folder, 'model.ckpt-*_temp')):
    shutil.rmtree(path)


@contextlib.contextmanager
def alone(train_dir: str) -> Iterator[None]:
  """Holds the folder, which is made if need be, for this training alone.

  The hold ends with the process, however that ends.

  Raises:
    ValueError: another training holds it.
  """
  os.makedirs(train_dir, exist_ok=True)
  lock = filelock.FileLock(os.path.join(train_dir, LOCK_FILENAME))
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    raise ValueError(
      f'Another training is writing to {train_dir}: wait for it, stop it, '
      'or name another --train_dir.'
    ) from None
  try:
    _sweep(train_dir)
    yield
  finally:
    lock.release()


def latest(train_dir: str) -> tuple[str | None, int]:
  """Returns the checkpoint to resume, None for a new run, and its step.

  Says if it is new though a run was begun, as after a kill, or with a disk that
  was full at the first checkpoint.

  Raises:
    ValueError: none can be read, or none is left but the best of an earlier
      training, which a new one would replace.
  """
  found = locate.to_resume(train_dir)
  if found:
    return found, contents.step(found) or 0
  kept = os.path.join(train_dir, best.BEST_DIR)
  if locate.listed(kept):
    raise ValueError(
      f'There is no checkpoint in {train_dir} to resume from, and a new '
      f'training would replace the best of an earlier one in {kept}: move '
      'that folder away to begin anew, or name another --train_dir.'
    )
  names = os.path.join(train_dir, locate.LIST)
  if os.path.exists(names):
    console.note(
      f'{names} names no checkpoint that is there: training begins anew.',
      aside=True,
    )
  elif os.path.exists(os.path.join(train_dir, runs.CONFIG_FILENAME)):
    console.note(
      f'{train_dir} has no checkpoint yet: training begins at step 0.',
      aside=True,
    )
  return None, 0


def _changes(field, config, begun):
  """Whether the field may differ from `begun`: 'free', 'told' or 'never'."""
  if field.metadata['now'] or field.name == 'verbosity':
    return 'free'
  if field.name == 'precision' and 'fp16' in (config.precision, begun):
    return 'never'  # its checkpoints alone hold the scale of the loss
  if field.name == 'max_number_of_steps' and ends_with_training(
    config.learning_rate_decay_type
  ):
    return 'told'  # the schedule ends with them
  return field.metadata['changes']


def check(config: TrainConfig) -> None:
  """Refuses to resume a run that was begun with other flags.

  Args:
    config: the complete configuration.

  Raises:
    ValueError: a flag differs, and `config.accept_changes` is not set, or
      does not help; all differences are named.
  """
  folder = config.train_dir
  run = runs.with_later_fields(locate.begun(folder))
  found: dict[str, list[str]] = {}
  for field in dataclasses.fields(config):
    given = getattr(config, field.name)
    if field.name in run and run[field.name] != given:
      changes = _changes(field, config, run[field.name])
      found.setdefault(changes, []).append(
        f'{field.name}={config.as_text(field.name, run[field.name])}, not '
        f'{config.text(field.name)}'
      )
  refused = found.get('never', []) + (
    [] if config.accept_changes else found.get('told', [])
  )
  if refused:
    cure = (
      ''
      if 'never' in found
      else 'pass --accept_changes to resume with the new values, '
    )
    raise ValueError(
      f'The run in {folder} was begun with {"; ".join(refused)}: {cure}name '
      'another --train_dir, or resume it as it was begun, by '
      f'--resume={shlex.quote(folder)} alone.'
    )
