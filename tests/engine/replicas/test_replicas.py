"""Where clones run, and what is summed over them, against NumPy."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.replicas import replicas, workers
from engine.replicas.collectives import Member, packs


class Two(workers.Workers):
  """Two workers, of which this is the second."""

  count, index = 2, 1


@pytest.fixture
def gpus(monkeypatch):
  """gpus(count): TensorFlow sees as many."""

  def see(count):
    monkeypatch.setattr(
      tf.config, 'list_physical_devices', lambda kind: [kind] * count
    )

  return see


def session(cpus):
  return tf.Session(config=tf.ConfigProto(device_count={'CPU': cpus}))


@pytest.mark.parametrize(
  'found, num_clones, on_cpu, places',
  [
    (0, None, False, ['']),
    (0, 1, False, ['']),
    (0, 3, False, ['/CPU:0', '/CPU:1', '/CPU:2']),
    (1, None, False, ['']),
    (2, None, False, ['/GPU:0', '/GPU:1']),
    (4, 2, False, ['/GPU:0', '/GPU:1']),
    (4, 1, False, ['']),
    (0, None, True, ['']),
    (2, None, True, ['']),
    (2, 1, True, ['']),
    (2, 3, True, ['/CPU:0', '/CPU:1', '/CPU:2']),
  ],
)
def test_devices(gpus, found, num_clones, on_cpu, places):
  gpus(found)
  assert replicas.devices(num_clones, on_cpu) == places


@pytest.mark.parametrize('found', [1, 2])
def test_more_clones_than_gpus(gpus, found):
  gpus(found)
  with pytest.raises(
    ValueError,
    match=f'--num_clones=3 is more than the {found} GPUs that TensorFlow sees '
    'here: lower it, or pass --clone_on_cpu.',
  ):
    replicas.devices(3, False)


def test_numbers():
  alone = replicas.Replicas(['/CPU:0', '/CPU:1', '/CPU:2'])
  assert (alone.count, alone.clones, list(alone.numbers)) == (3, 3, [0, 1, 2])
  with workers.use(Two()):
    second = replicas.Replicas(['/CPU:0', '/CPU:1', '/CPU:2'])
  assert (second.count, second.clones) == (6, 3)
  assert list(second.numbers) == [3, 4, 5]


def test_clones_have_one_set_of_variables(graph):
  both = replicas.Replicas(['/CPU:0', '/CPU:1'])
  made, products = [], []
  for i in range(2):
    with both.clone(i):
      made.append(tf.get_variable('scope/weights', [2]))
      products.append(tf.multiply(made[-1], 2.0, name='product'))
  assert made[1] is made[0] and tf.global_variables() == made[:1]
  assert [each.op.name for each in products] == ['product', 'clone_1/product']
  assert [each.device for each in products] == [
    '/device:CPU:0',
    '/device:CPU:1',
  ]


def placeholders(*sizes, dtype=tf.float32):
  return [tf.placeholder(dtype, [size]) for size in sizes]


def test_packs(graph):
  """From the last on; at most so many bytes, of one dtype."""
  assert list(packs(placeholders(1, 2, 3), 24)) == [[2, 1, 0]]
  assert list(packs(placeholders(1, 2, 3), 23)) == [[2, 1], [0]]
  assert list(packs(placeholders(1, 2, 3), 12)) == [[2], [1, 0]]
  # One that is larger than all may be is sent alone.
  assert list(packs(placeholders(1, 9, 1), 16)) == [[2], [1], [0]]
  assert list(packs(placeholders(9), 1)) == [[0]]
  assert list(packs([], 1)) == []
  mixed = [
    *placeholders(1, 1),
    *placeholders(1, dtype=tf.float16),
    *placeholders(1),
  ]
  assert list(packs(mixed, 100)) == [[3], [2], [1, 0]]
  # float16 has half the bytes.
  assert list(packs(placeholders(3, 3, dtype=tf.float16), 12)) == [[1, 0]]


def members(count):
  return [Member(7, count) for _ in range(count)]


@pytest.mark.parametrize('count', [2, 3])
def test_sum_and_its_gradient(graph, count):
  """The gradient of a sum is the sum of the gradients of all its uses."""
  random = np.random.RandomState(count)
  values = random.normal(size=(count, 4)).astype(np.float32)
  slopes = random.normal(size=(count, 4)).astype(np.float32)
  sums, gradients = [], []
  for i, member in enumerate(members(count)):
    with tf.device(f'/CPU:{i}'):
      given = tf.constant(values[i])
      sums.append(member.sum(tf.square(given)))
      (found,) = tf.gradients(sums[-1] * slopes[i], given)
      gradients.append(found)
  with session(count) as opened:
    got, slope = opened.run([sums, gradients])
  np.testing.assert_allclose(
    got, np.tile((values**2).sum(0), (count, 1)), rtol=1e-6
  )
  np.testing.assert_allclose(
    slope, 2 * values * slopes.sum(0), rtol=1e-5, atol=1e-6
  )


def test_sums_have_numbers(graph):
  """The second sum of a member is with the others' second."""
  firsts, seconds = [], []
  for i, member in enumerate(members(2)):
    with tf.device(f'/CPU:{i}'):
      firsts.append(member.sum(tf.constant([1.0 + i])))
      seconds.append(member.sum(tf.constant([10.0 * (1 + i)])))
  with session(2) as opened:
    assert np.ravel(opened.run(seconds + firsts)).tolist() == [30, 30, 3, 3]


@pytest.mark.parametrize('count', [2, 3])
@pytest.mark.parametrize('pack_bytes', [1, 30, 1 << 20])
def test_sum_all(graph, count, pack_bytes):
  """Of every shape and dtype, in their order, however they are packed."""
  random = np.random.RandomState(1)
  shapes = [(2, 3), (), (5,), (1, 1, 2), (0,), (40,)]
  dtypes = [np.float32, np.float32, np.float64, np.float32] + [np.float32] * 2
  values = [
    [
      random.randint(-9, 9, shape).astype(dtype)
      for shape, dtype in zip(shapes, dtypes, strict=True)
    ]
    for _ in range(count)
  ]
  found = []
  for i, member in enumerate(members(count)):
    with tf.device(f'/CPU:{i}'):
      found.append(
        member.sum_all(list(map(tf.constant, values[i])), pack_bytes)
      )
  want = [sum(each) for each in zip(*values, strict=True)]
  with session(count) as opened:
    for each in opened.run(found):
      for got, wanted in zip(each, want, strict=True):
        assert got.shape == wanted.shape and got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_mean_over_clones(graph):
  values = np.random.RandomState(0).normal(size=(3, 5)).astype(np.float32)
  scalars = [1.0, 2.0, 6.0]
  three = replicas.Replicas([f'/CPU:{i}' for i in range(3)])
  found = three.mean(
    [
      [tf.constant(value), tf.constant(scalar)]
      for value, scalar in zip(values, scalars, strict=True)
    ]
  )
  with session(3) as opened:
    mean, scalar = opened.run(found)
  np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)
  assert scalar == 3.0


def test_one_replica_adds_nothing_to_the_graph(graph):
  values = [tf.constant(1.0)]
  count = len(graph.get_operations())
  assert replicas.Replicas().mean([values]) == values
  with replicas.Replicas().clone(0):
    pass
  assert len(graph.get_operations()) == count
