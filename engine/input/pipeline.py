"""From records to batches, in an order that is a function of the seed.

Example number n of a run is number n % N of epoch n // N, and which record
that is, and how it is augmented, follow from (seed, n) alone. A run that
begins at step k therefore sees what a run from the start sees from step k on,
whatever the number of threads.
"""

import collections
import copy
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from datasets.limits import MAX_PIXELS
from datasets.records.examples import Examples
from engine.common import console
from engine.config.scripts import DataConfig, TrainConfig
from engine.input.cache import Cache
from engine.input.labels import Labels
from preprocessing import mixing
from preprocessing.encoded import Encoded

# Without rewriting by AutoGraph: nothing to rewrite, and plainer errors.
_as_is = tf.autograph.experimental.do_not_convert

# What a bad record raises. The second is Python's, of a message of TensorFlow's
# that quotes bytes.
_BAD = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


class Batch(NamedTuple):
  """One batch as tensors.

  Fields:
    images: float32 [batch, height, width, channels].
    labels: int64 [batch], in [0, number of classes); where examples are mixed,
      float32 [batch, number of classes]; of masks int32 [batch, height,
      width], where the ignore label may occur too.
    records: int64 [batch], the number of each example's record; in evaluation
      -1 where another example stands in for a bad one.
  """

  images: tf.Tensor
  labels: tf.Tensor
  records: tf.Tensor


class _Records:
  """Records as they are in the files, decoded in the graph."""

  dtypes, ranks = (tf.string,), (0,)

  def __init__(self, examples, labels, max_pixels, whole):
    self.examples, self._labels = examples, labels
    self._max_pixels = max_pixels
    self._whole = whole

  def load(self, indices):
    """Returns the records, and the number of the record each really is."""
    return self.examples.read_many(indices)

  def decode(self, record):
    """Returns the image and the label, as it was written."""
    features = tf.io.parse_single_example(
      record,
      {
        'image/encoded': tf.FixedLenFeature([], tf.string),
        **self._labels.features,
      },
    )
    return (
      Encoded(features['image/encoded'], self._max_pixels, self._whole),
      self._labels.decode(features),
    )


class Source:
  """The examples of a split, and how they become images and labels.

  Attributes:
    examples: the records by number.
    num_examples: the number of records.
    may_leave_out: whether bad examples may be left out.
  """

  def __init__(
    self,
    dataset: Dataset,
    labels: Labels,
    labels_offset: int = 0,
    num_threads: int = 4,
    *,
    skip: int = 0,
    max_pixels: int = MAX_PIXELS,
    cache: str | None = None,
    progress: Callable | None = None,
    examples: Examples | None = None,
  ):
    """Finds the records.

    Args:
      dataset: the split.
      labels: how labels are read, and images prepared with them.
      labels_offset: subtracted from every label.
      num_threads: the number of images that are decoded at once.
      skip: how many bad examples may be left out; with any, JPEGs are decoded
        whole, so that one that is damaged is bad wherever it is looked at.
      max_pixels: the largest height x width of an image.
      cache: 'memory' or 'file' to decode every image once, now.
      progress: see `Cache`.
      examples: the records, if they are open already.

    Raises:
      ValueError: a damaged file, or no records.
    """
    self.examples = examples or Examples(
      dataset, labels_offset, max_pixels, skip
    )
    self._labels, self.may_leave_out = labels, skip > 0
    self._records = (
      Cache(self.examples, cache, num_threads, progress)
      if cache
      else _Records(self.examples, self._labels, max_pixels, skip > 0)
    )
    self._threads = num_threads
    # Blocks of record numbers, as many as may be read ahead.
    self._recent: collections.deque[np.ndarray] = collections.deque(
      maxlen=32 + num_threads
    )
    self._told = len(self.left_out) if examples else 0
    self.num_examples = len(self.examples)

  def prepared_by(self, labels: Labels) -> 'Source':
    """Returns the same examples, cached ones too, prepared otherwise."""
    other = copy.copy(self)
    other._labels = labels
    return other

  @property
  def left_out(self) -> list[str]:
    """A sentence for each example that was left out."""
    return self.examples.left_out

  def tell_left_out(self) -> None:
    """Prints what has been left out since this was called last."""
    for sentence in self.left_out[self._told :]:
      self._told += 1
      console.note(f'left out: {sentence}')

  def widen(self) -> None:
    """Makes room for the records that another stream reads ahead."""
    most = (self._recent.maxlen or 0) + 32 + self._threads
    self._recent = collections.deque(self._recent, maxlen=most)

  def leave_out_bad(self) -> bool:
    """Leaves out what is bad among the latest records; whether there was any.

    Raises:
      ValueError: more records are bad than may be left out.
    """
    return any([self.examples.examine(block) for block in [*self._recent]])

  def _read(self, indices):
    def load(numbers):
      *records, found = self._records.load(numbers)
      self._recent.append(found)
      return *records, found

    dtypes = (*self._records.dtypes, tf.int64)
    loaded = tf.numpy_function(load, [indices], dtypes, stateful=False)
    for tensor, rank in zip(loaded, (*self._records.ranks, 0), strict=True):
      tensor.set_shape([None] * (1 + rank))
    return loaded

  def _example(self, seed, evaluates):
    def make(number, index, *loaded):
      *record, found = loaded
      image, label = self._records.decode(*record)
      image, label = self._labels.prepare(
        image, label, tf.stack([seed, number])
      )
      if evaluates:
        found = tf.where(tf.equal(index, found), found, -1)
      return image, label, found

    return make

  def _batches(self, numbers, order, seed, batch_size, evaluates):
    """Reads blocks of example numbers and yields the fields of `Batch`."""
    seed = tf.constant(seed, tf.int64)

    def read(block):
      indices = order(block)
      return block, indices, *self._read(indices)

    return (
      numbers.map(_as_is(read), num_parallel_calls=2)
      .unbatch()
      .map(
        _as_is(self._example(seed, evaluates)), num_parallel_calls=self._threads
      )
      .batch(batch_size, drop_remainder=not evaluates)
    )

  def _shuffled(self, seed):
    def order(numbers):
      epoch = numbers // self.num_examples
      key = tf.stack(
        [
          tf.fill(tf.shape(epoch), tf.constant(seed, tf.int64)),
          epoch,
          tf.zeros_like(epoch),
        ],
        axis=-1,
      )
      # tf.random.experimental.index_shuffle documents a seed for each index,
      # and pads it wrongly.
      return tf.raw_ops.RandomIndexShuffle(
        index=numbers % self.num_examples,
        seed=key,
        rounds=4,
        max_index=tf.constant(self.num_examples - 1, tf.int64),
      )

    return order

  def training(
    self,
    batch_size: int,
    seed: int,
    start: Any,
    mix: Callable | None = None,
    replica: int = 0,
    replicas: int = 1,
  ) -> 'Stream':
    """Returns endless shuffled, augmented batches.

    Args:
      batch_size: examples in a replica's batch; one may span two epochs.
      seed: fixes the order and the augmentation.
      start: int64 scalar, the number of batches to leave out.
      mix: mix(images, labels, seed), float32 [batch, classes] labels in and
        out, mixes the examples of a batch.
      replica: which examples of the batch of all replicas: those whose number
        leaves this rest.
      replicas: when divided by this.
    """
    together = batch_size * replicas
    block = tf.range(replica, together, replicas, dtype=tf.int64)
    classes = self.examples.classes

    def batches(start):
      steps = tf.data.Dataset.range(start, tf.int64.max // together)
      numbers = steps.map(_as_is(lambda step: step * together + block))
      found = self._batches(
        numbers, self._shuffled(seed), seed, batch_size, False
      )
      if mix is None:
        return found

      def mixed(batch, step):
        images, labels, records = batch
        return *mix(
          images,
          tf.one_hot(labels, classes),
          tf.stack([tf.constant(seed, tf.int64), step * replicas + replica]),
        ), records

      return tf.data.Dataset.zip((found, steps)).map(_as_is(mixed))

    return Stream(self, batches, start, replicas > 1)

  def evaluation(
    self, batch_size: int, shuffle: bool = False, share: range | None = None
  ) -> 'Stream':
    """Returns every example once.

    Args:
      batch_size: examples in a batch; the last one may have fewer.
      shuffle: in an order without meaning instead of the files'.
      share: the places in that order, if not all.
    """
    share = range(self.num_examples) if share is None else share

    def batches(start):
      numbers = tf.data.Dataset.range(
        start * (batch_size * share.step) + share.start, share.stop, share.step
      ).batch(batch_size)
      return self._batches(
        numbers,
        self._shuffled(0) if shuffle else lambda numbers: numbers,
        0,
        batch_size,
        True,
      )

    return Stream(self, batches, 0)


def open_source(
  config: DataConfig,
  dataset: Dataset,
  labels: Labels,
  examples: Examples | None = None,
) -> Source:
  """Returns a split's examples as the flags say; see `Source`."""

  def progress(total, initial, title):
    console.say(f'{title.capitalize()} {total:,} images for --cache.')
    return console.progress(total, initial, 'image')

  return Source(
    dataset,
    labels,
    config.labels_offset,
    config.num_preprocessing_threads,
    skip=config.skip_bad_examples,
    max_pixels=config.max_image_pixels,
    cache=config.cache,
    progress=progress,
    examples=examples,
  )


def training_stream(
  config: TrainConfig,
  source: Source,
  start: Any,
  replica: int = 0,
  replicas: int = 1,
) -> 'Stream':
  """Returns the batches of a training, in the parts that go through at once.

  Args:
    config: complete.
    source: the examples.
    start: int or int64 scalar, the number of parts to leave out.
    replica: whose share of each part; see `Source.training`.
    replicas: how many share it.
  """
  mix = None
  if config.mixup_alpha or config.cutmix_alpha:
    mix = functools.partial(
      mixing.mix,
      mixup_alpha=config.mixup_alpha,
      cutmix_alpha=config.cutmix_alpha,
    )
  size = config.examples_per_step // (config.num_micro_batches * replicas)
  return source.training(size, config.seed, start, mix, replica, replicas)


def _options():
  options = tf.data.Options()
  options.deterministic = True
  # Images are prepared side by side; to share out one among threads as well
  # costs more than it gains.
  options.threading.max_intra_op_parallelism = 1
  # Nothing here is left to it, and to find out it times every operation.
  options.autotune.enabled = False
  return options


def without_hooks(session: Any, function: Callable) -> Any:
  """Returns function(plain session); hooks would take a batch.

  Args:
    session: a Session or a MonitoredSession.
    function: called with a Session.
  """
  if hasattr(session, 'run_step_fn'):  # a monitored session
    # It looks at the argument's name.
    return session.run_step_fn(
      lambda step_context: function(step_context.session)
    )
  return function(session)


class Stream:
  """Batches in the current graph, which leave out bad examples.

  The iterator begins when the session runs its table initializers, which is
  after a checkpoint has been restored.

  Attributes:
    batch: the tensors of the next batch.
    initializer: the op that begins anew.
    position: the number of the next batch, to be set where `start` is a
      tensor.
    is_shared: whether other replicas have the rest of each batch.
    waiting: float64 scalar, the seconds for which a batch was waited; None if
      nobody asks.
  """

  def __init__(
    self, source: Source, batches: Callable, start: Any, is_shared: bool = False
  ):
    """Builds the iterator.

    Args:
      source: where the batches come from.
      batches: batches(start) returns a tf.data.Dataset.
      start: int or int64 scalar, the number of batches to leave out.
      is_shared: see above.
    """
    self._source, self.is_shared = source, is_shared
    self._start = tf.placeholder_with_default(tf.cast(start, tf.int64), [])
    iterator = tf.data.make_initializable_iterator(
      batches(self._start).prefetch(2).with_options(_options())
    )
    self.initializer = iterator.initializer
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, self.initializer)
    self.batch = Batch(*iterator.get_next())
    self.waiting: tf.Tensor | None = None
    self._number: tf.Tensor | None = None
    self.position = start if isinstance(start, int) else 0
    self._beside: list[Stream] = []

  @property
  def number(self) -> tf.Tensor:
    """The number of the batch that is run: an int64 scalar, which `run` feeds.

    It is in the graph from the first use on; an operation more would change
    the initial values that follow from a seed.
    """
    if self._number is None:
      self._number = tf.placeholder(tf.int64, [], 'number_of_batch')
    return self._number

  def add(self, other: 'Stream') -> None:
    """Adds a stream of the same source, which takes its batches in step."""
    self._beside.append(other)
    self._source.widen()

  @property
  def _all(self):
    return [self, *self._beside]

  @property
  def batches(self) -> list[Batch]:
    """The tensors of the next batch, and of the streams in step with it."""
    return [each.batch for each in self._all]

  def longest_wait(self) -> tf.Tensor:
    """Returns `waiting`, the largest of the streams in step."""
    waits = [each.waiting for each in self._all]
    return waits[0] if len(waits) == 1 else tf.reduce_max(tf.stack(waits))

  def run(
    self, session: Any, fetches: Any, feed: Mapping[Any, Any] | None = None
  ) -> Any:
    """Returns session.run(fetches), which take the next batch.

    A failure at a bad example is repeated without that example, if it may be
    left out: the batch is then what it is where that is known from the start.

    Args:
      session: a Session or a MonitoredSession.
      fetches: what to run.
      feed: values to run it with.

    Raises:
      ValueError: a bad example; says which, and why.
    """
    position, feed = self.position, dict(feed or {})
    for each in self._all:
      if each._number is not None:
        feed[each._number] = position
    while True:
      self.position = position + 1  # hooks, which run meanwhile, may look at it
      try:
        if self._reads_apart():
          feed |= self._read(session)
        values = session.run(fetches, feed)
      except _BAD:
        self.position = position
        if not self._source.leave_out_bad():
          raise
        self.seek(session)
      else:
        self._source.tell_left_out()
        return values

  def _reads_apart(self):
    """Whether a batch is read in a run of its own.

    A run that fails at a bad example, to be repeated without it, would end the
    sums in which other workers wait for this one.
    """
    return self.is_shared and self._source.may_leave_out

  def _read(self, session):
    """Returns what feeds the next batches, and how long they took."""
    begin = time.perf_counter()
    found = without_hooks(session, lambda plain: plain.run(self.batches))
    seconds = time.perf_counter() - begin
    feed = {
      tensor: value
      for batch, values in zip(self.batches, found, strict=True)
      for tensor, value in zip(batch, values, strict=True)
    }
    waits = [each.waiting for each in self._all if each.waiting is not None]
    return feed | dict.fromkeys(waits, seconds)

  def seek(self, session: Any, position: int | None = None) -> None:
    """Begins anew at a batch.

    Args:
      session: a Session or a MonitoredSession, whose hooks are not called.
      position: the number of the batch; that of the next one if None.
    """
    if position is not None:
      self.position = position

    without_hooks(
      session,
      lambda plain: plain.run(
        [each.initializer for each in self._all],
        {each._start: self.position for each in self._all},
      ),
    )
