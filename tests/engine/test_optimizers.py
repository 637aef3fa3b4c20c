"""Each optimizer makes two steps as its formula says, with the given values.
"""
import inspect

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine import config, optimizers

START = np.array([1.0, -2.0, 0.5])
GRADIENTS = np.array([[0.3, -0.1, 0.05], [-0.2, 0.4, 1.0]])

# None of the values is a default.
CONFIG = config.TrainConfig(
    learning_rate=0.25, momentum=0.7, adadelta_rho=0.8,
    adagrad_initial_accumulator_value=0.3, adam_beta1=0.6, adam_beta2=0.85,
    opt_epsilon=0.01, ftrl_learning_rate_power=-0.6,
    ftrl_initial_accumulator_value=0.2, ftrl_l1=0.02, ftrl_l2=0.03,
    rmsprop_momentum=0.4, rmsprop_decay=0.75)


def sgd(w, lr):
  for g in GRADIENTS:
    w = w - lr * g
  return w


def momentum(w, lr):
  velocity = 0
  for g in GRADIENTS:
    velocity = 0.7 * velocity + g
    w = w - lr * velocity
  return w


def adam(w, lr):
  m = v = 0
  for t, g in enumerate(GRADIENTS, 1):
    m = 0.6 * m + 0.4 * g
    v = 0.85 * v + 0.15 * g ** 2
    # TensorFlow adds epsilon before the correction of v.
    rate = lr * np.sqrt(1 - 0.85 ** t) / (1 - 0.6 ** t)
    w = w - rate * m / (np.sqrt(v) + 0.01)
  return w


def rmsprop(w, lr):
  square, velocity = 1, 0  # TensorFlow begins with 1
  for g in GRADIENTS:
    square = 0.75 * square + 0.25 * g ** 2
    velocity = 0.4 * velocity + lr * g / np.sqrt(square + 0.01)
    w = w - velocity
  return w


def adagrad(w, lr):
  square = 0.3
  for g in GRADIENTS:
    square = square + g ** 2
    w = w - lr * g / np.sqrt(square)
  return w


def adadelta(w, lr):
  square = delta = 0
  for g in GRADIENTS:
    square = 0.8 * square + 0.2 * g ** 2
    change = np.sqrt(delta + 0.01) / np.sqrt(square + 0.01) * g
    delta = 0.8 * delta + 0.2 * change ** 2
    w = w - lr * change
  return w


def ftrl(w, lr):
  square, linear = 0.2, 0
  for g in GRADIENTS:
    new = square + g ** 2
    linear = linear + g - (new ** 0.6 - square ** 0.6) / lr * w
    quadratic = new ** 0.6 / lr + 2 * 0.03
    w = np.where(np.abs(linear) > 0.02,
                 (0.02 * np.sign(linear) - linear) / quadratic, 0)
    square = new
  return w


FORMULAS = {f.__name__: f for f in
            (adadelta, adagrad, adam, ftrl, momentum, rmsprop, sgd)}


def test_every_optimizer_has_a_formula():
  assert FORMULAS.keys() == optimizers.OPTIMIZERS.keys()


@pytest.mark.parametrize('rate', [0.25, 0.1])
@pytest.mark.parametrize('name', FORMULAS)
def test_formula(graph, name, rate):
  variable = tf.get_variable('w', initializer=tf.constant(START, tf.float32))
  gradient = tf.placeholder(tf.float32, [3])
  # The rate is the schedule's, not the configuration's.
  step = optimizers.build(CONFIG.replace(optimizer=name),
                          tf.constant(rate)).apply_gradients(
                              [(gradient, variable)])
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for g in GRADIENTS:
      session.run(step, {gradient: g})
    found = session.run(variable)
  np.testing.assert_allclose(found, FORMULAS[name](START, rate), rtol=3e-6)


@pytest.mark.parametrize('name', FORMULAS)
def test_arguments_exist(name):
  class_name, arguments = optimizers.OPTIMIZERS[name]
  known = inspect.signature(getattr(tf.train, class_name)).parameters
  assert arguments.keys() <= known.keys()
  assert all(hasattr(CONFIG, field) for field in arguments.values())


def test_every_field_is_used():
  used = {field for _, arguments in optimizers.OPTIMIZERS.values()
          for field in arguments.values()}
  assert used == {
      'adadelta_rho', 'adagrad_initial_accumulator_value', 'adam_beta1',
      'adam_beta2', 'opt_epsilon', 'ftrl_learning_rate_power',
      'ftrl_initial_accumulator_value', 'ftrl_l1', 'ftrl_l2', 'momentum',
      'rmsprop_momentum', 'rmsprop_decay'}
