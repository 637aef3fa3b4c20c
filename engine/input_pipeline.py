"""From records to batches, in an order that is a function of the seed.

Example number n of a run is number n % N of epoch n // N, and which record
that is, and how it is augmented, follow from (seed, n) alone. A run that
begins at step k therefore sees what a run from the start sees from step k on,
whatever the number of threads.
"""
import collections
import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import dataset_utils, tfrecord
from datasets.dataset_factory import Dataset

_FEATURES = {
    'image/encoded': tf.FixedLenFeature([], tf.string),
    'image/class/label': tf.FixedLenFeature([], tf.int64),
}


# Without rewriting by AutoGraph: nothing to rewrite, and plainer errors.
_as_is = tf.autograph.experimental.do_not_convert


class Batch(NamedTuple):
  """One batch as tensors.

  Fields:
    images: float32 [batch, size, size, channels].
    labels: int64 [batch], in [0, number of classes).
  """
  images: tf.Tensor
  labels: tf.Tensor


def _decode(record):
  """Returns the image, uint8 [height, width, 3], and the label of a record."""
  features = tf.io.parse_single_example(record, _FEATURES)
  image = tf.io.decode_image(features['image/encoded'], channels=3,
                             expand_animations=False)
  image.set_shape([None, None, 3])
  return image, features['image/class/label']


class Source:
  """The examples of a split, and how they become images and labels.

  Attributes:
    num_examples: the number of records.
  """

  def __init__(self, dataset: Dataset, preprocess: Callable, image_size: int,
               labels_offset: int = 0, num_threads: int = 4):
    """Finds the records.

    Args:
      dataset: the split.
      preprocess: `preprocess(uint8 image, height, width, seed=)`.
      image_size: height and width of the images, in pixels.
      labels_offset: subtracted from every label.
      num_threads: the number of pictures that are decoded at once.

    Raises:
      ValueError: a damaged file, or no records.
    """
    self._reader = tfrecord.Reader(
        dataset.data_sources, str(dataset_utils.cache_dir() / 'offsets'))
    self._dataset = dataset
    self._preprocess = preprocess
    self._size = image_size
    self._offset = labels_offset
    self._threads = num_threads
    self._recent = collections.deque(maxlen=32)  # blocks of record numbers
    self.num_examples = len(self._reader)
    if not self.num_examples:
      raise ValueError(
          f'The {dataset.split_name} split of {dataset.name} has no records: '
          f'{", ".join(dataset.data_sources[:3])} are empty.')

  def _read(self, indices):
    def load(numbers):
      self._recent.append(numbers)
      return self._reader.read_many(numbers)
    records = tf.numpy_function(load, [indices], tf.string, stateful=False)
    records.set_shape(indices.shape)
    return records

  def _example(self, seed):
    classes = self._dataset.num_classes - self._offset

    def refuse(index, label):
      raise ValueError(
          f'The label of {self._reader.name(index)} is {label} after '
          f'--labels_offset={self._offset}, outside of the {classes} classes '
          f'of {self._dataset.name}: is --labels_offset right?')

    def make(number, index, record):
      image, label = _decode(record)
      label -= self._offset
      # Raised by Python, which knows the record's file.
      label = tf.cond(
          tf.logical_and(label >= 0, label < classes), lambda: label,
          lambda: tf.numpy_function(refuse, [index, label], tf.int64))
      label.set_shape([])
      return self._preprocess(image, self._size, self._size,
                              seed=tf.stack([seed, number])), label
    return make

  def _batches(self, numbers: tf.data.Dataset, order: Callable, seed: int,
               batch_size: int, drop_remainder: bool) -> tf.data.Dataset:
    """Reads blocks of example numbers and yields (images, labels)."""
    seed = tf.constant(seed, tf.int64)

    def read(block):
      indices = order(block)
      return block, indices, self._read(indices)

    return (numbers.map(_as_is(read), num_parallel_calls=2).unbatch()
            .map(_as_is(self._example(seed)),
                 num_parallel_calls=self._threads)
            .batch(batch_size, drop_remainder=drop_remainder)
            .prefetch(2)
            .with_options(_deterministic()))

  def _shuffled(self, seed):
    def order(numbers):
      epoch = numbers // self.num_examples
      key = tf.stack([tf.fill(tf.shape(epoch), tf.constant(seed, tf.int64)),
                      epoch, tf.zeros_like(epoch)], axis=-1)
      # tf.random.experimental.index_shuffle documents a seed for each index,
      # and pads it wrongly.
      return tf.raw_ops.RandomIndexShuffle(
          index=numbers % self.num_examples, seed=key, rounds=4,
          max_index=tf.constant(self.num_examples - 1, tf.int64))
    return order

  def training(self, batch_size: int, seed: int, start_step: tf.Tensor
               ) -> tf.data.Dataset:
    """Returns endless shuffled, augmented batches of (images, labels).

    Args:
      batch_size: examples in a batch; one may span two epochs.
      seed: fixes the order and the augmentation.
      start_step: int64 scalar, the number of batches to leave out.
    """
    steps = tf.data.Dataset.range(start_step, tf.int64.max // batch_size)
    block = tf.range(batch_size, dtype=tf.int64)
    numbers = steps.map(_as_is(lambda step: step * batch_size + block))
    return self._batches(numbers, self._shuffled(seed), seed, batch_size, True)

  def evaluation(self, batch_size: int, shuffle: bool = False
                 ) -> tf.data.Dataset:
    """Returns every example once, as batches of (images, labels).

    Args:
      batch_size: examples in a batch; the last one may have fewer.
      shuffle: in an order without meaning instead of the files'.
    """
    numbers = tf.data.Dataset.range(self.num_examples).batch(batch_size)
    return self._batches(numbers, self._shuffled(0) if shuffle else
                         lambda numbers: numbers, 0, batch_size, False)


  @contextlib.contextmanager
  def naming_bad_records(self):
    """Turns TensorFlow's failure at a record into one that names it.

    Raises:
      ValueError: a record that cannot be decoded; says which and why.
    """
    try:
      yield
    except tf.errors.InvalidArgumentError:
      for index in np.concatenate([*self._recent, np.zeros(0, np.int64)]):
        reason = self._defect(int(index))
        if reason:
          raise ValueError(f'{self._reader.name(int(index))} {reason}; remove '
                           'it, or convert the data again.') from None
      raise

  def _defect(self, index):
    """Returns what is wrong with a record, None if nothing is."""
    record = self._reader.read(index)
    try:
      features = tf.train.Example.FromString(record).features.feature
    except Exception:  # each protobuf runtime has an error of its own
      return 'is no tf.train.Example'
    for name, kind in (('image/encoded', 'bytes_list'),
                       ('image/class/label', 'int64_list')):
      if len(getattr(features[name], kind).value) != 1:
        return f'has no single value of {name}'
    with tf.Graph().as_default(), tf.Session() as session:
      try:
        session.run(_decode(tf.constant(record))[0])
      except tf.errors.OpError:
        return 'holds a picture that is damaged, or is no PNG, JPEG, GIF or BMP'
    return None


def _deterministic():
  options = tf.data.Options()
  options.deterministic = True
  return options


def next_batch(batches: tf.data.Dataset) -> Batch:
  """Returns the tensors of the next batch in the current graph.

  The iterator begins when the session runs its table initializers, which is
  after a checkpoint has been restored.
  """
  iterator = tf.data.make_initializable_iterator(batches)
  tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
  return Batch(*iterator.get_next())
