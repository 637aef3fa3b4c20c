"""What a network says of every example of a split, with any weights."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine import console, input_pipeline, model, views
from engine.config import EvalConfig
from engine.opened import Opened
from tasks import classification


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
    """Returns the figures; see `classification.metrics`."""
    return classification.metrics(self.logits, self.labels)


def _even(examples, batch_size):
  """Returns the largest batch size that leaves no small last batch."""
  return -(-examples // -(-examples // batch_size))


class Predictor(Opened):
  """A network and a split to run it on.

  Attributes:
    source: the examples.
    views: the number of views of each example that are averaged.
    compared_on: what `compare` looks at, if not at what `predict` does.
  """

  compared_on = ''

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
    self._pictures = views.plan(config)
    self.views = views.count(self._pictures)
    graph = tf.Graph()
    with graph.as_default():
      self.source = input_pipeline.open_source(
        config,
        dataset,
        views.preprocessing(config, self._pictures),
        config.eval_image_size,
      )
      self._stream = self.source.evaluation(config.batch_size)
      images = self._stream.batch.images
      self._view = None
      if isinstance(images, tuple):  # of which a view is fed at a time
        images = self._view = tf.placeholder(
          tf.float32, [None, None, None, images[0].shape[-1]]
        )
      self._logits = self._network(images, False, None)
    self._compared = None
    super().__init__(graph)

  def _network(self, images, is_training, reuse):
    return model.build(
      self._config, images, self._num_classes, is_training, reuse
    )[0]

  def predict(
    self, max_batches: int | None = None, title: str = 'evaluating'
  ) -> Predictions:
    """Returns what the network says of every example, each once.

    Args:
      max_batches: the number of batches, if not all; `max_num_batches` of the
        configuration by default.
      title: in front of the progress bar.

    Raises:
      ValueError: a bad example, that may not be left out.
    """
    batches = -(-self.source.num_examples // self._config.batch_size)
    limit = max_batches or self._config.max_num_batches or batches
    return self._pass(self._stream, self._batch, min(limit, batches), title)

  def compare(self, examples: int) -> tuple[Predictions, Predictions] | None:
    """Returns what is said of some examples, in a shuffled order.

    Args:
      examples: how many, rounded up to batches of about equal size.

    Returns:
      First by the moving averages of batch norm, then by the statistics of
      each batch. None where several views are averaged.
    """
    if self._view is not None:
      return None
    size = _even(self.source.num_examples, self._config.batch_size)
    if self._compared is None:
      with self.graph.as_default():
        stream = self.source.evaluation(size, shuffle=True)
        self._compared = (
          stream,
          tf.stack(
            [
              self._network(stream.batch.images, by_batch, True)
              for by_batch in (False, True)
            ],
            axis=1,
          ),
        )
    stream, both = self._compared
    batches = -(-min(examples, self.source.num_examples) // size)
    found = self._pass(
      stream,
      lambda: stream.run(self.session, [both, *stream.batch[1:]]),
      batches,
      'comparing',
    )
    return tuple(found._replace(logits=found.logits[:, i]) for i in (0, 1))

  def _batch(self):
    """Returns the logits, labels and records of the next batch."""
    batch = self._stream.batch
    if self._view is None:
      return self._stream.run(self.session, [self._logits, *batch[1:]])
    pictures, *others = self._stream.run(self.session, batch)
    logits = [
      self.session.run(self._logits, {self._view: view.of(images)})
      for picture, images in zip(self._pictures, pictures, strict=True)
      for view in picture.views
    ]
    return views.average(logits), *others

  def _pass(
    self, stream: input_pipeline.Stream, run: Callable, batches: int, title: str
  ) -> Predictions:
    stream.seek(self.session, 0)
    found = []
    with console.progress(batches, unit='batch') as bar:
      bar.set_description(title)
      for _ in range(batches):
        values = run()
        good = values[2] >= 0  # else another stands in for a bad example
        found.append([value[good] for value in values])
        bar.update()
    return Predictions(*map(np.concatenate, zip(*found, strict=True)))
