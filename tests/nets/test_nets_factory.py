"""The registry of networks, and how large each one is."""

import functools
import inspect

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import (
  nets_factory,
  resnet_cifar,
  resnet_generator,
  resnet_utils,
  resnet_v1,
  resnet_v2,
)
from tests import golden

# Name -> (trainable parameters, all parameters), for 1000 classes. Of the 50,
# 101 and 152 layers, Keras counts as many: in v2 both numbers, in v1 but for
# the biases that it gives to every convolution. torchvision counts 11,689,512
# and 21,797,672 trainable ones of version 1 of 18 and 34 layers; version 2 of
# them was counted by hand, and a plain network lacks what the three projections
# have.
PARAMETERS = {
  'resnet_v1_18': (11_689_512, 11_699_112),
  'resnet_v1_34': (21_797_672, 21_814_696),
  'resnet_v1_50': (25_557_032, 25_610_152),
  'resnet_v1_101': (44_549_160, 44_654_504),
  'resnet_v1_152': (60_192_808, 60_344_232),
  'resnet_v1_200': (64_673_832, 64_849_832),
  'resnet_v1_50_beta': (25_680_808, 25_734_312),
  'resnet_v1_101_beta': (44_672_936, 44_778_664),
  'resnet_v2_18': (11_690_600, 11_698_408),
  'resnet_v2_34': (21_800_616, 21_815_848),
  'resnet_v2_50': (25_568_360, 25_613_800),
  'resnet_v2_101': (44_577_896, 44_675_560),
  'resnet_v2_152': (60_236_904, 60_380_648),
  'resnet_v2_200': (64_726_120, 64_894_440),
  'plain_18': (11_689_512 - 173_824, 11_699_112 - 175_616),
  'plain_34': (21_797_672 - 173_824, 21_814_696 - 175_616),
}
BUILT = [name for name in PARAMETERS if name.endswith(('_beta', '_18', '_34'))]


@pytest.fixture
def short(monkeypatch):
  """Makes all networks have one unit in each block."""
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (1, 1, 1, 1))


def build(name, num_classes=5, images=None, **options):
  """Builds the network `name` from images of 32x32, thinned."""
  network_fn = nets_factory.get_network_fn(name, num_classes, **options)
  images = golden.images(0, 2, 32, 32) if images is None else images
  return network_fn(tf.constant(images), depth_multiplier=0.125)


def test_maps_have_the_registry_keys():
  assert (
    list(nets_factory.networks_map)
    == list(nets_factory.arg_scopes_map)
    == list(nets_factory.NETWORKS)
  )
  for name in nets_factory.NETWORKS.keys() - PARAMETERS.keys():
    network = nets_factory.get_network(name)
    is_cifar = name.startswith('cifar_')
    module = resnet_cifar if is_cifar else resnet_v1
    assert network.function is getattr(module, name)
    assert network.preprocessing == ('cifar' if is_cifar else 'torchvision')
  for name in PARAMETERS:
    network = nets_factory.NETWORKS[name]
    module = resnet_v2 if '_v2_' in name else resnet_v1
    assert nets_factory.networks_map[name] is getattr(module, name)
    assert (
      nets_factory.arg_scopes_map[name]
      is (resnet_utils if 'plain' in name else module).resnet_arg_scope
    )
    assert network.preprocessing == (
      'vgg'
      if module is resnet_v1 and not name.endswith('_beta')
      else 'inception'
    )


@pytest.mark.parametrize('name', PARAMETERS)
def test_what_tf_slim_released(name):
  family, depth = name.removeprefix('resnet_').split('_', 1)
  released = nets_factory.NETWORKS[name].released
  if depth in ('50', '101', '152'):
    assert released == {'v1': (1000, 224, 1), 'v2': (1001, 299, 0)}[family]
    # What remains of ImageNet's 1001 labels are the logits.
    assert released.num_classes + released.labels_offset == 1001
  else:
    assert released is None


@pytest.mark.parametrize('name', [*nets_factory.NETWORKS, 'cifar_plain_14'])
def test_an_entry_is_what_its_function_is(name):
  network = nets_factory.get_network(name)
  function, parameters = (
    network.function,
    inspect.signature(network.function).parameters,
  )
  assert network.name == function.__name__ == name
  assert network.default_image_size == function.default_image_size
  assert network.default_scope == parameters['scope'].default
  assert network.root_block == parameters['root_block'].default
  assert {option.default for option in network.options.values()} == {
    parameters[option].default
    for option in nets_factory.OPTIONS
    if option in parameters
  }
  units = {block.unit_fn.default_scope for block in network.blocks()}
  assert units == {network.unit}


def test_the_values_of_options_are_those_that_networks_take():
  options = nets_factory.get_network('resnet_v1_18').options
  assert options == {
    'root_block': (
      '7x7',
      ('7x7', '7x7_symmetric', 'beta', 'deep', '3x3', 'cifar'),
    ),
    'shortcut': ('B', ('A', 'B', 'C', 'D')),
  }
  assert nets_factory.get_network('resnet_v1_50_beta').options == {
    'root_block': ('beta', options['root_block'].values)
  }


@pytest.mark.parametrize(
  'name, biased',
  [
    ('resnet_v1_18', False),
    ('cifar_residual_8', False),
    ('cifar_highway_8', False),
    ('cifar_resnet_v1_8', True),
    ('cifar_resnet_v2_11', True),
  ],
)
def test_biased_networks_have_biases_beside_batch_norm(graph, name, biased):
  nets_factory.get_network_fn(name, None)(tf.zeros([1, 32, 32, 3]))
  variables = {v.op.name for v in tf.global_variables()}
  unit = f'{name}/block1/unit_1/{nets_factory.get_network(name).unit}'
  assert f'{unit}/conv1/weights' in variables
  assert (f'{unit}/conv1/biases' in variables) == biased
  assert nets_factory.get_network(name).biased == biased


def test_a_new_network_is_one_entry(graph, monkeypatch):
  """Of a network function, or of a partial of one."""
  monkeypatch.setitem(resnet_generator.UNITS, 'new', (1, 2))
  function = functools.partial(
    resnet_generator.network(
      resnet_v2.resnet_v2, resnet_v2.resnet_v2_block, 'new', 'new', '3x3'
    ),
    depth_multiplier=0.125,
  )
  functools.update_wrapper(function, function.func)
  monkeypatch.setitem(
    nets_factory.NETWORKS,
    'new',
    nets_factory.Network.of(function, resnet_v2.resnet_arg_scope, 'vgg'),
  )
  network = nets_factory.get_network('new')
  assert (network.name, network.default_scope) == ('new', 'new')
  assert (network.unit, network.root_block) == ('bottleneck_v2', '3x3')
  assert [len(block.args) for block in network.blocks()] == [1, 2]
  assert (network.released, network.biased) == (None, False)
  logits, _ = nets_factory.get_network_fn('new', 3)(tf.zeros([2, 9, 9, 3]))
  assert logits.shape == [2, 3]


def test_names_of_any_depth():
  every = list(nets_factory.NETWORKS)
  assert nets_factory.names() == nets_factory.names(0) == every
  assert set(nets_factory.names(3)) == set(every)
  more = nets_factory.names(4)[len(every) :]
  for name in more:
    assert {
      len(block.args) for block in nets_factory.get_network(name).blocks()
    } == {4}
  assert len(more) == len(resnet_cifar.FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize('name', BUILT)
def test_parameters_of_built_networks(graph, name):
  nets_factory.get_network_fn(name, 1000)(tf.zeros([1, 32, 32, 3]))
  assert PARAMETERS[name] == tuple(
    sum(v.shape.num_elements() for v in variables)
    for variables in (tf.trainable_variables(), tf.global_variables())
  )


@pytest.mark.parametrize('name', sorted(set(PARAMETERS) - set(BUILT)))
def test_parameters_of_golden_networks(name):
  # That the networks have these variables is tested in test_golden.
  sizes = [
    (int(np.prod(v['shape'])), v['trainable']) for v in golden.variables(name)
  ]
  assert PARAMETERS[name] == (
    sum(size for size, trainable in sizes if trainable),
    sum(s for s, _ in sizes),
  )


@pytest.mark.slow
@pytest.mark.parametrize('name', PARAMETERS)
def test_every_network_gives_logits(run, short, name):
  logits, end_points = build(name)
  logits, predictions = run([logits, end_points['predictions']])
  assert logits.shape == (2, 5)
  assert np.abs(logits[0] - logits[1]).max() > 1e-3
  np.testing.assert_allclose(predictions.sum(1), 1, rtol=1e-5)


def test_no_classes_give_features(graph, short):
  assert build('resnet_v2_50', None)[0].shape == [2, 1, 1, 256]


def test_the_function_is_described():
  network_fn = nets_factory.get_network_fn('resnet_v1_101', 10)
  assert network_fn.default_image_size == 224
  assert network_fn.__name__ == 'resnet_v1_101'


@pytest.mark.parametrize(
  'name, hint',
  [
    ('resnet_v1_5', ' Did you mean resnet_v1_50 or resnet_v1'),
    ('resnet_v2_51', ' Did you mean resnet_v2_50 or resnet_v2_'),
    ('zebra', ' The networks are'),
  ],
)
def test_unknown_names(name, hint):
  with pytest.raises(
    ValueError, match=(f'There is no network named {name!r}.{hint}')
  ) as error:
    nets_factory.get_network_fn(name, 10)
  listed = str(error.value).split('The networks are: ')[1].rstrip('.')
  assert listed.split(', ') == list(nets_factory.NETWORKS)


def test_weight_decay_arrives(run, short):
  build('resnet_v1_50', weight_decay=0.25)
  decayed = [
    v for v in tf.trainable_variables() if v.op.name.endswith('/weights')
  ]
  assert len(decayed) == 1 + 4 * 4 + 1  # logits included
  squares = sum(
    np.square(golden.fill(v.op.name, v.shape.as_list())).sum() for v in decayed
  )
  loss = run(tf.losses.get_regularization_loss())
  assert loss == pytest.approx(0.125 * squares, rel=1e-4)


def test_no_weight_decay_by_default(graph, short):
  build('resnet_v1_50')
  assert tf.losses.get_regularization_losses() == []


def test_batch_norm_options_arrive(graph, short):
  build(
    'resnet_v1_50',
    is_training=True,
    batch_norm_decay=0.75,
    batch_norm_scale=False,
  )
  assert not any('gamma' in v.op.name for v in tf.global_variables())
  convolved = graph.get_tensor_by_name('resnet_v1_50/conv1/Conv2D:0')
  mean = next(
    v
    for v in tf.global_variables()
    if v.op.name == 'resnet_v1_50/conv1/BatchNorm/moving_mean'
  )
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    outputs = session.run(convolved)
    session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    np.testing.assert_allclose(
      session.run(mean), 0.25 * outputs.mean((0, 1, 2)), atol=1e-5
    )


def test_evaluation_by_default(graph, short):
  build('resnet_v2_50')
  assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []


def _initial():
  """Returns {name: initial value} of the variables built so far."""
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    return session.run({v.op.name: v for v in tf.global_variables()})


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', [n for n in PARAMETERS if '_v1_' in n] + ['cifar_residual_20']
)
def test_last_gammas_begin_at_zero(graph, short, name):
  """Those of every unit's last one, and nothing beside betas and means."""
  nets_factory.get_network_fn(
    name, 5, zero_init_last_gamma=True, is_training=True
  )(tf.zeros([2, 32, 32, 3]), depth_multiplier=1 if 'cifar' in name else 0.125)
  initial = _initial()
  gammas = {n: v for n, v in initial.items() if n.endswith('/gamma')}
  zero = {n for n, v in gammas.items() if not v.any()}
  assert len(zero) == (9 if 'cifar' in name else 4)
  assert zero == {
    n
    for n in gammas
    if n.endswith(
      (
        '/bottleneck_v1/conv3/BatchNorm/gamma',
        '/basic_v1/conv2/BatchNorm/gamma',
      )
    )
  }
  assert all((v == 1).all() for n, v in gammas.items() if n not in zero)
  assert all(v.std() > 0 for n, v in initial.items() if n.endswith('/weights'))


def test_gammas_begin_at_one_by_default(graph, short):
  """The variables are the same ones, with and without."""
  names = []
  for option in (
    {},
    {'zero_init_last_gamma': False},
    {'zero_init_last_gamma': True},
  ):
    with tf.Graph().as_default():
      build('resnet_v1_50', **option)
      initial = _initial()
    names.append(list(initial))
    if option != {'zero_init_last_gamma': True}:
      assert all(
        (v == 1).all() for n, v in initial.items() if n.endswith('/gamma')
      )
  assert names[0] == names[1] == names[2]


def test_units_without_a_last_gamma(graph, short):
  """Refused before anything is built."""
  for call in (
    nets_factory.check_zero_init,
    lambda name: nets_factory.get_network_fn(
      name, 10, zero_init_last_gamma=True
    ),
  ):
    with pytest.raises(ValueError) as error:
      call('resnet_v2_101')
    assert str(error.value) == (
      'zero_init_last_gamma: the units of resnet_v2_101 do not end with a '
      'batch norm that could begin at 0. Leave it out, or take one of '
      'resnet_v1_18, resnet_v1_34, resnet_v1_50, resnet_v1_101, '
      'resnet_v1_152, resnet_v1_200, resnet_v1_50_beta, resnet_v1_101_beta, '
      'resnet_v1_5_50, resnet_v1_5_101, resnet_v1_5_152, resnet_v1d_18, '
      'resnet_v1d_34, resnet_v1d_50, resnet_v1d_101, resnet_v1d_152, '
      'wide_resnet_50_2, wide_resnet_101_2, resnext_50_32x4d, '
      'resnext_101_32x8d, resnext_101_64x4d, '
      'cifar_residual_20, cifar_residual_32, cifar_residual_44, '
      'cifar_residual_56, cifar_residual_110.'
    )
  assert graph.get_operations() == []
  nets_factory.check_zero_init('resnet_v1_50')
  build('resnet_v2_50', zero_init_last_gamma=False)


def low_level_end_point(name, size, scope=None, **options):
  """Builds thin features; returns what is told of one of them, and both."""
  told = nets_factory.low_level_feature(name, scope, depth_multiplier=0.125)
  _, end_points = nets_factory.get_network_fn(name, None)(
    tf.zeros([1, *size, 3]),
    global_pool=False,
    depth_multiplier=0.125,
    **({'scope': scope} if scope else {}),
    **options,
  )
  return told, end_points


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', [n for n in PARAMETERS if not n.endswith(('_18', '_34'))]
)
def test_low_level_feature(graph, monkeypatch, name):
  """The published first block, in a network that is else as short as can be."""
  for depth, units in resnet_generator.UNITS.items():
    monkeypatch.setitem(resnet_generator.UNITS, depth, (units[0], 1, 1, 1))
  told, end_points = low_level_end_point(name, (65, 50))
  family, depth = name.split('_')[1:3]
  assert told.end_point == (
    f'resnet_{family}_{depth}/block1/unit_2/bottleneck_{family}'
  )
  assert end_points[told.end_point].shape == [1, 17, 13, told.channels]
  assert told.stride == 4 and told.channels == 32
  assert nets_factory.low_level_feature(name).channels == 256
  # It is the finest: the next unit strides.
  after = told.end_point.replace('unit_2', 'unit_3')
  assert end_points[after].shape == [1, 9, 7, 32]


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, size, options',
  [
    ('resnet_v1_50_beta', (64, 35), {'output_stride': 4}),
    ('resnet_v1_101', (33, 97), {'output_stride': 8}),
    ('resnet_v2_101', (64, 35), {'output_stride': 16}),
    ('resnet_v2_50', (33, 97), {'store_non_strided_activations': True}),
  ],
)
def test_low_level_feature_whatever_the_stride(
  graph, monkeypatch, name, size, options
):
  for depth in resnet_generator.UNITS:
    monkeypatch.setitem(resnet_generator.UNITS, depth, (4, 1, 1, 1))
  told, end_points = low_level_end_point(name, size, 'mine', **options)
  family = name.split('_')[1]
  assert told.end_point == f'mine/block1/unit_3/bottleneck_{family}'
  assert end_points[told.end_point].shape == [
    1,
    *(-(-side // told.stride) for side in size),
    told.channels,
  ]


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, options, expected',
  [
    ('resnet_v1_18', {}, ('resnet_v1_18/block1/unit_2/basic_v1', 4, 64)),
    (
      'resnet_v2_34',
      {'root_block': '3x3'},
      ('resnet_v2_34/block1/unit_3/basic_v2', 1, 64),
    ),
    ('plain_18', {}, ('plain_18/block1/unit_2/plain_v1', 4, 64)),
    (
      'cifar_resnet_v2_29',
      {},
      ('cifar_resnet_v2_29/block1/unit_3/bottleneck_v2', 1, 64),
    ),
  ],
)
def test_low_level_feature_of_the_whole_block(graph, name, options, expected):
  """Where blocks begin with their stride."""
  told = nets_factory.low_level_feature(name, **options)
  assert told == expected
  _, end_points = nets_factory.get_network_fn(name, None)(
    tf.zeros([1, 32, 32, 3]), global_pool=False, **options
  )
  assert end_points[told.end_point].shape == [
    1,
    32 // told.stride,
    32 // told.stride,
    told.channels,
  ]
  assert end_points[f'{name}/block1'].shape == end_points[told.end_point].shape


def test_low_level_features_that_are_not_there(short):
  with pytest.raises(
    ValueError,
    match=(
      'resnet_v2_50 has no low-level feature: the first unit of its block1 has '
      'a stride. Take a decoder that needs none, or another network.'
    ),
  ):
    nets_factory.low_level_feature('resnet_v2_50')
  with pytest.raises(ValueError, match="no network named 'resnet_v2_5'"):
    nets_factory.low_level_feature('resnet_v2_5')
