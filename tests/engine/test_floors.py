"""The packages of engine: imports run one way; tasks are told apart once."""

import ast
import graphlib
import pathlib
import random
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Each imports those before it alone.
PACKAGES = (
  'common',
  'config',
  'replicas',
  'input',
  'checkpoints',
  'model',
  'tasks',
  'resolve',
  'evaluation',
  'training',
  'export',
)


def name_of(path):
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


PATHS = sorted((ROOT / 'engine').glob('**/*.py'))
MODULES = {name_of(path): ast.parse(path.read_text('utf-8')) for path in PATHS}


def imported(tree):
  """The modules of engine that a module imports anywhere."""
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom):
      for alias in node.names:
        inner = f'{node.module}.{alias.name}'
        yield inner if inner in MODULES else node.module


GRAPH = {
  name: {other for other in imported(tree) if other in MODULES}
  for name, tree in MODULES.items()
}


def test_every_package_is_known():
  folders = {path.name for path in (ROOT / 'engine').iterdir() if path.is_dir()}
  assert folders - {'__pycache__'} == set(PACKAGES)


def test_no_module_imports_itself_by_way_of_others():
  assert GRAPH['engine.train'] >= {'engine.training.hooks'}
  assert len([*graphlib.TopologicalSorter(GRAPH).static_order()]) > 80


@pytest.mark.parametrize('package', PACKAGES)
def test_a_package_imports_those_before_it(package):
  number = PACKAGES.index(package)
  allowed = {f'engine.{name}' for name in PACKAGES[: number + 1]}
  wrong = {
    f'{name} imports {other}'
    for name, others in GRAPH.items()
    if name.startswith(f'engine.{package}.')
    for other in others
    if '.'.join(other.split('.')[:2]) not in allowed
  }
  assert wrong == set()


def test_a_folder_has_no_more_than_15_modules():
  folders = [path.parent for path in PATHS if path.name != '__init__.py']
  assert max(map(folders.count, set(folders))) <= 15


def test_nothing_else_tells_the_tasks_apart():
  """What differs by them is behind `engine.tasks.base.Task`."""
  names = {'classification', 'segmentation', 'CLASSIFICATION', 'SEGMENTATION'}
  wrong = set()
  for name, tree in MODULES.items():
    for node in ast.walk(tree):
      told = []
      if isinstance(node, ast.Compare):
        told = [node.left, *node.comparators]
      elif isinstance(node, ast.Dict):
        told = [key for key in node.keys if key]
      elif isinstance(node, ast.match_case):
        told = [*ast.walk(node.pattern)]
      for part in told:
        words = {getattr(part, of, None) for of in ('value', 'id', 'attr')}
        if names & {word for word in words if isinstance(word, str)}:
          wrong.add(name)
  assert wrong == {'engine.config.tasks'}


def test_configurations_need_no_tensorflow():
  """In any order too; a mistaken flag is answered at once."""
  names = [name for name in MODULES if name.startswith('engine.config')]
  random.Random(1).shuffle(names)
  code = '; '.join(['import sys', *(f'import {name}' for name in names)])
  found = subprocess.run(
    [sys.executable, '-c', f'{code}; sys.exit("tensorflow" in sys.modules)'],
    cwd=ROOT,
    check=False,
  )
  assert found.returncode == 0
