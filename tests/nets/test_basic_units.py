"""Units of two 3x3 convolutions, with a shortcut, a gate, or neither."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import (
  nets_factory,
  resnet_generator,
  resnet_utils,
  resnet_v1,
  resnet_v2,
)
from nets.slim_compat import slim
from tests import golden
from tests.by_hand import ByHand

NAMES = ['resnet_v1_18', 'resnet_v2_18', 'plain_18']
names = pytest.mark.parametrize('name', NAMES)


def images(size=64, batch=1):
  return tf.constant(golden.images(0, batch, size, size))


def build(name, inputs, num_classes=None, **options):
  return nets_factory.get_network_fn(name, num_classes)(
    inputs, depth_multiplier=0.125, **options
  )


def features(name, inputs, **options):
  return build(name, inputs, global_pool=False, **options)[0]


def version_1(scope, inputs, units, shortcuts=True):
  """torchvision's ResNet-18 and 34, but for the padding of the pooling."""
  make = ByHand(scope)
  net = tf.nn.relu(make.convolve(inputs, 'conv1', 2))
  net = tf.nn.max_pool2d(net, 3, 2, 'SAME')
  for block in range(4):
    for i in range(units):
      unit = (
        f'block{block + 1}/unit_{i + 1}/{"basic" if shortcuts else "plain"}_v1'
      )
      stride = 2 if block and not i else 1
      residual = tf.nn.relu(make.convolve(net, f'{unit}/conv1', stride))
      residual = make.convolve(residual, f'{unit}/conv2')
      if not shortcuts:
        net = tf.nn.relu(residual)
        continue
      if net.shape[-1] != residual.shape[-1]:
        net = make.convolve(net, f'{unit}/shortcut', stride)
      net = tf.nn.relu(net + residual)
  return net


def version_2(scope, inputs, units):
  make = ByHand(scope)
  net = make.convolve(inputs, 'conv1', 2, normalize=False)
  net = tf.nn.max_pool2d(net, 3, 2, 'SAME')
  for block in range(4):
    for i in range(units):
      unit = f'block{block + 1}/unit_{i + 1}/basic_v2'
      stride = 2 if block and not i else 1
      activated = tf.nn.relu(make.norm(net, f'{unit}/preact'))
      residual = tf.nn.relu(make.convolve(activated, f'{unit}/conv1', stride))
      residual = make.convolve(residual, f'{unit}/conv2', normalize=False)
      if net.shape[-1] != residual.shape[-1]:
        net = make.convolve(
          activated, f'{unit}/shortcut', stride, normalize=False
        )
      net += residual
  return tf.nn.relu(make.norm(net, 'postnorm'))


@pytest.mark.parametrize(
  'name, by_hand',
  [
    ('resnet_v1_18', version_1),
    ('resnet_v2_18', version_2),
    ('plain_18', functools.partial(version_1, shortcuts=False)),
  ],
)
def test_values_of_the_paper(run, name, by_hand):
  ours = features(name, images(65, 2))
  ours, expected = run([ours, by_hand(name, images(65, 2), 2)])
  assert ours.shape == (2, 3, 3, 64)
  np.testing.assert_allclose(ours, expected, atol=1e-5 * expected.max())
  assert np.abs(ours[0] - ours[1]).max() > 1e-4 * expected.max()


@pytest.fixture
def short(monkeypatch):
  """Gives the first and the last block one unit."""
  monkeypatch.setitem(resnet_generator.UNITS, 18, (1, 2, 2, 1))


@pytest.mark.slow
@names
def test_dense_features(run, short, name):
  """Subsampled, they are those of the nominal stride, for any size."""
  strides = [4, 16, 32]
  nominal = features(name, images(70))
  nominal, *dense = run(
    [
      nominal,
      *(
        features(name, images(70), output_stride=stride, reuse=True)
        for stride in strides
      ),
    ]
  )
  for stride, found in zip(strides, dense, strict=True):
    assert found.shape[1] == -(-70 // stride)
    factor = 32 // stride
    np.testing.assert_allclose(
      found[:, ::factor, ::factor], nominal, atol=1e-4 * nominal.max()
    )


@pytest.mark.slow
def test_stored_activations(run):
  """They change no value; block1 has no stride to put off."""
  net, points = build('resnet_v1_18', images())
  stored, more = build(
    'resnet_v1_18', images(), reuse=True, store_non_strided_activations=True
  )
  net, points, stored, more = run([net, points, stored, more])
  np.testing.assert_array_equal(net, stored)
  for block, side in enumerate((16, 8, 4, 2)):
    name = f'resnet_v1_18/block{block + 1}'
    assert points[name].shape == more[name].shape == (1, side, side, 8 << block)


@names
def test_end_points(run, name):
  _, points = build(name, images(), 5)
  kind = {
    'resnet_v1_18': 'basic_v1',
    'resnet_v2_18': 'basic_v2',
    'plain_18': 'plain_v1',
  }[name]
  unit = f'{name}/block2/unit_1/{kind}'
  expected = {
    unit,
    f'{unit}/conv1',
    f'{unit}/conv2',
    f'{name}/block2',
    f'{name}/conv1',
    f'{name}/logits',
    'global_pool',
    'predictions',
  }
  if name != 'plain_18':
    expected.add(f'{unit}/shortcut')
  assert expected <= set(points)
  assert points[f'{unit}/conv1'].shape == [1, 8, 8, 16]


@pytest.mark.slow
@names
def test_multi_grid(run, monkeypatch, name):
  monkeypatch.setitem(resnet_generator.UNITS, 18, (1, 1, 1, 2))
  plain = features(name, images(65), output_stride=16)
  ones = features(
    name, images(65), output_stride=16, multi_grid=(1, 1), reuse=True
  )
  grid = features(
    name, images(65), output_stride=16, multi_grid=(1, 2), reuse=True
  )
  plain, ones, grid = run([plain, ones, grid])
  np.testing.assert_array_equal(plain, ones)
  assert np.abs(plain - grid).max() > 1e-2 * plain.max()
  with pytest.raises(
    ValueError,
    match=r'for each of the 2 units of block4, '
    r'such as \[1, 2\], or leave it out',
  ):
    features(name, images(65), multi_grid=(1, 2, 4), reuse=True)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  ['resnet_v1_18', 'resnet_v2_34', 'plain_34', 'resnet_v1_50', 'resnet_v2_50'],
)
def test_the_stem_for_small_images(graph, monkeypatch, name):
  """One 3x3 convolution and no pooling: four times the resolution."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1, 1, 1, 1))
  _, points = build(name, images(32), root_block='3x3')
  roots = {
    v.op.name: v.shape.as_list()
    for v in tf.global_variables()
    if v.op.name.startswith(f'{name}/conv') and v.op.name.endswith('weights')
  }
  assert roots == {f'{name}/conv1/weights': [3, 3, 3, 64]}
  assert points[f'{name}/block4'].shape[1:3] == [4, 4]
  nominal = resnet_utils.reachable_strides(
    nets_factory.get_network(name).function.blocks()
  )
  assert nominal == [1, 2, 4, 8]
  dense, _ = build(
    name,
    images(32),
    root_block='3x3',
    output_stride=2,
    global_pool=False,
    reuse=True,
  )
  assert dense.shape[1:3] == [16, 16]
  with pytest.raises(
    ValueError,
    match='output_stride=16 cannot be reached: pass one of 1, 2, 4, 8',
  ):
    build(name, images(32), root_block='3x3', output_stride=16, reuse=True)


def unit_of(function, inputs, depth, fresh=False, **options):
  with (
    slim.arg_scope(resnet_v1.resnet_arg_scope(zero_init_last_gamma=fresh)),
    slim.arg_scope([slim.batch_norm], is_training=fresh),
  ):
    return function(
      inputs, depth, options.pop('stride', 1), scope='unit', **options
    )


@pytest.mark.parametrize(
  'option, depth, stride, projects',
  [
    ('A', 8, 1, False),
    ('A', 12, 2, False),
    ('B', 8, 1, False),
    ('B', 8, 2, False),
    ('B', 12, 2, True),
    ('C', 8, 1, True),
    ('D', 8, 1, False),
    ('D', 12, 2, True),
  ],
)
def test_options_of_the_shortcut(graph, option, depth, stride, projects):
  """A fresh unit with zero_init_last_gamma is its activated shortcut."""
  values = np.random.RandomState(0).randn(2, 6, 6, 8).astype(np.float32)
  output = unit_of(
    resnet_v1.basic,
    tf.constant(values),
    depth,
    stride=stride,
    fresh=True,
    shortcut=option,
  )
  assert projects == any('shortcut' in v.op.name for v in tf.global_variables())
  if projects:
    assert output.shape == [2, 6 // stride, 6 // stride, depth]
    return
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found = session.run(output)
  expected = np.pad(
    values[:, ::stride, ::stride], [(0, 0)] * 3 + [(0, depth - 8)]
  )
  np.testing.assert_array_equal(found, np.maximum(expected, 0))


def test_zeros_cannot_shorten(graph):
  with pytest.raises(
    ValueError,
    match=(r"option A\) cannot make 4 channels of 8: take shortcut='B', or"),
  ):
    unit_of(resnet_v1.basic, tf.zeros([1, 4, 4, 8]), 4, shortcut='A')


def test_bounded_activations(run):
  """As in bottlenecks: residual within 6, output within 0 and 6."""
  output = unit_of(
    resnet_v1.basic, tf.fill([1, 1, 1, 4], 8.0), 4, use_bounded_activations=True
  )
  output = run(
    output,
    fill=lambda name, shape: np.full(
      shape, -100 if name.endswith('conv2/BatchNorm/beta') else 0, np.float32
    ),
  )
  np.testing.assert_array_equal(output, np.full([1, 1, 1, 4], 2))


@pytest.mark.parametrize(
  'bias, same_as', [(-100.0, 'inputs'), (100.0, 'residual')]
)
def test_a_gate_lets_one_of_both_pass(graph, bias, same_as):
  values = np.random.RandomState(0).randn(2, 6, 6, 8).astype(np.float32)
  inputs = tf.constant(values)
  output = unit_of(resnet_v1.highway, inputs, 8, gate_bias=bias)
  residual = graph.get_tensor_by_name('unit/conv2/BatchNorm/FusedBatchNormV3:0')
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found, residual = session.run([output, residual])
  expected = {'inputs': values, 'residual': residual}[same_as]
  np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-6)


def test_a_highway_unit(run):
  """relu(T * residual + (1 - T) * shortcut)."""
  inputs = images(9, 2)
  output = unit_of(resnet_v1.highway, inputs, 6, stride=2)
  make = ByHand('unit')
  residual = make.convolve(
    tf.nn.relu(make.convolve(inputs, 'conv1', 2)), 'conv2'
  )
  gate = tf.sigmoid(make.convolve(inputs, 'gate', 2, normalize=False))
  shortcut = make.convolve(inputs, 'shortcut', 2)
  found, expected, gate = run(
    [output, tf.nn.relu(gate * residual + (1 - gate) * shortcut), gate]
  )
  assert found.shape == (2, 5, 5, 6)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert 0.01 < gate.min() < gate.max() < 0.99


def test_a_gate_begins_nearly_closed(graph):
  unit_of(resnet_v1.highway, tf.zeros([1, 4, 4, 3]), 3)
  (biases,) = [
    v for v in tf.trainable_variables() if v.op.name == 'unit/gate/biases'
  ]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    np.testing.assert_array_equal(session.run(biases), [-3, -3, -3])


def test_units_outside_of_the_families(graph):
  """A block may have a function that is no arg scope's."""

  def double(net, rate, depth, stride):
    return tf.concat([net, net], 3)

  blocks = [resnet_utils.Block('block1', double, [{'depth': 6, 'stride': 1}])]
  net, _ = resnet_v2.resnet_v2(
    images(), blocks, include_root_block=False, global_pool=False
  )
  assert net.shape == [1, 64, 64, 6]
