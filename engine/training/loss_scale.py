"""Loss scaling: without it, small gradients of float16 would be 0.

The loss is multiplied by a power of two before it is differentiated, and the
gradients divided by it where they are float32 again (Micikevicius et al.,
Mixed Precision Training, arXiv:1710.03740, section 3.2). Where a gradient is
too large for float16 then, the step leaves the weights alone, and the next one
has half of the factor; after many steps without, it doubles.
"""

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

FIRST, LARGEST = 2.0**15, 2.0**24
STEPS = 2000  # without a gradient that is too large, before it doubles


class Unscaled:
  """A loss as it is, as float32 and bfloat16 have it."""

  def up(self, loss: tf.Tensor) -> tf.Tensor:
    """Returns what is differentiated."""
    return loss

  def down(
    self, gradients: Sequence[tf.Tensor | None]
  ) -> list[tf.Tensor | None]:
    """Returns the gradients of the loss itself, float32."""
    return list(gradients)

  def judged(self, bad: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns `bad`, above 0 too where the gradients are the training's fault.

    Args:
      bad: float32 scalar, above 0 where what the network computed is bad.
      gradients: those of a step, over all replicas.
    """
    return bad

  def apply(
    self, take: Callable[[], tf.Operation], step: tf.Variable
  ) -> tf.Operation:
    """Returns the op that takes a step, or passes it over.

    Args:
      take: builds the op that changes the weights, and adds 1 to the step.
      step: the global step, which counts those that are passed over too: a
        batch belongs to its number.
    """
    return take()


class LossScale(Unscaled):
  """The factor, and for how many steps it has fitted; checkpoints hold both."""

  def __init__(self):
    self._factor = tf.get_variable(
      'loss_scale/factor', initializer=FIRST, trainable=False
    )
    self._steps = tf.get_variable(
      'loss_scale/steps', initializer=0, trainable=False
    )
    self._now = self._factor.read_value()
    self._fits = tf.constant(True)

  def up(self, loss: tf.Tensor) -> tf.Tensor:
    return loss * self._now

  def down(
    self, gradients: Sequence[tf.Tensor | None]
  ) -> list[tf.Tensor | None]:
    return [each if each is None else each / self._now for each in gradients]

  def judged(self, bad: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    # That nothing was multiplied and all the same it does not fit is no matter
    # of the factor.
    self._fits = tf.reduce_all(
      tf.stack([tf.reduce_all(tf.math.is_finite(each)) for each in gradients])
    )
    hopeless = tf.logical_not(self._fits) & (self._now <= 1.0)
    return bad + tf.cast(hopeless, tf.float32)

  def apply(
    self, take: Callable[[], tf.Operation], step: tf.Variable
  ) -> tf.Operation:
    fits = self._fits
    steps = tf.where(fits, self._steps + 1, 0)
    grows = steps >= STEPS
    change = tf.where(grows, 2.0, tf.where(fits, 1.0, 0.5))
    return tf.group(
      tf.cond(fits, take, lambda: tf.group(tf.assign_add(step, 1))),
      self._factor.assign(tf.minimum(self._now * change, LARGEST)),
      self._steps.assign(tf.where(grows, 0, steps)),
    )


def of(precision: str) -> Unscaled:
  """Returns the scale of a precision; it may add variables to the graph."""
  return LossScale() if precision == 'fp16' else Unscaled()
