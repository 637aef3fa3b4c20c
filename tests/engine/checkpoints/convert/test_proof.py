"""The proof: the source's network is right, and a difference is found."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import contents
from engine.checkpoints.convert import proof, source_network, writing
from tests.engine.checkpoints.convert import random_values
from tests.engine.checkpoints.convert.random_values import SYMMETRIC

KERAS_EPSILON = {'batch_norm_epsilon': 1.001e-5}
SOURCES = {
  'keras_v1': ('resnet_v1_small', {**SYMMETRIC, **KERAS_EPSILON}),
  'keras_v2': ('resnet_v2_small', {**SYMMETRIC, **KERAS_EPSILON}),
}


# Of the published depths, all that the libraries have of the plain forms.
PUBLISHED = [
  *(('keras_v1', f'resnet_v1_{depth}') for depth in (50, 101, 152)),
  *(('keras_v2', f'resnet_v2_{depth}') for depth in (50, 101, 152)),
  *(('torch', f'resnet_v1_{depth}') for depth in (18, 34)),
  *(('torch', f'resnet_v1_5_{depth}') for depth in (50, 101, 152)),
  ('torch', 'wide_resnet_50_2'),
  ('torch', 'resnext_50_32x4d'),
  ('torch_d', 'resnet_v1d_18'),
  ('torch_d', 'resnet_v1d_50'),
]


@pytest.fixture(autouse=True)
def small(request, monkeypatch):
  """Small networks, and small images, but for the published ones."""
  if 'name' in request.fixturenames:
    return
  random_values.register(monkeypatch)
  monkeypatch.setattr(proof, 'SIZES', ((64, 64), (49, 37)))
  monkeypatch.setattr(proof, 'GRADIENT_SIZE', (49, 33))


def source_of(form):
  """The source's arrays, ours, and the network of ours with its options."""
  network, options = SOURCES[form]
  ours = random_values.of_network(network, **SYMMETRIC)
  arrays = writing.arrays_of(form, ours)
  if form == 'keras_v1':  # biases that conversion folds into the means
    random = np.random.RandomState(1)
    for name in arrays:
      if name.endswith('_conv/bias'):
        arrays[name] += random.randn(*arrays[name].shape).astype(np.float32)
        mean = name.replace('_conv/bias', '_bn/moving_mean')
        arrays[mean] = arrays[mean] + arrays[name]
  return arrays, ours, network, options


@pytest.mark.parametrize(
  'form', ['keras_v1', pytest.param('keras_v2', marks=pytest.mark.slow)]
)
def test_a_source_and_its_conversion_are_equal(form, tmp_path):
  arrays, ours, network, options = source_of(form)
  contents.write_values(
    str(tmp_path / 'model.ckpt-0'), random_values.with_scope(network, ours)
  )
  result = proof.prove(form, arrays, network, options, str(tmp_path))
  assert result.tolerance == 1e-4 and result.beyond() == []
  assert 0 < result.logits < 1e-5 and 0 < result.features < 1e-5
  assert 0 < result.gradients < 1e-4 and 0 < result.gradients_of_batch < 1e-3
  assert result.units == 4
  assert result.variables == sum(
    not name.endswith(('moving_mean', 'moving_variance')) for name in ours
  )
  assert result.as_json()['sizes'] == ((64, 64), (49, 37))
  assert str(result).startswith(
    'Equal to its source at 64x64 and 49x37: logits to '
  )


@pytest.mark.slow
@pytest.mark.parametrize('form, name', PUBLISHED)
def test_published_networks_at_224_and_an_odd_size(form, name):
  options = {'root_block': 'deep' if form == 'torch_d' else '7x7_symmetric'}
  ours = random_values.of_network(name, **options)
  arrays = {
    array: value
    for array, value in writing.arrays_of(form, ours).items()
    if value.dtype == np.float32
  }
  epsilon = KERAS_EPSILON if form.startswith('keras') else {}
  result = proof.compare(form, arrays, name, {**options, **epsilon}, ours)
  assert result.sizes == ((224, 224), (201, 181)) and result.beyond() == []
  if form.startswith('keras'):
    assert max(result.logits, result.features) < 1e-5


def differ(arrays, ours, options):
  """Another array of the same shape."""
  name = 'conv2_block1_2_bn/moving_variance'
  return {**arrays, name: arrays[name] * 1.01}, ours, options


def pad(arrays, ours, options):
  return arrays, ours, {**options, 'root_block': '7x7'}


def forget_epsilon(arrays, ours, options):
  return arrays, ours, {**options, 'batch_norm_epsilon': 1e-3}


@pytest.mark.slow
@pytest.mark.parametrize(
  'change',
  [
    pad,
    pytest.param(differ, marks=pytest.mark.slow),
    pytest.param(forget_epsilon, marks=pytest.mark.slow),
  ],
)
def test_a_difference_is_an_error(change):
  arrays, ours, network, options = source_of('keras_v1')
  arrays, ours, options = change(arrays, ours, options)
  with pytest.raises(ValueError, match='they differ by logits .*not|kept'):
    proof.compare('keras_v1', arrays, network, options, ours)


def test_a_nan_is_beyond_every_tolerance():
  result = proof.Result(None, float('nan'), 0, 0, 1, 1, (), 1e-5, 1e-2, 0.1)
  assert result.beyond() == ['features nan (at most 1e-05)']
  assert 'no logits' in str(result)


@pytest.mark.slow
def test_networks_of_other_units_are_refused():
  arrays, ours, network, options = source_of('keras_v1')
  fewer = {
    name: value
    for name, value in arrays.items()
    if not name.startswith('conv2_block2_')
  }
  with pytest.raises(ValueError, match='differ in 1 units, block1/unit_2'):
    proof.compare('keras_v1', fewer, network, options, ours)


def test_groups_are_convolutions_beside_each_other(graph):
  """The kernel without groups is a convolution of each by itself."""
  random = np.random.RandomState(0)
  image = random.randn(1, 5, 5, 12).astype(np.float32)
  kernel = random.randn(3, 3, 4, 6).astype(np.float32)
  apart = tf.concat(
    [
      tf.nn.conv2d(part, kernels, 1, 'SAME')
      for part, kernels in zip(
        np.split(image, 3, -1), np.split(kernel, 3, -1), strict=True
      )
    ],
    -1,
  )
  together = tf.nn.conv2d(
    image, source_network._without_groups(tf.constant(kernel), 3), 1, 'SAME'
  )
  with tf.Session() as session:
    wanted, found = session.run([apart, together])
  np.testing.assert_allclose(found, wanted, atol=1e-5)
