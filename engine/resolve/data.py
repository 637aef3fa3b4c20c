"""The data of a run: what config.json says of them, and whether others fit.

It has the number of classes, their names and, for masks, the values that they
have in the source where those are others. Of the training and of the
evaluation split how many examples there are and a checksum. Where the data lie
does not count. Runs of older versions have the classes alone.
"""

import os
from collections.abc import Mapping
from typing import Any

from tf_slim.data.dataset import Dataset

from datasets import dataset_factory
from datasets.records import identity
from engine.common import console
from engine.config.scripts import DataConfig, TrainConfig
from engine.resolve import class_names

Splits = dict[str, dict[str, Any]]


def splits_of(config: TrainConfig, dataset: Dataset) -> Splits:
  """Returns what tells apart the data of a training: {split: its facts}.

  Args:
    config: complete; its evaluation split is left out if it is not there.
    dataset: the split to train on.
  """
  found = facts_of(dataset)
  if config.eval_split_name not in found:
    try:
      evaluated = _get(config, config.eval_split_name)
    except ValueError:  # not there
      return found
    found.update(facts_of(evaluated))
  return found


def facts_of(dataset: Dataset) -> Splits:
  """Returns what tells apart the data of one split."""
  return {dataset.split_name: identity.of(dataset)._asdict()}


def facts(
  config: TrainConfig, dataset: Dataset, splits: Splits
) -> dict[str, Any]:
  """Returns what config.json says of the data of a training.

  Args:
    config: complete.
    dataset: the split to train on.
    splits: see `splits_of`.
  """
  values = dataset.source_values
  return {
    'num_classes': dataset.num_classes,
    'class_names': class_names.of_dataset(dataset, config.labels_offset),
    **({'source_values': [*values]} if values else {}),
    'data': splits,
  }


def get(name: str, split: str, folder: str | None) -> Dataset:
  """Returns a split; its records are looked for under a progress bar.

  Args:
    name, split, folder: see `dataset_factory.get_dataset`.

  Raises:
    ValueError: it is not there, or not as it should be.
  """
  return dataset_factory.get_dataset(
    name, split, folder, progress=console.indexing
  )


def _get(config, split):
  return get(config.dataset_name, split, config.dataset_dir)


def open_split(config: DataConfig) -> Dataset:
  """Returns the split of a configuration; says what one should know of it.

  Raises:
    ValueError: it is not there, or not as it should be.
  """
  dataset = _get(config, config.dataset_split_name)
  for sentence in dataset.notes:
    console.note(sentence)
  return dataset


def missing(config: DataConfig, split: str) -> str:
  """Returns why a split is not there, '' if it is."""
  try:
    _get(config, split)
  except ValueError as error:
    return str(error)
  return ''


def other_classes(run: Mapping[str, Any], dataset: Dataset) -> str:
  """Returns how the classes of a run differ from those of data, '' if not.

  Args:
    run: what its training wrote; what it does not say does not differ.
    dataset: one of their splits. Where classes have numbers for names, on
      either side, they are counted alone.
  """
  number = run.get('num_classes', dataset.num_classes)
  if number != dataset.num_classes:
    return f'{number} classes, not {dataset.num_classes}'
  if _are_numbers(run) or not dataset.labels_to_names:
    return ''
  return _other_name(run, dataset)


def _other_name(run, dataset):
  """Returns the first class that has another name, '' if none has."""
  offset = run.get('labels_offset') or 0
  then, now = run.get('class_names'), class_names.of_dataset(dataset, offset)
  return next(
    (
      f'class {label} {one!r}, not {other!r}'
      for label, (one, other) in enumerate(
        zip(then or [], now, strict=False), offset
      )
      if one != other
    ),
    '',
  )


def _are_numbers(run):
  """Whether a run knows its classes by their numbers."""
  names, offset = run.get('class_names') or [], run.get('labels_offset') or 0
  return names == [str(offset + i) for i in range(len(names))]


def other_examples(run: Mapping[str, Any], splits: Splits) -> str:
  """Returns how the splits of a run differ from these, '' if they do not.

  Splits that the run does not know do not differ.
  """
  found = []
  for split, now in splits.items():
    then = run.get('data', {}).get(split, now)
    if then['examples'] != now['examples']:
      found.append(
        f'{then["examples"]:,} examples in the split {split}, not '
        f'{now["examples"]:,}'
      )
    elif then['checksum'] != now['checksum'] and identity.are_comparable(
      then['checksum'], now['checksum']
    ):
      found.append(
        f'the checksum {then["checksum"]} of the split {split}, not '
        f'{now["checksum"]}'
      )
  return '; '.join(found)


def are_same(one: Dataset, other: Dataset) -> bool:
  """Whether two splits have the same examples, maybe in copies."""
  if one.data_sources == other.data_sources:
    return True
  return one.split_name == other.split_name and (
    identity.of(one) == identity.of(other)
  )


def check_evaluated(
  run: Mapping[str, Any], config: DataConfig, dataset: Dataset, checkpoint: str
) -> None:
  """Makes sure that what a network says can be held against the labels.

  Data of the same classes may be others than those of the run; that those of
  the run have changed is said.

  Args:
    run: what the training wrote, {} if there is nothing.
    config: complete.
    dataset: the split to evaluate on.
    checkpoint: its prefix.

  Raises:
    ValueError: the classes are not those that the network was trained on.
  """
  folder = os.path.dirname(dataset.data_sources[0])
  other = other_classes(run, dataset)
  if other:
    raise ValueError(
      f'{checkpoint} was trained on other classes than those of {folder}: '
      f'{other}. Name data with the same classes, in the same order, by '
      '--dataset_dir and --dataset_name, or train on these.'
    )
  if dataset.labels_to_names and _other_name(run, dataset):  # by numbers, then
    console.note(
      f'{checkpoint} knows its classes by their numbers. They are taken for '
      f'those of {folder}, in their order.'
    )
  if not run.get('data') or not _is_folder_of(run, config):
    return
  split = dataset.split_name
  if split not in run['data']:  # then the training tells
    split = run.get('dataset_split_name', split)
    if split not in run['data']:
      return
    try:
      dataset = _get(config, split)
    except ValueError:  # not there
      return
  changed = other_examples(run, facts_of(dataset))
  if changed:
    console.note(
      f'{folder} has changed since {checkpoint} was trained, with {changed}. '
      'Images of the training may now be in another split, and the metrics '
      'too good.'
    )


def _is_folder_of(run, config):
  """Whether the data lie where those of the run lay."""

  def place(name, folder):
    return name, folder and os.path.abspath(folder)

  return place(run.get('dataset_name'), run.get('dataset_dir')) == place(
    config.dataset_name, config.dataset_dir
  )
