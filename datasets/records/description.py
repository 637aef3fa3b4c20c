"""dataset.json: what a folder of TFRecords says of itself."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from datasets import files, json_files, label_kinds
from datasets.limits import MOST_IDS
from datasets.records import tfrecord
from datasets.records.tfrecord import Written
from datasets.text import is_writable

FILENAME = 'dataset.json'
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Split:
  """One split of a dataset.

  Attributes:
    files: what was written, by the files' names.
    examples_per_class: the number of examples of each label; for
      segmentation the number of masks in which the class occurs.
    pixels_per_class: for segmentation, the number of pixels of each class;
      ignored ones do not count, so a class that is the ignore label has 0.
    ignored_pixels: for segmentation, the number of pixels that are ignored.
  """

  files: Mapping[str, Written]
  examples_per_class: tuple[int, ...]
  pixels_per_class: tuple[int, ...] = ()
  ignored_pixels: int = 0

  @property
  def examples(self) -> int:
    """The number of examples."""
    return sum(file.records for file in self.files.values())


@dataclasses.dataclass(frozen=True)
class Description:
  """A dataset.

  Attributes:
    name: its name in the registry; 'tfrecord' for one's own.
    class_names: the name of each label.
    channels: 1 if all images are grey, else 3.
    smallest: the least height and width of an image, in pixels.
    largest: the greatest height and width.
    splits: by name.
    task: a key of `label_kinds.KINDS`, the kind of label that it has.
    ignore_label: the value of pixels that do not count, in [0, 255]; None if
      every pixel counts.
    source_values: the value of each class in masks of the source's own form;
      () where those are the labels, or nothing tells them.
  """

  name: str
  class_names: tuple[str, ...]
  channels: int
  smallest: tuple[int, int]
  largest: tuple[int, int]
  splits: Mapping[str, Split]
  task: str = label_kinds.DEFAULT
  ignore_label: int | None = None
  source_values: tuple[int, ...] = ()


def _left_out(description):
  """Returns the fields that dataset.json does not have of such data."""
  kind = label_kinds.get(description.task)
  yield 'files'
  if description.task == label_kinds.DEFAULT:
    yield 'task'
  if not description.source_values:
    yield 'source_values'
  if not kind.has_ignore_label:
    yield 'ignore_label'
  if not kind.counts_pixels:
    yield from ('pixels_per_class', 'ignored_pixels')


def write(description: Description, folder: str | os.PathLike) -> None:
  """Writes dataset.json to the folder."""
  left_out = [*_left_out(description)]

  def shown(values):
    return {key: value for key, value in values.items() if key not in left_out}

  values = {
    'version': _VERSION,
    'num_classes': len(description.class_names),
    **shown(dataclasses.asdict(description)),
  }
  for split, found in description.splits.items():
    values['splits'][split] = {
      'examples': found.examples,
      **shown(vars(found)),
      'files': {name: file._asdict() for name, file in found.files.items()},
    }
  with files.atomic(os.path.join(folder, FILENAME)) as file:
    file.write(json.dumps(values, indent=2) + '\n')


def exists(folder: str) -> bool:
  """Whether the folder describes itself."""
  return tf.io.gfile.exists(os.path.join(folder, FILENAME))


class _Wrong(Exception):
  """Says which part of a dataset.json is not what it should be."""


def _take(values, key, kind, fits=lambda value: True):
  """Returns values[key], which must be of a kind; bool is no int here."""
  value = values.get(key) if isinstance(values, dict) else None
  if not isinstance(value, kind) or isinstance(value, bool) or not fits(value):
    shown = json.dumps(value, default=str)
    raise _Wrong(f'{key} is {shown[:60]}')
  return value


def _numbers(values, key, length=None):
  return tuple(
    _take(
      values,
      key,
      list,
      lambda found: (
        all(type(n) is int and n >= 0 for n in found)
        and length in (None, len(found))
      ),
    )
  )


def _is_file_name(name):
  return (
    name not in ('', '.', '..')
    and os.path.basename(name) == name
    and is_writable(name)
  )


def _adds_up(per_class, examples, least, most):
  """Whether so many examples can have these classes, `least` to `most` each."""
  total = sum(per_class)
  return (
    all(count <= examples for count in per_class)
    and least * examples <= total
    and (most is None or total <= most * examples)
  )


def _split(values, name, classes, kind):
  split = _take(values, name, dict)
  files = {}
  for file in _take(
    split,
    'files',
    dict,
    lambda found: bool(found) and all(map(_is_file_name, found)),
  ):
    written = _take(split['files'], file, dict)
    files[file] = Written(
      *(
        _take(written, field, int, lambda n: n >= 0)
        for field in Written._fields
      )
    )
  per_class = _numbers(split, 'examples_per_class', classes)
  found = Split(
    files,
    per_class,
    *(
      (
        _numbers(split, 'pixels_per_class', classes),
        _take(split, 'ignored_pixels', int, lambda n: n >= 0),
      )
      if kind.counts_pixels
      else ()
    ),
  )
  fits = _adds_up(per_class, found.examples, *kind.classes_per_example)
  if _take(split, 'examples', int) != found.examples or not fits:
    raise _Wrong(
      f'the examples of the split {name}, those of its classes and '
      'the records of its files do not add up'
    )
  return found


def _task(values):
  return _take(
    {'task': label_kinds.DEFAULT, **values},
    'task',
    str,
    label_kinds.KINDS.__contains__,
  )


def _ignore_label(values, kind):
  if not kind.has_ignore_label or values.get('ignore_label') is None:
    return None
  return _take(values, 'ignore_label', int, range(MOST_IDS).__contains__)


def _source_values(values, classes):
  found = _numbers({'source_values': [], **values}, 'source_values')
  if found and (
    len(found) != classes
    or len({*found}) < classes
    or not all(value in range(MOST_IDS) for value in found)
  ):
    raise _Wrong(
      f'source_values are not {classes} different numbers from 0 to '
      f'{MOST_IDS - 1}'
    )
  return found


def _parse(values: Any) -> Description:
  if _take(values, 'version', int, lambda n: n > 0) > _VERSION:
    raise _Wrong(
      f'version is {values["version"]}, written by a later release, '
      f'and this one knows version {_VERSION}'
    )
  task = _task(values)
  kind = label_kinds.get(task)
  names = _take(
    values,
    'class_names',
    list,
    lambda found: (
      len(found) >= kind.least_classes
      and all(isinstance(name, str) and is_writable(name) for name in found)
    ),
  )
  _take(values, 'num_classes', int, lambda n: n == len(names))
  if kind.most_classes and len(names) > kind.most_classes:
    raise _Wrong(
      f'num_classes is {len(names)}, and a mask tells {kind.most_classes} apart'
    )
  return Description(
    _take(values, 'name', str, is_writable),
    tuple(names),
    _take(values, 'channels', int, lambda n: n in (1, 3)),
    _numbers(values, 'smallest', 2),
    _numbers(values, 'largest', 2),
    {
      name: _split(values['splits'], name, len(names), kind)
      for name in _take(
        values,
        'splits',
        dict,
        lambda found: bool(found) and all(map(is_writable, found)),
      )
    },
    task,
    _ignore_label(values, kind),
    _source_values(values, len(names)),
  )


def read(folder: str) -> Description:
  """Returns what the folder's dataset.json says.

  Raises:
    ValueError: there is none, or it is not as `write` writes it; the part
      that is wrong is named.
  """
  path = os.path.join(folder, FILENAME)
  with tfrecord.reading(path) as file:
    data = file.read()
  try:
    return _parse(json_files.parse(data))
  except (_Wrong, ValueError) as error:
    raise ValueError(
      f'{path} is not as the converter wrote it: {error}. '
      'Restore it, or convert the data again.'
    ) from None


def check_counts(found: Split, folder: str, counts: Mapping[str, int]) -> None:
  """Checks that the files of a split have as many records as were written.

  Args:
    found: what is said of the split.
    folder: of the dataset.
    counts: the records of the files that are whole, by their names.

  Raises:
    ValueError: a file has more, or less.
  """
  for name, written in found.files.items():
    if counts.get(name, written.records) != written.records:
      raise ValueError(
        f'{os.path.join(folder, name)} has {counts[name]} records; {FILENAME} '
        f'says {written.records}. Restore the one that was changed, or convert '
        'the data again.'
      )


def check_files(found: Split, folder: str) -> None:
  """Checks that the files of a split are there, as long as they were written.

  Raises:
    ValueError: a file is missing or has another size.
  """
  for name, written in found.files.items():
    path = os.path.join(folder, name)
    files.check_regular(path)
    if not tf.io.gfile.exists(path):
      raise ValueError(
        f'{path} is missing, which {FILENAME} names: copy it '
        'again, or convert the data again.'
      )
    size = tf.io.gfile.stat(path).length
    if size != written.size:
      raise ValueError(
        f'{path} has {size} bytes; {written.size} were written: it is cut '
        'short or was changed. Copy it again, or convert the data again.'
      )
