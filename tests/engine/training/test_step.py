"""A step: in parts or at once, and what a failed one leaves."""

import math
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.scripts import TrainConfig
from engine.config.tasks import get_task
from engine.model import sync_batch_norm
from engine.replicas.replicas import Replicas, devices
from engine.training import step as train_step
from nets.slim_compat import slim
from tests import builders

BATCH, CLASSES = 8, 5


def batches(count):
  random = np.random.RandomState(0)
  return [
    (
      random.normal(size=(BATCH, 6, 6, 3)).astype(np.float32),
      random.randint(0, CLASSES, BATCH),
    )
    for _ in range(count)
  ]


def plain(images, weight_decay):
  """A network without batch norm."""
  with slim.arg_scope(
    [slim.conv2d],
    weights_initializer=tf.truncated_normal_initializer(stddev=0.3, seed=3),
    weights_regularizer=slim.l2_regularizer(weight_decay),
  ):
    net = slim.conv2d(images, 4, 3, scope='conv1')
    net = tf.reduce_mean(slim.conv2d(net, 8, 3, scope='conv2'), [1, 2])
    return slim.fully_connected(
      net,
      CLASSES,
      None,
      scope='logits',
      weights_initializer=tf.truncated_normal_initializer(stddev=0.3, seed=4),
    )


class Session:
  """What `TrainStep.take` needs of a MonitoredSession, and what it ran."""

  def __init__(self, session):
    self.session = session

  def run_step_fn(self, function):
    return function(types.SimpleNamespace(session=self.session))


class Training:
  """A network, fed with batches that it divides.

  Among parts, and each part among clones: clone r of R takes the examples n of
  a part with n mod R = r.
  """

  def __init__(self, network=plain, clones=1, **flags):
    self.config = TrainConfig(
      task='classification', learning_rate=0.1, batch_size=BATCH, **flags
    )
    self.parts = self.config.num_micro_batches
    self.graph = tf.Graph()
    with self.graph.as_default():
      tf.set_random_seed(1)
      size = BATCH // self.parts
      self.images = tf.placeholder(tf.float32, [size, 6, 6, 3])
      self.labels = tf.placeholder(tf.int64, [size])
      replicas = Replicas(devices(clones, False))
      self.waiting = tf.placeholder_with_default(
        tf.constant(0.25, tf.float64), []
      )
      self.added = tf.placeholder_with_default(tf.zeros([clones]), [clones])
      towers = []
      for i, member in enumerate(replicas.members()):
        images = self.images[i::clones] if clones > 1 else self.images
        labels = self.labels[i::clones] if clones > 1 else self.labels
        with (
          replicas.clone(i),
          sync_batch_norm.over(
            member if self.config.sync_batch_norm else None, clones
          ),
        ):
          logits = network(images, self.config.weight_decay) + self.added[i]
        towers.append(train_step.Tower(images, logits, {}, labels))
      self.built = train_step.build(
        get_task('classification'),
        self.config,
        replicas,
        towers,
        self.waiting,
        tf.constant(0.1),
        tf.train.get_or_create_global_step(),
      )
      self.session = tf.Session(
        config=tf.ConfigProto(device_count={'CPU': clones})
      )
      self.session.run(
        [tf.global_variables_initializer(), tf.local_variables_initializer()]
      )

  def step(self, images, labels, added=0.0):
    """Takes a step; returns the metrics, and the number of the step.

    Args:
      images: of the batch.
      labels: of the batch.
      added: what is added to all logits, to those of each part [parts, 1], or
        of each clone [clones].
    """
    parts = iter(
      zip(
        np.split(images, self.parts),
        np.split(labels, self.parts),
        np.broadcast_to(added, [self.parts, self.added.shape[0]]),
        strict=True,
      )
    )
    found = []

    def take(session, fetches):
      if isinstance(session, Session):  # the last part, with what hooks fetch
        fetches = fetches, self.built.metrics, self.built.step
        session = session.session
      image, label, more = next(parts)
      found.append(
        session.run(
          fetches, {self.images: image, self.labels: label, self.added: more}
        )
      )

    stream = types.SimpleNamespace(run=take)
    self.built.take(Session(self.session), stream, self.parts)
    assert next(parts, None) is None and len(found) == self.parts
    return found[-1][1:]

  def values(self):
    """Every global variable, by name."""
    variables = self.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    return dict(
      zip(
        [v.op.name for v in variables], self.session.run(variables), strict=True
      )
    )


CASES = {
  'momentum': {},
  'adam': {'optimizer': 'adam'},
  'clipping': {'clip_gradients_norm': 0.05},
  'adam, clipping': {'optimizer': 'adam', 'clip_gradients_norm': 0.05},
  'decay': {'weight_decay': 0.1},
  'smoothing': {'label_smoothing': 0.2},
  'bias decay': {'weight_decay': 0.1, 'decay_norm_and_bias': True},
  'averages': {'moving_average_decay': 0.5},
}


FAST = 'momentum', 'adam, clipping', 'averages'


@pytest.mark.parametrize(
  'case',
  [
    pytest.param(case, marks=[] if case in FAST else pytest.mark.slow)
    for case in CASES
  ],
)
def test_parts_are_the_whole(case):
  """Weights, slots, averages and metrics, after three steps."""
  flags = CASES[case]
  whole, data = Training(**flags), batches(3)
  before = whole.values()
  metrics = [whole.step(*batch) for batch in data]
  want = whole.values()
  assert np.abs(want['conv1/weights'] - before['conv1/weights']).max() > 1e-3
  for parts in (2, 4):
    divided = Training(**flags, num_micro_batches=parts)
    for batch, (wanted, number) in zip(data, metrics, strict=True):
      got, step = divided.step(*batch)
      assert step == number
      assert got.pop('waiting') == 0.25 * parts  # of all parts
      assert got == pytest.approx(
        {name: value for name, value in wanted.items() if name != 'waiting'},
        rel=1e-5,
        abs=1e-6,
      )
    got = divided.values()
    assert got.keys() == want.keys()
    for name, value in want.items():
      # Adam divides by gradients that are nearly 0.
      np.testing.assert_allclose(
        got[name], value, err_msg=name, atol=1e-6, rtol=1e-4 * ('adam' in case)
      )


def test_the_metrics():
  """Against NumPy; the total has the regularization, once."""
  trained = Training(
    weight_decay=0.1, num_micro_batches=2, label_smoothing=0.25
  )
  ((images, labels),) = batches(1)
  before = trained.values()
  logits_op = trained.graph.get_tensor_by_name('logits/BiasAdd:0')
  logits = np.concatenate(
    [
      trained.session.run(logits_op, {trained.images: part})
      for part in np.split(images, 2)
    ]
  )
  shares = np.eye(CLASSES)[labels] * 0.75 + 0.05
  logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  loss = -(shares * logs).sum(-1).mean()
  decay = 0.05 * sum(
    (value.astype(float) ** 2).sum()
    for name, value in before.items()
    if name in ('conv1/weights', 'conv2/weights')
  )
  metrics, step = trained.step(images, labels)
  assert step == 1 and metrics['waiting'] == 0.5
  assert metrics['loss'] == pytest.approx(loss, rel=1e-5)
  assert metrics['total_loss'] == pytest.approx(loss + decay, rel=1e-5)
  assert metrics['accuracy'] == (logits.argmax(-1) == labels).mean()


def test_nothing_changes_before_the_last_part():
  trained = Training(num_micro_batches=4, moving_average_decay=0.5)
  before = trained.values()
  trained.session.run(
    trained.built.accumulate,
    {trained.images: np.ones([2, 6, 6, 3]), trained.labels: [0, 1]},
  )
  after = trained.values()
  assert all(
    after[name].tobytes() == value.tobytes() for name, value in before.items()
  )


def normalized(images, weight_decay):
  """A network with batch norm, of a decay at which a step shows."""
  with slim.arg_scope(
    [slim.conv2d],
    normalizer_fn=slim.batch_norm,
    normalizer_params={'decay': 0.5, 'is_training': True},
  ):
    return plain(images, weight_decay)


@pytest.mark.parametrize('network', [plain, normalized])
@pytest.mark.parametrize('parts, bad', [(1, 0), (2, 0), (2, 1)])
@pytest.mark.parametrize(
  'value', [math.nan, pytest.param(math.inf, marks=pytest.mark.slow)]
)
def test_a_failed_step_changes_nothing(network, parts, bad, value):
  """Neither weights nor slots, their averages or the step.

  Batch norm's moving averages may be lost, with the session.
  """
  trained = Training(network, num_micro_batches=parts, moving_average_decay=0.5)
  first, second = batches(2)
  trained.step(*first)
  before = trained.values()
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=train_step.NOT_FINITE
  ):
    trained.step(*second, np.where(np.arange(parts) == bad, value, 0)[:, None])
  after = trained.values()
  changed = [
    name
    for name, value in before.items()
    if after[name].tobytes() != value.tobytes()
  ]
  assert [
    name
    for name in changed
    if not name.removesuffix('/ExponentialMovingAverage').endswith(
      ('/moving_mean', '/moving_variance')
    )
  ] == []


def test_batch_norm_sees_every_part():
  trained = Training(normalized, num_micro_batches=2)
  ((images, labels),) = batches(1)
  ends = [
    trained.session.run('conv1/Conv2D:0', {trained.images: part})
    for part in np.split(images, 2)
  ]
  trained.step(images, labels)
  want = np.zeros(4)
  for values in ends:
    want = (want + values.mean((0, 1, 2))) / 2
  np.testing.assert_allclose(
    trained.values()['conv1/BatchNorm/moving_mean'], want, rtol=1e-4, atol=1e-6
  )


@pytest.mark.parametrize('parts', [1, 2])
def test_moving_averages_follow(parts):
  """By min(decay, (1 + n) / (10 + n)), of the weights after each step."""
  trained = Training(moving_average_decay=0.2, num_micro_batches=parts)
  name = 'conv1/weights'
  average = trained.values()[name].astype(float)
  for number, batch in enumerate(batches(3), 1):
    trained.step(*batch)
    values = trained.values()
    decay = min(0.2, (1 + number) / (10 + number))
    average = decay * average + (1 - decay) * values[name]
    np.testing.assert_allclose(
      values[f'{name}/ExponentialMovingAverage'], average, rtol=1e-5, atol=1e-7
    )
  assert {v.op.name for v in trained.built.shadows} == {
    'conv1/weights',
    'conv1/biases',
    'conv2/weights',
    'conv2/biases',
    'logits/weights',
    'logits/biases',
  }


def test_one_part_adds_nothing_to_the_graph():
  trained = Training()
  assert trained.built.accumulate is None and trained.built.shadows == {}
  assert trained.graph.get_collection(tf.GraphKeys.LOCAL_VARIABLES) == []


def test_nothing_is_kept_between_two_steps():
  """A training from the values after a step resumes to the same bits."""
  flags = {
    'num_micro_batches': 2,
    'optimizer': 'adam',
    'moving_average_decay': 0.5,
  }
  data = batches(4)
  whole, rest = Training(**flags), Training(**flags)
  for batch in data[:2]:
    whole.step(*batch)
  with rest.graph.as_default():
    for variable in tf.global_variables():
      variable.load(whole.values()[variable.op.name], rest.session)
  for batch in data[2:]:
    whole.step(*batch)
    rest.step(*batch)
  want, got = whole.values(), rest.values()
  assert want['global_step'] == got['global_step'] == 4
  assert [
    name for name in want if want[name].tobytes() != got[name].tobytes()
  ] == []


@pytest.mark.slow  # test_kills has parts too
@pytest.mark.usefixtures('workplace', 'unevaluated')
def test_restart_with_parts(colours):
  """Through the script: resumed halfway, the data begin at the right part."""
  flags = {
    **builders.fast(colours),
    'num_micro_batches': 4,
    'recalibrate_batch_norm_batches': 1,
    'moving_average_decay': 0.9,
  }
  for folder, steps in ('whole', 4), ('run', 2), ('run', 4):
    printed = builders.train(
      **{**flags, 'train_dir': folder, 'max_number_of_steps': steps}
    )
    assert printed.status == 0, printed.err
  assert 'Resuming from run/model.ckpt-2, step 2.' in printed.out
  # Batch norm's averages of before were replaced at the end of the two steps.
  assert builders.differing('whole', 'run') == []
