"""Names and layouts of other libraries."""

import numpy as np
import pytest

from engine.checkpoints.convert import naming


@pytest.mark.parametrize(
  ('form', 'variable', 'name'),
  [
    ('keras_v1', 'conv1/weights', 'conv1_conv/kernel'),
    ('keras_v1', 'conv1/BatchNorm/moving_mean', 'conv1_bn/moving_mean'),
    (
      'keras_v1',
      'block4/unit_3/bottleneck_v1/conv3/BatchNorm/beta',
      'conv5_block3_3_bn/beta',
    ),
    (
      'keras_v1',
      'block1/unit_1/bottleneck_v1/shortcut/weights',
      'conv2_block1_0_conv/kernel',
    ),
    ('keras_v2', 'conv1/biases', 'conv1_conv/bias'),
    (
      'keras_v2',
      'block2/unit_1/bottleneck_v2/preact/gamma',
      'conv3_block1_preact_bn/gamma',
    ),
    (
      'keras_v2',
      'block2/unit_1/bottleneck_v2/shortcut/biases',
      'conv3_block1_0_conv/bias',
    ),
    ('keras_v2', 'postnorm/moving_variance', 'post_bn/moving_variance'),
    ('keras_v2', 'logits/biases', 'predictions/bias'),
    ('torch', 'conv1/BatchNorm/gamma', 'bn1.weight'),
    (
      'torch',
      'block3/unit_6/basic_v1/conv2/BatchNorm/moving_variance',
      'layer3.5.bn2.running_var',
    ),
    (
      'torch',
      'block1/unit_1/bottleneck_v1/shortcut/BatchNorm/beta',
      'layer1.0.downsample.1.bias',
    ),
    ('torch', 'logits/weights', 'fc.weight'),
    ('torch_d', 'conv1_2/weights', 'conv1.3.weight'),
    ('torch_d', 'conv1_3/BatchNorm/gamma', 'bn1.weight'),
    (
      'torch_d',
      'block1/unit_1/bottleneck_v1/shortcut/weights',
      'layer1.0.downsample.1.weight',
    ),
  ],
)
def test_names(form, variable, name):
  assert naming.source(form, variable).name == name


@pytest.mark.parametrize(
  ('form', 'variable'),
  [
    ('torch', 'conv1/biases/Momentum'),
    ('torch', 'conv1_2/weights'),
    ('torch', 'block1/unit_1/bottleneck_v2/conv1/weights'),
    ('torch_d', 'conv1/weights'),
    ('keras_v2', 'conv1/BatchNorm/gamma'),
    ('keras_v1', 'block1/unit_1/basic_v1/conv1/weights'),
    ('keras_v1', 'aspp0/weights'),
  ],
)
def test_no_counterpart(form, variable):
  assert naming.source(form, variable) is None


def test_table():
  assert naming.table('torch', ['logits/biases', 'aux/weights']) == {
    'logits/biases': naming.Source('fc.bias'),
    'aux/weights': None,
  }


def test_unknown_form():
  with pytest.raises(ValueError, match="'caffe'.*keras_v1, keras_v2, torch"):
    naming.source('caffe', 'conv1/weights')


@pytest.mark.parametrize(
  ('variable', 'shape', 'theirs'),
  [
    ('conv1/weights', (7, 5, 3, 2), (2, 3, 7, 5)),
    ('logits/weights', (1, 1, 4, 6), (6, 4)),
    ('logits/biases', (6,), (6,)),
  ],
)
def test_layout_of_torch(variable, shape, theirs):
  value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  source = naming.source('torch', variable)
  there = source.from_slim(value)
  assert there.shape == source.shape(shape) == theirs
  np.testing.assert_array_equal(source.to_slim(there), value)
  if variable == 'conv1/weights':
    assert there[1, 2, 6, 4] == value[6, 4, 2, 1]
  elif variable == 'logits/weights':
    assert there[5, 3] == value[0, 0, 3, 5]


def test_layout_of_keras():
  value = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
  source = naming.source('keras_v1', 'logits/weights')
  assert source.shape(value.shape) == (4, 6)
  np.testing.assert_array_equal(source.from_slim(value), value[0, 0])
  np.testing.assert_array_equal(source.to_slim(value[0, 0]), value)
  kernel = np.ones((3, 3, 2, 5), np.float32)
  source = naming.source('keras_v1', 'conv1/weights')
  assert source.from_slim(kernel).shape == source.shape(kernel.shape)


def test_bias_before_a_batch_norm():
  unit = 'block2/unit_1/bottleneck_v1/shortcut/BatchNorm/moving_mean'
  assert naming.bias_of_norm('keras_v1', unit) == 'conv3_block1_0_conv/bias'
  assert naming.bias_of_norm('keras_v1', unit.replace('mean', 'vari')) is None
  assert naming.bias_of_norm('torch', unit) is None
  assert naming.bias_of_norm('keras_v2', 'postnorm/moving_mean') is None
