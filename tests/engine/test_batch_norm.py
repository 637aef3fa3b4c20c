"""Population statistics against NumPy, and in a network."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine import batch_norm


def _add(population, batch):
  axes = tuple(range(batch.ndim - 1))
  population.add(batch.mean(axes), batch.var(axes, ddof=1),
                 batch.size // batch.shape[-1])


def test_population():
  random = np.random.RandomState(0)
  batches = [random.normal(5 * i, 1 + i, (size, 3)) for i, size in
             enumerate([2, 50, 7, 1000, 13])]
  population = batch_norm.Population()
  for batch in batches:
    _add(population, batch)
  values = np.concatenate(batches)
  assert population.count == 1072
  np.testing.assert_allclose(population.mean, values.mean(0), rtol=1e-12)
  np.testing.assert_allclose(population.variance, values.var(0, ddof=1),
                             rtol=1e-12)


def test_population_of_large_mean():
  """No cancellation, which sums of squares would suffer from."""
  random = np.random.RandomState(0)
  batches = [random.normal(1e8, 1, (100, 2)) for _ in range(5)]
  population = batch_norm.Population()
  for batch in batches:
    _add(population, batch)
  np.testing.assert_allclose(
      population.variance, np.concatenate(batches).var(0, ddof=1), rtol=1e-6)


def test_population_of_many_values():
  """A session returns the count as an int32, whose products overflow."""
  population = batch_norm.Population()
  for value in (-1., 1.):
    population.add(np.array([value]), np.array([4.]), np.int32(2 ** 30))
  assert population.count == 2 ** 31
  np.testing.assert_allclose(population.variance, [5.], rtol=1e-8)


def test_population_of_single_values():
  population = batch_norm.Population()
  for value in (1., 2., 6.):
    population.add(np.array([value]), np.array([0.]), 1)
  assert population.mean == 3 and population.variance == 7


def _names(found):
  return sorted(layer.mean.op.name.removesuffix('/BatchNorm/moving_mean')
                for layer in found)


LAYERS = ['tiny/block1/unit_1/bottleneck_v1/' + name for name in
          ('conv1', 'conv2', 'conv3', 'shortcut')] + [
          'tiny/block1/unit_2/bottleneck_v1/' + name for name in
          ('conv1', 'conv2', 'conv3')] + ['tiny/conv1']


def test_no_layers_in_evaluation(graph, tiny):
  tiny(tf.zeros([4, 32, 32, 3]), is_training=False)
  assert batch_norm.layers(graph) == []


def test_layers_in_training(graph, tiny):
  tiny(tf.zeros([4, 32, 32, 3]), is_training=True)
  tiny(tf.zeros([4, 32, 32, 3]), is_training=True, reuse=True)
  tiny(tf.zeros([4, 32, 32, 3]), is_training=False, reuse=True)
  found = batch_norm.layers(graph)
  assert _names(found) == LAYERS  # each once
  for layer in found:
    scope = layer.mean.op.name.removesuffix('/moving_mean')
    assert layer.variance.op.name == scope + '/moving_variance'
    assert all(t.op.name.startswith(scope + '/') for t in layer.batch[:2])


def test_layers_count_values(graph, tiny):
  images = tf.placeholder(tf.float32, [None, None, None, 3])
  tiny(images, is_training=True)
  counts = {layer.mean.op.name: layer.batch[2]
            for layer in batch_norm.layers(graph)}
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert session.run(counts['tiny/conv1/BatchNorm/moving_mean'], {
        images: np.zeros((3, 32, 48, 3))}) == 3 * 16 * 24


@pytest.fixture
def trained(graph, tiny):
  """A network with batches that differ in their statistics and sizes."""
  random = np.random.RandomState(0)
  data = [random.normal(i, 1 + i, (size, 32, 32, 3)).astype(np.float32)
          for i, size in enumerate([4, 9, 6])]
  def batches():
    yield from data
  dataset = tf.data.Dataset.from_generator(
      batches, tf.float32, [None, 32, 32, 3]).repeat()
  iterator = tf.data.make_initializable_iterator(dataset)
  images = iterator.get_next()
  logits, _ = tiny(images, is_training=True)
  return data, iterator.initializer, images, logits


def _values(session, found):
  return [session.run([layer.mean, layer.variance]) for layer in found]


def test_first_layer_exactly(graph, trained):
  data, initializer, images, _ = trained
  found = batch_norm.layers(graph)
  convolved = graph.get_tensor_by_name('tiny/conv1/Conv2D:0')
  seen = []
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    batch_norm.recalibrate(session, found, 3, lambda: seen.append(1))
    outputs = np.concatenate([
        session.run(convolved, {images: batch}).reshape(-1, 64)
        for batch in data]).astype(np.float64)
    values = dict(zip(_names_in_order(found), _values(session, found),
                      strict=True))
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
    batch_norm.recalibrate(session, found, 3)
    for mean, variance in _values(session, found):
      assert (mean != 0).all() and (variance != 1).all()


def test_twice_is_once(graph, trained):
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    weights = session.run(tf.trainable_variables())
    batch_norm.recalibrate(session, found, 3)
    once = _values(session, found)
    batch_norm.recalibrate(session, found, 3)
    np.testing.assert_equal(_values(session, found), once)
    np.testing.assert_equal(session.run(tf.trainable_variables()), weights)


def test_in_a_finalized_graph(graph, trained):
  """As at the end of training, in a MonitoredSession."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  start = tf.global_variables_initializer()
  graph.finalize()
  with tf.Session() as session:
    session.run([start, initializer])
    batch_norm.recalibrate(session, found, 1)


def test_evaluation_is_mended(graph, trained, tiny):
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
        tf.data.Dataset.from_tensors(everything))
    session.run(iterator.initializer)
    batch_norm.recalibrate(session, found, 3)
    after = session.run(evaluated, {images: everything})
  # Two batches and the whole differ in the deeper layers only.
  scale = np.abs(expected).mean()
  assert np.abs(before - expected).mean() > 2 * scale
  assert np.abs(after - expected).mean() < 0.5 * scale


def test_batches_of_a_run_of_its_own(graph, trained):
  """Every batch comes by `run`, and nothing else takes one."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  taken = []
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    batch_norm.recalibrate(session, found, 3)
    want = _values(session, found)
    session.run(initializer)

    def run(fetches):
      taken.append(fetches)
      return session.run(fetches)

    batch_norm.recalibrate(session, found, 3, run=run)
    np.testing.assert_equal(_values(session, found), want)
  assert len(taken) == 3


def test_averages_by_a_run_of_its_own(graph, trained):
  """The weights come back; their averages have the statistics."""
  _, initializer, _, _ = trained
  found = batch_norm.layers(graph)
  averages = tf.train.ExponentialMovingAverage(0.5)
  variables = tf.global_variables()
  averages.apply(variables)
  shadows = {variable: averages.average(variable) for variable in variables}
  taken = []
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), initializer])
    batch_norm.recalibrate(session, found, 3)
    want = _values(session, found)
    session.run(initializer)
    before = session.run(variables)
    # As yet the averages are the weights.
    batch_norm.recalibrate_averages(
        session, found, 3, shadows,
        run=lambda fetches: (taken.append(1), session.run(fetches))[1])
    np.testing.assert_equal(session.run(variables), before)
    got = [session.run([shadows[layer.mean], shadows[layer.variance]])
           for layer in found]
  assert len(taken) == 3
  for pair, other in zip(got, want, strict=True):
    np.testing.assert_allclose(pair, other, rtol=1e-5, atol=1e-6)
