"""The generators of both families and the public networks made from them."""

import functools
import inspect
import re
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator, resnet_v1, resnet_v2
from nets.layers import dilation
from nets.slim_compat import slim
from tests import golden

V1 = resnet_v1.resnet_v1, resnet_v1.resnet_v1_block
V2 = resnet_v2.resnet_v2, resnet_v2.resnet_v2_block
ARGUMENTS = [
  'inputs',
  'num_classes',
  'is_training',
  'global_pool',
  'output_stride',
  'spatial_squeeze',
  'store_non_strided_activations',
  'min_base_depth',
  'depth_multiplier',
  'reuse',
  'scope',
  'multi_grid',
  'root_block',
]
both = pytest.mark.parametrize('family', [V1, V2], ids=['v1', 'v2'])


def small(
  family,
  inputs,
  num_classes=None,
  is_training=False,
  units=1,
  scope='resnet',
  **options,
):
  """Builds four blocks of 1, 2, 4 and 8 channels; nominal stride 32."""
  resnet, block_fn = family
  blocks = [
    block_fn(
      f'block{i + 1}',
      base_depth=1 << i,
      num_units=units,
      stride=1 if i == 3 else 2,
    )
    for i in range(4)
  ]
  with slim.arg_scope(resnet_v1.resnet_arg_scope()):
    return resnet(
      inputs, blocks, num_classes, is_training, scope=scope, **options
    )


def thin(network, inputs, num_classes=None, **options):
  """Builds a public network with 4 channels in all of its bottlenecks."""
  options = {'min_base_depth': 4, 'depth_multiplier': 1e-3, **options}
  with slim.arg_scope(resnet_v1.resnet_arg_scope()):
    return network(inputs, num_classes, is_training=False, **options)


@pytest.fixture
def short(monkeypatch):
  """Makes the networks of depth 50 have fewer units."""
  monkeypatch.setitem(resnet_generator.UNITS, 50, (1, 1, 1, 3))


def dense(family, inputs, **options):
  """The features of `small`."""
  return small(family, inputs, global_pool=False, **options)[0]


def images(size=32, batch=2):
  return tf.constant(golden.images(0, batch, size, size))


def shapes():
  return {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}


@both
def test_classification(run, family):
  logits, points = run(small(family, images(), 10))
  assert logits.shape == (2, 10)
  assert logits.std() > 0.1
  assert points['global_pool'].shape == (2, 1, 1, 32)
  np.testing.assert_array_equal(points['resnet/logits'][:, 0, 0], logits)
  np.testing.assert_array_equal(points['resnet/spatial_squeeze'], logits)
  exponents = np.exp(logits)
  np.testing.assert_allclose(
    points['predictions'],
    exponents / exponents.sum(1, keepdims=True),
    rtol=1e-4,
  )


@both
def test_logits_without_squeeze(graph, family):
  logits, points = small(family, images(), 10, spatial_squeeze=False)
  assert logits.shape == points['predictions'].shape == [2, 1, 1, 10]
  assert 'resnet/spatial_squeeze' not in points


@both
def test_features_only(run, family):
  pooled, points = small(family, images(64), 0)
  features = dense(family, images(64), num_classes=None, reuse=True)
  assert not any('logits' in name for name in shapes())
  assert 'predictions' not in points
  pooled, features = run([pooled, features])
  assert pooled.shape == (2, 1, 1, 32) and features.shape == (2, 2, 2, 32)
  np.testing.assert_allclose(pooled[:, 0, 0], features.mean((1, 2)), atol=1e-5)


@pytest.mark.slow
@both
def test_no_root_block(run, family):
  features = dense(family, images(), include_root_block=False)
  assert features.shape == [2, 4, 4, 32]
  assert not any(name.startswith('resnet/conv1') for name in shapes())
  dense_features = dense(
    family, images(), include_root_block=False, output_stride=1, reuse=True
  )
  features, dense_features = run([features, dense_features])
  np.testing.assert_allclose(dense_features[:, ::8, ::8], features, atol=1e-5)


@both
def test_default_scopes(graph, family):
  resnet, block_fn = family
  resnet(images(), [block_fn('block1', 1, 1, 1)])
  assert {name.split('/')[0] for name in shapes()} == {resnet.__name__}


@both
def test_squeeze_of_a_map(graph, family):
  with pytest.raises(
    ValueError,
    match='needs logits of 1x1, but they are 2x2: pass spatial_squeeze=False',
  ):
    small(family, images(64), 10, global_pool=False)


@pytest.mark.slow
@both
def test_unknown_batch_height_and_width(run, family):
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  options = {'num_classes': 10, 'output_stride': 8}
  net, _ = small(
    family, fed, global_pool=False, spatial_squeeze=False, **options
  )
  assert net.shape.as_list() == [None, None, None, 10]
  pooled, _ = small(family, fed, reuse=True, **options)
  assert pooled.shape.as_list() == [None, 10]
  for batch, size in (1, 33), (3, 48):
    static, _ = small(
      family,
      images(size, batch),
      global_pool=False,
      spatial_squeeze=False,
      reuse=True,
      **options,
    )
    assert static.shape == [batch, -(-size // 8), -(-size // 8), 10]
    feed = {fed: golden.images(0, batch, size, size)}
    wanted, got, mean = run([static, net, pooled], feed)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    np.testing.assert_allclose(mean, wanted.mean((1, 2)), atol=1e-5)


@pytest.mark.slow
@both
def test_squeeze_of_unknown_sizes(run, family):
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  net, _ = small(family, fed, 10, global_pool=False)
  assert run(net, {fed: golden.images(0, 2, 32, 32)}).shape == (2, 10)
  with pytest.raises(tf.errors.InvalidArgumentError, match='SpatialSqueeze'):
    run(net, {fed: golden.images(0, 2, 64, 64)})


@pytest.mark.slow
@both
def test_reuse_shares_variables(run, family):
  first = small(family, images(), 10)[0]
  before = shapes()
  second = small(family, images(), 10, reuse=True)[0]
  assert shapes() == before
  np.testing.assert_array_equal(*run([first, second]))


@both
@pytest.mark.parametrize(
  'argument, scoped, updates',
  [
    (None, False, False),
    (None, True, True),
    (False, True, False),
    (True, False, True),
  ],
)
def test_is_training(graph, family, argument, scoped, updates):
  with slim.arg_scope(resnet_v1.resnet_arg_scope()):
    with slim.arg_scope([slim.batch_norm], is_training=scoped):
      family[0](images(), [family[1]('block1', 1, 1, 1)], is_training=argument)
  assert bool(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates


@both
def test_output_strides(run, family):
  inputs = tf.constant(golden.images(0, 2, 64, 65))
  strides = [4, 8, 16, 32]
  nominal, *strided = run(
    [dense(family, inputs)]
    + [
      dense(family, inputs, output_stride=stride, reuse=True)
      for stride in strides
    ]
  )
  assert [features.shape for features in strided] == [
    (2, 16, 17, 32),
    (2, 8, 9, 32),
    (2, 4, 5, 32),
    (2, 2, 3, 32),
  ]
  for stride, features in zip(strides, strided, strict=True):
    step = 32 // stride
    np.testing.assert_allclose(features[:, ::step, ::step], nominal, atol=1e-5)


def symmetric(name, shape):
  """Golden weights that are the same from left and right, above and below."""
  value = golden.fill(name, shape)
  if name.endswith('/weights'):
    value = value + value[::-1]
    value = value + value[:, ::-1]
  return value / 2


@pytest.mark.slow
@both
def test_corners_align_on_a_multiple_of_the_stride_plus_one(run, family):
  fed = tf.placeholder(tf.float32, [None, None, None, 3])
  features = dense(family, fed, output_stride=8)

  def gap_when_turned(size):
    inputs = golden.images(0, 1, size, size)
    straight, turned = run([features], {fed: inputs}, symmetric) + run(
      [features], {fed: inputs[:, ::-1, ::-1]}, symmetric
    )
    return (
      np.abs(straight - turned[:, ::-1, ::-1]).max() / np.abs(straight).max()
    )

  assert gap_when_turned(65) < 1e-4
  assert gap_when_turned(64) > 1e-2


@both
@pytest.mark.parametrize(
  'output_stride, reason',
  [
    (6, 'is not a multiple of 4, the stride of the root block'),
    (2, 'is not a multiple of 4'),
    (0, 'cannot be reached'),
    (12, 'cannot be reached'),
    (64, 'cannot be reached'),
  ],
)
def test_unreachable_output_strides(graph, family, output_stride, reason):
  with pytest.raises(
    ValueError,
    match=f'output_stride={output_stride} '
    f'{reason}.*: pass one of 4, 8, 16, 32, or None',
  ):
    small(family, images(), output_stride=output_stride)


@both
@pytest.mark.parametrize(
  'dtype, shape, message',
  [
    (tf.uint8, [1, 32, 32, 3], 'are uint8; the networks take preprocessed'),
    (tf.float32, [32, 32, 3], r'batch, height, width, channels\].*32, 32, 3'),
    (tf.float32, [1, 32, 32, None], 'a known number of channels, but'),
    (tf.float32, None, 'but their shape is <unknown>'),
  ],
)
def test_wrong_inputs(graph, family, dtype, shape, message):
  with pytest.raises(ValueError, match=message):
    small(family, tf.placeholder(dtype, shape))


@both
def test_eager_calls(family):
  with pytest.raises(
    RuntimeError, match='built into a graph, and this call is'
  ):
    small(family, images())


@pytest.mark.slow
def test_bounded_activations(run):
  fed = tf.placeholder(tf.float32, [2, 32, 32, 3])
  feed = {fed: 100 * golden.images(0, 2, 32, 32)}
  _, free = small(V1, fed, units=2)
  with slim.arg_scope([resnet_v1.bottleneck], use_bounded_activations=True):
    _, bounded = small(V1, fed, units=2, reuse=True)
  free, bounded = run([free, bounded], feed)
  for point in free:
    if point.endswith('bottleneck_v1'):
      assert bounded[point].min() >= 0 and bounded[point].max() <= 6
  unit = 'resnet/block1/unit_1/bottleneck_v1'
  shortcut, residual = bounded[f'{unit}/shortcut'], bounded[f'{unit}/conv3']
  assert shortcut.min() >= 0 and shortcut.max() == 6 < free[unit].max()
  assert np.abs(residual).max() > 6
  np.testing.assert_allclose(
    bounded[unit], np.clip(shortcut + np.clip(residual, -6, 6), 0, 6)
  )


def test_bounded_residual(run):
  output = resnet_v1.bottleneck(
    tf.fill([1, 1, 1, 4], 8.0), 4, 1, 1, use_bounded_activations=True
  )
  # The residual is -100 everywhere, so the output is 8 - 6.
  output = run(
    output,
    fill=lambda name, shape: np.full(
      shape, -100 if name.endswith('conv3/biases') else 0, np.float32
    ),
  )
  np.testing.assert_array_equal(output, np.full([1, 1, 1, 4], 2))


@pytest.mark.parametrize('name', nets_factory.NETWORKS)
def test_arguments_of_public_networks(name):
  function = nets_factory.networks_map[name]
  arguments = list(inspect.signature(function).parameters)
  shortcut = (
    ['shortcut']
    if re.search(r'v1_(18|34|5_\d+)$|v1d|wide|resnext|residual|highway', name)
    else []
  )
  assert arguments == ARGUMENTS + shortcut
  assert function.__name__ == name
  module = f'nets.{"resnet_cifar" if "cifar" in name else "resnet_v1"}'
  if name.startswith('resnet_v2'):
    module = 'nets.resnet_v2'
  assert function is getattr(sys.modules[module], name)
  assert function.default_image_size == (32 if 'cifar' in name else 224)
  assert inspect.signature(function).parameters['scope'].default == (
    name.removesuffix('_beta')
  )


@both
def test_default_image_size_of_generators(family):
  assert family[0].default_image_size == 224


@pytest.mark.parametrize(
  'options, depths',
  [
    ({'depth_multiplier': 0.5}, [32, 64, 128, 256]),
    ({'depth_multiplier': 0.11}, [8, 14, 28, 56]),
    ({'depth_multiplier': 0.11, 'min_base_depth': 3}, [7, 14, 28, 56]),
    ({'depth_multiplier': 0.1, 'min_base_depth': 20}, [20, 20, 25, 51]),
    ({'depth_multiplier': 0}, [8, 8, 8, 8]),
    ({'depth_multiplier': 0.0, 'min_base_depth': 5}, [5, 5, 5, 5]),
  ],
)
def test_widths(graph, short, options, depths):
  resnet_v1.resnet_v1_50(images(), is_training=False, **options)
  scope, made = 'resnet_v1_50', shapes()
  assert made[f'{scope}/conv1/weights'] == (7, 7, 3, 64)
  for i, depth in enumerate(depths):
    unit = f'{scope}/block{i + 1}/unit_1/bottleneck_v1'
    depth_in = 4 * depths[i - 1] if i else 64
    assert [made[f'{unit}/conv{j}/weights'] for j in (1, 2, 3)] == [
      (1, 1, depth_in, depth),
      (3, 3, depth, depth),
      (1, 1, depth, 4 * depth),
    ]


@pytest.mark.parametrize('depth_multiplier', [-0.5, float('nan')])
def test_width_below_zero(graph, depth_multiplier):
  with pytest.raises(
    ValueError,
    match=f'depth_multiplier={depth_multiplier} '
    'must be 0 or more; 1 is the published',
  ):
    resnet_v2.resnet_v2_50(images(), depth_multiplier=depth_multiplier)


@pytest.mark.parametrize('min_base_depth', [0, -1])
def test_no_width(graph, min_base_depth):
  with pytest.raises(
    ValueError,
    match=f'=0 with min_base_depth={min_base_depth} leaves a block without',
  ):
    resnet_v2.resnet_v2_50(
      images(), depth_multiplier=0, min_base_depth=min_base_depth
    )


def test_beta_root(run, short):
  features, _ = thin(
    resnet_v1.resnet_v1_50_beta, images(), global_pool=False, output_stride=8
  )
  root = {
    name: shape
    for name, shape in shapes().items()
    if name.startswith('resnet_v1_50/conv') and name.endswith('weights')
  }
  assert root == {
    'resnet_v1_50/conv1_1/weights': (3, 3, 3, 64),
    'resnet_v1_50/conv1_2/weights': (3, 3, 64, 64),
    'resnet_v1_50/conv1_3/weights': (3, 3, 64, 128),
  }
  assert run(features).shape == (2, 4, 4, 16)


@pytest.mark.slow
@pytest.mark.parametrize(
  'network', [resnet_v1.resnet_v1_50, resnet_v2.resnet_v2_50]
)
def test_multi_grid(run, network, short, monkeypatch):
  build = functools.partial(
    thin, network, images(33), global_pool=False, output_stride=16
  )
  plain = build()[0]
  before = shapes()
  ones = build(multi_grid=(1, 1, 1), reuse=True)[0]
  grid = build(multi_grid=(1, 2, 4), reuse=True)[0]
  rates = []

  def by_slim(*args, rate, **options):
    rates.append(rate)
    return slim.conv2d(*args, rate=rate, **options)

  monkeypatch.setattr(dilation, 'conv2d', by_slim)
  expected = build(multi_grid=(1, 2, 4), reuse=True)[0]
  assert rates == [1, 2, 4, 8]  # of block3 and 4; conv2 before have strides
  assert shapes() == before
  plain, ones, grid, expected = run([plain, ones, grid, expected])
  np.testing.assert_array_equal(ones, plain)
  np.testing.assert_allclose(grid, expected, atol=1e-5)
  assert np.abs(grid - plain).max() > 1e-2


@both
def test_wrong_number_of_unit_rates(family):
  with pytest.raises(
    ValueError,
    match=r'block4 has 3 units and needs as many '
    r'rates, but 2 are given: \[1, 2\]',
  ):
    family[1]('block4', 8, 3, 1, (1, 2))


@pytest.mark.parametrize(
  'network', [resnet_v1.resnet_v1_101, resnet_v2.resnet_v2_50]
)
@pytest.mark.parametrize('multi_grid', [(1, 2), (1, 2, 4, 8), (), (1, 0, 1)])
def test_wrong_multi_grids(graph, network, multi_grid):
  with pytest.raises(ValueError) as error:
    thin(network, images(33), multi_grid=multi_grid)
  assert str(error.value) == (
    f'multi_grid={list(multi_grid)}: give one dilation factor of 1 or more '
    'for each of the 3 units of block4, such as [1, 2, 4], or leave it out.'
  )
  assert shapes() == {}


@pytest.mark.parametrize('depth', [8, 12], ids=['identity', 'projection'])
def test_a_fresh_unit_is_its_shortcut(graph, depth):
  """With zero_init_last_gamma: relu(shortcut), exactly."""
  inputs = tf.constant(np.random.RandomState(0).randn(2, 6, 6, 8), tf.float32)
  with slim.arg_scope(resnet_v1.resnet_arg_scope(zero_init_last_gamma=True)):
    output = resnet_v1.bottleneck(inputs, depth, 4, 1, scope='unit')
  shortcut = inputs
  if depth != 8:  # normalized and not activated
    shortcut = graph.get_tensor_by_name(
      'unit/shortcut/BatchNorm/FusedBatchNormV3:0'
    )
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found, expected = session.run([output, tf.nn.relu(shortcut)])
  assert found.shape == (2, 6, 6, depth) and found.max() > 0.1
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('option', ['use_batch_norm', 'batch_norm_scale'])
def test_there_must_be_a_gamma_to_begin_at_zero(option):
  with pytest.raises(
    ValueError,
    match=(
      'zero_init_last_gamma=True needs batch norm with a gamma: leave '
      f'{option}=False out.'
    ),
  ):
    resnet_v1.resnet_arg_scope(zero_init_last_gamma=True, **{option: False})
