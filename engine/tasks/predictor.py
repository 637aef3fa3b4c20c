"""A network and a split to run it on, for every task."""

import abc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.records.examples import Examples
from engine.checkpoints.inference import InferenceSession
from engine.common import console
from engine.config.scripts import EvalConfig
from engine.input.pipeline import Source, Stream


class SplitPredictor(InferenceSession, abc.ABC):
  """A network and a split to run it on.

  Attributes:
    source: the examples.
    views: the number of views of each example that are averaged.
    compared_on: what `compare` looks at, if not at what `predict` does.
  """

  source: Source
  views = 1
  compared_on = ''

  def __init__(self, config: EvalConfig, graph: tf.Graph):
    """Opens a session on the graph, which has the network and the split."""
    self._config = config
    super().__init__(graph)

  @property
  def examples(self) -> Examples:
    """The records of the split."""
    return self.source.examples

  @abc.abstractmethod
  def predict(
    self, max_batches: int | None = None, title: str = 'evaluating'
  ) -> Any:
    """Returns what the network says of every example, each once.

    Args:
      max_batches: the number of batches, if not all; `max_num_batches` of the
        configuration by default.
      title: in front of the progress bar.

    Returns:
      An object with metrics(); see `engine.tasks.base.Found`.

    Raises:
      ValueError: a bad example, that may not be left out.
    """

  @abc.abstractmethod
  def compare(self, examples: int) -> tuple[Any, Any] | None:
    """Returns what is said of some examples, in a shuffled order.

    Args:
      examples: how many, rounded up to batches.

    Returns:
      First by the moving averages of batch norm, then by the statistics of
      each batch; None where that cannot be told.
    """

  def _limit(self, max_batches):
    """Returns the most batches to predict, None for all."""
    return max_batches or self._config.max_num_batches

  def _passes(
    self,
    stream: Stream,
    run: Callable[[], list[np.ndarray]],
    batches: int,
    title: str,
    unit: str = 'batch',
  ) -> Iterator[list[np.ndarray]]:
    """Yields the values of each batch, of its good examples.

    Args:
      stream: the batches.
      run: returns the values of the next batch; the last are the numbers of
        its records, -1 where another example stands in for a bad one.
      batches: how many.
      title: in front of the progress bar.
      unit: what a batch is called there.
    """
    stream.seek(self.session, 0)
    with console.progress(batches, unit=unit) as bar:
      bar.set_description(title)
      for _ in range(batches):
        values = run()
        good = values[-1] >= 0
        yield [value[good] for value in values]
        bar.update()
