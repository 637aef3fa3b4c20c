"""A step that several clones share is that of one, of the same batch."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.training import step as train_step
from nets.slim_compat import slim
from tests.engine.training.test_step import (
  BATCH,
  Training,
  batches,
  normalized,
  plain,
)


def frozen(images, weight_decay):
  """A network whose batch norm keeps its moving averages."""
  with slim.arg_scope(
    [slim.conv2d],
    normalizer_fn=slim.batch_norm,
    normalizer_params={'is_training': False},
  ):
    return plain(images, weight_decay)


def trained(steps, network=plain, clones=1, **flags):
  """Returns the training after some steps, and the metrics of each."""
  training = Training(network, clones, **flags)
  return training, [training.step(*batch)[0] for batch in batches(steps)]


def agree(got, want):
  """All variables are there, and equal to 1e-6 of their scale."""
  got, want = got.values(), want.values()
  assert got.keys() == want.keys()
  for name, value in want.items():
    scale = max(np.abs(value).max(), 1)
    np.testing.assert_allclose(
      got[name], value, err_msg=name, rtol=0, atol=2e-6 * scale
    )


CASES = {
  'plain': (plain, {'weight_decay': 0.1}),
  'frozen batch norm': (frozen, {'weight_decay': 0.01}),
  'synchronized batch norm': (normalized, {'sync_batch_norm': True}),
  'averages': (plain, {'moving_average_decay': 0.5}),
  'parts': (frozen, {'num_micro_batches': 2, 'weight_decay': 0.1}),
  'all': (
    normalized,
    {
      'sync_batch_norm': True,
      'num_micro_batches': 2,
      'moving_average_decay': 0.5,
      'clip_gradients_norm': 0.05,
      'label_smoothing': 0.1,
    },
  ),
}
FAST = ('frozen batch norm', 4), ('all', 2)


@pytest.mark.parametrize(
  'case, clones',
  [
    pytest.param(
      case, clones, marks=[] if (case, clones) in FAST else pytest.mark.slow
    )
    for case in CASES
    for clones in (2, 4)
  ],
)
def test_clones_are_one(case, clones):
  """Weights, slots, averages and metrics, after five steps."""
  network, flags = CASES[case]
  # Of parts, those of one device are the same parts.
  want, wanted = trained(5, network, **flags)
  begin = Training(network, **flags).values()
  moved = np.abs(want.values()['conv1/weights'] - begin['conv1/weights'])
  assert moved.max() > 1e-3
  got, found = trained(5, network, clones, **flags)
  agree(got, want)
  for metrics, others in zip(found, wanted, strict=True):
    assert metrics == pytest.approx(others, rel=1e-5, abs=1e-6)
  # The first is of the same weights: the sums alone are in another order.
  assert found[0]['loss'] == pytest.approx(wanted[0]['loss'], rel=3e-7)


@pytest.mark.slow
def test_two_by_two():
  """Two parts in two clones are four parts of one device."""
  want, _ = trained(3, frozen, num_micro_batches=4, optimizer='adam')
  got, _ = trained(3, frozen, 2, num_micro_batches=2, optimizer='adam')
  want, got = want.values(), got.values()
  for name, value in want.items():  # Adam divides by gradients that are near 0
    np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)


def test_regularization_counts_once():
  """Its loss, and its gradient: without images it is all there is."""
  training, decay = Training(plain, 2, weight_decay=0.1), 0.05
  before = training.values()
  ((images, labels),) = batches(1)
  metrics, _ = training.step(images, labels)
  squares = sum(
    (before[name].astype(float) ** 2).sum()
    for name in ('conv1/weights', 'conv2/weights')
  )
  assert metrics['total_loss'] - metrics['loss'] == pytest.approx(
    decay * squares, rel=1e-5
  )
  # At images of 0 the loss does not depend on the first convolution.
  training = Training(plain, 2, weight_decay=0.1)
  before = training.values()['conv1/weights']
  training.step(0 * images, labels)
  np.testing.assert_allclose(
    training.values()['conv1/weights'], before * (1 - 0.1 * 0.1), rtol=1e-5
  )


@pytest.mark.slow
@pytest.mark.parametrize('clones', [2, 4])
def test_the_same_bits_again(clones):
  """Sums over clones have one order."""
  flags = {'sync_batch_norm': True, 'num_micro_batches': 2}
  first, found = trained(4, normalized, clones, **flags)
  second, again = trained(4, normalized, clones, **flags)
  assert found == again
  first, second = first.values(), second.values()
  assert [n for n in first if first[n].tobytes() != second[n].tobytes()] == []


def test_batch_norm_of_each_replica():
  """Without synchronization each normalizes by its own share of the batch.

  The moving averages follow the mean of the statistics, once.
  """
  training = Training(normalized, 2)
  ((images, labels),) = batches(1)
  images[::2] += 3  # the shares differ
  shares = training.session.run(
    ['conv1/Conv2D:0', 'clone_1/conv1/Conv2D:0'],
    {training.images: images, training.labels: labels},
  )
  before = training.values()['conv1/BatchNorm/moving_variance']
  training.step(images, labels)
  after = training.values()
  means = [share.mean((0, 1, 2)) for share in shares]
  assert np.abs(means[0] - means[1]).max() > 0.1
  np.testing.assert_allclose(
    after['conv1/BatchNorm/moving_mean'],
    0.5 * np.mean(means, 0),
    rtol=1e-4,
    atol=1e-6,
  )
  variances = [share.reshape(-1, 4).var(0, ddof=1) for share in shares]
  np.testing.assert_allclose(
    after['conv1/BatchNorm/moving_variance'],
    0.5 * before + 0.5 * np.mean(variances, 0),
    rtol=1e-4,
  )
  want, _ = Training(normalized).step(images, labels)
  got, _ = Training(normalized, 2).step(images, labels)
  assert abs(got['loss'] - want['loss']) > 1e-3


@pytest.mark.slow
def test_synchronized_averages():
  """They follow the statistics of the whole batch."""
  want, _ = trained(2, normalized)
  got, _ = trained(2, normalized, 2, sync_batch_norm=True)
  for name in 'mean', 'variance':
    name = f'conv1/BatchNorm/moving_{name}'
    np.testing.assert_allclose(
      got.values()[name], want.values()[name], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
  'network, flags',
  [
    (plain, {}),
    pytest.param(normalized, {'sync_batch_norm': True}, marks=pytest.mark.slow),
    (normalized, {'num_micro_batches': 2}),
  ],
)
@pytest.mark.parametrize('bad', [pytest.param(0, marks=pytest.mark.slow), 1])
def test_one_bad_replica_changes_nothing(network, flags, bad):
  """Neither weights nor slots, their averages or the step."""
  training = Training(network, 2, moving_average_decay=0.5, **flags)
  first, second = batches(2)
  training.step(*first)
  before = training.values()
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=train_step.NOT_FINITE
  ):
    training.step(*second, np.where(np.arange(2) == bad, math.nan, 0))
  after = training.values()
  changed = [
    name for name in before if before[name].tobytes() != after[name].tobytes()
  ]
  assert [
    name
    for name in changed
    if '/moving_mean' not in name and '/moving_variance' not in name
  ] == []


def test_activations_that_are_not_finite_in_one_replica():
  """Though its loss is: batch norm has seen them."""
  training = Training(normalized, 2)
  ((images, labels),) = batches(1)
  images[1, 0, 0, 0] = math.nan
  before = training.values()
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=train_step.NOT_FINITE
  ):
    training.step(images, labels)
  weights = training.values()['conv1/weights']
  assert weights.tobytes() == before['conv1/weights'].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize('parts', [1, 2])
def test_moving_averages_follow(parts):
  """Those of one device at the same batches; each variable has one."""
  flags = {'moving_average_decay': 0.2, 'num_micro_batches': parts}
  want, _ = trained(3, **flags)
  got, _ = trained(3, clones=2, **flags)
  agree(got, want)
  assert len(got.built.shadows) == 6
  name = 'conv1/weights'
  values = got.values()
  average = values[f'{name}/ExponentialMovingAverage']
  assert np.abs(average - values[name]).max() > 1e-4


def test_nobody_asks_to_stop_a_process_that_is_alone():
  training = Training(plain, 2)
  ((images, labels),) = batches(1)
  feed = {training.images: images, training.labels: labels}
  run = training.session.run
  assert BATCH == len(images)
  assert run(training.built.stop, feed) == 0
  assert run(training.built.stop, {**feed, training.built.asked: 1.0}) == 1
