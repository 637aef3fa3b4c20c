"""What is imported is declared, and the wheel has what it should."""

import ast
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from engine.config.export import FORMATS

if sys.version_info >= (3, 11):
  import tomllib
else:
  import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[1]
# Loaded by a name in a string, which no walk over imports finds.
LOADED_BY_NAME = {'tf_keras': 'nets/slim_compat.py'}
# Who wants to compare with them, or read their data, installs them.
OPTIONAL = {'openvino', 'torch', 'torchvision', 'tensorflow_datasets'}
# Of the extra for exports, and a runtime that TensorFlow has too.
OPTIONAL |= {'ai_edge_litert', 'onnx', 'onnxruntime', 'tf2onnx'}
# What drives the browser, of an extra too; and an example's, of no extra.
OPTIONAL |= {'selenium', 'grpc', 'tensorflow_serving'}
# Run as commands, by make and before commits.
COMMANDS = {'pytest-xdist', 'mypy', 'pre-commit', 'ruff'}
# One of both is there, by the version of Python.
TOML = {'tomllib', 'tomli'}
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
OURS = re.compile(r'slim-resnets\[([\w,]+)\]')


def normal(name):
  """A distribution's name as indexes compare it."""
  return re.sub(r'[-_.]+', '-', name).lower()


def requirements(extra=None):
  """Those of the library, or of an extra and of our extras that it names."""
  if extra is None:
    return PROJECT['dependencies']
  found = []
  for line in PROJECT['optional-dependencies'][extra]:
    ours = OURS.fullmatch(line)
    extras = ours[1].split(',') if ours else ()
    found += [each for name in extras for each in requirements(name)] or [line]
  return found


def declared(extra=None):
  return {
    normal(re.match(r'[\w.-]+', line).group()) for line in requirements(extra)
  }


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
          if name not in ours | OPTIONAL | TOML | sys.stdlib_module_names:
            assert name in known, f'{path} imports {name}: not installed'
            found.add(normal(known[name][0]))
  return found


LIBRARY = ('nets', 'preprocessing')
FREE = ('experiments', 'benchmarks', 'demo')
SCRIPTS = ('.', 'datasets', 'metrics', 'engine', 'deployment', *FREE)
TOOLS = {'setuptools'}  # imported by setup.py, declared as what builds it


def by_name():
  for module, path in LOADED_BY_NAME.items():
    assert f"'{module}" in (ROOT / path).read_text('utf-8')
  return set(map(normal, LOADED_BY_NAME))


def test_the_library_declares_what_it_imports():
  assert imported(*LIBRARY) | by_name() <= declared()


def test_the_scripts_declare_what_they_import():
  every = declared() | declared('scripts')
  assert imported(*LIBRARY, *SCRIPTS) - TOOLS <= every


def test_the_tests_declare_what_they_import():
  every = declared() | declared('test')
  assert imported('tests') - TOOLS <= every


def test_nothing_is_declared_that_is_not_imported():
  used = imported(*LIBRARY, *SCRIPTS) | by_name()
  assert declared() | declared('scripts') <= used
  # See the formats above; photographs are read as files.
  elsewhere = COMMANDS | TOML | declared('export') | declared('photos')
  assert declared('dev') - elsewhere <= used | imported('tests')
  commands = declared('dev') & COMMANDS
  run = (ROOT / 'Makefile').read_text() + (
    ROOT / '.pre-commit-config.yaml'
  ).read_text()
  assert commands == COMMANDS and ' -n ' in run
  assert all(f'bin/{name}' in run for name in commands - {'pytest-xdist'})


def test_what_formats_need_is_declared():
  needed = {name for entry in FORMATS.values() for name in entry.modules}
  assert declared('export') == set(map(normal, needed))


def test_every_requirement_has_a_lowest_version():
  every = [*requirements(), *requirements('dev'), *requirements('browser')]
  for line in every:
    assert re.fullmatch(
      r'[\w-]+>=\d+(\.\d+)*(,<\d+(\.\d+)*)?(; python_version < .3\.\d+.)?', line
    ), line


def test_extras_that_are_advised_exist():
  pages = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]
  text = '\n'.join(page.read_text('utf-8') for page in pages)
  advised = set(re.findall(r"pip install '\.\[(\w+)\]'", text))
  assert 'tensorboard' in advised <= set(PROJECT['optional-dependencies'])


def test_the_environment_is_made_again_when_a_requirement_changes():
  makefile = (ROOT / 'Makefile').read_text()
  for name in 'VENV', 'OLDEST':
    assert f'$({name})/installed: pyproject.toml\n' in makefile


def test_wheel(tmp_path):
  """It has nets and preprocessing, and nothing else of the tree."""
  source = tmp_path / 'source'
  shutil.copytree(
    ROOT,
    source,
    ignore=shutil.ignore_patterns(
      '.*',
      'data',
      'runs',
      'build',
      'dist',
      '*.egg-info',
      '__pycache__',
      'node_modules',
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
