"""Which network the names and shapes of variables tell."""
import pytest

from engine import identify
from nets import nets_factory
from tests import golden

NAMES = [name for name in nets_factory.NETWORKS if not name.endswith('_beta')]


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
    found = {name.replace(old, new or ''): shape
             for name, shape in found.items() if new is not None
             or old not in name}
  return found


def beta(depth):
  """A network with DeepLab's root, batch norm of the root apart."""
  scope = f'resnet_v1_{depth}'
  found = shapes(scope)
  del found[f'{scope}/conv1/weights']
  return {**found, f'{scope}/conv1_1/weights': [3, 3, 3, 64],
          f'{scope}/conv1_2/weights': [3, 3, 64, 64],
          f'{scope}/conv1_3/weights': [3, 3, 64, 128]}


def with_doubles(found):
  """As a training with momentum and moving averages saves it."""
  return {**found, **{f'{name}/Momentum': shape for name, shape
                      in found.items() if 'moving' not in name},
          **{name + identify.SHADOW: shape for name, shape in found.items()},
          'global_step': [], 'beta1_power': []}


@pytest.mark.parametrize('name', NAMES)
def test_every_network_is_told(name):
  found = identify.network(shapes(name))
  assert found.names == [name] and str(found) == name
  assert (found.scope, found.root, found.channels) == (f'{name}/', '7x7', 3)
  assert found.version == int(name[8])
  assert found.num_classes == shapes(name)[f'{name}/logits/weights'][-1]
  assert identify.width(found) == 1


@pytest.mark.parametrize('name', NAMES[:2])
@pytest.mark.parametrize('scope', ['my_net', 'module/a_b', 'block1/x', ''])
def test_the_scope_tells_nothing(name, scope):
  found = identify.network({
      name_.replace(name, scope, 1).lstrip('/'): shape
      for name_, shape in shapes(name).items()})
  assert found.names == [name]
  assert found.scope == (f'{scope}/' if scope else '')
  assert found.num_classes is not None


def test_beta():
  found = identify.network(beta(101))
  assert (found.names, found.root) == (['resnet_v1_101_beta'], 'beta')
  assert found.scope == 'resnet_v1_101/'


def test_parts_of_a_network():
  found = identify.network(shapes('resnet_v1_50', logits=None))
  assert (found.names, found.num_classes) == (['resnet_v1_50'], None)
  found = identify.network(shapes('resnet_v1_50', block3=None, block4=None))
  assert found.names == ['resnet_v1_50', 'resnet_v1_101']
  assert str(found) == 'resnet_v1_50 or resnet_v1_101'
  found = identify.network({'a/conv1/weights': [7, 7, 3, 64]})
  assert found is None


def test_a_network_that_is_not_registered():
  found = identify.network(shapes('resnet_v1_50', unit_3=None))
  assert found.names == []
  assert str(found) == 'a resnet_v1 with 2, 4, 6, 2 units in its blocks'


def test_two_networks_in_one():
  both = {**shapes('resnet_v2_101'), **shapes('resnet_v1_50')}
  assert identify.network(both).names == ['resnet_v2_101']  # the larger
  assert identify.network(both, 'resnet_v1_50/').names == ['resnet_v1_50']
  identify.check('P', shapes('resnet_v1_50'), both)


# Kinds.


def test_contents():
  found = identify.contents(with_doubles(shapes('resnet_v1_50')))
  assert len(found.model) == len(found.shadows) == 267
  assert len(found.slots) == 161
  assert list(found.counters) == ['beta1_power', 'global_step']
  assert found.not_needed() == {
      'optimizer': 161, 'moving_averages': 267,
      'counters': ['beta1_power', 'global_step']}
  assert found.values() == found.model == shapes('resnet_v1_50')
  assert all(name == source for name, source in found.sources().items())


@pytest.mark.parametrize('slot', [
    'Momentum', 'Adam', 'Adam_1', 'RMSProp_1', 'Ftrl_1', 'Adagrad',
    'Adadelta', 'SomethingNew'])
def test_slots_of_any_optimizer(slot):
  found = identify.contents({'a/weights': [2], f'a/weights/{slot}': [2]})
  assert (list(found.model), list(found.slots)) == (
      ['a/weights'], [f'a/weights/{slot}'])


def test_only_moving_averages():
  found = identify.contents({
      'a/weights' + identify.SHADOW: [2], 'a/weights/Momentum': [2],
      'b' + identify.SHADOW: [3], 'b': [3]})
  assert found.sources() == {'a/weights': 'a/weights' + identify.SHADOW,
                             'b': 'b'}
  assert found.values() == {'a/weights': [2], 'b': [3]}
  assert found.not_needed() == {'optimizer': 1, 'moving_averages': 1,
                                'counters': []}


# Does it fit?


def error(wanted, there):
  with pytest.raises(ValueError) as raised:
    identify.check('P', wanted, there)
  return str(raised.value)


@pytest.mark.parametrize('here, there, why', [
    ('resnet_v1_101', 'resnet_v1_50',
     "its block3 has 6 units, the network's 23"),
    ('resnet_v1_50', 'resnet_v1_101',
     "its block3 has 23 units, the network's 6"),
    ('resnet_v2_152', 'resnet_v2_200',
     "its block2 has 24 units, the network's 8"),
    ('resnet_v1_50', 'resnet_v2_50',
     "its units are those of resnet_v2, the network's those of resnet_v1")])
@pytest.mark.parametrize('scope', [False, True])
def test_the_network_that_fits_is_named(here, there, why, scope):
  """Whatever scope it was saved in, that of the network itself too."""
  held = shapes(there, **({there: here} if scope else {}))
  assert error(shapes(here), held) == (
      f'The checkpoint P is of {there} ({why}): pass --model_name={there}.')


def test_another_root():
  held = beta(50)
  assert error(shapes('resnet_v1_50'), held) == (
      "The checkpoint P is of resnet_v1_50_beta (its root is conv1_1 to "
      "conv1_3, the network's conv1): pass --model_name=resnet_v1_50_beta.")
  assert error(held, shapes('resnet_v1_50')).endswith(
      'pass --model_name=resnet_v1_50.')


def test_nothing_that_fits():
  held = shapes('resnet_v1_50', unit_3=None)
  assert error(shapes('resnet_v1_50'), held) == (
      'The checkpoint P is of a resnet_v1 with 2, 4, 6, 2 units in its blocks '
      "(its block1 has 2 units, the network's 3): pass another "
      '--checkpoint_path: no --model_name fits it.')


@pytest.mark.parametrize('scope', ['my_net/', 'module/resnet_v1_50/', ''])
def test_another_scope(scope):
  held = {scope + name.removeprefix('resnet_v1_50/'): shape
          for name, shape in shapes('resnet_v1_50').items()}
  assert error(shapes('resnet_v1_50'), held) == (
      f'The checkpoint P is of resnet_v1_50, but its variables begin with '
      f"{scope!r} where those of the network begin with 'resnet_v1_50/': save "
      'them by the names that the network has, and pass that as '
      '--checkpoint_path.')


def test_another_width():
  held = {name: [*shape[:-1], shape[-1] // 2]
          for name, shape in shapes('resnet_v1_50').items()}
  assert identify.width(identify.network(held)) == 0.5
  assert error(shapes('resnet_v1_50'), held) == (
      'The checkpoint P is of resnet_v1_50 in another width (its block1 has '
      "32 channels, the network's 64): no --model_name builds it, so pass "
      'another --checkpoint_path.')


def test_other_channels():
  grey = {**shapes('resnet_v1_50'),
          'resnet_v1_50/conv1/weights': [7, 7, 1, 64]}
  identify.check('P', grey, shapes('resnet_v1_50'))
  with pytest.raises(ValueError) as raised:
    identify.check_channels('P', grey, shapes('resnet_v1_50'))
  assert str(raised.value) == (
      'The checkpoint P is for images of 3 channels, the network for 1: change '
      '--use_grayscale, or begin with a new root by '
      '--checkpoint_exclude_scopes=resnet_v1_50/conv1.')


def test_what_is_not_wanted_need_not_fit():
  """Blocks, the root and the logits may be left out."""
  held = shapes('resnet_v1_50', resnet_v1_50='net')
  identify.check('P', shapes('resnet_v1_101', resnet_v1_101='net',
                             block3=None), held)
  identify.check('P', renamed(beta(50), resnet_v1_50='net', conv1_1=None),
                 held)
  identify.check('P', {'a/weights': [2]}, held)
  identify.check('P', shapes('resnet_v1_50'), {'a/weights': [2]})


def test_compare():
  assert identify.compare(
      {'a': [1], 'b': [2], 'c': [3]}, {'a': (1,), 'b': (3,), 'd': (4,)}
  ) == (['a'], ['c'], ['b'], ['d'])
