"""Networks as torchvision, timm and keras.applications have them."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from keras.src.applications import resnet as keras_resnet

from nets import nets_factory, resnet_generator, resnet_utils
from tests import by_hand, golden

UNITS = (1, 2, 1, 1)

# Name -> the parameters that torchvision counts, for 1000 classes.
TORCHVISION = {
  'resnet_v1_5_50': 25_557_032,
  'resnet_v1_5_101': 44_549_160,
  'resnet_v1_5_152': 60_192_808,
  'wide_resnet_50_2': 68_883_240,
  'wide_resnet_101_2': 126_886_696,
  'resnext_50_32x4d': 25_028_904,
  'resnext_101_32x8d': 88_791_336,
  'resnext_101_64x4d': 83_455_272,
}
# Those that timm counts, in millions to two digits.
TIMM = {
  'resnet_v1d_18': 11.71,
  'resnet_v1d_34': 21.82,
  'resnet_v1d_50': 25.58,
  'resnet_v1d_101': 44.57,
  'resnet_v1d_152': 60.21,
}
NAMES = [*TORCHVISION, *TIMM]
# One of each kind, and torchvision's of two 3x3 convolutions.
KINDS = [
  ('resnet_v1_5_50', {}),
  ('resnet_v1d_50', {}),
  ('resnet_v1d_18', {}),
  ('wide_resnet_50_2', {}),
  ('resnext_50_32x4d', {}),
  ('resnet_v1_18', {'root_block': '7x7_symmetric'}),
]


def kinds(*fast):
  """Parametrizes a test by all of them; those not named are slow."""
  return pytest.mark.parametrize(
    'name, options',
    [
      pytest.param(*each, marks=[] if each[0] in fast else pytest.mark.slow)
      for each in KINDS
    ],
  )


@pytest.fixture
def short(monkeypatch):
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, UNITS)


def images(*sides):
  return tf.constant(golden.images(0, 2, *sides))


def build(name, inputs, num_classes=None, **options):
  return nets_factory.get_network_fn(name, num_classes)(
    inputs, depth_multiplier=0.125, global_pool=False, **options
  )


def close(found, expected, share=1e-5):
  np.testing.assert_allclose(
    found, expected, rtol=0, atol=share * np.abs(expected).max()
  )


@kinds('resnet_v1_5_50', 'resnet_v1d_50', 'resnext_50_32x4d')
@pytest.mark.parametrize(
  'sides', [(75, 50), pytest.param((64, 64), marks=pytest.mark.slow)]
)
def test_values(run, short, name, options, sides):
  """Of all stages, for even and odd sides of each."""
  _, points = build(name, images(*sides), **options)
  network = nets_factory.get_network(name)
  root = resnet_generator.get_root(
    options.get('root_block', network.root_block)
  ).convolutions[-1][0]
  found = [points[f'{name}/{each}'] for each in (root, 'block1', 'block2')]
  found += [points[f'{name}/{each}'] for each in ('block3', 'block4')]
  expected = by_hand.torch_resnet(
    name, images(*sides), UNITS, network.unit, mean='v1d' in name
  )
  for ours, theirs in zip(*run([found, expected]), strict=True):
    assert ours.shape == theirs.shape
    close(ours, theirs)
    assert np.abs(ours[0] - ours[1]).max() > 1e-3 * ours.max()


@kinds('resnet_v1_5_50')
def test_the_pooling_matters(run, short, name, options):
  symmetric, _ = build(name, images(64, 64), root_block='7x7_symmetric')
  ends, _ = build(name, images(64, 64), root_block='7x7', reuse=True)
  symmetric, ends = run([symmetric, ends])
  assert np.abs(symmetric - ends).max() > 1e-2 * symmetric.max()


@pytest.mark.slow
@kinds('resnet_v1d_50', 'resnext_50_32x4d')
def test_dense_features(run, monkeypatch, name, options):
  """Subsampled, they are those of the nominal stride, for any size."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1, 1, 1, 2))
  strides = [4, 8, 16]
  nominal, _ = build(name, images(70, 81), **options)
  dense = [
    build(name, images(70, 81), output_stride=s, reuse=True, **options)[0]
    for s in strides
  ]
  nominal, *dense = run([nominal, *dense])
  for stride, found in zip(strides, dense, strict=True):
    assert found.shape[1:3] == (-(-70 // stride), -(-81 // stride))
    factor = 32 // stride
    close(found[:, ::factor, ::factor], nominal)


def test_the_mean_of_two_by_two(run):
  """Beyond the border nothing counts, whatever the rate."""
  values = tf.constant(golden.images(0, 1, 5, 8))
  assert not run(
    resnet_utils.mean_pool(values, 2) - by_hand.mean_pool(values)
  ).any()
  for rate in (1, 2, 4, 8):
    dense = run(resnet_utils.mean_pool(values, 1, rate))[0]
    array = run(values)[0]
    for row in range(5):
      for column in range(8):
        window = array[row : row + rate + 1 : rate]
        window = window[:, column : column + rate + 1 : rate]
        close(dense[row, column], window.mean((0, 1)), 1e-6)


@kinds('resnet_v1d_18')
def test_stored_activations(run, monkeypatch, name, options):
  """They change no value, also where a block has a single unit."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1, 1, 1, 1))
  found = [
    build(
      name,
      images(64, 35),
      reuse=reuse,
      store_non_strided_activations=reuse,
      **options,
    )
    for reuse in (False, True)
  ]
  (net, _), (stored, points) = found
  assert points[f'{name}/block2'].shape[1:3] == [16, 9]
  close(*run([stored, net]))


@pytest.mark.slow
@kinds('resnet_v1_5_50')
def test_multi_grid(run, short, monkeypatch, name, options):
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1, 1, 1, 2))
  grids = [None, (1, 1), (2, 4)]
  plain, ones, grid = run(
    [
      build(
        name,
        images(65, 65),
        output_stride=16,
        multi_grid=multi_grid,
        reuse=multi_grid is not None,
        **options,
      )[0]
      for multi_grid in grids
    ]
  )
  np.testing.assert_array_equal(plain, ones)
  assert np.abs(plain - grid).max() > 1e-2 * plain.max()


@pytest.mark.parametrize('name', NAMES)
def test_what_a_network_is(name):
  network = nets_factory.get_network(name)
  assert network.preprocessing == 'torchvision'
  assert network.default_scope == name
  assert network.root_block == ('deep' if 'v1d' in name else '7x7_symmetric')
  assert network.options['shortcut'].default == ('D' if 'v1d' in name else 'B')
  features = nets_factory.feature_descriptions(name)
  assert [each.stride for each in features] == [2, 4, 8, 16, 32]
  assert [each.end_point.split('/')[1] for each in features] == [
    'conv1_3' if 'v1d' in name else 'conv1',
    *(f'block{i}' for i in range(1, 5)),
  ]
  low = nets_factory.low_level_feature(name)
  wide = 1 if network.unit == 'basic_v1' else 4
  last = len(network.blocks()[0].args)
  assert (low.stride, low.channels) == (4, 64 * wide)
  assert low.end_point == f'{name}/block1/unit_{last}/{network.unit}'
  residual = nets_factory.low_level_feature(name, residual=True)
  last = 'conv2' if network.unit == 'basic_v1' else 'conv3'
  assert residual.end_point == f'{low.end_point}/{last}'


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_parameters(graph, name):
  nets_factory.get_network_fn(name, 1000)(tf.zeros([1, 32, 32, 3]))
  count = sum(v.shape.num_elements() for v in tf.trainable_variables())
  if name in TORCHVISION:
    assert count == TORCHVISION[name]
  else:
    assert round(count / 1e6, 2) == TIMM[name]


PARTS = {'0': 'shortcut', '1': 'conv1', '2': 'conv2', '3': 'conv3'}
LEAVES = {'kernel': 'weights', 'bias': 'biases'}
SCOPES = {
  'predictions': 'logits',
  'post_bn': 'postnorm',
  'conv1_conv': 'conv1',
  'conv1_bn': 'conv1/BatchNorm',
}


def slim_name(layer, weight, version):
  """Returns the name of a weight of keras.applications in our network."""
  scope = SCOPES.get(layer)
  if not scope:
    block, unit, part, kind = re.fullmatch(
      r'conv(\d)_block(\d+)_(\w+)_(\w+)', layer
    ).groups()
    scope = f'block{int(block) - 1}/unit_{unit}/bottleneck_v{version}/'
    scope += PARTS.get(part, part)
    if kind == 'bn' and part in PARTS:
      scope += '/BatchNorm'
  return f'resnet_v{version}_50/{scope}/{LEAVES.get(weight, weight)}'


def short_keras(version, units, **options):
  """Returns keras.applications.ResNet50 or ResNet50V2 with other units."""
  stack = getattr(keras_resnet, f'stack_residual_blocks_v{version}')

  def stages(x):
    unstrided = 0 if version == 1 else len(units) - 1
    for i, count in enumerate(units):
      stride = 1 if i == unstrided else 2
      x = stack(x, 64 << i, count, stride, name=f'conv{i + 2}')
    return x

  return keras_resnet.ResNet(stages, version == 2, use_bias=True, **options)


def set_weights(model, version):
  """Sets the golden weights by the names of ours.

  The biases before a batch norm become zero, since ours has none.
  """
  layers = {layer.name for layer in model.layers}
  for layer in model.layers:
    for weight in layer.weights:
      name = slim_name(layer.name, weight.name, version)
      shape = list(weight.shape)
      if name.endswith('logits/weights'):
        shape = [1, 1, *shape]
      value = golden.fill(name, shape).reshape(weight.shape)
      normalized = layer.name.replace('_conv', '_bn') in layers
      biased = weight.name == 'bias' and layer.name.endswith('_conv')
      weight.assign(value * (not (biased and normalized)))


def compare_with_keras(make, version, sides, units):
  """Compares all stages and the probabilities."""
  inputs = golden.images(0, 2, *sides)
  model = make(weights=None, input_shape=(*sides, 3), classes=7)
  set_weights(model, version)
  outputs = [
    model.get_layer(f'conv{i}_block{count}_out').output
    for i, count in enumerate(units, 2)
  ]
  stages = keras.Model(model.input, [*outputs, model.output])
  expected = [np.asarray(each) for each in stages(inputs, training=False)]
  name = f'resnet_v{version}_50'
  with tf.Graph().as_default(), tf.Session() as session:
    _, points = nets_factory.get_network_fn(
      name, 7, batch_norm_epsilon=1.001e-5
    )(
      tf.constant(inputs),
      root_block='7x7_symmetric',
      # Of version 1 the stride of a stage is the first of the next in Keras.
      store_non_strided_activations=version == 1,
    )
    for variable in tf.global_variables():
      shape = variable.shape.as_list()
      variable.load(golden.fill(variable.op.name, shape), session)
    found = session.run(
      [
        *(points[f'{name}/block{i}'] for i in range(1, 5)),
        points['predictions'],
      ]
    )
  for ours, theirs in zip(found, expected, strict=True):
    assert ours.shape == theirs.shape
    close(ours, theirs)
  assert np.abs(found[-1][0] - found[-1][1]).max() > 1e-4


@pytest.mark.parametrize(
  'version', [1, pytest.param(2, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
  'sides', [(64, 64), pytest.param((75, 50), marks=pytest.mark.slow)]
)
def test_keras(monkeypatch, version, sides):
  """With as few units as tell the places of the strides apart."""
  units = 2, 2, 2, 2
  monkeypatch.setitem(resnet_generator.UNITS, 50, units)
  compare_with_keras(
    functools.partial(short_keras, version, units), version, sides, units
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'version, make',
  [(1, keras.applications.ResNet50), (2, keras.applications.ResNet50V2)],
)
def test_keras_of_the_published_depth(version, make):
  compare_with_keras(make, version, (97, 64), resnet_generator.UNITS[50])
