"""Which checkpoint a path or a folder means."""

import os
import re
import tarfile
from typing import Any

import tensorflow.compat.v1 as tf

from datasets.suggestions import nearest
from engine.checkpoints import opening, pretrained, pretrained_names
from engine.common import console
from engine.config import runs

_FILE_ENDING = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_VALUES = re.compile(r'(.+)\.(index|data-\d{5}-of-\d{5})$')
_FIRST_FORMAT = re.compile(r'\.ckpt(-\d+)?$')
_STEP = re.compile(r'-(\d+)$')
# What TensorFlow takes for a pattern in the name of a checkpoint.
_PATTERN = re.compile(r'[*?[\\]')
LIST = 'checkpoint'  # the file that names a folder's checkpoints


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


def exists(path: str) -> bool:
  """Whether there is a checkpoint, which may be damaged."""
  return tf.io.gfile.exists(f'{path}.index') or (
    tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)
  )


def without_ending(path: str) -> str:
  """Returns the checkpoint that a file is of, by its name."""
  return _FILE_ENDING.sub('', path)


def check_name(path: str, flag: str) -> None:
  """Raises ValueError if TensorFlow would not find checkpoints there again."""
  found = _PATTERN.search(path)
  if found:
    raise ValueError(
      f'{flag}={path}: TensorFlow takes {found.group()} in the name of a '
      'checkpoint for a pattern, and does not find the file again. Rename the '
      'folder, or name another, without any of * ? [ and \\.'
    )


def newest(folder: str) -> str | None:
  """Returns the newest readable checkpoint in a folder, None if none is.

  A checkpoint cut short by a full disk or a crash is passed over.
  """
  return _choose(folder)[0]


def _choose(folder):
  """Returns what `newest` does, and sentences on why it is that one."""
  paths, is_named = _listed(folder)
  damaged: list[str] = []
  for path in reversed(paths):
    if is_readable(path):
      break
    damaged.append(path)
  else:
    return None, []
  notes = []
  if len(paths) > 1 and not is_named:
    notes.append(
      f'no file {os.path.join(folder, LIST)} names the newest checkpoint: '
      f'{path} is taken, by the step in its name.'
    )
  if damaged:
    notes.append(
      f'{" and ".join(damaged)} cannot be read, being damaged or incomplete: '
      f'{path} is taken, the newest that can.'
    )
  return path, notes


def listed(folder: str) -> list[str]:
  """Returns a folder's checkpoints, the newest last.

  They are looked for in this folder, wherever it was when it was written.
  """
  return _listed(folder)[0]


def _listed(folder):
  """Returns what `listed` does, and whether the file `checkpoint` says so."""
  there = _with_values(folder)
  state = opening.state(folder)
  named = [
    os.path.join(folder, os.path.basename(path))
    for path in (state.all_model_checkpoint_paths if state else ())
  ]
  if not there.isdisjoint(named):
    return named, True
  # Copied without the file `checkpoint`, or that one is damaged, or names what
  # is gone; or the checkpoint is a released one.
  return sorted(there, key=_age), False


def _with_values(folder):
  """Returns the checkpoints of which any values are in a folder, as a set."""
  names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
  found = {match[1] for match in map(_VALUES.match, names) if match}
  found.update(
    name
    for name in filter(_FIRST_FORMAT.search, names)
    if not tf.io.gfile.isdir(os.path.join(folder, name))
  )
  return {os.path.join(folder, name) for name in found}


def _age(path):
  """Returns a key by which a folder's newest checkpoint comes last.

  Released ones have no step; of the same step the last written is the last.
  """
  step = _STEP.search(path)
  written = [
    tf.io.gfile.stat(file).mtime_nsec
    for file in (f'{path}.index', path)
    if tf.io.gfile.exists(file)
  ]
  return int(step[1]) if step else -1, written


def to_resume(train_dir: str) -> str | None:
  """Returns the checkpoint that a run resumes from, None for a new run.

  Says why it is not the newest, if it is not.

  Raises:
    ValueError: there are checkpoints, and none can be read.
  """
  found, notes = _choose(train_dir)
  if found is None and listed(train_dir):
    raise ValueError(
      f'No checkpoint in {train_dir} can be read. Remove them, or name '
      'another --train_dir, to begin anew.'
    )
  _tell(notes)
  return found


def _tell(notes):
  for note in notes:
    console.note(note, aside=True)


def find(path: str, flag: str = '--checkpoint_path', tells: bool = True) -> str:
  """Returns the checkpoint that a user means by `path`.

  Says which of a folder it is, and why, if that is not plain.

  Args:
    path: a checkpoint, one of its files, a folder of checkpoints, or the name
      of weights that others have published; see `pretrained.find`.
    flag: what the user gave it by, for the error.
    tells: whether to say so; False where it is looked for a second time.

  Raises:
    ValueError: there is none.
  """
  path = pretrained.local(path)
  check_name(path, flag)
  if tf.io.gfile.isdir(path):
    found, notes = _choose(path)
    if found is None and pretrained.record(path):
      raise ValueError(
        f'The checkpoint in {path} is damaged. Delete that folder, and run '
        'the same command again, which makes it again.'
      )
    if found is None:
      raise ValueError(
        f'There is no readable checkpoint in {path}: train first, or name '
        f'another folder with {flag}.'
      )
    if tells:
      _tell(notes)
    return found
  path = without_ending(path)
  if not exists(path):
    folder, name = os.path.split(path)
    near = nearest(name, map(os.path.basename, listed(folder)))
    near = [os.path.join(folder, other) for other in near]
    hint = f' Did you mean {" or ".join(near)}?' if near else ''
    raise ValueError(
      f'There is no checkpoint {path}: {flag} takes a '
      f'checkpoint, the folder of a run, or a name such as '
      f'pretrained:resnet_v1_50.{hint or pretrained_names.instead(path)}'
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


def run_of(path: str) -> dict[str, Any]:
  """Returns what the config.json beside a checkpoint says, {} without one.

  Raises:
    ValueError: it is damaged, or not on this machine.
  """
  folder = os.path.dirname(path)
  config = os.path.join(folder, runs.CONFIG_FILENAME)
  if '://' in folder and tf.io.gfile.exists(config):
    raise ValueError(
      f'{folder} holds a run, and {runs.CONFIG_FILENAME} is read on this '
      'machine only: copy the folder here, or mount it.'
    )
  return runs.read(folder)


def begun(train_dir: str) -> dict[str, Any]:
  """Returns what the config.json of a run with checkpoints says, else {}.

  Without any, a training in the folder is a new one.
  """
  return runs.read(train_dir) if listed(train_dir) else {}


def _is_archive(path):
  try:
    with tarfile.open(path) as file:
      return file.next() is not None
  except (tarfile.TarError, OSError, EOFError):
    return False
