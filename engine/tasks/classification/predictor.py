"""What a network says of every image of a split, with any weights."""

import functools
from collections.abc import Iterable, Sequence
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


class Predictions(NamedTuple):
  """What was predicted of the good examples of a split.

  Fields:
    logits: float32 [examples, classes]; of several views the logarithm of
      the mean probability.
    labels: int64 [examples], in [0, classes).
    records: int64 [examples], the number of each example's record.
  """

  logits: np.ndarray
  labels: np.ndarray
  records: np.ndarray

  def metrics(self) -> dict[str, float | int]:
    """Returns the metrics; see `classification.metrics`."""
    return classification.metrics(self.logits, self.labels)


def combine(found: Sequence[Predictions]) -> Predictions:
  """Returns the mean probabilities, of the records that all have."""
  common = functools.reduce(np.intersect1d, [each.records for each in found])

  def aligned(each):
    order = each.records.argsort()
    return order[np.searchsorted(each.records, common, sorter=order)]

  return Predictions(
    views.average([each.logits[aligned(each)] for each in found]),
    found[0].labels[aligned(found[0])],
    common,
  )


def gathered(said: Iterable[Said], labels_offset: int) -> Predictions:
  """Returns what an exported model predicted; see `Task.gather`."""
  logits, labels, records = zip(
    *((each.outputs['logits'], each.label, each.source) for each in said),
    strict=True,
  )
  return Predictions(
    np.stack(logits),
    np.array(labels, np.int64) - labels_offset,
    np.array(records, np.int64),
  )


def _even(examples, batch_size):
  """Returns the largest batch size that leaves no small last batch."""
  return -(-examples // -(-examples // batch_size))


def _joined(batches):
  """Returns what was found in this worker's batches, and in those of others."""
  own = [*map(np.concatenate, zip(*batches, strict=True))]
  together = workers.current()
  if together.count == 1:
    return Predictions(*own)
  # A worker has none where there are fewer examples than workers.
  found = together.gather(dict(zip(Predictions._fields, own, strict=False)))
  logits, labels, records = (
    np.concatenate([each[name] for each in found if each])
    for name in Predictions._fields
  )
  order = records.argsort()
  return Predictions(logits[order], labels[order], records[order])


class Predictor(SplitPredictor):
  """A network and a split of images to run it on; see `SplitPredictor`."""

  def __init__(self, config: EvalConfig, dataset: Dataset, num_classes: int):
    """Builds the network and opens the split.

    Args:
      config: a complete configuration.
      dataset: the split.
      num_classes: the number of logits.

    Raises:
      ValueError: an unknown name, or data that cannot be read.
    """
    self._config, self._num_classes = config, num_classes
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
      self._config, images, self._num_classes, is_training, reuse
    )[0]

  def predict(self, title: str = 'evaluating') -> Predictions:
    """Returns what the network says of every image; see `SplitPredictor`."""
    return _joined(
      self._passes(self._stream, self._batch, self._batches, title)
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
    found = _joined(
      self._passes(
        stream,
        lambda: stream.run(self.session, [both, *stream.batch[1:]]),
        batches,
        'comparing',
      )
    )
    return tuple(found._replace(logits=found.logits[:, i]) for i in (0, 1))

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
