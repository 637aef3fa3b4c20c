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
from engine.replicas import workers


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
  def predict(self, title: str = 'evaluating') -> Any:
    """Returns what the network says of every example, each once.

    Of several workers each looks at a share, and all return what all found.

    Args:
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

  def _split(
    self,
    batch_size: int,
    most: int | None = None,
    shuffle: bool = False,
    source: Source | None = None,
  ) -> tuple[Stream, int]:
    """Returns the batches of this worker's share of the split, and how many.

    Args:
      batch_size: examples in a batch.
      most: examples of all workers together, if not all.
      shuffle: see `Source.evaluation`.
      source: the examples, if prepared otherwise.
    """
    source, together = source or self.source, workers.current()
    stop = source.num_examples
    share = range(
      together.index, stop if most is None else min(stop, most), together.count
    )
    stream = source.evaluation(batch_size, shuffle, share)
    return stream, -(-len(share) // batch_size)

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
