"""One step of training: from a batch to new weights."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from engine.common.variables import matching
from engine.config.scripts import TrainConfig
from engine.input.pipeline import Stream
from engine.model import batch_norm, gradient_checkpointing, precision
from engine.model import gradients as summed
from engine.replicas.replicas import Replicas
from engine.tasks.base import Task
from engine.training import loss_scale, optimizers
from nets.slim_compat import slim

# The message of the check that stops a step before it changes the weights.
NOT_FINITE = 'The loss of this batch is not finite'


# Returns an op, given the gradients with their variables, before they are
# clipped, and the global step.
Watch = Callable[
  [list[tuple[tf.Tensor, tf.Variable]], tf.Variable], tf.Operation
]


class TrainStep(NamedTuple):
  """The ops of a step.

  Fields:
    accumulate: run for every micro-batch but the last; None if there is one.
    apply: run for the last micro-batch; changes the weights.
    metrics: float32 scalars by name, means over the step: loss, total_loss
      and accuracy, and waiting, the seconds for which data were waited.
    step: int64 scalar, the number of finished steps, after this one.
    shadows: the moving average of each model variable, {} without.
    asked: float32 scalar to feed; 1 asks all workers to stop after the step.
    stop: float32 scalar, above 0 if any of them asked.
  """

  accumulate: tf.Operation | None
  apply: tf.Operation
  metrics: dict[str, tf.Tensor]
  step: tf.Tensor
  shadows: dict[tf.Variable, tf.Variable]
  asked: tf.Tensor
  stop: tf.Tensor

  def take(
    self, session: tf.train.MonitoredSession, stream: Stream, parts: int
  ) -> None:
    """Takes one step; the session's hooks see one run.

    Args:
      session: the session.
      stream: the micro-batches.
      parts: how many make a step.
    """
    for _ in range(parts - 1):
      session.run_step_fn(
        lambda step_context: stream.run(step_context.session, self.accumulate)
      )
    stream.run(session, self.apply)


class _Sum:
  """Tensors that are summed over several runs, then begun anew.

  The sums are local variables: no checkpoint holds them, since one is only
  written between two steps.
  """

  def __init__(self, tensors: list[tf.Tensor]):
    self._tensors = tensors
    self._sums = [
      tf.get_local_variable(
        f'accumulated/{i}', initializer=tf.zeros(tensor.shape, tensor.dtype)
      )
      for i, tensor in enumerate(tensors)
    ]

  def add(self) -> tf.Operation:
    """Returns the op that adds the tensors' present values."""
    return tf.group(
      *[
        total.assign_add(tensor)
        for total, tensor in zip(self._sums, self._tensors, strict=True)
      ]
    )

  def total(self) -> list[tf.Tensor]:
    """Returns the sums with the present values."""
    return [
      total.read_value() + tensor
      for total, tensor in zip(self._sums, self._tensors, strict=True)
    ]

  def clear(self) -> tf.Operation:
    """Returns the op that begins anew."""
    return tf.group(
      *[total.assign(tf.zeros_like(total)) for total in self._sums]
    )


def _gradients(config, loss, images, scale):
  """Returns the trained variables that the loss depends on, with gradients."""
  loss = scale.up(loss)
  variables = matching(
    tf.trainable_variables(), config.trainable_scopes, 'trainable_scopes'
  )
  gradients = (
    gradient_checkpointing.gradients(loss, variables, images)
    if config.recompute
    else summed.gradients(loss, variables)
  )
  found = zip(scale.down(gradients), variables, strict=True)
  return [
    (tf.ensure_shape(gradient, variable.shape), variable)
    for gradient, variable in found
    if gradient is not None
  ]


def _averages(config, step):
  """Returns the op that updates moving averages, and them by variable."""
  averages = tf.train.ExponentialMovingAverage(
    config.moving_average_decay, step
  )
  averaged = slim.get_model_variables()
  return averages.apply(averaged), {
    variable: averages.average(variable) for variable in averaged
  }


def _update(config, gradients, learning_rate, step, updates, scale):
  """Returns the op that changes all variables, and the moving averages."""
  take = functools.partial(
    optimizers.apply_gradients, config, learning_rate, gradients, step
  )
  update = tf.group(scale.apply(take, step), *updates)
  if not config.moving_average_decay:
    return update, {}
  with tf.control_dependencies([update]):
    return _averages(config, step)


def _not_finite(total_loss, layers, images):
  """Returns 1.0 if a replica computed anything that is not finite, else 0.0.

  The loss alone does not tell: activations may turn NaN into 0, and batch norm
  infinity. What batch norm measures of them does.
  """
  measured = [statistic for layer in layers for statistic in layer.batch[:2]]
  measured = tf.concat(measured, 0) if measured else images
  finite = [
    tf.reduce_all(tf.math.is_finite(each)) for each in (measured, total_loss)
  ]
  return 1.0 - tf.cast(tf.reduce_all(tf.stack(finite)), tf.float32)


def _checked(total_loss, bad):
  """Returns the loss, which is an error if anything was not finite."""
  return tf.debugging.check_numerics(
    tf.where(bad > 0, tf.fill([], math.nan), total_loss), NOT_FINITE
  )


class Tower(NamedTuple):
  """A replica's network on its share of a batch, and what is to be learnt.

  Fields:
    images: float32, what the network was built on.
    logits: as the task's `build` returns them.
    end_points: with what the task's `add_auxiliary` added.
    labels: of the images.
  """

  images: tf.Tensor
  logits: tf.Tensor
  end_points: Mapping[str, tf.Tensor]
  labels: tf.Tensor


class _Share(NamedTuple):
  """What a replica finds on its share of a batch.

  Fields:
    means: float32 scalars: loss, total_loss and accuracy.
    bad: see `_not_finite`.
    gradients: of the trained variables, with them.
  """

  means: list[tf.Tensor]
  bad: tf.Tensor
  gradients: list[tuple[tf.Tensor, tf.Variable]]


def _share(task, config, tower, layers, step, scale):
  """Returns what a replica finds."""
  loss, accuracy = task.loss(
    config, tower.logits, tower.end_points, tower.labels, step
  )
  half = precision.half(config.precision, not config.clone_on_cpu)
  total_loss = (
    loss
    + tf.losses.get_regularization_loss()
    + optimizers.regularization(config, tf.trainable_variables(), bool(half))
  )
  return _Share(
    [loss, total_loss, accuracy],
    _not_finite(total_loss, layers, tower.images),
    _gradients(config, total_loss, tower.images, scale),
  )


def _moving_averages(replicas):
  """Returns the updates of batch norm's moving averages, once a variable.

  Those of several replicas are joined to their mean: the moving averages are
  then of the statistics of all.
  """
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  if replicas.count == 1:
    return updates
  each = len(updates) // replicas.clones
  deltas = [
    [update.inputs[1] for update in updates[i * each : (i + 1) * each]]
    for i in range(replicas.clones)
  ]
  variables = batch_norm.updated(updates[:each])
  return [
    variable.assign_sub(delta)
    for variable, delta in zip(variables, replicas.mean(deltas), strict=True)
  ]


def build(
  task: Task,
  config: TrainConfig,
  replicas: Replicas,
  towers: Sequence[Tower],
  waiting: tf.Tensor,
  learning_rate: tf.Tensor,
  step: tf.Variable,
  watch: Watch | None = None,
) -> TrainStep:
  """Builds the step of networks that the current graph holds.

  A loss that is not finite, or a network that is not, is an
  InvalidArgumentError with `NOT_FINITE` in its message, and changes no weight
  (batch norm's moving averages may be lost). The gradient of a batch in parts
  is the mean of theirs, which is that of the whole, but for batch norm, which
  sees a part at a time, and for masks, since each part's loss is over its own
  pixels that are not ignored. The shares of replicas are such parts.

  Args:
    task: whose loss it is.
    config: the complete configuration.
    replicas: that share a batch.
    towers: those of this process, on one micro-batch.
    waiting: float64 scalar, seconds.
    learning_rate: float32 scalar.
    step: the global step.
    watch: what is also done with the gradients of a step, before its update.
  """
  scale = loss_scale.of(config.precision)
  layers = batch_norm.layers(tf.get_default_graph())
  each = len(layers) // replicas.clones
  shares = []
  for i, tower in enumerate(towers):
    with replicas.clone(i):
      own = layers[i * each : (i + 1) * each]
      shares.append(_share(task, config, tower, own, step, scale))
  updates = _moving_averages(replicas)
  variables = [variable for _, variable in shares[0].gradients]
  bad, *found = replicas.within(
    [
      [share.bad, *(g for g, _ in share.gradients), *share.means]
      for share in shares
    ]
  )
  parts = config.num_micro_batches
  accumulate, clear = None, tf.no_op()
  waiting = tf.cast(waiting, tf.float32)
  if parts > 1:
    sums = _Sum([value / parts for value in found] + [waiting])
    with tf.control_dependencies(
      [_checked(found[-2], *replicas.between([bad]))]
    ):
      accumulate = tf.group(sums.add(), *updates)
    *found, waiting = sums.total()
    with tf.control_dependencies([*found, waiting]):
      clear = sums.clear()
  asked = tf.placeholder_with_default(0.0, [])
  stop, bad, *gradients, loss, total_loss, accuracy = replicas.between(
    [asked, bad, *found]
  )
  total_loss = _checked(total_loss, scale.judged(bad, gradients))
  pairs = list(zip(gradients, variables, strict=True))
  watched = [watch(pairs, step)] if watch else []
  with tf.control_dependencies([total_loss, *watched]):
    apply, shadows = _update(config, pairs, learning_rate, step, updates, scale)
  with tf.control_dependencies([apply]):
    done = tf.identity(step.read_value())
  metrics = {
    'loss': loss,
    'total_loss': total_loss,
    'accuracy': accuracy,
    'waiting': waiting,
  }
  return TrainStep(
    accumulate, tf.group(apply, clear), metrics, done, shadows, asked, stop
  )
