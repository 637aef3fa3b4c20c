"""dataset.json: what a folder of TFRecords says of itself."""
import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from datasets.convert.splitting import is_writable
from datasets.tfrecord import Written

FILENAME = 'dataset.json'
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Split:
  """One split of a data set.

  Attributes:
    files: what was written, by the files' names.
    examples_per_class: the number of examples of each label.
  """
  files: Mapping[str, Written]
  examples_per_class: tuple[int, ...]

  @property
  def examples(self) -> int:
    """The number of examples."""
    return sum(self.examples_per_class)


@dataclasses.dataclass(frozen=True)
class Description:
  """A data set.

  Attributes:
    name: its name in the registry; 'tfrecord' for one's own.
    class_names: the name of each label.
    channels: 1 if all pictures are grey, else 3.
    smallest: the least height and width of a picture, in pixels.
    largest: the greatest height and width.
    splits: by name.
  """
  name: str
  class_names: tuple[str, ...]
  channels: int
  smallest: tuple[int, int]
  largest: tuple[int, int]
  splits: Mapping[str, Split]


def write(description: Description, folder: str | os.PathLike) -> None:
  """Writes dataset.json to the folder."""
  values = {'version': _VERSION, 'num_classes': len(description.class_names),
            **dataclasses.asdict(description)}
  for split, found in description.splits.items():
    values['splits'][split] = {
        'examples': found.examples,
        'examples_per_class': found.examples_per_class,
        'files': {name: file._asdict() for name, file in found.files.items()}}
  pathlib.Path(folder, FILENAME).write_text(
      json.dumps(values, indent=2) + '\n', 'utf-8')


def exists(folder: str) -> bool:
  """Whether the folder describes itself."""
  return tf.io.gfile.exists(os.path.join(folder, FILENAME))


class _Wrong(Exception):
  """Says which part of a dataset.json is not what it should be."""


def _take(values, key, kind, fits=lambda value: True):
  """Returns values[key], which must be of a kind; bool is no int here."""
  value = values.get(key) if isinstance(values, dict) else None
  if (not isinstance(value, kind) or isinstance(value, bool)
      or not fits(value)):
    shown = json.dumps(value, default=str)
    raise _Wrong(f'{key} is {shown[:60]}')
  return value


def _numbers(values, key, length=None):
  return tuple(_take(values, key, list, lambda found: all(
      type(n) is int and n >= 0 for n in found)
      and length in (None, len(found))))


def _is_file_name(name):
  return (name not in ('', '.', '..') and os.path.basename(name) == name
          and is_writable(name))


def _split(values, name, classes):
  split = _take(values, name, dict)
  files = {}
  for file in _take(split, 'files', dict, lambda found: bool(found)
                    and all(map(_is_file_name, found))):
    written = _take(split['files'], file, dict)
    files[file] = Written(*(
        _take(written, field, int, lambda n: n >= 0)
        for field in Written._fields))
  found = Split(files, _numbers(split, 'examples_per_class', classes))
  records = sum(file.records for file in files.values())
  if not found.examples == records == _take(split, 'examples', int):
    raise _Wrong(f'the examples of the split {name}, those of its classes and '
                 'the records of its files do not add up')
  return found


def _parse(values: Any) -> Description:
  if _take(values, 'version', int, lambda n: n > 0) > _VERSION:
    raise _Wrong(f'version is {values["version"]}, written by a later release, '
                 f'and this one knows version {_VERSION}')
  names = _take(values, 'class_names', list, lambda found: len(found) > 1
                and all(isinstance(name, str) and is_writable(name)
                        for name in found))
  _take(values, 'num_classes', int, lambda n: n == len(names))
  return Description(
      _take(values, 'name', str, is_writable), tuple(names),
      _take(values, 'channels', int, lambda n: n in (1, 3)),
      _numbers(values, 'smallest', 2), _numbers(values, 'largest', 2),
      {name: _split(values['splits'], name, len(names))
       for name in _take(values, 'splits', dict, lambda found: bool(found)
                         and all(map(is_writable, found)))})


def read(folder: str) -> Description:
  """Returns what the folder's dataset.json says.

  Raises:
    ValueError: there is none, or it is not as `write` writes it; the part
      that is wrong is named.
  """
  path = os.path.join(folder, FILENAME)
  try:
    with tf.io.gfile.GFile(path, 'rb') as file:
      return _parse(json.loads(file.read().decode()))
  except tf.errors.NotFoundError:
    raise ValueError(f'There is no file {path}.') from None
  except tf.errors.OpError as error:
    raise ValueError(f'{path} cannot be read: {error.message}.') from None
  except (_Wrong, ValueError, RecursionError) as error:
    raise ValueError(f'{path} is not as the converter wrote it: {error}. '
                     'Restore it, or convert the data again.') from None


def check_files(found: Split, folder: str) -> None:
  """Checks that the files of a split are there, as long as they were written.

  Raises:
    ValueError: a file is missing or has another size.
  """
  for name, written in found.files.items():
    path = os.path.join(folder, name)
    if not tf.io.gfile.exists(path):
      raise ValueError(f'{path} is missing, which {FILENAME} names: copy it '
                       'again, or convert the data again.')
    size = tf.io.gfile.stat(path).length
    if size != written.size:
      raise ValueError(
          f'{path} has {size} bytes; {written.size} were written: it is cut '
          'short or was changed. Copy it again, or convert the data again.')
