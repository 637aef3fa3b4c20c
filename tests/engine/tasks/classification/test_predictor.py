"""The predictor, against the same network run plainly."""

import functools
import tracemalloc

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints.contents import read_values
from engine.config import scripts
from engine.resolve.evaluation import evaluation
from engine.tasks.base import Said
from engine.tasks.classification import predictor
from metrics import classification
from nets import nets_factory
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


@pytest.fixture
def predict(colours_run):
  """predict(**flags): a predictor with the weights of the colours."""
  opened = []

  def build(**flags):
    given = evaluation(
      scripts.EvalConfig(checkpoint_path=str(colours_run.folder), **flags)
    )
    opened.append(predictor.Predictor(given.config, given.dataset, 5))
    opened[-1].restore(given.checkpoint)
    return opened[-1]

  yield build
  for each in opened:
    each.close()


def _plainly(run, *views):
  """The logits of images, each view of them, by a network of its own."""
  with tf.Graph().as_default(), tf.Session() as session:
    found = []
    for images in views:
      with tf.variable_scope('', reuse=bool(found)):
        logits, _ = nets_factory.get_network_fn('resnet_v1_tiny', 5)(
          tf.constant(images)
        )
      found.append(logits)
    saver = tf.train.Saver(tf.global_variables())
    saver.restore(session, str(run.folder / 'model.ckpt-30'))
    return session.run(found)


@functools.cache
def _images(size=32):
  """The images of the validation, prepared by the recipe 'digits'."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    data = tf.placeholder(tf.string, [])
    image = tf.cast(
      tf.io.decode_image(data, channels=3, expand_animations=False), tf.float32
    )
    image.set_shape([40, 40, 3])
    image = tf.image.resize_bilinear(
      image[None], [size, size], half_pixel_centers=True
    )[0]
    for seed in range(1000, 1023):
      feature = builders.colour_example(seed // 2 % 5, seed).features.feature
      (encoded,) = feature['image/encoded'].bytes_list.value
      found.append(session.run(image / 127.5 - 1, {data: encoded}))
  return np.stack(found)


def _logits(found):
  """All that a predictor says, one batch below the other."""
  return np.concatenate([batch.logits for batch in found.batches('')])


def _same(one, other):
  """Both are the same predictions, bit for bit."""
  for name, *columns in zip(
    one.outcomes._fields, one.outcomes, other.outcomes, strict=True
  ):
    np.testing.assert_array_equal(*columns, name)
  np.testing.assert_array_equal(one.records, other.records)
  assert one.classes == other.classes


LABELS = [seed // 2 % 5 for seed in range(1000, 1023)]


@pytest.mark.parametrize(
  'batch_size',
  [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 100))],
)
def test_every_example_once_on_each_call(predict, colours_run, batch_size):
  found = predict(batch_size=batch_size)
  assert found.views == 1 and found.source.num_examples == 23
  (expected,) = _plainly(colours_run, _images())
  for _ in range(2):
    batches = [*found.batches('')]
    logits, labels, records = map(np.concatenate, zip(*batches, strict=True))
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert (logits.dtype, labels.dtype, records.dtype) == (
      np.float32,
      np.int64,
      np.int64,
    )
    assert labels.tolist() == LABELS and records.tolist() == list(range(23))
    _same(
      found.predict(),
      predictor.Predictions(
        classification.outcomes(logits, labels), records, 5
      ),
    )


def test_some_batches(predict):
  def records(batches):
    found = predict(batch_size=5, max_num_batches=batches)
    return found.predict().records.tolist()

  assert records(1) == [0, 1, 2, 3, 4]
  assert len(records(2)) == 10
  assert len(records(99)) == 23


def test_loading_other_weights(predict, colours_run):
  """And back again; the graph stays as it is."""
  found = predict()
  values = read_values(str(colours_run.folder / 'model.ckpt-30'))
  assert set(found.variables) < set(values)
  assert 'global_step' in values
  assert any(name.endswith('moving_mean') for name in found.variables)
  before = _logits(found)
  size = len(found.graph.get_operations())
  bias = next(n for n in found.variables if n.endswith('logits/biases'))
  found.load({**values, bias: values[bias] + np.float32([0, 0, 1, 0, 0])})
  np.testing.assert_allclose(
    _logits(found) - before, np.tile([0, 0, 1, 0, 0], (23, 1)), atol=1e-4
  )
  found.load(values)
  np.testing.assert_array_equal(_logits(found), before)
  assert len(found.graph.get_operations()) == size


def test_values_that_do_not_fit(predict):
  found = predict()
  with pytest.raises(
    ValueError,
    match=(
      r'What was given lacks \d+ variables of the network, resnet_v1_tiny/'
      r'\S+, \S+, \S+ and \d+ more: is --model_name right\?'
    ),
  ):
    found.load({})
  values = {
    name: np.zeros(variable.shape)
    for name, variable in found._variables.items()
  }
  name = 'resnet_v1_tiny/logits/weights'
  with pytest.raises(
    ValueError,
    match=(
      rf'{name} is \[1, 1, \d+, 5\] in the network and \[3\] in what was '
      'given: is the number of classes right'
    ),
  ):
    found.load({**values, name: np.zeros(3)})


def test_a_checkpoint_of_another_network(predict, digits_run):
  with pytest.raises(
    ValueError,
    match=(
      'model.ckpt-6 is of resnet_v2_tiny .*pass --model_name=resnet_v2_tiny'
    ),
  ):
    predict().restore(str(digits_run.folder / 'model.ckpt-6'))


def test_reading_averages(workplace):
  builders.write_checkpoint(
    'a.ckpt',
    {
      'w': np.float32([1]),
      'w/ExponentialMovingAverage': np.float32([2]),
      'v': np.float32([3]),
    },
  )
  assert read_values('a.ckpt') == {'w': [1], 'v': [3]}
  assert read_values('a.ckpt', 0.9) == {'w': [2]}
  assert read_values('a.ckpt', names=['v', 'x']) == {'v': [3]}
  builders.write_checkpoint('b.ckpt', {'w': np.float32([1])})
  with pytest.raises(
    ValueError,
    match=(
      'The checkpoint b.ckpt lacks moving averages of the weights: was it '
      'trained with --moving_average_decay'
    ),
  ):
    read_values('b.ckpt', True)


def test_comparing_statistics(predict, colours_run):
  """By moving averages as ever; by the batch as one batch gives."""
  found = predict()
  expected = found.predict()
  for _ in range(2):
    moving, batch = found.compare(1000)
    order = np.argsort(moving.records)
    np.testing.assert_array_equal(moving.records[order], expected.records)
    losses = moving.outcomes.losses
    np.testing.assert_allclose(
      losses[order], expected.outcomes.losses, rtol=1e-2, atol=1e-8
    )
    labels = np.array(LABELS)[moving.records]
    np.testing.assert_array_equal(moving.outcomes.labels, labels)
    np.testing.assert_array_equal(batch.outcomes.labels, labels)
    assert np.abs(np.log(losses / batch.outcomes.losses)).max() > 0.1


# Several views.


def _log_mean(logits):
  shares = [
    np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    for x in np.asarray(logits, np.float64)
  ]
  return np.log(np.mean(shares, 0))


def test_flip(predict, colours_run):
  found = predict(flip=True, batch_size=7)
  assert found.views == 2 and found.compare(10) is None
  images = _images()
  np.testing.assert_allclose(
    _logits(found),
    _log_mean(_plainly(colours_run, images, images[:, :, ::-1])),
    atol=1e-3,
  )


def test_scales(predict, colours_run):
  found = predict(scales='0.5,1,1.25')
  assert found.views == 3
  np.testing.assert_allclose(
    _logits(found),
    _log_mean(_plainly(colours_run, *map(_images, (16, 32, 40)))),
    atol=1e-3,
  )


def test_ten_crop(predict, colours_run):
  """Of an image of 32 * 256 / 224 = 37 pixels."""
  found = predict(ten_crop=True)
  images, seen = _images(37), []
  for y, x in ((0, 0), (0, 5), (5, 0), (5, 5), (2, 2)):
    crop = images[:, y : y + 32, x : x + 32]
    seen += [crop, crop[:, :, ::-1]]
  assert found.views == 10
  np.testing.assert_allclose(
    _logits(found),
    _log_mean(np.split(_plainly(colours_run, np.concatenate(seen))[0], 10)),
    atol=1e-3,
  )


# An ensemble.


def test_members_are_matched_by_record():
  """In whatever order, and of those that each has."""
  random = np.random.RandomState(0)
  rows = random.normal(0, 2, (2, 10, 3))
  orders = [[7, 2, 5, 0, 9], [9, 5, 1, 2, 3, 7]]
  found = predictor.combine(
    [
      predictor.LogitsBatch(
        rows[i][order].astype(np.float32), np.array(order) % 2, np.array(order)
      )
      for i, order in enumerate(orders)
    ]
  )
  assert found.records.tolist() == [2, 5, 7, 9]
  assert found.labels.tolist() == [0, 1, 1, 1]
  shares = np.exp(rows) / np.exp(rows).sum(-1, keepdims=True)
  np.testing.assert_allclose(
    np.exp(found.logits), shares.mean(0)[[2, 5, 7, 9]], rtol=1e-5
  )


def test_members_side_by_side(predict):
  """Each as alone, and their mean as if all logits were there at once."""
  networks = [predict(batch_size=5), predict(batch_size=5, flip=True)]
  (*members,), mean = predictor.predict_together(networks, ['one', 'two'])
  for network, member in zip(networks, members, strict=True):
    _same(member, network.predict())
  records = np.arange(23)
  logits, labels, _ = predictor.combine(
    [
      predictor.LogitsBatch(_logits(each), np.array(LABELS), records)
      for each in networks
    ]
  )
  _same(
    mean,
    predictor.Predictions(classification.outcomes(logits, labels), records, 5),
  )
  assert not np.array_equal(mean.outcomes.losses, members[0].outcomes.losses)


# Memory.

CLASSES, SIZE = 1000, 100


class Random(predictor.Predictor):
  """Says anything of examples that are not there."""

  def __init__(self, batches):
    self.num_classes, self._count = CLASSES, batches

  def batches(self, title):
    random = np.random.RandomState(0)
    for i in range(self._count):
      yield predictor.LogitsBatch(
        random.rand(SIZE, CLASSES).astype(np.float32),
        random.randint(0, CLASSES, SIZE),
        np.arange(i * SIZE, (i + 1) * SIZE),
      )


def _said(batches):
  """The same, as an exported model says it, image by image."""
  for batch in Random(batches).batches(''):
    for logits, label, record in zip(*batch, strict=True):
      yield Said(record, label, np.zeros([1, 1, 3]), {'logits': logits})


WAYS = {
  'checkpoint': lambda batches: Random(batches).predict(),
  'ensemble': lambda batches: predictor.predict_together(
    [Random(batches), Random(batches)], ['', '']
  )[1],
  'exported': lambda batches: predictor.gathered(_said(batches), 0),
}


@pytest.mark.parametrize('way', WAYS)
def test_memory_is_that_of_a_few_numbers_an_example(way):
  """The logits would be 80 MB, the confusion matrix is 8 MB."""
  tracemalloc.start()
  try:
    found = WAYS[way](200)
    kept, _ = tracemalloc.get_traced_memory()
    metrics = found.metrics()
    _, most = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert metrics['examples'] == 20_000 and metrics['loss'] > 0
  assert kept < 20_000 * 56  # six columns
  assert most < 12e6
