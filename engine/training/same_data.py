"""Whether a run that is resumed still has the data that it was begun with."""

from collections.abc import Mapping
from typing import Any

from tf_slim.data.dataset import Dataset

from engine.checkpoints import locate
from engine.config.scripts import TrainConfig
from engine.resolve import data
from engine.training import early_stopping


def check(config: TrainConfig, dataset: Dataset, splits: data.Splits) -> None:
  """Refuses to resume a run with other data.

  Args:
    config: the complete configuration.
    dataset: the split to train on.
    splits: what tells the data apart; see `data.splits_of`.

  Raises:
    ValueError: the classes differ, the evaluations of the run were made on
      other examples, or it was trained on others and `config.accept_changes`
      is not set.
  """
  folder = config.train_dir
  run = locate.begun(folder)
  never = [
    data.other_classes(run, dataset),
    _other_evaluations(run, config, splits),
  ]
  told = data.other_examples(run, _of(splits, dataset.split_name))
  refused = [
    *filter(None, never),
    *filter(None, [] if config.accept_changes else [told]),
  ]
  if refused:
    cure = (
      ''
      if any(never)
      else 'pass --accept_changes to resume with the new data, '
    )
    raise ValueError(
      f'The run in {folder} was begun with other data: {"; ".join(refused)}: '
      f'{cure}name another --train_dir for a new run, or restore the data.'
    )


def _of(splits: data.Splits, split: str) -> data.Splits:
  return {split: splits[split]} if split in splits else {}


def _other_evaluations(
  run: Mapping[str, Any], config: TrainConfig, splits: data.Splits
) -> str:
  """Returns how the evaluations of a run differ from those to come, '' if not.

  Those that were made decide which is the best, with those to come.
  """
  if not run or not early_stopping.read(config.train_dir):
    return ''
  split = run.get('eval_split_name', config.eval_split_name)
  other = data.other_examples(run, _of(splits, split))
  if split != config.eval_split_name:
    other = f'eval_split_name={split}, not {config.eval_split_name}'
  return other and (
    f'{other}, and best/ and {early_stopping.EVALUATIONS_FILENAME} would mix '
    'both'
  )
