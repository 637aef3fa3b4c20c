"""Which checkpoints of a run are evaluated."""

import os
import time
from collections.abc import Iterator

import tensorflow.compat.v1 as tf

from engine.checkpoints import best, contents, locate, pretrained_names
from engine.common import console
from engine.config import runs
from engine.config.scripts import EvalConfig

POLL_SECONDS = 1.0
# What reading a checkpoint raises that is removed meanwhile.
GONE = (tf.errors.OpError, ValueError, RuntimeError, LookupError)


def step_of(checkpoint: str) -> int:
  """Returns the step a checkpoint was written at, 0 if it does not say."""
  return contents.step(checkpoint) or 0


def _folder(given, path):
  """Returns the folder of a run, which need not exist, and be no file."""
  locate.check_name(path, '--checkpoint_path')
  if pretrained_names.is_name(path):
    raise ValueError(
      f'--checkpoints={given.checkpoints} looks in the folder of a run, and '
      f'--checkpoint_path={path} names one checkpoint: leave --checkpoints out.'
    )
  if not os.path.isdir(path) and (locate.exists(path) or os.path.isfile(path)):
    raise ValueError(
      f'--checkpoints={given.checkpoints} looks in the folder of a run, and '
      f'--checkpoint_path={path} is a checkpoint: name its folder, or leave '
      '--checkpoints out.'
    )
  return path


# --checkpoints -> what returns the one checkpoint that it means at a path.
ONE = {
  'newest': lambda given, path: path,
  'best': lambda given, path: best.find(_folder(given, path)),
}


def find_all(given: EvalConfig, path: str) -> list[str]:
  """Returns the readable checkpoints in a folder, the oldest first.

  Raises:
    ValueError: there is none.
  """
  folder = _folder(given, path)
  found = locate.listed(folder)
  readable = [each for each in found if locate.is_readable(each)]
  if not readable:
    locate.find(folder)  # says what to do
  for each in found:
    if each not in readable:
      _pass_over(each)
  return readable


def _pass_over(checkpoint):
  console.note(f'{checkpoint} cannot be read, and is passed over.')


def _written(checkpoint):
  """Returns a checkpoint's name and when it was written, None if it is gone."""
  try:
    return checkpoint, os.stat(f'{checkpoint}.index').st_mtime_ns
  except OSError:
    return None


def _step_of_readable(checkpoint):
  """Returns the step of a checkpoint, None if it is damaged or gone."""
  try:
    if locate.is_readable(checkpoint):
      return step_of(checkpoint)
  except GONE:
    pass
  if locate.exists(checkpoint):
    _pass_over(checkpoint)
  return None


def _wait():
  time.sleep(POLL_SECONDS)


def new(given: EvalConfig, path: str) -> Iterator[str]:
  """Yields each checkpoint of a run once, and waits for more.

  Ends when the run is done: after the checkpoint of its last step, or when
  its best.json says so; or when none has appeared for timeout_secs. The run
  need not have begun, nor its folder exist.

  Args:
    given: the configuration.
    path: the folder.
  """
  folder, seen, since = _folder(given, path), set(), time.monotonic()
  console.say(
    f'Evaluating every checkpoint that appears in {folder}, until '
    'the run is done. Ctrl-C ends it.'
  )
  while True:
    done = best.is_finished(
      folder
    )  # before looking, lest the last one be missed
    run = runs.read(folder)
    listed = locate.listed(folder) if os.path.isdir(folder) else []
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
