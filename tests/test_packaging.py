"""setup.py declares what is imported, and the wheel has what it should."""

import ast
import importlib.metadata
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import zipfile

import pytest
import setuptools

ROOT = pathlib.Path(__file__).parents[1]
# Loaded by a name in a string, which no walk over imports finds.
LOADED_BY_NAME = {'tf_keras': 'nets/slim_compat.py'}
# Who wants to compare with them, or read their data, installs them.
OPTIONAL = {'torch', 'torchvision', 'tensorflow_datasets'}
# Run as commands.
COMMANDS = {'pytest-xdist', 'ruff'}


def normal(name):
  """A distribution's name as indexes compare it."""
  return re.sub(r'[-_.]+', '-', name).lower()


@pytest.fixture
def setup(monkeypatch):
  """The arguments that setup.py calls setuptools with."""
  arguments = {}
  monkeypatch.setattr(setuptools, 'setup', lambda **kw: arguments.update(kw))
  runpy.run_path(str(ROOT / 'setup.py'))
  return arguments


def declared(requirements):
  return {normal(re.match(r'[\w.-]+', line).group()) for line in requirements}


def imported(*folders):
  """The distributions that the files in the folders import from."""
  ours = {path.stem for path in ROOT.glob('*.py')} | {
    path.name for path in ROOT.iterdir() if path.is_dir()
  }
  known = importlib.metadata.packages_distributions()
  found = set()
  for folder in folders:
    for path in (ROOT / folder).glob('*.py' if folder == '.' else '**/*.py'):
      for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        names = (
          [alias.name for alias in node.names]
          if isinstance(node, ast.Import)
          else [node.module]
          if isinstance(node, ast.ImportFrom) and not node.level
          else []
        )
        for name in {name.split('.')[0] for name in names}:
          if name not in ours | OPTIONAL | sys.stdlib_module_names:
            assert name in known, f'{path} imports {name}: not installed'
            found.add(normal(known[name][0]))
  return found


LIBRARY = ('nets', 'preprocessing')
SCRIPTS = ('.', 'datasets', 'metrics', 'engine', 'experiments', 'benchmarks')
TOOLS = {'setuptools'}  # imported by setup.py, declared in pyproject.toml


def by_name():
  for module, path in LOADED_BY_NAME.items():
    assert f"'{module}" in (ROOT / path).read_text('utf-8')
  return set(map(normal, LOADED_BY_NAME))


def test_the_library_declares_what_it_imports(setup):
  assert imported(*LIBRARY) | by_name() <= declared(setup['install_requires'])


def test_the_scripts_declare_what_they_import(setup):
  every = declared(setup['install_requires']) | declared(
    setup['extras_require']['scripts']
  )
  assert imported(*LIBRARY, *SCRIPTS) - TOOLS <= every


def test_the_tests_declare_what_they_import(setup):
  every = declared(setup['install_requires']) | declared(
    setup['extras_require']['test']
  )
  assert imported('tests') - TOOLS <= every


def test_nothing_is_declared_that_is_not_imported(setup):
  library = declared(setup['install_requires'])
  scripts = declared(setup['extras_require']['scripts'])
  tests = declared(setup['extras_require']['test'])
  used = imported(*LIBRARY, *SCRIPTS) | by_name()
  assert library | scripts <= used
  assert tests - COMMANDS <= used | imported('tests')
  makefile = (ROOT / 'Makefile').read_text()
  assert 'ruff' in makefile and ' -n ' in makefile


def test_every_requirement_has_a_lowest_version(setup):
  extras = setup['extras_require'].values()
  for line in sum(extras, setup['install_requires']):
    assert re.fullmatch(r'[\w-]+>=\d+(\.\d+)*(,<\d+(\.\d+)*)?', line), line


def test_wheel(tmp_path):
  """It has nets and preprocessing, and nothing else of the tree."""
  source = tmp_path / 'source'
  shutil.copytree(
    ROOT,
    source,
    ignore=shutil.ignore_patterns(
      '.*', 'data', 'runs', 'build', 'dist', '*.egg-info', '__pycache__'
    ),
  )
  result = subprocess.run(
    [
      sys.executable,
      '-c',
      'from setuptools import build_meta; '
      'print(build_meta.build_wheel("..").strip())',
    ],
    cwd=source,
    capture_output=True,
    text=True,
    check=False,
  )
  if 'bdist_wheel' in result.stderr and result.returncode:
    pytest.skip('setuptools of this environment builds no wheels')
  assert result.returncode == 0, result.stderr[-2000:]
  (wheel,) = tmp_path.glob('*.whl')
  with zipfile.ZipFile(wheel) as file:
    names = {name for name in file.namelist() if '.dist-info/' not in name}
    (metadata,) = (
      file.read(name).decode()
      for name in file.namelist()
      if name.endswith('.dist-info/METADATA')
    )
  assert names == {
    str(path.relative_to(ROOT))
    for room in LIBRARY
    for path in (ROOT / room).rglob('*.py')
  }
  assert 'Name: slim-resnets' in metadata
  assert 'Requires-Dist: tf-slim' in metadata
