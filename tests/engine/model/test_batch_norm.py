"""Population statistics against NumPy, and in a network."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common.variables import assign
from engine.model import batch_norm
from engine.replicas import workers
from nets import decoders
from tests import builders


def _add(population, batch):
  axes = tuple(range(batch.ndim - 1))
  population.add(
    batch.mean(axes), batch.var(axes, ddof=1), batch.size // batch.shape[-1]
  )


def test_population():
  random = np.random.RandomState(0)
  batches = [
    random.normal(5 * i, 1 + i, (size, 3))
    for i, size in enumerate([2, 50, 7, 1000, 13])
  ]
  population = batch_norm.Population()
  for batch in batches:
    _add(population, batch)
  values = np.concatenate(batches)
  assert population.count == 1072
  np.testing.assert_allclose(population.mean, values.mean(0), rtol=1e-12)
  np.testing.assert_allclose(
    population.variance, values.var(0, ddof=1), rtol=1e-12
  )


def test_population_of_large_mean():
  """No cancellation, which sums of squares would suffer from."""
  random = np.random.RandomState(0)
  batches = [random.normal(1e8, 1, (100, 2)) for _ in range(5)]
  population = batch_norm.Population()
  for batch in batches:
    _add(population, batch)
  np.testing.assert_allclose(
    population.variance, np.concatenate(batches).var(0, ddof=1), rtol=1e-6
  )


def test_population_of_many_values():
  """A session returns the count as an int32, whose products overflow."""
  population = batch_norm.Population()
  for value in (-1.0, 1.0):
    population.add(np.array([value]), np.array([4.0]), np.int32(2**30))
  assert population.count == 2**31
  np.testing.assert_allclose(population.variance, [5.0], rtol=1e-8)


def test_population_of_single_values():
  population = batch_norm.Population()
  for value in (1.0, 2.0, 6.0):
    population.add(np.array([value]), np.array([0.0]), 1)
  assert population.mean == 3 and population.variance == 7


def _names(found):
  return sorted(
    layer.mean.op.name.removesuffix('/BatchNorm/moving_mean') for layer in found
  )


LAYERS = (
  [
    'tiny/block1/unit_1/bottleneck_v1/' + name
    for name in ('conv1', 'conv2', 'conv3', 'shortcut')
  ]
  + [
    'tiny/block1/unit_2/bottleneck_v1/' + name
    for name in ('conv1', 'conv2', 'conv3')
  ]
  + ['tiny/conv1']
)


def test_no_layers_in_evaluation(graph, tiny):
  tiny(tf.zeros([4, 32, 32, 3]), is_training=False)
  assert batch_norm.layers(graph) == []


def test_layers_in_training(graph, tiny):
  tiny(tf.zeros([4, 32, 32, 3]), is_training=True)
  tiny(tf.zeros([4, 32, 32, 3]), is_training=True, reuse=True)
  tiny(tf.zeros([4, 32, 32, 3]), is_training=False, reuse=True)
  found = batch_norm.layers(graph)
  assert _names(found) == sorted(2 * LAYERS)
  for layer in found:
    scope = layer.mean.op.name.removesuffix('/moving_mean')
    assert layer.variance.op.name == scope + '/moving_variance'
    own = (scope, scope.replace('tiny', 'tiny_1', 1))  # of the second
    assert all(t.op.name.rpartition('/')[0] in own for t in layer.batch[:2])


def test_layers_count_values(graph, tiny):
  images = tf.placeholder(tf.float32, [None, None, None, 3])
  tiny(images, is_training=True)
  counts = {
    layer.mean.op.name: layer.batch[2] for layer in batch_norm.layers(graph)
  }
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert (
      session.run(
        counts['tiny/conv1/BatchNorm/moving_mean'],
        {images: np.zeros((3, 32, 48, 3))},
      )
      == 3 * 16 * 24
    )


@pytest.fixture
def trained(graph, tiny):
  """A network with batches that differ in their statistics and sizes."""
  random = np.random.RandomState(0)
  data = [
    random.normal(i, 1 + i, (size, 32, 32, 3)).astype(np.float32)
    for i, size in enumerate([4, 9, 6])
  ]

  def batches():
    yield from data

  dataset = tf.data.Dataset.from_generator(
    batches, tf.float32, [None, 32, 32, 3]
  ).repeat()
  iterator = tf.data.make_initializable_iterator(dataset)
  images = iterator.get_next()
  logits, _ = tiny(images, is_training=True)
  return data, iterator.initializer, images, logits


def _recalibrate(session, found, batches, on_batch=lambda: None):
  assign(session, batch_norm.measure(session.run, found, batches, on_batch))


def _values(session, found):
  return [session.run([layer.mean, layer.variance]) for layer in found]


def test_first_layer_exactly(graph, trained):
  data, initializer, images, _ = trained
  found = batch_norm.layers(graph)
  convolved = graph.get_tensor_by_name('tiny/conv1/Conv2D:0')
  seen = []
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    _recalibrate(session, found, 3, lambda: seen.append(1))
    outputs = np.concatenate(
      [
        session.run(convolved, {images: batch}).reshape(-1, 64)
        for batch in data
      ]
    ).astype(np.float64)
    values = dict(
      zip(_names_in_order(found), _values(session, found), strict=True)
    )
  assert len(seen) == 3 and len(outputs) == 19 * 16 * 16
  mean, variance = values['tiny/conv1']
  np.testing.assert_allclose(mean, outputs.mean(0), rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(variance, outputs.var(0, ddof=1), rtol=1e-5)


def _names_in_order(found):
  return [_names([layer])[0] for layer in found]


def test_every_layer_is_replaced(graph, trained):
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    _recalibrate(session, found, 3)
    for mean, variance in _values(session, found):
      assert (mean != 0).all() and (variance != 1).all()


def test_twice_is_once(graph, trained):
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    weights = session.run(tf.trainable_variables())
    _recalibrate(session, found, 3)
    once = _values(session, found)
    _recalibrate(session, found, 3)
    np.testing.assert_equal(_values(session, found), once)
    np.testing.assert_equal(session.run(tf.trainable_variables()), weights)


def test_batches_of_a_run_of_its_own(graph, trained):
  """Every batch comes by `run`, and nothing changes but what is assigned."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  taken = []
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    before = session.run(tf.global_variables())

    def run(fetches):
      taken.append(fetches)
      return session.run(fetches)

    values = batch_norm.measure(run, found, 3)
    np.testing.assert_equal(session.run(tf.global_variables()), before)
    assign(session, values)
    for variable, value in values.items():
      np.testing.assert_allclose(session.run(variable), value, rtol=1e-6)
  assert len(taken) == 3
  assert values.keys() == {
    variable for layer in found for variable in (layer.mean, layer.variance)
  }


def test_averages_by_a_run_of_its_own(graph, trained):
  """The weights come back; the values are those of their averages."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  averages = tf.train.ExponentialMovingAverage(0.5)
  variables = tf.global_variables()
  averages.apply(variables)
  shadows = {variable: averages.average(variable) for variable in variables}
  kernel = next(v for v in variables if v.op.name == 'tiny/conv1/weights')
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    # Twice the kernel has twice the mean, and four times the variance.
    assign(session, {shadows[kernel]: 2 * session.run(kernel)})
    raw = batch_norm.measure(session.run, found, 3)
    before = session.run(variables)
    session.run(initializer)
    got = batch_norm.measure_averages(
      session, lambda: batch_norm.measure(session.run, found, 3), shadows
    )
    np.testing.assert_equal(session.run(variables), before)
  assert got.keys() == {shadows[variable] for variable in raw}
  first = next(
    layer
    for layer in found
    if layer.mean.op.name == 'tiny/conv1/BatchNorm/moving_mean'
  )
  for variable, factor in (first.mean, 2), (first.variance, 4):
    np.testing.assert_allclose(
      got[shadows[variable]], factor * raw[variable], rtol=1e-4, atol=1e-5
    )


@pytest.fixture
def streamed(graph, tiny, make_dataset):
  """A network on the batches of a stream, which is at batch 2 of noise."""
  source = builders.source(
    make_dataset(range(10)),
    lambda image, height, width, seed: tf.random.stateless_normal(
      [height, width, 3], seed
    ),
    16,
  )
  stream = source.training(4, 0, 0)
  tiny(stream.batch.images, is_training=True)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), tf.tables_initializer()])
    stream.seek(session, 2)
    yield session, stream


def test_recalibration(graph, streamed):
  """On the batches to come; afterwards the stream stands where it stood."""
  session, stream = streamed
  found = batch_norm.layers(graph)
  want = batch_norm.measure(
    lambda fetches: stream.run(session, fetches), found, 3
  )
  assert stream.position == 5
  stream.seek(session, 2)
  recalibration = batch_norm.Recalibration(stream, 3, {})
  assert recalibration.batches == 3
  for _ in range(2):  # to do it twice is to do it once
    recalibration.apply(session)
    assert stream.position == 2
    for variable, value in want.items():
      np.testing.assert_array_equal(
        session.run(variable), value.astype(np.float32)
      )
  records = stream.run(session, stream.batch.records)
  stream.seek(session, 2)
  np.testing.assert_array_equal(
    stream.run(session, stream.batch.records), records
  )


@pytest.mark.slow
def test_recalibration_without_what_is_only_trained_with(graph, streamed):
  """Such as dropout: what feeds it away is fed with every batch."""
  session, stream = streamed
  rate = tf.placeholder_with_default(0.5, [])
  (layer,) = batch_norm.layers(graph)[:1]
  mean, *rest = layer.batch
  layer = layer._replace(batch=(mean + rate, *rest))
  recalibrations = [
    batch_norm.Recalibration(stream, 1, {}, feed) for feed in (None, {rate: 0})
  ]
  found = []
  for each in recalibrations:
    each._layers = [layer]
    found.append(each.measure(session)[layer.mean])
  np.testing.assert_allclose(found[0], found[1] + 0.5, rtol=1e-5)


def test_recalibration_of_averages(graph, streamed):
  """As yet they are the weights, which have other batches."""
  session, stream = streamed
  averages = tf.train.ExponentialMovingAverage(0.5)
  variables = tf.global_variables()
  averages.apply(variables)
  shadows = {variable: averages.average(variable) for variable in variables}
  session.run(tf.variables_initializer(list(shadows.values())))
  values = batch_norm.Recalibration(stream, 2, shadows).measure(session)
  stream.seek(session, 4)
  later = batch_norm.Recalibration(stream, 2, {}).measure(session)
  assert len(values) == 2 * len(later) == 4 * len(LAYERS)
  for variable, value in later.items():
    np.testing.assert_array_equal(values[shadows[variable]], value)


@pytest.mark.slow
def test_recalibration_by_no_batches(graph, streamed):
  session, stream = streamed
  recalibration = batch_norm.Recalibration(stream, 0, {})
  before = session.run(tf.global_variables())
  recalibration.apply(session)
  assert recalibration.batches == 0 and recalibration.measure(session) == {}
  assert stream.position == 2
  np.testing.assert_equal(session.run(tf.global_variables()), before)


def test_in_a_finalized_graph(graph, trained):
  """As at the end of training, in a MonitoredSession."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  start = tf.global_variables_initializer()
  graph.finalize()
  with tf.Session() as session:
    session.run([start, initializer])
    _recalibrate(session, found, 1)


def test_evaluation_is_repaired(graph, trained, tiny):
  """Evaluation with the population's statistics is that with a batch's."""
  data, initializer, images, by_batch = trained
  evaluated, _ = tiny(images, is_training=False, reuse=True)
  found = batch_norm.layers(graph)
  everything = np.concatenate(data)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    expected = session.run(by_batch, {images: everything})
    before = session.run(evaluated, {images: everything})
    iterator = tf.data.make_initializable_iterator(
      tf.data.Dataset.from_tensors(everything)
    )
    session.run(iterator.initializer)
    _recalibrate(session, found, 3)
    after = session.run(evaluated, {images: everything})
  # Two batches and the whole differ in the deeper layers only.
  scale = np.abs(expected).mean()
  assert np.abs(before - expected).mean() > 2 * scale
  assert np.abs(after - expected).mean() < 0.5 * scale


@pytest.mark.slow
def test_a_decoder_of_two_stages_at_two_scales(graph):
  """All of its layers, each at both scales, which are measured as one."""
  options = {
    'aspp_with_separable_conv': True,
    'decoder_output_stride': (4, 2),
    'image_pyramid': (0.5, 1.0),
  }
  decoders.build(
    'resnet_v1_18',
    'deeplabv3plus',
    tf.zeros([2, 33, 33, 3]),
    3,
    True,
    atrous_rates=(1,),
    depth=4,
    depth_multiplier=0.01,
    decoder_options=options,
  )
  found = batch_norm.layers(graph)
  moving = [v for v in tf.global_variables() if 'moving_mean' in v.op.name]
  assert _names(found) == sorted(
    2 * [v.op.name.removesuffix('/BatchNorm/moving_mean') for v in moving]
  )
  first = found[0]
  pair = [layer for layer in found if layer.mean is first.mean]
  batches = iter([[(0.0, 1.0, 2), (6.0, 3.0, 4)]])
  values = batch_norm.measure(
    lambda fetches: [map(np.array, each) for each in next(batches)], pair, 1
  )
  assert values == {
    first.mean: 4.0,
    first.variance: (1 + 9 + 2 * 16 + 4 * 4) / 5,
  }


class Told(workers.Workers):
  """A worker of two, which hears what was told before."""

  count = 2

  def __init__(self, told):
    self._told = told

  def gather(self, arrays):
    self._told.append(arrays)
    return self._told


def test_shares_of_workers_are_joined(graph):
  """The second hears both: the mean and the variance of all values."""
  values = np.random.default_rng(0).normal(size=(2, 3, 5, 4)) + 7
  layer = batch_norm.Layer(
    tf.get_variable('mean', [4]), tf.get_variable('variance', [4]), ()
  )
  told = []
  for share in values:
    batches = iter(share)

    def run(fetches, batches=batches):
      batch = next(batches)
      return [(batch.mean(0), batch.var(0, ddof=1), len(batch))]

    with workers.use(Told(told)):
      found = batch_norm.measure(run, [layer], 3, shared=True)
  every = values.reshape(-1, 4)
  np.testing.assert_allclose(found[layer.mean], every.mean(0))
  np.testing.assert_allclose(found[layer.variance], every.var(0, ddof=1))
