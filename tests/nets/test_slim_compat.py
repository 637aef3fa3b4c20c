"""tf-slim is repaired, and an error says so where it cannot be."""

import importlib
import io

import numpy as np
import PIL.Image
import pytest
import tensorflow.compat.v1 as tf

from nets import slim_compat
from nets.slim_compat import slim


def value(fetches):
  with tf.Session() as session:
    session.run(
      [tf.global_variables_initializer(), tf.local_variables_initializer()]
    )
    return session.run(fetches)


def test_old_versions():
  with pytest.raises(
    ImportError,
    match=('TensorFlow 2.15.1 is older than 2.16, .*pip install --upgrade'),
  ):
    slim_compat.check_version('2.15.1')


@pytest.mark.parametrize('version', ['2.16.0', '2.21.0', '2.22.0-rc1', '3.0'])
def test_new_versions(version):
  slim_compat.check_version(version)


def test_a_second_repair_does_nothing():
  assert slim_compat.repair() == []


@pytest.mark.parametrize(
  'name, attribute',
  [
    (name, attribute)
    for name, attributes in slim_compat.MOVED.items()
    for attribute in attributes
  ],
)
def test_repair_puts_back_what_is_missing(monkeypatch, name, attribute):
  module = importlib.import_module(name)
  monkeypatch.delattr(module, attribute)
  assert slim_compat.repair() == [f'{name}.{attribute}']
  assert getattr(module, attribute) is slim_compat.MOVED[name][attribute]


def test_repair_keeps_what_is_there(monkeypatch):
  module = importlib.import_module('tensorflow.python.ops.array_ops')
  monkeypatch.setattr(module, 'stack', 'of TensorFlow')
  assert slim_compat.repair() == []
  assert module.stack == 'of TensorFlow'


def test_no_tf_keras(monkeypatch):
  monkeypatch.setattr(
    slim_compat.importlib.util, 'find_spec', lambda name: None
  )
  with pytest.raises(
    ImportError,
    match=(rf'needs the package tf-keras .*\({tf.__version__}\): pip install'),
  ):
    slim_compat.repair()


def test_no_module(monkeypatch):
  monkeypatch.setattr(slim_compat, 'MOVED', {'tensorflow.python.gone': {}})
  with pytest.raises(
    ImportError,
    match=(
      f'TensorFlow {tf.__version__} has no module tensorflow.python.gone, '
      'which tf-slim needs; the newest .* known to work is 2.21. Install'
    ),
  ):
    slim_compat.repair()


def test_batch_norm(graph):
  net = slim.batch_norm(tf.constant([[1.0], [3.0]]), epsilon=0.0)
  np.testing.assert_allclose(value(net), [[-1], [1]], atol=1e-6)


def test_create_train_op_with_clipping(graph):
  table = slim.model_variable(
    'table', [3, 2], initializer=tf.ones_initializer()
  )
  rows = tf.gather(table, [1, 1])  # its gradient is an IndexedSlices
  weight = slim.model_variable('weight', [], initializer=tf.ones_initializer())
  train_op = slim.learning.create_train_op(
    30 * tf.reduce_sum(rows) + 40 * weight,
    tf.train.GradientDescentOptimizer(1.0),
    clip_gradient_norm=0.5,
    gradient_multipliers={'weight': tf.constant(0.01)},
  )
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert session.run(train_op) == pytest.approx(160)
    # Before the clipping: the row's gradient is 2 x (30, 30), the weight's
    # 0.01 x 40. Slices are clipped as they are, four values of 30.
    np.testing.assert_allclose(session.run(table), [[1, 1], [0.5, 0.5], [1, 1]])
    assert session.run(weight) == pytest.approx(0.6)


def test_optimize_loss(graph):
  weight = tf.get_variable('weight', [], initializer=tf.ones_initializer())
  step = tf.train.get_or_create_global_step()
  optimize = slim.optimize_loss(
    5 * weight,
    step,
    learning_rate=tf.constant(0.1),
    optimizer='SGD',
    clip_gradients=2.0,
    summaries=['gradients'],
  )
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert session.run(optimize) == 5
    assert session.run([weight, step]) == [pytest.approx(0.8), 1]


def test_local_and_global_variables(graph):
  local = slim.local_variable(tf.constant(2.0), name='local')
  shared = slim.global_variable(tf.constant(3.0), name='shared')
  assert tf.local_variables() == [local]
  assert tf.global_variables() == [shared]
  assert value(local + shared) == 5


def test_maxout(graph):
  net = tf.placeholder_with_default([[1.0, 4.0, 3.0, 2.0]], [None, 4])
  np.testing.assert_array_equal(value(slim.maxout(net, 2)), [[4, 3]])


def test_legacy_layers_stack_and_unstack_shapes(graph):
  net = slim.legacy_fully_connected(
    tf.ones([2, 3, 4]), 5, weight_init=tf.ones_initializer()
  )
  np.testing.assert_array_equal(value(net), np.full([2, 3, 5], 4))


def test_tfexample_decoder(graph):
  image = np.random.RandomState(0).randint(0, 256, (5, 4, 3), np.uint8)
  file = io.BytesIO()
  PIL.Image.fromarray(image).save(file, 'png')
  features = {
    'image/encoded': tf.train.Feature(
      bytes_list=tf.train.BytesList(value=[file.getvalue()])
    ),
    'image/format': tf.train.Feature(
      bytes_list=tf.train.BytesList(value=[b'png'])
    ),
    'boxes': tf.train.Feature(
      float_list=tf.train.FloatList(value=[1, 2, 3, 4, 5, 6])
    ),
    'rows': tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
    'columns': tf.train.Feature(int64_list=tf.train.Int64List(value=[2])),
  }
  example = tf.train.Example(features=tf.train.Features(feature=features))
  decoder = slim.tfexample_decoder.TFExampleDecoder(
    {
      'image/encoded': tf.FixedLenFeature([], tf.string),
      'image/format': tf.FixedLenFeature([], tf.string),
      'boxes': tf.VarLenFeature(tf.float32),
      'rows': tf.FixedLenFeature([], tf.int64),
      'columns': tf.FixedLenFeature([], tf.int64),
    },
    {
      'image': slim.tfexample_decoder.Image(),
      'boxes': slim.tfexample_decoder.Tensor(
        'boxes', shape_keys=['rows', 'columns']
      ),
    },
  )
  pixels, boxes = value(
    decoder.decode(example.SerializeToString(), ['image', 'boxes'])
  )
  np.testing.assert_array_equal(pixels, image)
  np.testing.assert_array_equal(boxes, [[1, 2], [3, 4], [5, 6]])


def test_streaming_metrics(graph):
  labels = tf.constant([0, 1, 1, 1])
  accuracy, update = slim.metrics.streaming_accuracy(
    tf.constant([0, 1, 1, 0]), labels
  )
  joined, join = slim.metrics.streaming_concat(labels)
  with tf.Session() as session:
    session.run(tf.local_variables_initializer())
    for _ in range(2):
      session.run([update, join])
    assert session.run(accuracy) == 0.75
    np.testing.assert_array_equal(session.run(joined), [0, 1, 1, 1] * 2)


def test_auc_using_histogram(graph):
  area, update = slim.metrics.auc_using_histogram(
    tf.constant([True, False, True, False]),
    tf.constant([0.9, 0.1, 0.8, 0.2]),
    score_range=[0.0, 1.0],
  )
  with tf.Session() as session:
    session.run(tf.local_variables_initializer())
    session.run(update)
    assert session.run(area) == pytest.approx(1, abs=0.02)


def test_cluster_loss_runs_its_loops(graph):
  loss = slim.losses.metric_learning.cluster_loss(
    tf.constant([0, 0, 1, 1]),
    tf.constant([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.1, 9.0]]),
    1.0,
  )
  assert np.isfinite(value(loss))
