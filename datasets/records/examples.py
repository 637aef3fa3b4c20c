"""The examples of a split by number, and which of them are bad."""

import contextlib
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets import dataset_utils, label_kinds, sessions
from datasets.images import image_files
from datasets.limits import MAX_PIXELS
from datasets.records import tfrecord
from datasets.records.label_readers import BadExample

_IMAGE = ('image/encoded', tf.string, 'bytes_list')
# By the type of a feature: that of its values, and the field of a record.
_TYPES = {
  'bytes': (tf.string, 'bytes_list'),
  'int64': (tf.int64, 'int64_list'),
  'float': (tf.float32, 'float_list'),
}


class Example(NamedTuple):
  """A record that is as it should be.

  Fields:
    label: as it was written: the number of a class, or the mask, uint8
      [height, width], of classes and the ignored label.
    data: the bytes of the image.
    image: uint8 [height, width, 3].
    filename: what it was made from, '' if the record does not say.
  """

  label: Any
  data: bytes
  image: np.ndarray
  filename: str


def features_of(record: bytes) -> Mapping[str, tf.train.Feature]:
  """Returns the features by name; none of a record that protobuf refuses."""
  try:
    return tf.train.Example.FromString(record).features.feature
  except Exception:  # each protobuf runtime has an error of its own
    return tf.train.Features().feature


def task_of(record: bytes) -> str:
  """Returns the kind of label that a record has, good or bad.

  Of several it is the last of `label_kinds.KINDS`: an image with a mask may
  have a class beside it.
  """
  features = features_of(record)
  return next(
    (
      task
      for task, kind in reversed(label_kinds.KINDS.items())
      if kind.feature in features
    ),
    label_kinds.DEFAULT,
  )


def _filename(record):
  names = features_of(record)['image/filename'].bytes_list.value
  return names[0].decode(errors='replace') if names else ''


class Examiner:
  """Tells what is wrong with a record; safe in many threads."""

  def __init__(
    self,
    labels: range,
    max_pixels: int = MAX_PIXELS,
    task: str = label_kinds.DEFAULT,
    ignore_label: int | None = None,
  ):
    """Sets what is right.

    Args:
      labels: that may occur, of records or of the pixels of their masks.
      max_pixels: the largest height x width of an image.
      task: a key of `label_kinds.KINDS`.
      ignore_label: the value of pixels that do not count; None if all do.
    """
    kind = label_kinds.get(task)
    self._read_label = kind.read_label(labels, ignore_label)
    self._required = (_IMAGE, (kind.feature, *_TYPES[kind.feature_type]))
    self._max_pixels = max_pixels
    self._decoder = image_files.Decoder()
    # TensorFlow's parser, which the training uses, refuses some records that
    # protobuf's takes.
    with tf.Graph().as_default() as graph:
      self._record = tf.placeholder(tf.string, [])
      parsed = tf.io.parse_single_example(
        self._record,
        {name: tf.VarLenFeature(kind) for name, kind, _ in self._required},
      )
      self._values = [parsed[name].values for name, _, _ in self._required]
      self._session = sessions.on_cpu(graph)

  def __call__(self, record: bytes) -> Example:
    """Returns the example of a record.

    Raises:
      BadExample: it is none, or its label or its image is bad.
    """
    data, label = self._parse(record)
    try:
      image = self._decode(data)
    except image_files.BadImage as bad:
      raise BadExample(f'holds an image that {bad}') from None
    return Example(
      self._read_label(label, image), data, image, _filename(record)
    )

  def _decode(self, data):
    try:
      image_files.open_image(data, self._max_pixels)
    except image_files.TooLarge:
      raise
    except image_files.BadImage as bad:
      if not data:
        raise
      with contextlib.suppress(image_files.BadImage):
        return self._decoder(data)  # as training would, whatever Pillow says
      raise bad from None
    return self._decoder(data)

  def _parse(self, record):
    """Returns the image's bytes, and the label as it was written."""
    try:
      values = self._session.run(self._values, {self._record: record})
    except (tf.errors.OpError, UnicodeDecodeError):  # its text quotes bytes
      features = features_of(record)
      if all(
        features[name].WhichOneof('kind') in (None, field)
        for name, _, field in self._required
      ):
        raise BadExample('is no tf.train.Example') from None
      values = [
        getattr(features[name], field).value
        for name, _, field in self._required
      ]
    for (name, _, _), found in zip(self._required, values, strict=True):
      if len(found) != 1:
        raise BadExample(f'has no single value of {name}')
    return [found[0] for found in values]


class Examples:
  """The records of a split by number, with stand-ins for those left out.

  The stand-in of a record is the next one that is good, so that it depends
  on the data alone. Safe in many threads.

  Attributes:
    left_out: a sentence for each record that was found bad and left out; a
      file's damaged end counts as one.
    classes: the number of labels after labels_offset.
  """

  def __init__(
    self,
    dataset: Dataset,
    labels_offset: int = 0,
    max_pixels: int = MAX_PIXELS,
    skip: int = 0,
  ):
    """Finds the records.

    Args:
      dataset: the split.
      labels_offset: subtracted from every label.
      max_pixels: the largest height x width of an image.
      skip: how many bad records may be left out.

    Raises:
      ValueError: no records, or a damaged file that may not be skipped.
    """
    self._reader = tfrecord.Reader(
      dataset.data_sources, dataset_utils.offsets_dir()
    )
    self._examiner = Examiner(
      range(labels_offset, dataset.num_classes),
      max_pixels,
      dataset.task,
      dataset.ignore_label,
    )
    self._skip = skip
    self._bad, self._good = set(), set()  # as far as they were examined
    self._lock = threading.RLock()
    self.left_out = []
    self.classes = dataset.num_classes - labels_offset
    for damage in self._reader.damages:
      self._leave_out(damage, damage)
    if not len(self):
      raise ValueError(
        f'The {dataset.split_name} split of {dataset.name} has no records: '
        f'{", ".join(dataset.data_sources[:3])} are empty.'
      )

  def __len__(self) -> int:
    return len(self._reader)

  def _leave_out(self, key, sentence):
    with self._lock:
      if key in self._bad:
        return
      count = len(self.left_out) + 1
      if count > self._skip:
        what = 'it' if count == 1 else f'{count} such'
        raise ValueError(
          f'{sentence} --skip_bad_examples={count} leaves {what} out.'
        ) from None
      # What is refused is not noted: another thread may be reading it, and
      # must be refused as well rather than given a stand-in.
      self._bad.add(key)
      self.left_out.append(sentence)
      if sum(isinstance(bad, int) for bad in self._bad) >= len(self):
        raise ValueError(f'No record is good: {sentence}')

  def key(self) -> str:
    """Returns a name for these records that others do not have."""
    return self._reader.key()

  def name(self, index: int) -> str:
    """Returns 'record 3 of FILE' for record `index`."""
    return self._reader.name(index)

  def filename(self, index: int) -> str:
    """Returns what record `index` was made from, '' if it does not say."""
    return _filename(self._reader.read(index))

  def stand_in(self, index: int) -> int:
    """Returns the number of the record that is read for record `index`."""
    for _ in range(len(self)):
      if index not in self._bad:
        return index
      index = (index + 1) % len(self)
    raise ValueError(f'No record is good: {self.left_out[-1]}')

  def _read(self, index):
    """Returns the record, or that of its stand-in, and the latter's number."""
    while True:
      index = self.stand_in(index)
      try:
        return self._reader.read(index), index
      except ValueError as damage:
        self._leave_out(index, str(damage))

  def read_many(self, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns records, and the number of the record that each really is.

    Args:
      indices: of records, in [0, len(self)).

    Returns:
      bytes, object [n], and int64 [n], which differs from `indices` where a
      record stands in for a bad one.

    Raises:
      ValueError: more records are bad than may be left out.
    """
    found = [self._read(int(index)) for index in indices]
    return (
      np.array([record for record, _ in found], object),
      np.array([index for _, index in found], np.int64),
    )

  def example(self, index: int) -> Example | None:
    """Returns an example, decoded; None if it is bad, and so left out.

    Raises:
      ValueError: more records are bad than may be left out.
    """
    if index in self._bad:
      return None
    try:
      return self._examiner(self._reader.read(index))
    except BadExample as bad:
      cure = (
        ''
        if bad.has_cure
        else (': repair or remove it, or convert the data again')
      )
      self._leave_out(index, f'{self._reader.name(index)} {bad}{cure}.')
    except ValueError as damage:
      self._leave_out(index, str(damage))
    return None

  def examine(self, indices: Iterable[int]) -> bool:
    """Looks for bad records, and leaves them out; whether there was a new one.

    Raises:
      ValueError: more records are bad than may be left out.
    """
    new = [
      index
      for index in dict.fromkeys(map(int, indices))
      if index not in self._bad and index not in self._good
    ]
    good = {index for index in new if self.example(index) is not None}
    self._good |= good
    return len(good) < len(new)
