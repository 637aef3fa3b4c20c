"""Features of some strides by one call: those of the network as it is built."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory, resnet_generator
from tests import golden

THIN = {'depth_multiplier': 0.125}


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Two units in the first block, which has a feature before its stride."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (2, 1, 1, 1))


def built(name, images, **options):
  """The features of the whole network, and its end points."""
  return nets_factory.get_network_fn(name, None)(
    images, global_pool=False, **{**THIN, **options}
  )


@pytest.mark.slow
def test_of_all_networks(graph):
  """As many as the network halves the image, with the channels it is told."""
  for name in nets_factory.NETWORKS:
    if name.startswith('cifar_') and int(name.split('_')[-1]) > 32:
      continue  # deeper ones of the same families
    options = {} if 'cifar' in name else THIN
    told = nets_factory.feature_descriptions(name, **options)
    found = nets_factory.features(
      tf.zeros([1, 65, 49, 3]), name, scope=f'of_{name}', **options
    )
    assert [each.shape.as_list() for each in found] == [
      [1, -(-65 // each.stride), -(-49 // each.stride), each.channels]
      for each in told
    ], name
    strides = [each.stride for each in told]
    assert strides == sorted(set(strides)) and len(strides) >= 3, name


@pytest.mark.parametrize(
  'name, strides, end_points',
  [
    (
      'resnet_v1_50',
      (2, 4, 8, 16, 32),
      (
        'conv1',
        'block1/unit_1/bottleneck_v1',
        'block1/unit_2/bottleneck_v1',
        'block2/unit_1/bottleneck_v1',
        'block4/unit_1/bottleneck_v1',
      ),
    ),
    (
      'resnet_v2_18',
      (2, 4, 8, 16),
      (
        'conv1',
        'block1/unit_2/basic_v2',
        'block2/unit_1/basic_v2',
        'block3/unit_1/basic_v2',
      ),
    ),
    ('resnet_v1_50_beta', (2, 4), ('conv1_3', 'block1/unit_1/bottleneck_v1')),
  ],
)
def test_they_are_end_points(run, name, strides, end_points):
  images = tf.constant(golden.images(0, 2, 65, 49))
  found = nets_factory.features(images, name, strides, **THIN)
  _, all_points = built(name, images, reuse=True)
  scope = nets_factory.get_network(name).default_scope
  expected = [all_points[f'{scope}/{each}'] for each in end_points]
  for ours, theirs in zip(*run([found, expected]), strict=True):
    assert ours.std() > 0
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet_v1_18', 'resnet_v2_18'])
def test_the_coarsest_are_what_the_head_averages(run, name):
  images = tf.constant(golden.images(0, 2, 65, 49))
  (last,) = nets_factory.features(images, name, (32,), **THIN)
  pooled, _ = nets_factory.get_network_fn(name, None)(
    images, reuse=True, **THIN
  )
  last, pooled = run([last, pooled])
  np.testing.assert_allclose(
    last.mean((1, 2)), pooled[:, 0, 0], rtol=1e-5, atol=1e-6
  )


def test_what_is_activated(run):
  """Of pre-activation units the last alone; see the docstring."""
  images = tf.constant(golden.images(0, 2, 65, 49))
  first = nets_factory.features(images, 'resnet_v1_18', **THIN)
  second = nets_factory.features(images, 'resnet_v2_18', **THIN)
  least = [[each.min() for each in found] for found in run([first, second])]
  assert all(value >= 0 for value in least[0])
  assert all(value < 0 for value in least[1][:-1]) and least[1][-1] >= 0


@pytest.mark.parametrize('name', ['resnet_v1_50', 'resnet_v2_18'])
def test_an_output_stride(run, name):
  """Finer features stay; the last are the nominal ones, and some in between."""
  images = tf.constant(golden.images(0, 1, 65, 97))
  nominal = nets_factory.features(images, name, (4, 8, 32), **THIN)
  dense = nets_factory.features(
    images, name, output_stride=8, reuse=True, **THIN
  )
  assert len(dense) == 3  # of 2, 4 and 8
  nominal, dense = run([nominal, dense])
  np.testing.assert_array_equal(nominal[0], dense[1])
  assert dense[2].shape == (1, 9, 13, nominal[2].shape[-1])
  np.testing.assert_allclose(
    dense[2][:, ::4, ::4], nominal[2], rtol=1e-4, atol=1e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, options, strides',
  [
    ('resnet_v1_18', {'root_block': '3x3'}, [1, 2, 4, 8]),
    ('resnet_v2_50', {'root_block': 'beta'}, [2, 4, 8, 16, 32]),
    ('resnet_v1_50', {'output_stride': 4}, [2, 4]),
    ('resnet_v1_50', {'output_stride': 16, 'multi_grid': (2,)}, [2, 4, 8, 16]),
    (
      'resnet_v1_50',
      {'store_non_strided_activations': True},
      [2, 4, 8, 16, 32],
    ),
    ('cifar_residual_8', {'output_stride': 2, 'shortcut': 'C'}, [1, 2]),
    # The last unit's stride is behind its end point.
    ('cifar_residual_8', {'store_non_strided_activations': True}, [1, 2, 4]),
  ],
)
def test_options(graph, name, options, strides):
  options = options if 'cifar' in name else {**THIN, **options}
  found = nets_factory.features(tf.zeros([1, 65, 49, 3]), name, **options)
  assert [each.shape.as_list()[1:3] for each in found] == [
    [-(-65 // stride), -(-49 // stride)] for stride in strides
  ]


@pytest.mark.slow
def test_late_subsampling_keeps_the_last_unit(run):
  """Its end point has the finer stride then, so that it is the last there."""
  images = tf.constant(golden.images(0, 1, 65, 49))
  (found,) = nets_factory.features(
    images, 'resnet_v1_50', (4,), store_non_strided_activations=True, **THIN
  )
  _, end_points = built(
    'resnet_v1_50', images, reuse=True, store_non_strided_activations=True
  )
  expected = end_points['resnet_v1_50/block1/unit_2/bottleneck_v1']
  np.testing.assert_array_equal(*run([found, expected]))


def test_scopes_sizes_and_training(graph):
  """As of any network: unknown sizes, scopes around, updates of batch norm."""
  images = tf.placeholder(tf.float32, [None, None, None, 3])

  def built_again(reuse):
    with tf.variable_scope('outer', reuse=tf.AUTO_REUSE):
      return nets_factory.features(
        images,
        'resnet_v1_50',
        (4, 16),
        is_training=not reuse,
        scope='mine',
        reuse=reuse,
        weight_decay=0.5,
        arg_scope_options={'batch_norm_scale': False},
        **THIN,
      )

  fine, coarse = built_again(None)
  assert fine.shape.as_list() == [None, None, None, 32]
  assert coarse.shape.as_list() == [None, None, None, 64]
  names = [v.op.name for v in tf.global_variables()]
  assert all(name.startswith('outer/mine/') for name in names)
  assert not any(name.endswith(('/gamma', '/logits/weights')) for name in names)
  assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * sum(
    name.endswith('/beta') for name in names
  )
  assert tf.losses.get_regularization_losses()
  updates = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  built_again(True)
  assert len(tf.global_variables()) == len(names)
  assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates


@pytest.mark.parametrize(
  'strides, options, words',
  [
    (
      (4, 64),
      {},
      'resnet_v1_50 has no features of stride 64: pass some of 2, 4, 8, 16, 32',
    ),
    (
      (4, 16),
      {'output_stride': 8},
      'resnet_v1_50 with output_stride=8 has no features of stride 16: pass '
      'some of 2, 4, 8',
    ),
    ((8, 4), {}, r'strides=\[8, 4\] must be from the finest to the coarsest'),
    ((4, 4), {}, r'each once, as the features are returned: \[4\]'),
    ((), {}, 'No strides are asked of resnet_v1_50: pass some of 2, 4, 8'),
    ((4,), {'output_stride': 5}, 'output_stride=5'),
    ((4,), {'root_block': '5x5'}, "There is no root_block='5x5'"),
  ],
)
def test_what_is_refused(graph, strides, options, words):
  with pytest.raises(ValueError, match=words):
    nets_factory.features(
      tf.placeholder(tf.float32, [1, 65, 65, 3]),
      'resnet_v1_50',
      strides,
      **options,
    )
  assert [each.type for each in graph.get_operations()] == ['Placeholder']


def test_no_such_network(graph):
  with pytest.raises(ValueError, match="no network named 'resnet_v1_5'"):
    nets_factory.features(tf.zeros([1, 65, 65, 3]), 'resnet_v1_5', (4,))
