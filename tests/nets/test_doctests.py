"""The examples in the docstrings of nets/ run and tell the truth."""

import doctest
import importlib
import pathlib
import pkgutil

import pytest

import nets

MODULES = [
  module.name.removeprefix('nets.')
  for module in pkgutil.walk_packages(nets.__path__, 'nets.')
  if not module.ispkg
]


# They build whole networks.
SLOW = 'nets_factory', 'resnet_v1', 'resnet_v2', 'decoders', 'keras_layer'


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in MODULES
  ],
)
def test_examples(name):
  module = importlib.import_module(f'nets.{name}')
  failed, attempted = doctest.testmod(module)
  assert failed == 0
  has_examples = '>>>' in pathlib.Path(module.__file__).read_text()
  assert (attempted > 0) == has_examples


def test_all_modules_are_found():
  assert {'resnet_v1', 'resnet_v2', 'slim_compat'} <= set(MODULES)
