"""Which checkpoint a path or a folder means."""

import os
import re
import tarfile

import tensorflow.compat.v1 as tf

from datasets.suggestions import nearest
from engine.checkpoints import opening

_FILE_ENDING = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_FIRST_FORMAT = re.compile(r'\.ckpt(-\d+)?$')


def prefix(train_dir: str) -> str:
  """Returns the name under which a run's checkpoints are saved."""
  return os.path.join(train_dir, 'model.ckpt')


def is_readable(path: str) -> bool:
  """Whether every value of a checkpoint can be read."""
  try:
    reader = opening.reader(path)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
    return True
  except (tf.errors.OpError, ValueError, RuntimeError, LookupError):
    return False  # a file that ends early is an IndexError


def newest(folder: str) -> str | None:
  """Returns the newest readable checkpoint in a folder, None if none is.

  A checkpoint cut short by a full disk or a crash is passed over.
  """
  return next(filter(is_readable, reversed(listed(folder))), None)


def listed(folder: str) -> list[str]:
  """Returns a folder's checkpoints, the newest last.

  They are looked for in this folder, wherever it was when it was written.
  """
  state = opening.state(folder)
  if state:
    return [
      os.path.join(folder, os.path.basename(path))
      for path in state.all_model_checkpoint_paths
    ]
  # Copied without the file `checkpoint`, or that one is damaged, or released.
  found = tf.io.gfile.glob(os.path.join(folder, '*.index'))
  found += [
    path
    for path in tf.io.gfile.glob(os.path.join(folder, '*.ckpt*'))
    if _FIRST_FORMAT.search(path) and not tf.io.gfile.isdir(path)
  ]
  return [
    path.removesuffix('.index')
    for path in sorted(
      found, key=lambda path: tf.io.gfile.stat(path).mtime_nsec
    )
  ]


def to_resume(train_dir: str) -> str | None:
  """Returns the checkpoint that a run resumes from, None for a new run.

  Raises:
    ValueError: there are checkpoints, and none can be read.
  """
  found = newest(train_dir)
  if found is None and listed(train_dir):
    raise ValueError(
      f'No checkpoint in {train_dir} can be read. Remove them, or name '
      'another --train_dir, to begin anew.'
    )
  return found


def find(path: str, flag: str = '--checkpoint_path') -> str:
  """Returns the checkpoint that a user means by `path`.

  Args:
    path: a checkpoint, one of its files, or a folder of checkpoints.
    flag: what the user gave it by, for the error.

  Raises:
    ValueError: there is none.
  """
  if tf.io.gfile.isdir(path):
    found = newest(path)
    if found is None:
      raise ValueError(
        f'There is no readable checkpoint in {path}: train first, or name '
        f'another folder with {flag}.'
      )
    return found
  path = _FILE_ENDING.sub('', path)
  if not tf.train.checkpoint_exists(path):
    folder, name = os.path.split(path)
    near = nearest(name, map(os.path.basename, listed(folder)))
    near = [os.path.join(folder, other) for other in near]
    hint = f' Did you mean {" or ".join(near)}?' if near else ''
    raise ValueError(
      f'There is no checkpoint {path}: {flag} takes a '
      f'checkpoint, or the folder of a run.{hint}'
    )
  if not is_readable(path):
    if _is_archive(path):
      raise ValueError(
        f'{path} is an archive: unpack it, and name the '
        f'checkpoint that was in it with {flag}.'
      )
    raise ValueError(
      f'The checkpoint {path} is damaged, or is another kind '
      f'of file: copy it again, or name another with {flag}.'
    )
  return path


def _is_archive(path):
  try:
    with tarfile.open(path) as file:
      return file.next() is not None
  except (tarfile.TarError, OSError, EOFError):
    return False
