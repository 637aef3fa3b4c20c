"""Reads every record of a dataset, and says what is wrong and what is odd."""

import itertools
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from datasets import dataset_factory, dataset_utils, guessing, label_kinds
from datasets.limits import MAX_PIXELS
from datasets.progress import no_progress
from datasets.records import description, kept_counts
from datasets.records.examples import Examiner
from datasets.text import cut, few
from datasets.verifying import duplicates, split_reading
from datasets.verifying.report import Report

_SMALL = 8  # pixels of a side


class _Data(NamedTuple):
  """Where a dataset is, and what it says of itself."""

  name: str
  folder: str
  class_names: tuple[str, ...]
  paths: dict[str, list[str]]
  described: description.Description | None
  silent: list[str]  # splits without files
  task: str
  ignore_label: int | None
  problems: list[str]  # of the set of files
  notes: list[str]


def _find(name, folder):
  specification = dataset_factory.get_specification(name, folder)
  if folder is None:
    folder = dataset_factory.default_dir(name)
    specification.ensure(folder)
  if description.exists(folder):
    found = description.read(folder)
    return _Data(
      found.name,
      folder,
      found.class_names,
      {
        split: [os.path.join(folder, file) for file in of.files]
        for split, of in found.splits.items()
      },
      found,
      [],
      found.task,
      found.ignore_label,
      [],
      [],
    )
  splits = specification.splits
  there = [
    split
    for split in splits
    if guessing.matching(folder, specification.file_pattern % split)
  ]
  # Without any file the first split's error says where they should be.
  problems: list[str] = []
  found = {
    split: dataset_factory.get_dataset(name, split, folder, problems=problems)
    for split in there or splits[:1]
  }
  for split, of in found.items():
    kept_counts.keep(
      folder, split, of.counts, {*map(os.path.basename, of.data_sources)}
    )
  names = next(iter(found.values())).labels_to_names or {
    i: f'class {i}' for i in range(specification.num_classes)
  }
  return _Data(
    name,
    folder,
    tuple(names.values()),
    {split: list(of.data_sources) for split, of in found.items()},
    None,
    [split for split in splits if split not in there],
    specification.task,
    specification.ignore_label,
    problems,
    [text for of in found.values() for text in of.notes],
  )


def _labels_file(data):
  """Returns the problems of labels.txt, and the notes on it."""
  name = dataset_utils.LABELS_FILENAME
  if not dataset_utils.has_labels(data.folder):
    return [], [
      f'There is no {name}; the names of the classes are '
      + (f'those of {description.FILENAME}.' if data.described else 'unknown.')
    ]
  try:
    found = dataset_utils.read_label_file(data.folder)
  except ValueError as error:
    return [str(error)], []
  different = [
    str(label)
    for label, (one, other) in enumerate(
      itertools.zip_longest(found.values(), data.class_names)
    )
    if one != other
  ]
  return [
    f'{name} and {description.FILENAME} name label {few(different)} '
    'differently: restore the one that was changed.'
  ] if different else [], []


def _counts(split, data):
  """Yields what does not add up, unless bad records or files explain it."""
  if not len(split.rows):
    yield f'The split {split.name} has no records.'
  if split.problems or split.bad or not data.described:
    return
  said = data.described.splits[split.name]
  if said.examples != len(split.rows):
    yield (
      f'The split {split.name} has {len(split.rows):,} records instead '
      f'of {said.examples:,}. Convert the data again.'
    )
  for field, counted in split.statistics.counted.items():
    unit = ' pixels' if field == 'pixels_per_class' else ''
    wrong = [
      f'{cut(name, 40)} has {found:,}{unit} instead of {claimed:,}'
      for name, found, claimed in zip(
        data.class_names, counted, getattr(said, field), strict=True
      )
      if found != claimed
    ]
    if wrong:
      yield (
        f'The split {split.name} is not what {description.FILENAME} says: '
        f'{few(wrong)}. Convert the data again.'
      )


def _small(split):
  sides = np.minimum(split.rows['height'], split.rows['width'])
  small = np.flatnonzero(split.rows['good'] & (sides < _SMALL))
  if len(small):
    yield (
      f'Images of {split.name} with a side below {_SMALL} pixels: '
      f'{len(small):,}, '
      f'{duplicates.named([[(split, int(i))] for i in small])}'
    )


def _report(data, splits):
  same = duplicates.compare(splits)
  problems, notes = _labels_file(data)
  problems = [*data.problems, *data.notes, *problems]
  notes += [f'The split {name} has no files.' for name in data.silent]
  for split in splits:
    wrong, odd = split.statistics.judge(split)
    problems += [*split.problems, *_counts(split, data), *wrong]
    notes += [*odd, *_small(split)]
  statistics = splits[0].statistics
  notes += duplicates.notes(splits, same, statistics.alike)
  if same.conflicts:
    # Published data are as they are: nobody can repair them.
    (problems if data.name == dataset_factory.OWN else notes).append(
      f'Images with more than one {statistics.word}: '
      f'{len(same.conflicts):,}. Keep the right one of '
      f'{duplicates.named(same.conflicts)}'
    )
  problems += [text for split in splits for text in split.bad]
  inside = os.path.join(data.folder, '')
  return Report(
    data.name,
    data.folder,
    data.class_names,
    {split.name: split.summary(same.repeated[split.name]) for split in splits},
    dict(same.leaked),
    len(same.conflicts),
    *(
      tuple(text.replace(inside, '') for text in texts)
      for texts in (problems, notes)
    ),
    data.task,
    data.ignore_label,
  )


def verify(
  dataset_name: str,
  dataset_dir: str | None = None,
  max_pixels: int = MAX_PIXELS,
  threads: int | None = None,
  progress: Callable = no_progress,
) -> Report:
  """Reads every record of a dataset; what is wrong with it does not raise.

  Args:
    dataset_name: a name of the registry.
    dataset_dir: its folder; None where it is made by itself.
    max_pixels: the largest height x width of an image.
    threads: that read; None for one a processor.
    progress: called with the number of records, 0 and a title, once a split;
      returns a context manager with update().

  Raises:
    ValueError: no such dataset, or no files of it.
  """
  data = _find(dataset_name, dataset_dir)
  statistics = label_kinds.get(data.task).statistics(data)
  examiner = Examiner(statistics.examined, max_pixels, data.task)
  splits = [split_reading.Split(name, data, examiner) for name in data.paths]
  for split in splits:
    split_reading.read(split, threads or os.cpu_count() or 1, progress)
  return _report(data, splits)
