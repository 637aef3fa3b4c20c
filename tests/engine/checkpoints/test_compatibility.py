"""Whether a checkpoint fits a network."""

import pytest

from engine.checkpoints import architecture, compatibility
from tests.engine.checkpoints.test_architecture import (
  beta,
  built,
  renamed,
  shapes,
)


def error(wanted, there):
  with pytest.raises(ValueError) as raised:
    compatibility.check('P', wanted, there)
  return str(raised.value)


@pytest.mark.parametrize(
  'here, there, why',
  [
    (
      'resnet_v1_101',
      'resnet_v1_50',
      "its block3 has 6 units, the network's 23",
    ),
    (
      'resnet_v1_50',
      'resnet_v1_101',
      "its block3 has 23 units, the network's 6",
    ),
    (
      'resnet_v2_152',
      'resnet_v2_200',
      "its block2 has 24 units, the network's 8",
    ),
    (
      'resnet_v1_50',
      'resnet_v2_50',
      "its units are bottleneck_v2, the network's bottleneck_v1",
    ),
  ],
)
@pytest.mark.parametrize('scope', [False, True])
def test_the_network_that_fits_is_named(here, there, why, scope):
  """Whatever scope it was saved in, that of the network itself too."""
  held = shapes(there, **({there: here} if scope else {}))
  assert error(shapes(here), held) == (
    f'The checkpoint P is of {there} ({why}): pass --model_name={there}.'
  )


@pytest.mark.parametrize(
  'here, there, why',
  [
    pytest.param(
      'resnet_v1_5_50',
      'wide_resnet_50_2',
      'the units of its block1 make 256 channels of 128, the '
      "network's 256 of 64",
      marks=pytest.mark.slow,
    ),
    (
      'wide_resnet_50_2',
      'resnext_50_32x4d',
      "its 3x3 convolutions have 32 groups of channels, the network's 1",
    ),
  ],
)
def test_other_insides(here, there, why):
  held = renamed(built(there), **{there: here})
  assert error(built(here), held) == (
    f'The checkpoint P is of {there} ({why}): pass --model_name={there}.'
  )


def test_another_root():
  held = beta(50)
  assert error(shapes('resnet_v1_50'), held) == (
    'The checkpoint P is of resnet_v1_50_beta (its root is beta, the '
    "network's 7x7): pass --model_name=resnet_v1_50_beta."
  )
  assert error(held, shapes('resnet_v1_50')).endswith(
    'pass --model_name=resnet_v1_50.'
  )


def test_other_units_of_as_many():
  basic = {
    name.replace('bottleneck', 'basic'): shape
    for name, shape in shapes('resnet_v1_50').items()
  }
  assert error(shapes('resnet_v1_50'), basic) == (
    'The checkpoint P is of resnet_v1_34 (its units are basic_v1, the '
    "network's bottleneck_v1): pass --model_name=resnet_v1_34."
  )


def test_an_option_that_differs():
  here, there = (
    built('cifar_residual_14', **options)
    for options in ({}, {'root_block': '3x3', 'shortcut': 'B'})
  )
  assert error(here, there) == (
    'The checkpoint P is of cifar_residual_14 (its root is 3x3, the '
    "network's cifar): pass --model_name=cifar_residual_14 --root_block=3x3 "
    '--shortcut=B.'
  )


@pytest.mark.parametrize(
  'here, there, why, cure',
  [
    (
      'A',
      'B',
      "block2/unit_1 is a convolution, the network's is none",
      ' --shortcut=B',
    ),
    ('B', 'A', "block2/unit_1 is none, the network's is a convolution", ''),
    (
      'B',
      'C',
      "block1/unit_1 is a convolution, the network's is none",
      ' --shortcut=C',
    ),
  ],
)
def test_shortcuts(here, there, why, cure):
  """Told where all of a network is restored, lest parts be passed over."""
  here, there = (
    built('cifar_residual_14', shortcut=option) for option in (here, there)
  )
  compatibility.check('P', here, there)
  compatibility.check('P', there, there, shortcuts=True)
  with pytest.raises(ValueError) as raised:
    compatibility.check('P', here, there, shortcuts=True)
  assert str(raised.value) == (
    f'The checkpoint P is of cifar_residual_14 (the shortcut of its {why}): '
    f'pass --model_name=cifar_residual_14{cure}.'
  )


def test_nothing_that_fits():
  held = shapes('resnet_v1_50', unit_3=None)
  assert error(shapes('resnet_v1_50'), held) == (
    'The checkpoint P is of a network of bottleneck_v1 units, 2, 4, 6, 2 in '
    "its blocks (its block1 has 2 units, the network's 3): pass another "
    '--checkpoint_path: no --model_name fits it.'
  )


@pytest.mark.parametrize('scope', ['my_net/', 'module/resnet_v1_50/', ''])
def test_another_scope(scope):
  held = {
    scope + name.removeprefix('resnet_v1_50/'): shape
    for name, shape in shapes('resnet_v1_50').items()
  }
  assert error(shapes('resnet_v1_50'), held) == (
    f'The checkpoint P is of resnet_v1_50, but its variables begin with '
    f"{scope!r} where those of the network begin with 'resnet_v1_50/': save "
    'them by the names that the network has, and pass that as '
    '--checkpoint_path.'
  )


def test_another_width():
  held = {
    name: [*shape[:-1], shape[-1] // 2]
    for name, shape in shapes('resnet_v1_50').items()
  }
  assert architecture.width(architecture.network(held)) == 0.5
  assert error(shapes('resnet_v1_50'), held) == (
    'The checkpoint P is of resnet_v1_50 in another width (its block1 has '
    "32 channels, the network's 64): pass --depth_multiplier=0.5, or another "
    '--checkpoint_path.'
  )


def test_other_channels():
  grey = {**shapes('resnet_v1_50'), 'resnet_v1_50/conv1/weights': [7, 7, 1, 64]}
  compatibility.check('P', grey, shapes('resnet_v1_50'))
  with pytest.raises(ValueError) as raised:
    compatibility.check_channels('P', grey, shapes('resnet_v1_50'))
  assert str(raised.value) == (
    'The checkpoint P is for images of 3 channels, the network for 1: change '
    '--use_grayscale, or begin with a new root by '
    '--checkpoint_exclude_scopes=resnet_v1_50/conv1.'
  )


def test_what_is_not_wanted_need_not_fit():
  """Blocks, the root and the logits may be left out."""
  held = shapes('resnet_v1_50', resnet_v1_50='net')
  compatibility.check(
    'P', shapes('resnet_v1_101', resnet_v1_101='net', block3=None), held
  )
  compatibility.check(
    'P', renamed(beta(50), resnet_v1_50='net', conv1_1=None), held
  )
  compatibility.check('P', {'a/weights': [2]}, held)
  compatibility.check('P', {'a/weights': [2]}, held, shortcuts=True)
  compatibility.check('P', shapes('resnet_v1_50'), {'a/weights': [2]})


def test_compare():
  assert compatibility.compare(
    {'a': [1], 'b': [2], 'c': [3]}, {'a': (1,), 'b': (3,), 'd': (4,)}
  ) == (['a'], ['c'], ['b'], ['d'])
