"""Dense losses, against NumPy, definitions and finite differences."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from metrics import segmentation_losses

NAN = float('nan')
WEIGHTS = [0.5, 2, 0, 1, 4]


def _random(seed=0, shape=(2, 9, 7), classes=5, ignore_label=255):
  random = np.random.RandomState(seed)
  labels = random.randint(0, classes, shape)
  labels[random.rand(*shape) < 0.3] = ignore_label
  return random.normal(0, 3, (*shape, classes)).astype(np.float32), labels


def _cross_entropies(logits, labels, ignore_label=255):
  """Of each pixel, 0 where it is ignored."""
  logits = logits.astype(np.float64)
  log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  valid = labels != ignore_label
  chosen = np.take_along_axis(log, np.where(valid, labels, 0)[..., None], -1)[
    ..., 0
  ]
  return np.where(valid, -chosen, 0)


def _counted(logits, labels, ignore_label, weights):
  """The labels and the probabilities of the pixels that count, in a row."""
  counts = labels != ignore_label
  counts[counts] = np.asarray(weights)[labels[counts]] > 0
  odds = np.exp(logits.astype(np.float64))
  return labels[counts], (odds / odds.sum(-1, keepdims=True))[counts]


def _mean_of_present(labels, weights, loss):
  present = np.unique(labels)
  if not len(present):
    return 0.0
  return np.average(
    [loss(label) for label in present], weights=np.asarray(weights)[present]
  )


def _focal(logits, labels, ignore_label, weights, gamma=2):
  losses = _cross_entropies(logits, labels, ignore_label)
  losses *= (1 - np.exp(-losses)) ** gamma
  of_pixel = np.where(
    labels == ignore_label, 0, np.asarray(weights)[labels % len(weights)]
  )
  return (of_pixel * losses).sum() / max(1, (of_pixel > 0).sum())


def _dice(logits, labels, ignore_label, weights):
  labels, shares = _counted(logits, labels, ignore_label, weights)

  def loss(label):
    found, truth = shares[:, label], labels == label
    return 1 - 2 * (found @ truth) / (found @ found + truth.sum())

  return _mean_of_present(labels, weights, loss)


def _lovasz(logits, labels, ignore_label, weights):
  """The Lovász extension of the set function, by its definition."""
  labels, shares = _counted(logits, labels, ignore_label, weights)

  def loss(label):
    truth = set(np.flatnonzero(labels == label))
    errors = np.abs((labels == label) - shares[:, label])
    wrong, before, total = set(), 0.0, 0.0
    for pixel in np.argsort(-errors):
      wrong.add(pixel)
      missed = len(wrong) / len(truth | wrong)  # 1 - IoU with these wrong
      total += errors[pixel] * (missed - before)
      before = missed
    return total

  return _mean_of_present(labels, weights, loss)


PLAIN = {
  'focal': (segmentation_losses.focal, _focal),
  'dice': (segmentation_losses.dice, _dice),
  'lovasz': (segmentation_losses.lovasz_softmax, _lovasz),
}
LOSSES = {
  **{name: ours for name, (ours, _) in PLAIN.items()},
  'cross_entropy': segmentation_losses.cross_entropy,
  'hardest': functools.partial(
    segmentation_losses.cross_entropy, top_k_percent=0.1
  ),
  'hardest focal': functools.partial(
    segmentation_losses.focal, top_k_percent=0.1, gamma=0.5
  ),
}


def _value(tensor, feed=None):
  with tf.Session() as session:
    return session.run(tensor, feed)


@pytest.mark.parametrize('name', PLAIN)
@pytest.mark.parametrize('ignore_label', [255, 0])
@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_against_numpy(graph, name, ignore_label, weights):
  ours, plain = PLAIN[name]
  logits, labels = _random(ignore_label=ignore_label)
  labels[labels == 4] = 1  # a class that is absent
  loss = ours(tf.constant(logits), tf.constant(labels), ignore_label, weights)
  assert loss.dtype == tf.float32 and loss.shape == ()
  want = plain(logits, labels, ignore_label, weights or [1] * 5)
  assert _value(loss) == pytest.approx(want, rel=1e-5) and want > 0


@pytest.mark.parametrize('name', PLAIN)
def test_gradients_are_finite_differences(graph, name):
  ours, plain = PLAIN[name]
  logits, labels = _random(shape=(1, 4, 3), classes=3)
  logits /= 3
  inputs = tf.constant(logits)
  loss = ours(inputs, tf.constant(labels), 255, [0.5, 2, 1])
  found = _value(tf.gradients(loss, inputs)[0])
  logits = logits.astype(np.float64)
  for place in np.ndindex(logits.shape):
    step = np.zeros_like(logits)
    step[place] = 1e-5
    high, low = (
      plain(logits + sign * step, labels, 255, [0.5, 2, 1]) for sign in (1, -1)
    )
    assert found[place] == pytest.approx((high - low) / 2e-5, abs=1e-5)
  assert np.abs(found).max() > 0.01


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('label', [0, 2])
def test_one_class_alone(graph, name, label):
  """Right, the loss is 0; wrong, it is large; both have finite gradients."""
  labels = np.full([1, 4, 4], label)
  right = 60 * np.eye(3, dtype=np.float32)[labels]
  inputs = tf.placeholder(tf.float32, right.shape)
  loss = LOSSES[name](inputs, tf.constant(labels))
  fetches = [loss, tf.gradients(loss, inputs)[0]]
  value, gradient = _value(fetches, {inputs: right})
  assert value == pytest.approx(0, abs=1e-6) and np.isfinite(gradient).all()
  value, gradient = _value(fetches, {inputs: -right})
  assert value > 0.7 and np.isfinite(gradient).all()


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('ignore_label', [255, 0])
def test_no_valid_pixel(graph, name, ignore_label):
  """Nor one of a class that has a weight."""
  logits, labels = tf.constant(_random()[0]), tf.fill([2, 9, 7], ignore_label)
  losses = [
    LOSSES[name](logits, labels, ignore_label),
    LOSSES[name](logits, tf.fill([2, 9, 7], 1), 255, [1, 0, 1, 1, 1]),
  ]
  gradients = [tf.gradients(loss, logits)[0] for loss in losses]
  for value in _value([*losses, *gradients]):
    np.testing.assert_array_equal(value, 0)


def test_lovasz_of_many_equal_errors(graph):
  """Whatever their order, the value is that of the set function."""
  labels = np.repeat([[[0, 1]]], 8, 1)
  logits = np.zeros([1, 8, 2, 2], np.float32)
  loss = segmentation_losses.lovasz_softmax(
    tf.constant(logits), tf.constant(labels)
  )
  assert _value(loss) == pytest.approx(0.5, rel=1e-6)  # 0.5 times 1 - 0


def test_focal_without_gamma_is_cross_entropy(graph):
  logits, labels = map(tf.constant, _random())
  focal, plain = _value(
    [
      segmentation_losses.focal(logits, labels, gamma=0.0),
      segmentation_losses.cross_entropy(logits, labels),
    ]
  )
  assert focal == plain


def test_the_hardest_of_focal(graph):
  logits, labels = _random()
  losses = _cross_entropies(logits, labels)
  losses = np.sort((losses * (1 - np.exp(-losses)) ** 3).ravel())
  count = round(0.25 * (labels != 255).sum())
  loss = segmentation_losses.focal(
    tf.constant(logits), tf.constant(labels), top_k_percent=0.25, gamma=3.0
  )
  assert _value(loss) == pytest.approx(losses[-count:].mean(), rel=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_a_label_that_is_no_class_is_an_error(graph, name):
  logits, labels = _random()
  labels[0, 0, 0] = 200
  for weights in None, [1] * 5:
    loss = LOSSES[name](
      tf.constant(logits), tf.constant(labels), class_weights=weights
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match='200'):
      _value(loss)


@pytest.mark.parametrize('ignore_label', [255, 0, 4, -1])
@pytest.mark.parametrize('dtype', [np.int32, np.int64])
def test_loss(graph, ignore_label, dtype):
  logits, labels = _random(ignore_label=ignore_label)
  losses = _cross_entropies(logits, labels, ignore_label)
  loss = segmentation_losses.cross_entropy(
    tf.constant(logits), tf.constant(labels.astype(dtype)), ignore_label
  )
  assert loss.dtype == tf.float32 and loss.shape == ()
  expected = losses.sum() / (labels != ignore_label).sum()
  assert _value(loss) == pytest.approx(expected, rel=1e-6)
  assert tf.losses.get_losses() == []  # the caller adds it up


def test_class_weights(graph):
  """Pixels of weight 0 do not count, as in DeepLab's SUM_BY_NONZERO_WEIGHTS."""
  logits, labels = _random()
  weights = [0.5, 2, 0, 1, 4]
  of_pixel = np.where(
    labels == 255, 0, np.append(weights, np.zeros(251))[labels]
  )
  losses = of_pixel * _cross_entropies(logits, labels)
  loss = segmentation_losses.cross_entropy(
    tf.constant(logits), tf.constant(labels), class_weights=weights
  )
  value = _value(
    [
      loss,
      tf.losses.softmax_cross_entropy(
        np.eye(256)[labels][..., :5], logits, of_pixel
      ),
    ]
  )
  assert value[0] == pytest.approx(
    losses.sum() / (of_pixel > 0).sum(), rel=1e-6
  )
  assert value[0] == pytest.approx(value[1], rel=1e-6)


@pytest.mark.parametrize('share', [0.25, 0.999, 1e-6, 1.0])
@pytest.mark.parametrize('as_tensor', [False, True])
def test_only_the_hardest_pixels_count(graph, share, as_tensor):
  logits, labels = _random()
  weights = [1, 1, 0, 2, 1]
  losses = (
    _cross_entropies(logits, labels) * np.append(weights, np.zeros(251))[labels]
  )
  count = max(1, round(share * np.count_nonzero(losses)))
  loss = segmentation_losses.cross_entropy(
    tf.constant(logits),
    tf.constant(labels),
    class_weights=weights,
    top_k_percent=tf.constant(share) if as_tensor else share,
  )
  assert _value(loss) == pytest.approx(
    np.sort(losses.ravel())[-count:].mean(), rel=1e-5
  )


def test_the_gradient_is_that_of_the_pixels_that_count(graph):
  """softmax - onehot of each, over their number; 0 elsewhere."""
  logits, labels = _random()
  losses = _cross_entropies(logits, labels)
  inputs = tf.constant(logits)
  probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  onehot = np.eye(256)[labels][..., :5]
  valid = labels != 255
  hardest = losses >= np.sort(losses.ravel())[-round(0.25 * valid.sum())]
  for share, counts in (1.0, valid), (0.25, hardest):
    loss = segmentation_losses.cross_entropy(
      inputs, tf.constant(labels), top_k_percent=share
    )
    got = _value(tf.gradients(loss, inputs)[0])
    want = (probabilities - onehot) * counts[..., None] / counts.sum()
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize('name', LOSSES)
def test_nan_is_not_hidden(graph, name):
  """Wherever it is, though TensorFlow's sorting may lose it."""
  logits, labels = _random()
  inputs = tf.placeholder(tf.float32, logits.shape)
  loss = LOSSES[name](inputs, tf.constant(labels))
  with tf.Session() as session:
    for place in np.argwhere(labels != 255)[::9]:
      broken = logits.copy()
      broken[tuple(place)] = NAN
      assert np.isnan(session.run(loss, {inputs: broken}))
    assert np.isfinite(session.run(loss, {inputs: logits}))


@pytest.mark.parametrize(
  'options, match',
  [
    ({'top_k_percent': 25}, 'top_k_percent is 25; .*0.25 for a quarter'),
    ({'top_k_percent': 0}, 'top_k_percent is 0; .*above 0'),
    ({'class_weights': [1, 2]}, r'\[1.0, 2.0\]; .*each of the 5 classes'),
    ({'class_weights': [1, 1, 1, 1, -1]}, 'none may be negative'),
    ({'class_weights': [1, 1, 1, 1, NAN]}, 'none may be negative'),
  ],
)
def test_bad_losses(graph, options, match):
  logits, labels = map(tf.constant, _random())
  takes = PLAIN if 'class_weights' in options else ['focal']
  for loss in (LOSSES[name] for name in ('cross_entropy', *takes)):
    with pytest.raises(ValueError, match=match):
      loss(logits, labels, **options)


def test_mined_share(graph):
  step = tf.placeholder(tf.int64, [])
  share = segmentation_losses.mined_share(step, 0.25, 100)
  with tf.Session() as session:
    values = [session.run(share, {step: at}) for at in (0, 50, 100, 10**6)]
  np.testing.assert_allclose(values, [1, 0.625, 0.25, 0.25])
  assert segmentation_losses.mined_share(step, 1.0, 100) == 1
  assert segmentation_losses.mined_share(step, 0.25, 0) == 0.25
  with pytest.raises(ValueError, match='top_k_percent is 2'):
    segmentation_losses.mined_share(step, 2, 100)
  with pytest.raises(ValueError, match='mining_step is -1; .*0 or more'):
    segmentation_losses.mined_share(step, 0.5, -1)
