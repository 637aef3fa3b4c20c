"""The auxiliary head: where it is, and of what variables."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import decoders, nets_factory, resnet_generator
from nets.heads import auxiliary
from tests import golden


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Makes all networks as short as can be with a low-level feature."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (2, 1, 1, 1))


def build(name, output_stride=None, is_training=True, **options):
  """Builds a thin network with a head; returns its end points."""
  _, end_points = decoders.build(
    name,
    'fcn',
    tf.constant(golden.images(0, 2, 33, 33)),
    5,
    is_training,
    output_stride=output_stride,
    depth_multiplier=None if 'cifar' in name else 1 / 8,
    **options,
  )
  auxiliary.add(name, end_points, 5, is_training, **options)
  return end_points


def heads():
  return {
    v.op.name.removeprefix('auxiliary/'): v.shape.as_list()
    for v in tf.global_variables()
    if auxiliary.owns(v.op.name)
  }


@pytest.mark.parametrize(
  'name, stride, side, channels',
  [
    ('resnet_v1_50', None, 2, 128),
    pytest.param('resnet_v1_50', 16, 3, 128, marks=pytest.mark.slow),
    ('resnet_v2_50', 8, 5, 128),
    pytest.param('resnet_v1_50_beta', 8, 5, 128, marks=pytest.mark.slow),
    ('resnet_v1_18', 16, 3, 32),
  ],
)
def test_it_is_on_block3(graph, name, stride, side, channels):
  """At its resolution, with a quarter of its channels between."""
  end_points = build(name, stride)
  scope = nets_factory.get_network(name).default_scope
  assert end_points[f'{scope}/block3'].shape == [2, side, side, channels]
  assert end_points[auxiliary.SCOPE].shape == [2, side, side, 5]
  assert heads() == {
    'conv/weights': [3, 3, channels, channels // 4],
    **{
      f'conv/BatchNorm/{each}': [channels // 4]
      for each in ('gamma', 'beta', 'moving_mean', 'moving_variance')
    },
    'logits/weights': [1, 1, channels // 4, 5],
    'logits/biases': [5],
  }


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['plain_18', 'cifar_resnet_v1_20', 'cifar_highway_8']
)
def test_other_families(graph, name):
  """Of three blocks it is on the second."""
  end_points = build(name)
  scope = nets_factory.get_network(name).default_scope
  block = 'block3' if name == 'plain_18' else 'block2'
  side = end_points[f'{scope}/{block}'].shape[1]
  assert end_points[auxiliary.SCOPE].shape == [2, side, side, 5]


@pytest.mark.slow
def test_inside_other_scopes(graph):
  with tf.variable_scope('outer'), tf.name_scope('tower'):
    build('resnet_v2_50')
  assert 'outer/auxiliary/conv/weights' in {
    v.op.name for v in tf.global_variables()
  }


def test_it_trains_what_is_before_it(graph):
  """By regularized kernels and batch norm in training, or frozen."""
  end_points = build('resnet_v1_50', weight_decay=0.5)
  before, behind = (
    graph.get_tensor_by_name(
      f'resnet_v1_50/{block}/unit_1/bottleneck_v1/conv1/weights:0'
    )
    for block in ('block3', 'block4')
  )
  found = tf.gradients(end_points[auxiliary.SCOPE], [before, behind])
  assert found[0] is not None and found[1] is None
  decayed = [each.op.name for each in tf.losses.get_regularization_losses()]
  assert sum(name.startswith('auxiliary/') for name in decayed) == 2
  updates = [each.name for each in tf.get_collection(tf.GraphKeys.UPDATE_OPS)]
  assert sum(name.startswith('auxiliary/') for name in updates) == 2


def test_frozen(graph):
  build('resnet_v1_50', is_training=False)
  assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []


def test_values(run):
  end_points = build('resnet_v1_50', is_training=False)
  block, found = run(
    [end_points['resnet_v1_50/block3'], end_points[auxiliary.SCOPE]]
  )
  scope, (depth, kernel) = 'auxiliary/conv', (32, [3, 3, 128, 32])
  weights = golden.fill(f'{scope}/weights', kernel)
  padded = np.pad(block, [(0, 0), (1, 1), (1, 1), (0, 0)])
  net = sum(
    padded[:, y : y + 2, x : x + 2] @ weights[y, x]
    for y in range(3)
    for x in range(3)
  )
  gamma, beta, mean, variance = (
    golden.fill(f'{scope}/BatchNorm/{name}', [depth])
    for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
  )
  net = np.maximum(gamma * (net - mean) / np.sqrt(variance + 1e-5) + beta, 0)
  want = net @ golden.fill('auxiliary/logits/weights', [1, 1, 32, 5])[0, 0]
  want += golden.fill('auxiliary/logits/biases', [5])
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
