"""Optimizers that decay the weights themselves: AdamW and LARS.

The loss then has no L2 term of its own. A kernel has rank 2 or more; vectors
(batch norm's gamma and beta, biases) are not decayed unless that is asked for.
"""

import tensorflow.compat.v1 as tf


def _is_kernel(variable):
  return variable.shape.ndims > 1


class AdamWOptimizer(tf.train.AdamOptimizer):
  """Adam with decoupled weight decay (arXiv:1711.05101, algorithm 2).

  Each step first takes learning_rate * weight_decay of the weights away, then
  does what Adam does with a gradient that knows of no decay. The learning rate
  is that of the schedule, which is PyTorch's convention; the paper's own
  multiplies the schedule's factor alone.
  """

  def __init__(
    self,
    learning_rate: float | tf.Tensor,
    weight_decay: float = 0.0,
    decay_vectors: bool = False,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    name: str = 'AdamW',
  ):
    """Makes the optimizer.

    Args:
      learning_rate: float scalar.
      weight_decay: the share of the weights that a step with a learning rate
        of 1 would take away.
      decay_vectors: whether variables of rank 0 and 1 decay too.
      beta1: the decay of the first moment, below 1.
      beta2: the decay of the second moment, below 1.
      epsilon: added to the square root of the second moment.
      name: the name of the slots.
    """
    super().__init__(learning_rate, beta1, beta2, epsilon, name=name)
    self._weight_decay = weight_decay
    self._decay_vectors = decay_vectors

  def _decayed(self, update, grad, var):
    if not self._weight_decay or not (self._decay_vectors or _is_kernel(var)):
      return update(grad, var)
    with tf.control_dependencies([grad]):  # the gradient of the weights before
      share = tf.cast(self._lr_t, var.dtype.base_dtype) * self._weight_decay
      decay = tf.assign_sub(var, share * var)
    with tf.control_dependencies([decay]):
      return update(grad, var)

  def _resource_apply_dense(self, grad, var):
    return self._decayed(super()._resource_apply_dense, grad, var)

  def _apply_dense(self, grad, var):
    return self._decayed(super()._apply_dense, grad, var)


class LARSOptimizer(tf.train.Optimizer):
  """Layer-wise adaptive rate scaling (arXiv:1708.03888, algorithm 1).

  velocity = momentum * velocity + rate * trust * (gradient + decay * w)
  w = w - velocity
  trust = coefficient * |w| / (|gradient| + decay * |w|)

  The learning rate is part of the velocity, which therefore remembers the
  rates of past steps. Vectors have a trust of 1, and so do kernels of zeros,
  which would stay zeros for ever.
  """

  def __init__(
    self,
    learning_rate: float | tf.Tensor,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust_coefficient: float = 0.001,
    decay_vectors: bool = False,
    name: str = 'LARS',
  ):
    """Makes the optimizer.

    Args:
      learning_rate: float scalar.
      momentum: the share of the velocity that a step keeps, below 1.
      weight_decay: the L2 weight.
      trust_coefficient: the paper's eta.
      decay_vectors: whether variables of rank 0 and 1 decay too.
      name: the name of the slots.
    """
    super().__init__(use_locking=False, name=name)
    self._rate = learning_rate
    self._momentum = momentum
    self._weight_decay = weight_decay
    self._trust_coefficient = trust_coefficient
    self._decay_vectors = decay_vectors

  def _create_slots(self, var_list):
    for variable in var_list:
      self._zeros_slot(variable, 'momentum', self._name)

  def _prepare(self):
    self._rate_tensor = tf.convert_to_tensor(self._rate, name='learning_rate')

  def _trust(self, grad, weights):
    norm = tf.norm(weights)
    total = tf.norm(grad) + self._weight_decay * norm
    return tf.where(
      (norm > 0) & (total > 0),
      tf.math.divide_no_nan(self._trust_coefficient * norm, total),
      tf.ones_like(norm),
    )

  def _apply_dense(self, grad, var):
    weights = tf.convert_to_tensor(var)
    rate = tf.cast(self._rate_tensor, weights.dtype)
    if _is_kernel(var):
      rate *= self._trust(grad, weights)
    if self._weight_decay and (self._decay_vectors or _is_kernel(var)):
      grad += self._weight_decay * weights
    slot = self.get_slot(var, 'momentum')
    velocity = tf.assign(slot, self._momentum * slot + rate * grad)
    return tf.group(tf.assign_sub(var, velocity))

  _resource_apply_dense = _apply_dense
