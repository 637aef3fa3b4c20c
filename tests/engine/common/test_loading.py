"""What a table names by its place."""

import os.path

import pytest

from engine.common.loading import load
from engine.config import optimizers, schedules, tasks


def test_load():
  assert load('os:path.basename') is os.path.basename
  with pytest.raises(ModuleNotFoundError):
    load('no_such_module:name')
  with pytest.raises(AttributeError):
    load('os:no_such_name')


@pytest.mark.parametrize(
  'entry',
  [
    entry
    for registry in (optimizers.OPTIMIZERS, schedules.SCHEDULES, tasks.TASKS)
    for entry in registry.values()
  ],
  ids=lambda entry: entry.implementation,
)
def test_what_the_registries_name_is_there(entry):
  assert callable(load(entry.implementation))
