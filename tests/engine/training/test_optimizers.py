"""Each optimizer makes two steps as its formula says, with the given values.

What goes before: clipping, weight decay, learning rates of scopes.
"""

import inspect

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common.loading import load
from engine.config import scripts
from engine.config.optimizers import OPTIMIZERS, check
from engine.training import optimizers
from nets.slim_compat import slim

START = np.array([1.0, -2.0, 0.5])
GRADIENTS = np.array([[0.3, -0.1, 0.05], [-0.2, 0.4, 1.0]])

# None of the values is a default.
CONFIG = scripts.TrainConfig(
  learning_rate=0.25,
  momentum=0.7,
  adadelta_rho=0.8,
  adagrad_initial_accumulator_value=0.3,
  adam_beta1=0.6,
  adam_beta2=0.85,
  opt_epsilon=0.01,
  ftrl_learning_rate_power=-0.6,
  ftrl_initial_accumulator_value=0.2,
  ftrl_l1=0.02,
  ftrl_l2=0.03,
  rmsprop_momentum=0.4,
  rmsprop_decay=0.75,
  weight_decay=0.2,
  lars_trust_coefficient=0.6,
)


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
    v = 0.85 * v + 0.15 * g**2
    # TensorFlow adds epsilon before the correction of v.
    rate = lr * np.sqrt(1 - 0.85**t) / (1 - 0.6**t)
    w = w - rate * m / (np.sqrt(v) + 0.01)
  return w


def rmsprop(w, lr):
  square, velocity = 1, 0  # TensorFlow begins with 1
  for g in GRADIENTS:
    square = 0.75 * square + 0.25 * g**2
    velocity = 0.4 * velocity + lr * g / np.sqrt(square + 0.01)
    w = w - velocity
  return w


def adagrad(w, lr):
  square = 0.3
  for g in GRADIENTS:
    square = square + g**2
    w = w - lr * g / np.sqrt(square)
  return w


def adadelta(w, lr):
  square = delta = 0
  for g in GRADIENTS:
    square = 0.8 * square + 0.2 * g**2
    change = np.sqrt(delta + 0.01) / np.sqrt(square + 0.01) * g
    delta = 0.8 * delta + 0.2 * change**2
    w = w - lr * change
  return w


def ftrl(w, lr):
  square, linear = 0.2, 0
  for g in GRADIENTS:
    new = square + g**2
    linear = linear + g - (new**0.6 - square**0.6) / lr * w
    quadratic = new**0.6 / lr + 2 * 0.03
    w = np.where(
      np.abs(linear) > 0.02, (0.02 * np.sign(linear) - linear) / quadratic, 0
    )
    square = new
  return w


def adamw(w, lr, decay=0.0):
  m = v = 0
  for t, g in enumerate(GRADIENTS.reshape((2, *w.shape)), 1):
    w = w - lr * decay * w
    m = 0.6 * m + 0.4 * g
    v = 0.85 * v + 0.15 * g**2
    rate = lr * np.sqrt(1 - 0.85**t) / (1 - 0.6**t)
    w = w - rate * m / (np.sqrt(v) + 0.01)
  return w


def lars(w, lr, decay=0.0, trusts=False):
  """`lr` is a number, or one for each of the two steps."""
  velocity = 0
  for rate, g in zip(
    np.broadcast_to(lr, 2), GRADIENTS.reshape((2, *w.shape)), strict=True
  ):
    size = np.sqrt((w**2).sum())
    trust = (
      0.6 * size / (np.sqrt((g**2).sum()) + decay * size)
      if trusts and size
      else 1
    )
    velocity = 0.7 * velocity + rate * trust * (g + decay * w)
    w = w - velocity
  return w


FORMULAS = {
  f.__name__: f
  for f in (adadelta, adagrad, adam, adamw, ftrl, lars, momentum, rmsprop, sgd)
}


def test_every_optimizer_has_a_formula():
  assert FORMULAS.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize('rate', [0.25, 0.1])
@pytest.mark.parametrize('name', FORMULAS)
def test_formula(graph, name, rate):
  variable = tf.get_variable('w', initializer=tf.constant(START, tf.float32))
  gradient = tf.placeholder(tf.float32, [3])
  # The rate is the schedule's, not the configuration's.
  step = optimizers.build(
    CONFIG.replace(optimizer=name), tf.constant(rate)
  ).apply_gradients([(gradient, variable)])
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for g in GRADIENTS:
      session.run(step, {gradient: g})
    found = session.run(variable)
  np.testing.assert_allclose(found, FORMULAS[name](START, rate), rtol=3e-6)


@pytest.mark.parametrize('name', FORMULAS)
def test_arguments_exist(name):
  entry = OPTIMIZERS[name]
  known = inspect.signature(load(entry.implementation)).parameters
  arguments = entry.arguments
  assert arguments.keys() <= known.keys()
  assert all(hasattr(CONFIG, field) for field in arguments.values())


def test_every_field_is_used():
  used = {
    field for entry in OPTIMIZERS.values() for field in entry.arguments.values()
  }
  assert used == {
    'adadelta_rho',
    'adagrad_initial_accumulator_value',
    'adam_beta1',
    'adam_beta2',
    'opt_epsilon',
    'ftrl_learning_rate_power',
    'ftrl_initial_accumulator_value',
    'ftrl_l1',
    'ftrl_l2',
    'momentum',
    'rmsprop_momentum',
    'rmsprop_decay',
    'weight_decay',
    'decay_norm_and_bias',
    'lars_trust_coefficient',
  }


def _two_steps(config_, start, shape=(3,), rates=(0.25, 0.25), name='w'):
  """Returns the variable after a step with each of GRADIENTS."""
  variable = tf.get_variable(
    name, initializer=tf.constant(np.reshape(start, shape), tf.float32)
  )
  gradient = tf.placeholder(tf.float32, shape)
  rate = tf.placeholder(tf.float32, [])
  step = tf.train.get_or_create_global_step()
  update = optimizers.apply_gradients(
    config_, rate, [(gradient, variable)], step
  )
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for lr, g in zip(rates, GRADIENTS, strict=True):
      session.run(update, {gradient: g.reshape(shape), rate: lr})
    assert session.run(step) == 2
    return session.run(variable)


KERNEL = (1, 3)


@pytest.mark.parametrize('vectors', [False, True])
@pytest.mark.parametrize('shape', [(3,), KERNEL])
def test_adamw_decays(graph, shape, vectors):
  """Kernels, and vectors where that is asked for."""
  found = _two_steps(
    CONFIG.replace(optimizer='adamw', decay_norm_and_bias=vectors), START, shape
  )
  decay = 0.2 if shape == KERNEL or vectors else 0.0
  np.testing.assert_allclose(
    found, adamw(START.reshape(shape), 0.25, decay), rtol=3e-6
  )


@pytest.mark.parametrize('vectors', [False, True])
@pytest.mark.parametrize('shape', [(3,), KERNEL])
def test_lars_decays_and_trusts(graph, shape, vectors):
  """Also when the learning rate changes: it is part of the velocity."""
  found = _two_steps(
    CONFIG.replace(optimizer='lars', decay_norm_and_bias=vectors),
    START,
    shape,
    (0.25, 0.5),
  )
  decay = 0.2 if shape == KERNEL or vectors else 0.0
  np.testing.assert_allclose(
    found,
    lars(START.reshape(shape), (0.25, 0.5), decay, shape == KERNEL),
    rtol=3e-6,
  )


def test_lars_leaves_zero(graph):
  """A kernel of zeros is trusted like a vector, else it would stay so."""
  found = _two_steps(CONFIG.replace(optimizer='lars'), np.zeros(3), KERNEL)
  np.testing.assert_allclose(
    found, lars(np.zeros(KERNEL), 0.25, 0.2, True), rtol=3e-6
  )
  assert np.abs(found).min() > 0


def test_lars_without_any_gradient(graph):
  """No decay and no gradient: no step, and no division by zero."""
  weights = tf.get_variable('w', initializer=tf.ones([2, 2]))
  optimizer = optimizers.build(
    CONFIG.replace(optimizer='lars', weight_decay=0.0), 0.5
  )
  update = optimizer.apply_gradients([(tf.zeros([2, 2]), weights)])
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(update)
    np.testing.assert_array_equal(session.run(weights), np.ones([2, 2]))


@pytest.mark.parametrize('name', FORMULAS)
def test_who_decays(name):
  """The network has the L2 term where the optimizer has not."""
  found = optimizers.regularizer_weight(CONFIG.replace(optimizer=name))
  assert found == (0.0 if name in ('adamw', 'lars') else 0.2)


@pytest.mark.parametrize(
  'optimizer, asked, share',
  [
    ('momentum', True, 0.2),
    ('momentum', False, 0),
    ('adamw', True, 0),
    ('lars', True, 0),
  ],
)
def test_regularization(graph, tiny, optimizer, asked, share):
  """gamma, beta and the biases of the logits; no kernel."""
  tiny(tf.zeros([1, 16, 16, 3]))
  variables = tf.trainable_variables()
  vectors = [
    v for v in variables if v.op.name.endswith(('/gamma', '/beta', '/biases'))
  ]
  assert len(vectors) == 2 * 8 + 1 and len(vectors) < len(variables)
  loss = optimizers.regularization(
    CONFIG.replace(optimizer=optimizer, decay_norm_and_bias=asked), variables
  )
  assert loss.dtype == tf.float32 and loss.shape == ()
  values = np.random.RandomState(0)
  with tf.Session() as session:
    squares = 0
    for v in variables:
      value = values.randn(*v.shape.as_list())
      v.load(value.astype(np.float32), session)
      squares += (value**2).sum() * (v in vectors)
    assert session.run(loss) == pytest.approx(share * squares / 2, rel=1e-5)


def test_regularization_is_slims(graph):
  variable = tf.get_variable(
    'gamma', initializer=tf.constant(START, tf.float32)
  )
  both = [
    slim.l2_regularizer(0.2)(variable),
    optimizers.regularization(
      CONFIG.replace(decay_norm_and_bias=True), [variable]
    ),
  ]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    ours, theirs = session.run(both)
  assert ours == theirs


def test_a_factor_on_the_rate_is_one_on_the_gradients(graph):
  """Of momentum, whose velocity begins at 0: DeepLab multiplies gradients."""
  plain = SGD.replace(optimizer='momentum', momentum=0.9)
  with tf.variable_scope('one'):
    by_rate = _apply(
      plain.replace(learning_rate_multipliers='one/asp*=10,one/asp/biases=20'),
      {'asp/weights': [0.1, 0.2], 'asp/biases': [0.3, 0.1], 'b': [0.5, 0.4]},
      steps=3,
    )
  with tf.variable_scope('other'):
    by_gradient = _apply(
      plain,
      {'asp/weights': [1.0, 2.0], 'asp/biases': [6.0, 2.0], 'b': [0.5, 0.4]},
      steps=3,
    )
  for name in 'asp/weights', 'asp/biases', 'b':
    np.testing.assert_allclose(
      by_rate[f'one/{name}'], by_gradient[f'other/{name}'], rtol=1e-5
    )


def _apply(config_, gradients, rate=0.5, steps=1):
  """Steps from ones; returns {name: value} of all variables.

  Args:
    config_: the configuration.
    gradients: {name: array or None}.
    rate: the learning rate.
    steps: how often these gradients are applied.
  """
  pairs = []
  for name, value in gradients.items():
    shape = [2] if value is None else np.shape(value)
    variable = tf.get_variable(name, initializer=tf.ones(shape))
    pairs.append(
      (None if value is None else tf.constant(value, tf.float32), variable)
    )
  update = optimizers.apply_gradients(
    config_, tf.constant(rate), pairs, tf.train.get_or_create_global_step()
  )
  assert isinstance(update, tf.Operation)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(steps):
      session.run(update)
    return {v.op.name: session.run(v) for v in tf.global_variables()}


SGD = CONFIG.replace(optimizer='sgd')


@pytest.mark.parametrize(
  'value, norm, expected',
  [
    (None, None, [3, -4, 12]),
    (4, None, [3, -4, 4]),
    (None, 6.5, [1.5, -2, 6]),
    (None, 14, [3, -4, 12]),
    # By value first: the norm of 3, -3, 3, then to 1.
    (3, 1, np.array([1, -1, 1]) / 3**0.5),
  ],
)
def test_clipping(graph, value, norm, expected):
  """The norm is that of all gradients together: 3, 4 and 12 have 13."""
  found = _apply(
    SGD.replace(clip_gradients_value=value, clip_gradients_norm=norm),
    {'a': [3, -4], 'b': [[12]]},
  )
  np.testing.assert_allclose(
    [*found['a'], *found['b'][0]], 1 - 0.5 * np.array(expected), rtol=1e-6
  )
  assert found['global_step'] == 1


def test_clipping_hides_no_infinity(graph):
  """A gradient that is not finite must be seen, not made a small step."""
  found = _apply(
    SGD.replace(clip_gradients_norm=1.0), {'a': [1.0, np.inf], 'b': [1.0]}
  )
  assert np.isnan(found['a']).all() and np.isnan(found['b']).all()


SCOPES = {
  'net/block1/weights': [0.3, -0.1, 0.05],
  'net/block1/unit/weights': [0.3, -0.1, 0.05],
  'net/block10/weights': [0.3, -0.1, 0.05],
  'net/logits/weights': [0.3, -0.1, 0.05],
}
FACTORS = 'net/block1/unit=3, net/block1=0.5,net/logits=10'


@pytest.mark.parametrize('name', FORMULAS)
def test_multipliers_are_learning_rates(name):
  """Each variable is where that learning rate alone would have brought it."""
  expected = {}
  for scope, factor in zip(SCOPES, (0.5, 3, 1, 10), strict=True):
    with tf.Graph().as_default():
      alone = _apply(
        CONFIG.replace(optimizer=name), {scope: SCOPES[scope]}, 0.01 * factor, 3
      )
      expected[scope] = alone[scope]
  with tf.Graph().as_default():
    found = _apply(
      CONFIG.replace(optimizer=name, learning_rate_multipliers=FACTORS),
      SCOPES,
      0.01,
      3,
    )
  assert found['global_step'] == 3
  for scope, value in expected.items():
    np.testing.assert_allclose(found[scope], value, rtol=2e-6, err_msg=scope)
  moved = [np.abs(found[scope] - 1).max() for scope in SCOPES]
  assert moved[0] < moved[2] < moved[1] < moved[3]


@pytest.mark.parametrize('name', FORMULAS)
def test_a_factor_of_zero_leaves_alone(graph, name):
  found = _apply(
    CONFIG.replace(optimizer=name, learning_rate_multipliers='net/block1=0'),
    SCOPES,
    steps=2,
  )
  np.testing.assert_array_equal(found['net/block1/weights'], np.ones(3))
  assert np.isfinite(found['net/logits/weights']).all()
  assert (found['net/logits/weights'] != 1).all()


def test_longest_scope_counts(graph):
  """A trailing slash adds nothing to a scope's length."""
  for name in SCOPES:
    tf.get_variable(name, shape=[3])
  for text in (FACTORS, 'net/logits=10,net/block1/=0.5,net/block1/unit=3'):
    assert optimizers.multipliers(
      CONFIG.replace(learning_rate_multipliers=text), tf.trainable_variables()
    ) == [0.5, 3, 1, 10]
  assert optimizers.multipliers(CONFIG, tf.trainable_variables()) == [1] * 4


def test_names_of_slots(graph):
  """TF-Slim's, with any multipliers, so that their checkpoints resume."""
  names = set(
    _apply(
      SGD.replace(optimizer='momentum', learning_rate_multipliers=FACTORS),
      SCOPES,
    )
  )
  assert names == {
    'global_step',
    *SCOPES,
    *(f'{name}/Momentum' for name in SCOPES),
  }


def test_names_of_adam(graph):
  """One pair of powers for each factor; the plain name is that of factor 1."""
  names = set(
    _apply(
      SGD.replace(optimizer='adam', learning_rate_multipliers=FACTORS), SCOPES
    )
  )
  assert names == {
    'global_step',
    *SCOPES,
    *(f'{name}/Adam{end}' for name in SCOPES for end in ('', '_1')),
    *(f'beta{i}_power{end}' for i in (1, 2) for end in ('', '_1', '_2', '_3')),
  }


def test_gradients_of_none_are_passed_over(graph):
  found = _apply(CONFIG, {'a': [1.0, 2.0], 'b': None})
  np.testing.assert_array_equal(found['b'], [1, 1])
  assert 'a/Momentum' in found and 'b/Momentum' not in found


@pytest.mark.parametrize(
  'gradients, flags',
  [
    ({'a': None}, {}),
    ({}, {}),
    ({'a': [1.0]}, {'learning_rate_multipliers': 'a=0'}),
  ],
)
def test_nothing_to_train(graph, gradients, flags):
  with pytest.raises(ValueError) as error:
    _apply(CONFIG.replace(**flags), gradients)
  assert str(error.value) == (
    'There is nothing to train: no variable that the loss depends on is '
    'left. See --trainable_scopes and --learning_rate_multipliers.'
  )


def test_scope_without_variables(graph):
  with pytest.raises(ValueError) as error:
    _apply(CONFIG.replace(learning_rate_multipliers='net/logit=10'), SCOPES)
  assert str(error.value).startswith(
    '--learning_rate_multipliers: no variable is under the scope '
    "'net/logit'. The nearest are: net/logits"
  )


@pytest.mark.parametrize(
  'flags, text',
  [
    (
      {'momentum': 1.0},
      '--momentum=1.0 must be below 1 for '
      '--optimizer=momentum: it is the share of the past that a step keeps.',
    ),
    (
      {'optimizer': 'adamw', 'adam_beta2': 1.0},
      '--adam_beta2=1.0 must be '
      'below 1 for --optimizer=adamw: it is the share of the past that a step '
      'keeps.',
    ),
    (
      {'decay_norm_and_bias': True, 'weight_decay': 0.0},
      '--decay_norm_and_bias does nothing with --weight_decay=0: leave one of '
      'both out.',
    ),
    (
      {'optimizer': 'ftrl', 'warmup': '5'},
      '--optimizer=ftrl divides by the '
      'learning rate: pass --warmup_learning_rate above 0.',
    ),
    (
      {
        'optimizer': 'ftrl',
        'learning_rate_decay_type': 'cosine',
        'end_learning_rate': 0.0,
      },
      '--optimizer=ftrl divides by the learning '
      'rate: pass --end_learning_rate above 0.',
    ),
  ],
)
def test_contradictions(flags, text):
  with pytest.raises(ValueError) as error:
    check(scripts.TrainConfig().replace(**flags))
  assert str(error.value) == text


@pytest.mark.parametrize(
  'flags',
  [
    {},
    {'optimizer': 'sgd', 'momentum': 1.0},
    {'optimizer': 'ftrl'},
    {'optimizer': 'ftrl', 'warmup': '0', 'end_learning_rate': 0.0},
    {'optimizer': 'lars', 'decay_norm_and_bias': True},
  ],
)
def test_no_contradictions(flags):
  check(scripts.TrainConfig().replace(**flags))
