"""How many examples a step has: of one replica, and of all together.

A run keeps the number of all together when it is resumed with another number
of replicas, so that its batches stay what they are.
"""

from tf_slim.data.dataset import Dataset

from engine.checkpoints import locate
from engine.common import console
from engine.config.scripts import TrainConfig


def completed(
  given: TrainConfig, complete: TrainConfig, examples: int, replicas: int
) -> TrainConfig:
  """Returns the configuration with both numbers.

  Args:
    given: what the flags say.
    complete: with the batch size that is taken where no flag says one.
    examples: in the split.
    replicas: how many share a step.

  Raises:
    ValueError: two flags contradict each other, or a flag the run.
  """
  begun = locate.begun(complete.train_dir)
  then = begun.get('batch_size')
  together = begun.get('global_batch_size') or then
  size, wanted = then, together
  if not together or (
    given.batch_size not in (None, then)
    or given.global_batch_size not in (None, together)
  ):
    size, wanted = _given(given, complete, examples, replicas)
  if together and wanted == together:
    _tell(begun, complete, replicas)
    return _with(complete, then, together, replicas)
  several = replicas > 1 or given.global_batch_size
  if together and several and not given.accept_changes:
    raise ValueError(
      f'The run in {complete.train_dir} was begun with {together} examples in '
      f'a step, not {wanted}: pass --global_batch_size={together}, or '
      '--accept_changes to resume with the new number.'
    )
  return _with(complete, size, wanted, replicas)


def _given(given, complete, examples, replicas):
  """Returns both numbers as the flags say."""
  size, wanted = given.batch_size, given.global_batch_size
  if wanted:
    if size is not None and size * replicas != wanted:
      raise ValueError(
        f'--batch_size={size} in each of {replicas} replicas is not '
        f'--global_batch_size={wanted}: leave one of both out.'
      )
    return max(wanted // replicas, 1), wanted
  if size is None:
    size = max(min(complete.batch_size, examples // replicas), 1)
  return size, size * replicas


def _with(complete, size, together, replicas):
  return complete.replace(
    batch_size=size,
    global_batch_size=together
    if replicas > 1 or together != size or complete.global_batch_size
    else None,
  )


def _tell(begun, complete, replicas):
  """Says that a run resumes with another number of replicas."""
  size = begun['batch_size']
  together = begun.get('global_batch_size') or size
  then = begun.get('replicas', together // size)
  if then == replicas or together % replicas:
    return
  console.say(
    f'The run had {_shared(together, then)}, and resumes with '
    f'{_shared(together, replicas)}: its batches stay the same.'
    + (
      ''
      if complete.freeze_batch_norm or complete.sync_batch_norm
      else ' Batch norm measures over the examples of one replica.'
    )
  )


def _shared(together, replicas):
  return (
    f'{replicas} replicas of {together // replicas} examples'
    if replicas > 1
    else f'1 replica of {together} examples'
  )


def check(config: TrainConfig, dataset: Dataset, replicas: int) -> None:
  """Raises ValueError where a step does not fit the data or the replicas."""
  together, parts = config.examples_per_step, config.num_micro_batches
  if together > dataset.num_samples:
    where, what = '', '--batch_size'
    if replicas > 1:
      where = f', as there are {replicas} replicas'
      what += ', --global_batch_size or the number of replicas'
    raise ValueError(
      f'A step has {together} examples{where}, more than the '
      f'{dataset.num_samples} of {dataset.name}, split {dataset.split_name}: '
      f'lower {what}.'
    )
  if together % replicas:
    raise ValueError(
      f'{replicas} replicas do not divide the {together} examples of a step '
      'evenly: choose --num_clones, the number of workers or '
      '--global_batch_size so that they do.'
    )
  if together // replicas % parts:
    where = f'each of {replicas} replicas' if replicas > 1 else 'a step'
    raise ValueError(
      f'--num_micro_batches={parts} does not divide the '
      f'{together // replicas} examples of {where}: choose a factor of them.'
    )
