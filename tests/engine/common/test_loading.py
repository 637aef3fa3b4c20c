"""What a table names by its place."""

import gc
import os.path
import pathlib
import subprocess
import sys

import pytest

from engine.common.loading import load, nothing_collected
from engine.config import optimizers, schedules, tasks

ROOT = pathlib.Path(__file__).parents[3]


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


LIGHTLY = """
import gc, sys
from engine.common.loading import lightly

with lightly():
  assert not gc.isenabled()
  import tensorflow as tf
assert gc.isenabled()
print({'keras', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))
print(tf.keras.__version__.split('.')[0], 'keras' in sys.modules)
from keras.src import optimizers
print(optimizers.SGD(0.5).get_config()['learning_rate'])
"""


def test_tensorflow_is_imported_without_keras():
  """Which can be used afterwards all the same."""
  result = subprocess.run(
    [sys.executable, '-c', LIGHTLY], capture_output=True, text=True, cwd=ROOT
  )
  assert result.stdout.splitlines() == ['set()', '3 True', '0.5'], result.stderr


def test_what_is_collected_stays_as_it_was():
  gc.disable()
  try:
    with nothing_collected():
      assert not gc.isenabled()
    assert not gc.isenabled()
  finally:
    gc.enable()
  with pytest.raises(ZeroDivisionError), nothing_collected():
    raise ZeroDivisionError
  assert gc.isenabled()
