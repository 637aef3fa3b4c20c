"""Batch norm's population statistics, computed instead of awaited.

Moving averages of decay 0.997 still hold a good part of their initial values
after hundreds of steps, so that evaluation is near chance however well the
training went. Here they are replaced by the statistics over some batches
(Ioffe and Szegedy, arXiv:1502.03167, section 3.1; Wu and Johnson, "Rethinking
'Batch' in BatchNorm", arXiv:2105.07576, section 3).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.common import console
from engine.common.variables import assign
from engine.config.scripts import TrainConfig
from engine.input.pipeline import Source, Stream
from engine.model import sync_batch_norm
from engine.model.gradient_checkpointing import RECOMPUTED
from engine.replicas import workers

# What may stand between a variable and what uses it.
_READS = ('Identity', 'ReadVariableOp', 'Cast')


class Layer(NamedTuple):
  """One batch norm layer.

  Fields:
    mean: the variable with the moving mean, float32 [channels].
    variance: the variable with the moving variance, float32 [channels].
    batch: the statistics of the current batch: its mean and its unbiased
      variance, float32 [channels], and how many values a channel has.
  """

  mean: tf.Variable
  variance: tf.Variable
  batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def _variable(tensor):
  """Returns the operation of the variable that a tensor is read from."""
  operation = tensor.op
  while operation.inputs and operation.type in _READS:
    operation = operation.inputs[0].op
  return operation


def layers(graph: tf.Graph) -> list[Layer]:
  """Returns the batch norm layers that a graph has in training mode.

  One that is built several times on the same variables, as at each scale of an
  image pyramid, is there as often.
  """
  variables = {
    v.op.name: v for v in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
  }
  found = []
  for op in graph.get_operations():
    if op.type != 'FusedBatchNormV3' or not op.get_attr('is_training'):
      continue
    scope = _variable(op.inputs[2]).name.rpartition('/')[0]
    mean = variables.get(f'{scope}/moving_mean')
    if mean is None or op.name.startswith(RECOMPUTED):
      continue
    values = op.inputs[0]
    with graph.as_default():
      count = tf.size(values) // tf.shape(values)[-1]
    found.append(
      Layer(
        mean,
        variables[f'{scope}/moving_variance'],
        (op.outputs[1], op.outputs[2], count),
      )
    )
  for offset, *batch in graph.get_collection(sync_batch_norm.COLLECTION):
    scope = _variable(offset).name.rpartition('/')[0]
    found.append(
      Layer(
        variables[f'{scope}/moving_mean'],
        variables[f'{scope}/moving_variance'],
        tuple(batch),
      )
    )
  return found


def updated(updates: Sequence[tf.Operation]) -> list[tf.Variable]:
  """Returns the variables that updates of moving averages subtract from."""
  variables = {
    v.op.name: v for v in tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
  }
  return [variables[update.inputs[0].op.name] for update in updates]


class Population:
  """Mean and variance of all that was added (Chan et al., 1979)."""

  def __init__(self):
    self.count = 0
    self.mean: np.ndarray = np.zeros(())
    self.squares: np.ndarray = np.zeros(())

  def add(self, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    """Adds `count` values of this mean and unbiased variance."""
    count = int(count)  # an int32 would overflow below
    squares = variance.astype(np.float64) * (count - 1)
    self.join(count, mean.astype(np.float64), squares)

  def join(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
    """Adds `count` values of this mean and sum of squared differences to it."""
    total = self.count + count
    delta = mean - self.mean
    self.squares = (
      self.squares + squares + delta**2 * (self.count * count / total)
    )
    self.mean = self.mean + delta * (count / total)
    self.count = total

  @property
  def variance(self) -> np.ndarray:
    """The unbiased variance."""
    return self.squares / max(self.count - 1, 1)


Populations = dict[str, Population]


def _of_all_workers(found):
  """Returns what the workers found on their shares of the batches, joined."""
  together = workers.current()
  if together.count == 1:
    return found
  joined: Populations = {name: Population() for name in found}
  for each in together.gather(
    {
      f'{i}/{part}': np.asarray(getattr(population, part))
      for i, population in enumerate(found.values())
      for part in ('count', 'mean', 'squares')
    }
  ):
    for i, population in enumerate(joined.values()):
      population.join(
        int(each[f'{i}/count']), each[f'{i}/mean'], each[f'{i}/squares']
      )
  return joined


def measure(
  run: Callable,
  found: list[Layer],
  batches: int,
  on_batch: Callable[[], None] = lambda: None,
  shared: bool = False,
) -> dict[tf.Variable, np.ndarray]:
  """Returns the statistics over `batches` batches, by their variables.

  Depends on the weights and the batches alone, not on the moving averages.

  Args:
    run: run(fetches) returns their values on a new batch.
    found: what `layers` returned, before the graph was finalized.
    batches: the number of batches.
    on_batch: called after each.
    shared: whether each worker has a share of the batches.
  """
  populations = {layer.mean.op.name: Population() for layer in found}
  for _ in range(batches):
    for layer, batch in zip(
      found, run([layer.batch for layer in found]), strict=True
    ):
      populations[layer.mean.op.name].add(*batch)
    on_batch()
  if shared:
    populations = _of_all_workers(populations)
  values: dict[tf.Variable, np.ndarray] = {}
  for layer in found:
    population = populations[layer.mean.op.name]
    values[layer.mean] = population.mean
    values[layer.variance] = population.variance
  return values


class Recalibration:
  """What `measure` finds on the batches at which the training stands.

  To do it twice at one step is to do it once: it depends on the weights and
  the batches alone, and the training goes on with the batch it stands at.
  """

  def __init__(
    self,
    stream: Stream,
    batches: int,
    shadows: dict[tf.Variable, tf.Variable],
    feed: Mapping[tf.Tensor, float] | None = None,
  ):
    """Finds the layers of the current graph.

    Args:
      stream: the training's batches.
      batches: how many to take; 0 leaves all as it is.
      shadows: see `measure_averages`; {} without.
      feed: what makes the network that which is evaluated.
    """
    self._stream, self._shadows, self._feed = stream, shadows, feed
    self._layers = layers(tf.get_default_graph()) if batches else []
    self.batches = batches if self._layers else 0

  @classmethod
  def of(
    cls,
    config: TrainConfig,
    source: Source,
    stream: Stream,
    shadows: dict[tf.Variable, tf.Variable],
    feed: Mapping[tf.Tensor, float] | None = None,
  ) -> 'Recalibration':
    """Returns that of a training: over an epoch, at most 100 batches.

    Args:
      config: complete; may say how many batches instead.
      source: the examples of the training.
      stream: see above.
      shadows: see above.
      feed: see above.
    """
    batches = config.recalibrate_batch_norm_batches
    if batches is None:
      batches = min(-(-source.num_examples // config.examples_per_step), 100)
    return cls(stream, batches * config.num_micro_batches, shadows, feed)

  def measure(self, session: tf.Session) -> dict[tf.Variable, np.ndarray]:
    """Returns the statistics by variable, and by moving average."""
    if not self.batches:
      return {}
    run = functools.partial(self._stream.run, session, feed=self._feed)
    position = self._stream.position
    values: dict[tf.Variable, np.ndarray] = {}
    with console.progress(self.batches, unit='batch') as bar:
      take = functools.partial(
        measure,
        run,
        self._layers,
        self.batches,
        bar.update,
        self._stream.is_shared,
      )
      values.update(take())
      if self._shadows:
        values.update(measure_averages(session, take, self._shadows))
    self._stream.seek(session, position)
    return values

  def apply(self, session: tf.Session) -> None:
    """Replaces the moving averages by the statistics, and says so."""
    if self.batches:
      console.say(f'Recalibrating batch norm over {self.batches} batches.')
    assign(session, self.measure(session))


def measure_averages(
  session: tf.Session,
  take: Callable[[], dict[tf.Variable, np.ndarray]],
  shadows: dict[tf.Variable, tf.Variable],
) -> dict[tf.Variable, np.ndarray]:
  """The same for a network whose weights are moving averages themselves.

  Args:
    session: an open session.
    take: measures the statistics of the present weights.
    shadows: the moving average of each of the network's variables.

  Returns:
    The statistics by the shadows of their variables.
  """
  raw, averages = session.run([list(shadows), list(shadows.values())])
  assign(session, dict(zip(shadows, averages, strict=True)))
  try:
    values = take()
  finally:
    assign(session, dict(zip(shadows, raw, strict=True)))
  return {shadows[variable]: value for variable, value in values.items()}
