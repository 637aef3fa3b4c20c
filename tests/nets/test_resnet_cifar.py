"""The networks for CIFAR: those of Keras's script, and those of He et al."""

import functools
import inspect
import math
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from benchmarks.rivals import keras_cifar
from nets import nets_factory, resnet_cifar
from tests import golden

slow = functools.partial(pytest.param, marks=pytest.mark.slow)
KERAS = [
  'cifar_resnet_v1_8',
  'cifar_resnet_v1_20',
  'cifar_resnet_v2_11',
  *map(
    slow,
    [
      'cifar_resnet_v1_32',
      'cifar_resnet_v1_44',
      'cifar_resnet_v1_56',
      'cifar_resnet_v1_110',
      'cifar_resnet_v2_29',
      'cifar_resnet_v2_56',
      'cifar_resnet_v2_110',
      'cifar_resnet_v2_164',
      'cifar_resnet_v2_1001',
    ],
  ),
]
# What Keras calls what we call so.
KINDS = {'weights': 'kernel', 'biases': 'bias'}


def build(name, images, num_classes=10, is_training=False, **options):
  return nets_factory.get_network_fn(
    name, num_classes, is_training=is_training
  )(images, **options)


def parameters():
  return sum(v.shape.num_elements() for v in tf.global_variables())


def keras_network(name):
  return keras_cifar.network(*map(int, re.findall(r'\d+', name)))


def keras_name(variable):
  """The path in Keras of a variable of ours."""
  *scopes, kind = [
    part
    for part in variable.op.name.split('/')[1:]
    if part not in ('basic_v1', 'bottleneck_v2')
  ]
  if scopes[-1] in ('BatchNorm', 'preact'):
    scopes[-1] = 'norm'
  if scopes == ['postnorm']:
    scopes.append('norm')
  return f'{".".join(scopes)}/{KINDS.get(kind, kind)}'


@pytest.mark.parametrize('name', KERAS)
def test_variables_are_those_of_keras(name):
  theirs = {v.path: tuple(v.shape) for v in keras_network(name).variables}
  with tf.Graph().as_default():
    build(name, tf.zeros([1, 32, 32, 3]))
    ours = {
      keras_name(v): tuple(v.shape.as_list()) for v in tf.global_variables()
    }
    counted = parameters()
  ours['logits/kernel'] = ours['logits/kernel'][2:]
  assert ours == theirs
  assert counted == sum(math.prod(shape) for shape in theirs.values())


@pytest.mark.parametrize(
  'name, is_training',
  [
    slow('cifar_resnet_v1_20', False),
    slow('cifar_resnet_v2_29', False),
    ('cifar_resnet_v1_8', False),
    ('cifar_resnet_v1_8', True),
    ('cifar_resnet_v2_11', True),
  ],
)
def test_outputs_are_those_of_keras(name, is_training):
  images = golden.images(0, 4, 32, 32)
  model = keras_network(name)
  with tf.Graph().as_default(), tf.Session() as session:
    _, end_points = build(name, tf.constant(images), is_training=is_training)
    variables = tf.global_variables()
    values = {v: golden.fill(v.op.name, v.shape.as_list()) for v in variables}
    session.run(
      [v.initializer for v in variables],
      {v.initializer.inputs[1]: value for v, value in values.items()},
    )
    ours = session.run(end_points['predictions'])
    values = {keras_name(v): value for v, value in values.items()}
  for variable in model.variables:
    variable.assign(values[variable.path].reshape(variable.shape))
  theirs = np.asarray(model(images, training=is_training))
  np.testing.assert_allclose(ours, theirs, atol=1e-5)
  assert np.abs(ours[0] - ours[1]).max() > 1e-3


# The first two counted in Keras, the others by hand: option A and a plain
# network have 9 * 16 * 3 weights of the root, 6 * 9 * 16 ** 2 + 9 * 16 * 32 +
# 5 * 9 * 32 ** 2 + 9 * 32 * 64 + 5 * 9 * 64 ** 2 of the units, 4 * (7 * 16 +
# 6 * 32 + 6 * 64) of batch norm and 650 of the logits; B has 16 * 32 + 32 * 64
# and 4 * 96 more, C also 3 * 16 ** 2 + 2 * 32 ** 2 + 2 * 64 ** 2 and 4 * (3 *
# 16 + 2 * 32 + 2 * 64); a gate has a bias for each channel.
@pytest.mark.slow
@pytest.mark.parametrize(
  'name, options, expected',
  [
    ('cifar_resnet_v1_20', {}, 274_442),
    ('cifar_resnet_v2_29', {}, 849_002),
    ('cifar_plain_20', {}, 271_098),
    ('cifar_residual_20', {}, 271_098),
    ('cifar_residual_20', {'shortcut': 'A'}, 271_098),
    ('cifar_residual_20', {'shortcut': 'B'}, 271_098 + 2_944),
    ('cifar_residual_20', {'shortcut': 'C'}, 271_098 + 2_944 + 11_968),
    ('cifar_highway_20', {}, 271_098 + 13_568 + 336),
  ],
)
def test_parameters(graph, name, options, expected):
  build(name, tf.zeros([1, 32, 32, 3]), **options)
  assert parameters() == expected


def by_hand(name, images, shortcut):
  """[1], section 4.2, of one unit a block, in plain TensorFlow."""
  values = {
    v.op.name.removeprefix(f'{name}/'): v for v in tf.global_variables()
  }

  def convolve(net, scope, stride=1):
    kernel = values[f'{scope}/weights']
    if kernel.shape[0] == 3:
      net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]])
    net = tf.nn.conv2d(net, kernel, stride, 'VALID')
    gamma, beta, mean, variance = (
      values[f'{scope}/BatchNorm/{kind}']
      for kind in ('gamma', 'beta', 'moving_mean', 'moving_variance')
    )
    return (net - mean) / tf.sqrt(variance + 1e-5) * gamma + beta

  net = tf.nn.relu(convolve(images, 'conv1'))
  for i in range(3):
    unit = f'block{i + 1}/unit_1/{"basic" if shortcut else "plain"}_v1'
    stride = 2 if i else 1
    residual = tf.nn.relu(convolve(net, f'{unit}/conv1', stride))
    residual = convolve(residual, f'{unit}/conv2')
    if shortcut == 'C' or shortcut == 'B' and i:
      net = convolve(net, f'{unit}/shortcut', stride)
    elif shortcut:
      net = tf.pad(
        net[:, ::stride, ::stride], [[0, 0]] * 3 + [[0, (8 << i) if i else 0]]
      )
    net = tf.nn.relu(net + residual if shortcut else residual)
  return (
    tf.matmul(tf.reduce_mean(net, [1, 2]), values['logits/weights'][0, 0])
    + values['logits/biases']
  )


@pytest.mark.parametrize('shortcut', [None, 'A', 'B', 'C'])
def test_the_form_of_the_paper(run, shortcut):
  name = 'cifar_residual_8' if shortcut else 'cifar_plain_8'
  images = tf.constant(golden.images(0, 2, 32, 32))
  options = {'shortcut': shortcut} if shortcut else {}
  ours, _ = build(name, images, **options)
  ours, expected = run([ours, by_hand(name, images, shortcut)])
  np.testing.assert_allclose(ours, expected, atol=1e-5)
  assert np.abs(ours[0] - ours[1]).max() > 1e-3


def test_shortcut_a_by_default(graph):
  sources = [resnet_cifar.cifar_residual_8, resnet_cifar.cifar_highway_8]
  for network in sources:
    assert inspect.signature(network).parameters['shortcut'].default == 'A'


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, size, end, stride',
  [
    ('cifar_residual_8', 32, 8, None),
    ('cifar_residual_8', 33, 17, 2),
    ('cifar_plain_8', 30, 30, 1),
    ('cifar_highway_8', 31, 16, 2),
    ('cifar_resnet_v1_8', 33, 33, 1),
    ('cifar_resnet_v2_11', 33, 17, 2),
  ],
)
def test_dense_features(run, name, size, end, stride):
  """Subsampled, they are those of the nominal stride."""
  images = tf.constant(golden.images(0, 1, size, size))
  nominal, _ = build(name, images, None, global_pool=False)
  dense, _ = build(
    name, images, None, global_pool=False, output_stride=stride, reuse=True
  )
  nominal, dense = run([nominal, dense])
  assert dense.shape[1:3] == (end, end)
  factor = 4 // (stride or 4)
  np.testing.assert_allclose(dense[:, ::factor, ::factor], nominal, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'cifar_resnet_v1_14',
    'cifar_resnet_v2_20',
    'cifar_residual_26',
    'cifar_highway_8',
  ],
)
def test_any_depth_by_name(graph, name):
  """The depth counts convolutions in a row, and the logits."""
  network = nets_factory.get_network(name)
  assert name not in nets_factory.NETWORKS
  assert network.function is getattr(resnet_cifar, name)
  assert network.preprocessing == 'cifar'
  assert network.function.default_image_size == 32
  build(name, tf.zeros([1, 32, 32, 3]))
  layers = [
    v
    for v in tf.trainable_variables()
    if re.search(r'/(conv\d|logits)/weights$', v.op.name)
  ]
  assert len(layers) == int(name.rpartition('_')[2])


@pytest.mark.parametrize(
  'name, hint',
  [
    (
      'cifar_resnet_v1_21',
      '6n + 2. The nearest are cifar_resnet_v1_20 and cifar_resnet_v1_26.',
    ),
    (
      'cifar_resnet_v2_28',
      '9n + 2. The nearest are cifar_resnet_v2_20 and cifar_resnet_v2_29.',
    ),
    (
      'cifar_plain_2',
      '6n + 2. The nearest are cifar_plain_8 and cifar_plain_14.',
    ),
    (
      'cifar_residual_1',
      '6n + 2. The nearest are cifar_residual_8 and cifar_residual_14.',
    ),
  ],
)
def test_depths_that_there_are_not(name, hint):
  for call, kind in (
    (nets_factory.get_network, ValueError),
    (functools.partial(getattr, resnet_cifar), AttributeError),
  ):
    with pytest.raises(kind) as error:
      call(name)
    assert str(error.value) == (
      f'There is no network named {name}: the depth must be {hint}'
    )


def test_families_that_there_are_not():
  with pytest.raises(ValueError) as error:
    resnet_cifar.network('cifar_residual_v1', 20)
  assert str(error.value) == (
    "There is no CIFAR network named 'cifar_residual_v1'. Did you mean "
    'cifar_residual or cifar_resnet_v1? The CIFAR networks are: '
    'cifar_resnet_v1, cifar_resnet_v2, cifar_residual, cifar_plain, '
    'cifar_highway.'
  )


def test_other_names_are_no_attributes():
  assert not hasattr(resnet_cifar, 'cifar_resnet_v3_20')
  with pytest.raises(ValueError, match='Did you mean cifar_resnet_v'):
    nets_factory.get_network('cifar_resnet_v3_20')


def test_unknown_options(graph):
  images = tf.zeros([1, 32, 32, 3])
  with pytest.raises(
    ValueError, match="shortcut='E' is unknown. It can be A, B, C, D."
  ):
    build('cifar_residual_8', images, shortcut='E')
  with pytest.raises(TypeError, match="no argument 'shortcut'"):
    build('cifar_plain_8', images, shortcut='A')
  with pytest.raises(
    ValueError, match="no root_block='9x9'. It can be 7x7, 7x7_symmetric, beta"
  ):
    build('cifar_plain_8', images, root_block='9x9')


def test_without_batch_norm_there_are_biases_as_ever(graph):
  nets_factory.get_network_fn('cifar_resnet_v1_8', 10, use_batch_norm=False)(
    tf.zeros([1, 32, 32, 3])
  )
  kinds = {v.op.name.rpartition('/')[2] for v in tf.global_variables()}
  assert kinds == {'weights', 'biases'}


def test_the_keras_batch_norm(graph):
  build('cifar_resnet_v1_8', tf.zeros([2, 32, 32, 3]), is_training=True)
  norms = [op for op in graph.get_operations() if op.type == 'FusedBatchNormV3']
  assert len(norms) == 7
  assert {op.get_attr('epsilon') for op in norms} == {np.float32(1e-3)}


def test_blocks_of_one_width_project_where_they_stride(run):
  """The least width makes block1 and block2 alike."""
  images = golden.images(0, 1, 17, 17)
  found = run(
    [
      build('cifar_resnet_v1_8', images, depth_multiplier=0.25, **options)[1][
        'cifar_resnet_v1_8/block3'
      ]
      for options in (
        {},
        {
          'output_stride': 1,
          'global_pool': False,
          'spatial_squeeze': False,
          'reuse': True,
        },
      )
    ]
  )
  assert found[0].shape == (1, 5, 5, 16)
  np.testing.assert_allclose(found[1][:, ::4, ::4], found[0], atol=1e-5)
