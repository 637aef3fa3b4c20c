"""What a network says of every image of a split, with any weights."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine.config.scripts import EvalConfig
from engine.input.pipeline import Stream
from engine.model.build import build_network
from engine.replicas import workers
from engine.tasks.base import Said
from engine.tasks.classification import examples, views
from engine.tasks.predictor import SplitPredictor
from metrics import classification
from metrics.classification import Outcomes

_COLUMNS = (*Outcomes._fields, 'records')
_AT_ONCE = 100  # images of an exported model that are looked at together


class Predictions(NamedTuple):
  """What is kept of what was predicted of the good examples of a split.

  Fields:
    outcomes: of each example.
    records: int64 [examples], the number of each example's record; they
      ascend, but in those of `Predictor.compare`.
    classes: the number of classes.
  """

  outcomes: Outcomes
  records: np.ndarray
  classes: int

  def metrics(self) -> dict[str, float | int]:
    """Returns the metrics; see `classification.metrics`."""
    return classification.metrics(self.outcomes, self.classes)


class LogitsBatch(NamedTuple):
  """What a network says of the good examples of a batch.

  Fields:
    logits: float32 [examples, classes]; of several views the logarithm of
      the mean probability.
    labels: int64 [examples], in [0, classes).
    records: int64 [examples], the number of each example's record.
  """

  logits: np.ndarray
  labels: np.ndarray
  records: np.ndarray

  @property
  def columns(self) -> list[np.ndarray]:
    """What is kept of it, as `_COLUMNS` names it."""
    return [*classification.outcomes(self.logits, self.labels), self.records]


def combine(batches: Sequence[LogitsBatch]) -> LogitsBatch:
  """Returns the mean probabilities, of the records that all have."""
  common = functools.reduce(np.intersect1d, [each.records for each in batches])

  def aligned(each):
    order = each.records.argsort()
    return order[np.searchsorted(each.records, common, sorter=order)]

  return LogitsBatch(
    views.average([each.logits[aligned(each)] for each in batches]),
    batches[0].labels[aligned(batches[0])],
    common,
  )


def predict_together(
  networks: Sequence['Predictor'], titles: Sequence[str]
) -> tuple[list[Predictions], Predictions]:
  """Returns what each network says of a split, and what their mean says.

  They go through the split side by side, so that the logits of a batch are
  all that is there of either.

  Args:
    networks: of the same classes.
    titles: in front of the progress bar of each.
  """
  kept: list[list[list[np.ndarray]]] = [[] for _ in range(len(networks) + 1)]
  for batches in zip(
    *(
      each.batches(title) for each, title in zip(networks, titles, strict=True)
    ),
    strict=True,
  ):
    for parts, batch in zip(kept, [*batches, combine(batches)], strict=True):
      parts.append(batch.columns)
  (classes,) = {network.num_classes for network in networks}
  *each, mean = [_of_all_workers(parts, classes) for parts in kept]
  return each, mean


def gathered(said: Iterable[Said], labels_offset: int) -> Predictions:
  """Returns what an exported model predicted; see `Task.gather`."""
  left, parts, classes = iter(said), [], 0
  while some := [*itertools.islice(left, _AT_ONCE)]:
    logits = np.stack([each.outputs['logits'] for each in some])
    labels = np.array([each.label for each in some], np.int64) - labels_offset
    records = np.array([each.source for each in some], np.int64)
    parts.append(LogitsBatch(logits, labels, records).columns)
    classes = logits.shape[-1]
  return _predictions(_joined(parts), classes)


def _even(examples, batch_size):
  """Returns the largest batch size that leaves no small last batch."""
  return -(-examples // -(-examples // batch_size))


def _joined(parts):
  """Returns the columns of all batches by name, {} of no batch."""
  columns = map(np.concatenate, zip(*parts, strict=True))
  return dict(zip(_COLUMNS, columns, strict=False))


def _predictions(columns, classes):
  outcomes = Outcomes(*(columns[name] for name in Outcomes._fields))
  return Predictions(outcomes, columns['records'], classes)


def _of_all_workers(parts, classes):
  """Returns what is kept of this worker's batches, and of those of others."""
  own, together = _joined(parts), workers.current()
  if together.count == 1:
    return _predictions(own, classes)
  # A worker has none where there are fewer examples than workers.
  found = [each for each in together.gather(own) if each]
  columns = {
    name: np.concatenate([each[name] for each in found]) for name in _COLUMNS
  }
  order = columns['records'].argsort()
  return _predictions(
    {name: column[order] for name, column in columns.items()}, classes
  )


class Predictor(SplitPredictor):
  """A network and a split of images to run it on; see `SplitPredictor`.

  Attributes:
    num_classes: the number of logits.
  """

  def __init__(self, config: EvalConfig, dataset: Dataset, num_classes: int):
    """Builds the network and opens the split.

    Args:
      config: a complete configuration.
      dataset: the split.
      num_classes: the number of logits.

    Raises:
      ValueError: an unknown name, or data that cannot be read.
    """
    self._config, self.num_classes = config, num_classes
    assert config.batch_size is not None  # Classification has a default
    self._batch_size = config.batch_size
    self._plans = views.plan(config)
    self.views = views.count(self._plans)
    graph = tf.Graph()
    with graph.as_default():
      self.source = examples.open_examples(
        config,
        dataset,
        views.preprocessing(config, self._plans),
        config.eval_image_size,
      )
      limit = config.max_num_batches
      self._stream, self._batches = self._split(
        self._batch_size, limit and limit * self._batch_size
      )
      images = self._stream.batch.images
      self._view = None
      if isinstance(images, tuple):  # of which a view is fed at a time
        images = self._view = tf.placeholder(
          tf.float32, [None, None, None, images[0].shape[-1]]
        )
      self._logits = self._network(images, False, None)
    self._compared: tuple[Stream, int, tf.Tensor] | None = None
    super().__init__(config, graph)

  def _network(self, images, is_training, reuse):
    return build_network(
      self._config, images, self.num_classes, is_training, reuse
    )[0]

  def batches(self, title: str) -> Iterator[LogitsBatch]:
    """Yields what the network says of this worker's share of the split.

    Args:
      title: in front of the progress bar.
    """
    for values in self._passes(self._stream, self._batch, self._batches, title):
      yield LogitsBatch(*values)

  def predict(self, title: str = 'evaluating') -> Predictions:
    """Returns what the network says of every image; see `SplitPredictor`."""
    return _of_all_workers(
      [batch.columns for batch in self.batches(title)], self.num_classes
    )

  def compare(self, examples: int) -> tuple[Predictions, Predictions] | None:
    """Returns what both kinds of batch norm say; see `SplitPredictor`.

    It is None where several views are averaged.
    """
    if self._view is not None:
      return None
    if self._compared is None:
      with self.graph.as_default():
        self._compared = self._build_comparison(examples)
    stream, batches, both = self._compared
    kept: tuple[list, list] = [], []
    for logits, *others in self._passes(
      stream,
      lambda: stream.run(self.session, [both, *stream.batch[1:]]),
      batches,
      'comparing',
    ):
      for parts, each in zip(kept, logits.swapaxes(0, 1), strict=True):
        parts.append(LogitsBatch(each, *others).columns)
    by_moving, by_batch = [
      _of_all_workers(parts, self.num_classes) for parts in kept
    ]
    return by_moving, by_batch

  def _build_comparison(self, examples: int) -> tuple[Stream, int, tf.Tensor]:
    """Returns shuffled batches, and what both kinds of batch norm say."""
    size = _even(self.source.num_examples, self._batch_size)
    whole = -(-examples // size) * size
    stream, batches = self._split(size, whole, shuffle=True)
    both = [
      self._network(stream.batch.images, by_batch, True)
      for by_batch in (False, True)
    ]
    return stream, batches, tf.stack(both, axis=1)

  def _batch(self):
    """Returns the logits, labels and records of the next batch."""
    batch = self._stream.batch
    if self._view is None:
      return self._stream.run(self.session, [self._logits, *batch[1:]])
    prepared, *others = self._stream.run(self.session, batch)
    logits = [
      self.session.run(self._logits, {self._view: crop.of(images)})
      for plan, images in zip(self._plans, prepared, strict=True)
      for crop in plan.crops
    ]
    return views.average(logits), *others
