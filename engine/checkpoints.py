"""Checkpoints: which one to take, what to restore from it, and what not."""
import difflib
import os
from collections.abc import Callable, Iterable, Sequence

import tensorflow.compat.v1 as tf

from nets.slim_compat import slim


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
    return [os.path.join(folder, os.path.basename(path))
            for path in state.all_model_checkpoint_paths]
  # Copied without the file `checkpoint`, or that one is damaged.
  found = tf.io.gfile.glob(os.path.join(folder, '*.index'))
  return [path.removesuffix('.index') for path in
          sorted(found, key=lambda path: tf.io.gfile.stat(path).mtime_nsec)]


def to_continue(train_dir: str) -> str | None:
  """Returns the checkpoint a run goes on from, None for a new run.

  Raises:
    ValueError: there are checkpoints, and none can be read.
  """
  found = newest(train_dir)
  if found is None and listed(train_dir):
    raise ValueError(
        f'No checkpoint in {train_dir} can be read. Remove them, or name '
        'another --train_dir, to begin anew.')
  return found


def find(path: str) -> str:
  """Returns the checkpoint that a user means by `path`.

  Args:
    path: a checkpoint, one of its files, or a folder of checkpoints.

  Raises:
    ValueError: there is none.
  """
  if tf.io.gfile.isdir(path):
    found = newest(path)
    if found is None:
      raise ValueError(
          f'There is no readable checkpoint in {path}: train first, or name '
          'another folder with --checkpoint_path.')
    return found
  for ending in ('.index', '.meta', '.data-00000-of-00001'):
    path = path.removesuffix(ending)
  if not tf.train.checkpoint_exists(path):
    raise ValueError(f'There is no checkpoint {path}: --checkpoint_path takes '
                     'a checkpoint, or the folder of a run.')
  if not is_readable(path):
    raise ValueError(f'The checkpoint {path} is damaged, or is another kind '
                     'of file: copy it again, or name another with '
                     '--checkpoint_path.')
  return path


def matching(variables: Iterable[tf.Variable], scopes: str | None,
             flag: str) -> list[tf.Variable]:
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
    inside = {v.op.name for v in variables
              if f'{v.op.name}/'.startswith(scope.rstrip('/') + '/')}
    if not inside:
      known = _scopes(variables)
      near = difflib.get_close_matches(scope, known, n=3, cutoff=0.3)
      raise ValueError(
          f'--{flag}: no variable is under the scope {scope!r}. The nearest '
          f'are: {", ".join(near or known[:5])}.')
    chosen |= inside
  return [v for v in variables if v.op.name in chosen]


def _scopes(variables):
  found = {}
  for variable in variables:
    parts = variable.op.name.split('/')
    for depth in range(1, len(parts) + 1):
      found['/'.join(parts[:depth])] = None
  return list(found)


def warm_start(path: str, exclude_scopes: str | None,
               ignore_missing: bool = False
               ) -> tuple[Callable[[tf.Session], None], str]:
  """Prepares to start from another run's weights, or from a released one.

  Args:
    path: a checkpoint or a folder of them, in the V1 or the V2 format.
    exclude_scopes: scopes, with commas between, not to restore.
    ignore_missing: accept variables that the checkpoint lacks.

  Returns:
    A function that restores into a session, and a line for the user.

  Raises:
    ValueError: a scope that does not exist, a variable that the checkpoint
      lacks, or that has another shape there.
  """
  path = find(path)
  shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
  variables = slim.get_model_variables()
  excluded = set()
  if exclude_scopes:
    excluded = {v.op.name for v in matching(
        variables, exclude_scopes, 'checkpoint_exclude_scopes')}
  wanted = {v.op.name: v for v in variables if v.op.name not in excluded}
  if not wanted:
    raise ValueError(f'--checkpoint_exclude_scopes={exclude_scopes} leaves '
                     'nothing to restore: leave --checkpoint_path out.')
  missing = [name for name in wanted if name not in shapes]
  if missing and (not ignore_missing or len(missing) == len(wanted)):
    raise ValueError(
        f'The checkpoint {path} lacks {len(missing)} of the {len(wanted)} '
        f'variables to restore, {_some(missing)}; it holds '
        f'{_some(list(shapes))}. Is it of another network? To train them '
        'afresh, name them in --checkpoint_exclude_scopes, or set '
        '--ignore_missing_vars.')
  restored = {n: v for n, v in wanted.items() if n in shapes}
  _check_shapes(path, restored, shapes,
                'for another number of classes pass '
                '--checkpoint_exclude_scopes={scope}, or see --labels_offset.')
  saver = tf.train.Saver(restored, reshape=False)
  line = (f'{len(restored)} variables restored from {path}, '
          f'{len(excluded)} left out, {len(missing)} missing')
  return (lambda session: saver.restore(session, path)), line


def _some(names: Sequence[str]) -> str:
  more = f' and {len(names) - 3} more' if len(names) > 3 else ''
  return ', '.join(names[:3]) + more


def _check_shapes(path, variables, shapes, cure):
  for name, variable in variables.items():
    here, there = variable.shape.as_list(), list(shapes[name])
    if here != there:
      raise ValueError(
          f'{name} is {here} in the network and {there} in the checkpoint '
          f'{path}: {cure.format(scope=name.rpartition("/")[0])}')


def restorer(path: str, moving_average_decay: float | None
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
  if moving_average_decay:
    averages = tf.train.ExponentialMovingAverage(moving_average_decay)
    variables = {averages.average_name(v): v for v in variables.values()}
  shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
  missing = [name for name in variables if name not in shapes]
  if missing:
    cure = ('was it trained with --moving_average_decay?'
            if moving_average_decay else 'is --model_name right?')
    raise ValueError(f'The checkpoint {path} lacks {len(missing)} variables '
                     f'of the network, {_some(missing)}: {cure}')
  _check_shapes(path, variables, shapes,
                'is the number of classes right? See --dataset_name and '
                '--labels_offset.')
  saver = tf.train.Saver(variables, reshape=False)
  return lambda session: saver.restore(session, path)


def num_classes(checkpoint: str) -> int | None:
  """Returns the number of logits a checkpoint was trained for, if any."""
  shapes = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
  return next((shape[-1] for name, shape in shapes.items()
               if name.endswith('/logits/weights')), None)
