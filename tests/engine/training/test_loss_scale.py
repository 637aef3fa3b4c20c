"""The scale of the loss: exact, passes steps over, halves and doubles."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.training import loss_scale


class Training:
  """A weight that momentum trains on a loss of float16.

  The loss is `slope` times the weight, in float16 behind a cast.
  """

  def __init__(self):
    tf.set_random_seed(1)
    self.weight = tf.get_variable('weight', initializer=2.0)
    self.step = tf.train.get_or_create_global_step()
    self.slope = tf.placeholder(tf.float32, [])
    scale = loss_scale.of('fp16')
    half = tf.cast(self.weight, tf.float16)
    loss = tf.cast(half, tf.float32) * self.slope
    (gradient,) = scale.down(tf.gradients(scale.up(loss), [self.weight]))
    self.gradient = gradient
    self.bad = scale.judged(tf.constant(0.0), [gradient])

    def take():
      optimizer = tf.train.MomentumOptimizer(0.5, 0.5)
      with tf.control_dependencies(
        [optimizer.apply_gradients([(gradient, self.weight)])]
      ):
        return tf.group(tf.assign_add(self.step, 1))

    self.apply = scale.apply(take, self.step)
    self.session = tf.Session()
    self.session.run(tf.global_variables_initializer())

  def take(self, slope):
    """Returns the gradient, whether it is bad, and all variables after it."""
    gradient, bad = self.session.run(
      [self.gradient, self.bad], {self.slope: slope}
    )
    self.session.run(self.apply, {self.slope: slope})
    return gradient, bad, self.values()

  def values(self):
    return {v.op.name: self.session.run(v) for v in tf.global_variables()}


@pytest.fixture
def training(graph):
  return Training()


def test_small_gradients_are_kept(training):
  """float16 has no value between 0 and 6e-8."""
  assert np.float16(2**-26) == 0
  gradient, bad, values = training.take(2**-26)
  assert gradient == 2**-26 and bad == 0
  assert values['weight/Momentum'] == 2**-26


def test_gradients_that_are_too_large_pass_the_step_over(training):
  training.take(0.5)
  before = training.values()
  assert before['weight'] == 1.75 and before['weight/Momentum'] == 0.5
  gradient, bad, values = training.take(3.0)  # times 32,768 is above 65,504
  assert np.isinf(gradient) and bad == 0
  assert values == {
    **before,
    'global_step': 2,
    'loss_scale/factor': 2.0**14,
    'loss_scale/steps': 0,
  }
  gradient, _, values = training.take(3.0)
  assert gradient == 3.0 and values['loss_scale/factor'] == 2.0**14
  assert values['loss_scale/steps'] == 1
  assert values['weight'] == 1.75 - 0.5 * (0.25 + 3)


def test_doubles_after_some_steps(graph, monkeypatch):
  monkeypatch.setattr(loss_scale, 'STEPS', 2)
  monkeypatch.setattr(loss_scale, 'LARGEST', 2.0**17)
  training = Training()
  factors = [training.take(2**-9)[2]['loss_scale/factor'] for _ in range(8)]
  assert np.log2(factors).tolist() == [15, 16, 16, 17, 17, 17, 17, 17]


@pytest.mark.parametrize('slope', [1e5, np.nan])
def test_what_no_scale_cures_is_bad(training, slope):
  """The factor falls to 1; what is not finite then is no overflow."""
  found = [training.take(slope)[1] for _ in range(16)]
  assert found == [0.0] * 15 + [1.0]
  assert training.values()['weight'] == 2.0


def test_other_precisions_have_none(graph):
  for kind in ('fp32', 'bf16'):
    scale, loss = loss_scale.of(kind), tf.constant(1.0)
    assert scale.up(loss) is loss and scale.down([loss, None]) == [loss, None]
    assert scale.judged(loss, []) is loss
    assert scale.apply(lambda: 'taken', None) == 'taken'
  assert tf.global_variables() == []
