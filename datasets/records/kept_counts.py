"""How many records the files of a folder had when they were first read.

A folder without dataset.json does not say how many it should have, and a file
that was cut where a record ends looks whole. The counts are kept in the data
cache, and taken anew by --verify.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping

from datasets import dataset_utils, files, json_files
from datasets.text import few

Counts = Mapping[str, int]


def _path(folder: str) -> pathlib.Path:
  name = folder if '://' in folder else os.path.realpath(folder)
  key = hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()
  return dataset_utils.cache_dir() / 'counts' / f'{key}.json'


def _read(folder):
  try:
    found = json_files.read(_path(folder))
    json_files.check(found, dict[str, dict[str, int]], 'it')
    return found
  except (OSError, ValueError):  # none are kept, or they are damaged
    return {}


def keep(folder: str, split: str, counts: Counts, names: set[str]) -> None:
  """Keeps the records of each file; see `changes`."""
  if counts.keys() != names:  # not all of them are known
    return
  path = _path(folder)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as file:
      file.write(json.dumps({**_read(folder), split: counts}))
  except OSError:  # a cache that cannot be written is none
    pass


def changes(folder: str, split: str, counts: Counts, names: set[str]) -> str:
  """Returns what has changed since a split was first read, '' if nothing.

  What is read for the first time is kept.

  Args:
    folder: of the records.
    split: its name.
    counts: the records of its files that are whole, by their names.
    names: of all its files.
  """
  kept = _read(folder).get(split)
  if kept is None:
    keep(folder, split, counts, names)
    return ''
  different = [
    *(
      f'{name} has {counts[name]:,} records and had {kept[name]:,}'
      for name in counts
      if name in kept and kept[name] != counts[name]
    ),
    *(f'{name} is gone' for name in kept if name not in names),
    *(f'{name} is new' for name in counts if name not in kept),
  ]
  if not different:
    return ''
  return (
    f'The split {split} of {folder} is not what it was when it was first read: '
    f'{few(different)}. If that is meant, --verify takes it as it is.'
  )
