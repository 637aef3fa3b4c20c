"""Checkpoints: which one to take, what to restore from it, and what not."""

import difflib
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Sequence

import tensorflow.compat.v1 as tf

from engine import fit, identify
from nets.slim_compat import slim

_FILE_ENDING = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
_FIRST_FORMAT = re.compile(r'\.ckpt(-\d+)?$')


def prefix(train_dir: str) -> str:
  """Returns the name under which a run's checkpoints are saved."""
  return os.path.join(train_dir, 'model.ckpt')


def is_readable(path: str) -> bool:
  """Whether every value of a checkpoint can be read."""
  try:
    reader = tf.train.load_checkpoint(path)
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
  state = tf.train.get_checkpoint_state(folder)
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


def version(path: str) -> str:
  """Returns the format of a checkpoint, V1 or V2."""
  return 'V2' if tf.io.gfile.exists(f'{path}.index') else 'V1'


def step(path: str) -> int | None:
  """Returns the step a checkpoint was written at, None if it does not say."""
  reader = tf.train.load_checkpoint(path)
  if not reader.has_tensor('global_step'):
    return None
  return int(reader.get_tensor('global_step'))


def to_continue(train_dir: str) -> str | None:
  """Returns the checkpoint a run goes on from, None for a new run.

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
    near = [
      os.path.join(folder, other)
      for other in difflib.get_close_matches(
        name, map(os.path.basename, listed(folder)), n=2
      )
    ]
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


def matching(
  variables: Iterable[tf.Variable], scopes: str | None, flag: str
) -> list[tf.Variable]:
  """Returns the variables under any of the scopes, all if there are none.

  Args:
    variables: the variables to choose from.
    scopes: with commas between; each is a scope or a variable's name.
    flag: the flag's name, for the error.

  Raises:
    ValueError: a scope that no variable is under.
  """
  variables = list(variables)
  if not scopes:
    return variables
  chosen = set()
  names = [part.strip() for part in scopes.split(',') if part.strip()]
  if not names:
    raise ValueError(f'--{flag}={scopes} names no scope.')
  for scope in names:
    inside = {
      v.op.name
      for v in variables
      if f'{v.op.name}/'.startswith(scope.rstrip('/') + '/')
    }
    if not inside:
      known = _scopes(variables)
      near = difflib.get_close_matches(scope, known, n=3, cutoff=0.3)
      raise ValueError(
        f'--{flag}: no variable is under the scope {scope!r}. The nearest '
        f'are: {", ".join(near or known[:5])}.'
      )
    chosen |= inside
  return [v for v in variables if v.op.name in chosen]


def _scopes(variables):
  found = {}
  for variable in variables:
    parts = variable.op.name.split('/')
    for depth in range(1, len(parts) + 1):
      found['/'.join(parts[:depth])] = None
  return list(found)


def some(names: Sequence[str]) -> str:
  """Returns the first three of the names, and how many more there are."""
  more = f' and {len(names) - 3} more' if len(names) > 3 else ''
  return ', '.join(names[:3]) + more


def _check_shapes(path, variables, shapes, cure):
  for name, variable in variables.items():
    here, there = variable.shape.as_list(), list(shapes[name])
    if here != there:
      raise ValueError(
        f'{name} is {here} in the network and {there} in the checkpoint '
        f'{path}: {cure.format(scope=name.rpartition("/")[0])}'
      )


def restorer(
  path: str, moving_average_decay: float | None
) -> Callable[[tf.Session], None]:
  """Returns a function that restores all model variables for evaluation.

  Args:
    path: the checkpoint.
    moving_average_decay: if given, moving averages are restored instead of
      the weights.

  Raises:
    ValueError: the checkpoint does not fit the network.
  """
  variables = {v.op.name: v for v in slim.get_model_variables()}
  fit.check(
    path,
    {name: v.shape.as_list() for name, v in variables.items()},
    identify.read(path).values(),
    shortcuts=True,
  )
  if moving_average_decay:
    averages = tf.train.ExponentialMovingAverage(moving_average_decay)
    variables = {averages.average_name(v): v for v in variables.values()}
  shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
  missing = [name for name in variables if name not in shapes]
  if missing:
    cure = (
      'was it trained with --moving_average_decay?'
      if moving_average_decay
      else 'is --model_name right?'
    )
    raise ValueError(
      f'The checkpoint {path} lacks {len(missing)} variables '
      f'of the network, {some(missing)}: {cure}'
    )
  _check_shapes(
    path,
    variables,
    shapes,
    'is the number of classes right? See --dataset_name and --labels_offset.',
  )
  saver = tf.train.Saver(variables, reshape=False)
  return lambda session: saver.restore(session, path)


def num_classes(checkpoint: str) -> int | None:
  """Returns the number of logits a checkpoint was trained for, if any."""
  return identify.num_classes(identify.read(checkpoint).values())
