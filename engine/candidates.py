"""Which checkpoints of a run are evaluated."""

import os
import time
from collections.abc import Iterator

import tensorflow.compat.v1 as tf

from engine import best, checkpoints, console, options
from engine.config import EvalConfig

POLL_SECONDS = 1.0
# What reading a checkpoint raises that is removed meanwhile.
GONE = (tf.errors.OpError, ValueError, RuntimeError, LookupError)


def step_of(checkpoint: str) -> int:
  """Returns the step a checkpoint was written at, 0 if it does not say."""
  return checkpoints.step(checkpoint) or 0


def members(checkpoint_path: str) -> list[str]:
  """Returns the checkpoints and folders that --checkpoint_path names.

  Raises:
    ValueError: nothing between two commas.
  """
  if ',' not in checkpoint_path or os.path.exists(checkpoint_path):
    return [checkpoint_path]
  found = [part.strip() for part in checkpoint_path.split(',')]
  if not all(found):
    raise ValueError(
      f'--checkpoint_path={checkpoint_path} names nothing '
      'between two commas: leave one of them out.'
    )
  return found


def _folder(given):
  """Returns the folder of a run, which need not exist, and be no file."""
  path = given.checkpoint_path
  if not os.path.isdir(path) and (
    tf.train.checkpoint_exists(path) or os.path.isfile(path)
  ):
    raise ValueError(
      f'--checkpoints={given.checkpoints} looks in the folder of a run, and '
      f'--checkpoint_path={path} is a checkpoint: name its folder, or leave '
      '--checkpoints out.'
    )
  return path


def find_best(given: EvalConfig) -> str:
  """Returns the best checkpoint of a run.

  Raises:
    ValueError: the run has not been told to look for it.
  """
  folder = _folder(given)
  found = best.read(folder).get('best')
  if not found:
    raise ValueError(
      f'There is no best checkpoint in {folder}, where '
      f'{best.BEST_FILENAME} would name it: train with --evaluate_every, '
      'or leave --checkpoints=best out for the newest.'
    )
  return checkpoints.find(os.path.join(folder, found[0]['checkpoint']))


def find_all(given: EvalConfig) -> list[str]:
  """Returns the readable checkpoints in a folder, the oldest first.

  Raises:
    ValueError: there is none.
  """
  folder = _folder(given)
  checkpoints.find(folder)
  found = checkpoints.listed(folder)
  readable = [each for each in found if checkpoints.is_readable(each)]
  for each in found:
    if each not in readable:
      console.note(f'{each} cannot be read, and is passed over.')
  return readable


def _written(checkpoint):
  """Returns a checkpoint's name and when it was written, None if it is gone."""
  try:
    return checkpoint, os.stat(f'{checkpoint}.index').st_mtime_ns
  except OSError:
    return None


def _step_of_readable(checkpoint):
  """Returns the step of a checkpoint, None if it is damaged or gone."""
  try:
    return step_of(checkpoint) if checkpoints.is_readable(checkpoint) else None
  except GONE:
    return None


def _wait():
  time.sleep(POLL_SECONDS)


def _is_done(folder):
  return bool(best.read(folder).get('finished'))


def new(given: EvalConfig) -> Iterator[str]:
  """Yields each checkpoint of a run once, and waits for more.

  Ends when the run is done: after the checkpoint of its last step, or when
  its best.json says so; or when none has appeared for timeout_secs. The run
  need not have begun, nor its folder exist.

  Args:
    given: the configuration, with a checkpoint_path.
  """
  folder, seen, since = _folder(given), set(), time.monotonic()
  console.say(
    f'Evaluating every checkpoint that appears in {folder}, until '
    'the run is done. Ctrl-C ends it.'
  )
  while True:
    done = _is_done(folder)  # before looking, lest the last one be missed
    run = options.read(folder)
    listed = checkpoints.listed(folder) if os.path.isdir(folder) else []
    for checkpoint in listed if run or given.model_name else []:
      written = _written(checkpoint)
      if written in seen or not written:
        continue
      seen.add(written)
      step = _step_of_readable(checkpoint)
      if step is not None:
        yield checkpoint
        done = done or 0 < (run.get('max_number_of_steps') or 0) <= step
        since = time.monotonic()
    if done:
      console.say(f'The run in {folder} is done.')
      return
    if (
      given.timeout_secs is not None
      and time.monotonic() - since >= given.timeout_secs
    ):
      console.say(
        f'No new checkpoint in {folder} for '
        f'{given.timeout_secs:g} seconds, so this ends here.'
      )
      return
    _wait()
