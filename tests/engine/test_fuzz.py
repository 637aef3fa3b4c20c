"""Damaged files of a run: refused by their names, or read rightly.

See tests/fuzzing.py. What cannot be told: another value of the same kind in
config.json or best.json, another name of a class, and a changed value in the
mean image that is in [0, 1].
"""

import io
import json
import os
import pathlib
import random
import shutil

import numpy as np
import pytest

from engine.checkpoints import best, contents, inspection, locate
from engine.config import runs
from engine.config.scripts import ClassifyConfig, TrainConfig
from engine.input import image_files, pixel_mean
from engine.resolve import class_names
from engine.resolve.files import files
from engine.training import early_stopping, metrics_log
from tests import builders
from tests.fuzzing import (
  FUZZ,
  attempt,
  limited,
  mutate,
  mutations,
  put,
  replant,
)

RUNS = pathlib.Path(__file__).parents[1] / 'data' / 'old_runs'
RUN = RUNS / 'classification'
PREFIX = 'model.ckpt-4'


def json_mutations(kind, original, count):
  """Yields (number, data): changed bytes and changed values, in turn."""
  for number in range(count):
    chance = random.Random(f'{kind} {number}')
    if number % 2:
      yield number, mutate(original, original, chance)
      continue
    values = json.loads(original)
    for _ in range(chance.choice((1, 1, 2))):
      replant(values, chance)
    yield number, json.dumps(values).encode()


@pytest.fixture
def run(tmp_path):
  """A copy of a run."""
  return pathlib.Path(shutil.copytree(RUN, tmp_path / 'run'))


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_configurations(tmp_path, task):
  """What is read makes a configuration, of values in their ranges."""
  original = (RUNS / task / 'config.json').read_bytes()
  known = {field for field in TrainConfig.__dataclass_fields__}
  for number, data in json_mutations(task, original, 6 * FUZZ):
    path = put(tmp_path / 'config.json', data)
    found = attempt(number, runs.read, str(tmp_path), says=[path])
    if found is None:
      continue
    fields = {name: found[name] for name in known.intersection(found)}
    attempt(number, lambda fields=fields: TrainConfig(**fields), says=['--'])
    for name in found.get('class_names', []):
      assert name.isprintable(), number


def test_runs_whose_configuration_is_damaged(run, monkeypatch):
  """Classification completes what it needs by it, or refuses it."""
  builders.register_tiny_networks(monkeypatch.setitem)
  path = run / 'config.json'
  original = path.read_bytes()
  for number, data in json_mutations('run', original, FUZZ):
    put(path, data)
    given = ClassifyConfig(checkpoint_path=str(run))
    attempt(number, lambda given=given: files(given, 'segmented'))


def test_best(run):
  original = (run / 'best.json').read_bytes()
  for number, data in json_mutations('best', original, 4 * FUZZ):
    path = put(run / 'best.json', data)
    attempt(number, best.is_finished, str(run), says=[path])
    found = attempt(number, best.find, str(run), says=[run])
    assert found is None or locate.is_readable(found), number


def test_names_of_classes(tmp_path):
  original = json.dumps({str(i): f'class {i}' for i in range(5)}).encode()
  for number, data in json_mutations('names', original, 6 * FUZZ):
    path = put(tmp_path / 'names.json', data)
    found = attempt(number, class_names.read_names, str(path), says=[path])
    for name in (found or {}).values():
      assert name.isprintable(), number


MEANS = {}
for dtype in (np.float32, np.float64):
  for order in 'CF':
    _file = io.BytesIO()
    np.save(
      _file, np.random.default_rng(0).random((4, 5, 3)).astype(dtype, order)
    )
    MEANS[dtype, order] = _file.getvalue()


def test_mean_images(tmp_path):
  for number, data in mutations('mean', MEANS, 10 * FUZZ):
    path = put(tmp_path / 'mean.npy', data)
    found = attempt(number, pixel_mean.read, str(path), says=[path])
    if found is not None:
      assert found.ndim == 3 and found.shape[2] in (1, 3), number
      assert ((found >= 0) & (found <= 1)).all(), number


@pytest.mark.parametrize('ending', ['.index', '.data-00000-of-00001'])
def test_checkpoints(run, ending):
  """Each value has a checksum: they are what was written, or refused."""
  prefix = str(run / PREFIX)
  values = contents.read_values(prefix)
  path = run / (PREFIX + ending)
  original = path.read_bytes()
  for number, data in mutations(ending, {'': original}, 4 * FUZZ):
    put(path, data)
    found = attempt(number, locate.find, prefix, says=[prefix])
    if found is None:
      attempt(number, locate.find, str(run), says=[run])
      continue
    inspection.describe(found)
    again = contents.read_values(found)
    assert again.keys() == values.keys(), number
    assert all(np.array_equal(again[name], values[name]) for name in values)


def test_the_list_of_checkpoints(run):
  """What it names is looked for in its folder."""
  original = (run / 'checkpoint').read_bytes()
  for number, data in mutations('list', {'': original}, 2 * FUZZ):
    put(run / 'checkpoint', data)
    with limited(number):
      found = locate.newest(str(run))
    assert found in (None, str(run / PREFIX)), number


# What is no file.

READERS = {
  'config.json': runs.read,
  'best.json': best.read,
  'checkpoint': locate.newest,
  'metrics.csv': metrics_log.read_metrics,
  'evaluations.csv': early_stopping.read,
  f'{PREFIX}.index': lambda run: locate.find(f'{run}/{PREFIX}'),
  f'{PREFIX}.data-00000-of-00001': lambda run: locate.find(f'{run}/{PREFIX}'),
  'mean.npy': lambda run: pixel_mean.read(f'{run}/mean.npy'),
  'names.json': lambda run: class_names.read_names(f'{run}/names.json'),
  'names.txt': lambda run: class_names.read_names(f'{run}/names.txt'),
}


@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder'])
@pytest.mark.parametrize('name', READERS)
def test_what_is_no_file(run, name, kind):
  path = run / name
  path.unlink(missing_ok=True)
  {
    'pipe': os.mkfifo,
    'device': lambda path: path.symlink_to('/dev/zero'),
    'folder': os.mkdir,
  }[kind](path)
  with limited(name), pytest.raises(ValueError) as error:
    READERS[name](str(run))
  assert str(run) in str(error.value) and str(error.value).isprintable()


def test_an_image_that_is_no_file(tmp_path, capsys):
  """It is named, and the others are classified."""
  os.mkfifo(tmp_path / 'a.png')
  builders.colour_image(0, 0).save(tmp_path / 'b.png')
  with limited('a.png'):
    found = [*image_files.read(image_files.find([str(tmp_path)]).files)]
  assert [path for path, _ in found] == [str(tmp_path / 'b.png')]
  assert f'error: {tmp_path}/a.png is a pipe, and' in capsys.readouterr().err
