"""Sizes of networks that are not built: those of the networks that are."""

import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory
from nets.catalogue import complexity
from nets.layers import dilation
from tests.nets.test_nets_factory import PARAMETERS


def built(name, num_classes, size, channels=3, arg_scope_options=None, **given):
  """What TensorFlow's profiler counts in the network itself, and variables."""
  with tf.Graph().as_default() as graph:
    nets_factory.get_network_fn(name, num_classes, **(arg_scope_options or {}))(
      tf.zeros([1, *size, channels]), spatial_squeeze=False, **given
    )
    options = tf.profiler.ProfileOptionBuilder.float_operation()
    options['output'] = 'none'
    profile = tf.profiler.profile(graph, cmd='op', options=options)
    while profile.name != 'Conv2D':  # each kind holds those that take less
      (profile,) = profile.children
    return (
      sum(v.shape.num_elements() for v in tf.trainable_variables()),
      profile.float_ops // 2,
    )


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
  """Those that others have counted; see the table."""
  assert nets_factory.count(name, 1000).parameters == PARAMETERS[name][0]


@pytest.mark.parametrize(
  'name, millions', [('resnet_v1_18', 1814), ('resnet_v1_34', 3664)]
)
def test_published_multiply_adds(name, millions):
  """He et al. have 1.8e9 and 3.6e9 (arXiv:1512.03385, table 1).

  To the million they are torchvision's, of the same strides.
  """
  found = nets_factory.count(name, 1000).multiply_adds
  assert round(found / 1e6) == millions


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, num_classes, size, options',
  [
    ('resnet_v1_18', 10, (65, 49), {'depth_multiplier': 0.25}),
    (
      'resnet_v1_18',
      3,
      (33, 33),
      {'root_block': '3x3', 'shortcut': 'C', 'depth_multiplier': 0.125},
    ),
    ('plain_18', None, (64, 64), {'depth_multiplier': 0.25}),
    ('cifar_resnet_v1_20', 10, (32, 32), {}),
    ('cifar_resnet_v2_29', 10, (32, 32), {}),
    ('cifar_highway_20', 10, (31, 32), {'shortcut': 'B'}),
    (
      'cifar_residual_20',
      10,
      (32, 32),
      {'arg_scope_options': {'use_batch_norm': False}},
    ),
    pytest.param(
      'resnet_v1_50',
      1000,
      (64, 64),
      {'depth_multiplier': 0.125, 'store_non_strided_activations': True},
      marks=pytest.mark.slow,
    ),
    pytest.param(
      'resnet_v2_50',
      5,
      (65, 65),
      {'min_base_depth': 16, 'channels': 1},
      marks=pytest.mark.slow,
    ),
    pytest.param(
      'resnet_v1_50_beta',
      21,
      (65, 97),
      {
        'depth_multiplier': 0.125,
        'multi_grid': (1, 2, 4),
        'output_stride': 8,
        'arg_scope_options': {'batch_norm_scale': False},
      },
      marks=pytest.mark.slow,
    ),
  ],
)
def test_a_built_network(name, num_classes, size, options):
  given = dict(options)
  if 'output_stride' in given:
    given['global_pool'] = False
  assert nets_factory.count(name, num_classes, image_size=size, **options) == (
    built(name, num_classes, size, **given)
  )


@pytest.mark.slow
def test_dilation_without_native_kernels(monkeypatch):
  """Margins that SpaceToBatch adds are not counted."""
  options = {'output_stride': 8, 'image_size': 70, 'min_base_depth': 24}
  native = nets_factory.count('resnet_v1_18', **options)
  monkeypatch.setattr(dilation, 'use_native', lambda: False)
  complexity._sizes.cache_clear()
  assert nets_factory.count('resnet_v1_18', **options) == native
  complexity._sizes.cache_clear()


def test_units_that_are_alike_stand_once():
  network = nets_factory.get_network('cifar_resnet_v2_1001')
  blocks, times = complexity._once(network.blocks(), 16)
  assert sum(len(block.args) for block in blocks) <= 6
  assert sum(times.values()) == sum(len(b.args) for b in network.blocks())
  # With a grid of rates they differ.
  network = nets_factory.get_network('resnet_v1_50')
  blocks, times = complexity._once(network.blocks(multi_grid=(1, 2, 4)), 64)
  assert [len(block.args) for block in blocks] == [3, 3, 3, 3]
  assert times['block1/unit_2'] == 1 and times['block3/unit_2'] == 4


def test_what_is_refused():
  with pytest.raises(ValueError, match='no network named'):
    nets_factory.count('resnet_v1_5')
  with pytest.raises(ValueError, match='output_stride=5'):
    nets_factory.count('resnet_v1_18', output_stride=5)
  with pytest.raises(TypeError):
    nets_factory.count('resnet_v1_18', dept_multiplier=2)
