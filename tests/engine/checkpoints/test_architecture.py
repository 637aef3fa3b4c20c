"""Which network the names and shapes of variables tell."""

import functools

import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import architecture, contents
from nets import nets_factory
from nets.slim_compat import slim
from tests import golden

NAMES = sorted(path.stem for path in (golden.DATA / 'variables').iterdir())


def shapes(name, **changes):
  """{variable: shape} of a network as the original has it.

  Args:
    changes: a part of a name and what comes in its place, None to leave out
      the variables that have it.
  """
  found = {v['name']: v['shape'] for v in golden.variables(name)}
  return renamed(found, **changes)


def renamed(found, **changes):
  for old, new in changes.items():
    found = {
      name.replace(old, new or ''): shape
      for name, shape in found.items()
      if new is not None or old not in name
    }
  return found


def beta(depth):
  """A network with DeepLab's root, batch norm of the root apart."""
  scope = f'resnet_v1_{depth}'
  found = shapes(scope)
  del found[f'{scope}/conv1/weights']
  return {
    **found,
    f'{scope}/conv1_1/weights': [3, 3, 3, 64],
    f'{scope}/conv1_2/weights': [3, 3, 64, 64],
    f'{scope}/conv1_3/weights': [3, 3, 64, 128],
  }


@functools.cache
def built(name, **options):
  """{variable: shape} of a network of ten classes as it is here."""
  with tf.Graph().as_default():
    nets_factory.get_network_fn(name, 10)(tf.zeros([1, 32, 32, 3]), **options)
    return {v.op.name: v.shape.as_list() for v in slim.get_model_variables()}


def with_doubles(found):
  """As a training with momentum and moving averages saves it."""
  return {
    **found,
    **{
      f'{name}/Momentum': shape
      for name, shape in found.items()
      if 'moving' not in name
    },
    **{name + contents.SHADOW: shape for name, shape in found.items()},
    'global_step': [],
    'beta1_power': [],
  }


@pytest.mark.parametrize('name', NAMES)
def test_every_network_is_told(name):
  found = architecture.network(shapes(name))
  assert found.names == [name] and str(found) == name
  assert (found.scope, found.root, found.channels) == (f'{name}/', '7x7', 3)
  assert found.kind == found.unit == f'bottleneck_v{name[8]}'
  assert found.flags == [f'--model_name={name}']
  assert found.num_classes == shapes(name)[f'{name}/logits/weights'][-1]
  assert architecture.width(found) == 1


@pytest.mark.parametrize('name', NAMES[:2])
@pytest.mark.parametrize('scope', ['my_net', 'module/a_b', 'block1/x', ''])
def test_the_scope_tells_nothing(name, scope):
  found = architecture.network(
    {
      name_.replace(name, scope, 1).lstrip('/'): shape
      for name_, shape in shapes(name).items()
    }
  )
  assert found.names == [name]
  assert found.scope == (f'{scope}/' if scope else '')
  assert found.num_classes is not None


def test_beta():
  found = architecture.network(beta(101))
  assert (found.names, found.root) == (['resnet_v1_101_beta'], 'beta')
  assert found.scope == 'resnet_v1_101/'


@pytest.mark.parametrize(
  'name, kind, root',
  [
    ('resnet_v1_18', 'basic_v1', '7x7'),
    ('resnet_v2_18', 'basic_v2', '7x7'),
    pytest.param('plain_18', 'plain_v1', '7x7', marks=pytest.mark.slow),
    ('cifar_residual_8', 'basic_v1', 'cifar'),
    ('cifar_plain_8', 'plain_v1', 'cifar'),
    pytest.param(
      'cifar_highway_14', 'highway_v1', 'cifar', marks=pytest.mark.slow
    ),
    ('cifar_resnet_v1_14', 'basic_v1 with biases', 'cifar'),
    ('cifar_resnet_v2_11', 'bottleneck_v2 with biases', 'cifar'),
  ],
)
def test_every_kind_of_units_is_told(name, kind, root):
  """Of any depth, and whatever the scope."""
  here = built(name)
  for held in here, renamed(here, **{f'{name}/': 'net/'}):
    found = architecture.network(held)
    assert (found.names, found.kind, found.root) == ([name], kind, root)
    assert (found.options(name), found.num_classes) == ({}, 10)
    assert architecture.width(found) == 1


@pytest.mark.parametrize(
  'name',
  [
    'resnet_v1d_18',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in (
        'resnet_v1_5_50',
        'resnet_v1d_50',
        'wide_resnet_50_2',
        'resnext_50_32x4d',
      )
    ),
  ],
)
def test_networks_of_other_libraries(name):
  """The scope tells version 1.5 from 1, which has the same variables."""
  here = built(name)
  for scope in name, f'model/{name}', 'net':
    found = architecture.network(renamed(here, **{f'{name}/': f'{scope}/'}))
    same = scope == 'net' and 'v1_5' in name
    assert found.names == ['resnet_v1_50' if same else name]
    assert found.options(found.names[0]) == {}
    assert architecture.width(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, options',
  [
    ('resnet_v1_5_50', {'root_block': 'deep', 'shortcut': 'C'}),
    ('resnet_v1d_50', {'root_block': '7x7'}),
    ('wide_resnet_50_2', {'shortcut': 'A'}),
  ],
)
def test_their_options_are_told(name, options):
  found = architecture.network(built(name, **options))
  assert found.names == [name] and found.options(name) == options


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, options',
  [
    ('resnet_v1_18', {'root_block': '7x7_symmetric', 'shortcut': 'D'}),
    ('resnet_v1_5_50', {'root_block': '7x7', 'shortcut': 'D'}),
    ('resnet_v1d_18', {'shortcut': 'B'}),
  ],
)
def test_what_the_variables_do_not_tell(name, options):
  """How the pooling pads, and whether a shortcut averages."""
  found = architecture.network(built(name, **options))
  assert found.names == [name] and found.options(name) == {}


def test_the_units_tell_34_from_50():
  found = architecture.network(
    {
      name.replace('bottleneck_v1', 'basic_v1'): shape
      for name, shape in shapes('resnet_v1_50').items()
    }
  )
  assert found.names == ['resnet_v1_34']


@pytest.mark.parametrize(
  'name, options',
  [
    ('resnet_v1_18', {'root_block': '3x3'}),
    ('resnet_v1_18', {'root_block': 'beta', 'shortcut': 'C'}),
    ('cifar_residual_8', {'shortcut': 'B'}),
    ('cifar_residual_14', {'root_block': '3x3', 'shortcut': 'B'}),
    ('cifar_residual_8', {'root_block': '3x3', 'shortcut': 'C'}),
    ('cifar_highway_8', {'shortcut': 'C'}),
  ],
)
def test_options_are_told(name, options):
  found = architecture.network(built(name, **options))
  assert found.names == [name] and found.options(name) == options
  assert found.flags == [
    ' '.join(
      [
        f'--model_name={name}',
        *(f'--{option}={value}' for option, value in options.items()),
      ]
    )
  ]


def test_a_root_without_a_name_of_its_own():
  """Of the names those that have the root, else all."""
  held = beta(152)
  assert architecture.network(held).flags == [
    '--model_name=resnet_v1_152 --root_block=beta'
  ]
  held['resnet_v1_152/conv1_1/weights'] = [5, 5, 3, 64]
  found = architecture.network(held)
  assert (found.root, found.channels) == (None, None)
  assert found.names == ['resnet_v1_152']


def test_parts_of_a_network():
  found = architecture.network(shapes('resnet_v1_50', logits=None))
  assert (found.names, found.num_classes) == (['resnet_v1_50'], None)
  found = architecture.network(shapes('resnet_v1_50', block3=None, block4=None))
  assert found.names == ['resnet_v1_50', 'resnet_v1_101']
  assert str(found) == 'resnet_v1_50 or resnet_v1_101'
  found = architecture.network({'a/conv1/weights': [7, 7, 3, 64]})
  assert found is None


def test_a_network_that_is_not_registered():
  found = architecture.network(shapes('resnet_v1_50', unit_3=None))
  assert found.names == []
  assert str(found) == (
    'a network of bottleneck_v1 units, 2, 4, 6, 2 in its blocks'
  )
  assert found.flags == [] and architecture.width(found) == 1


def test_two_networks_in_one():
  both = {**shapes('resnet_v2_101'), **shapes('resnet_v1_50')}
  assert architecture.network(both).names == ['resnet_v2_101']  # the larger
  assert architecture.network(both, 'resnet_v1_50/').names == ['resnet_v1_50']
