"""The rules of the house that a machine can check."""

import ast
import doctest
import importlib
import pathlib
import random
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
COMPOSERS = ('engine', 'deployment')
ROOMS = ('datasets', 'preprocessing', 'nets', 'metrics', *COMPOSERS)
# Helpers without docstrings.
FREE = ('tests', 'experiments', 'benchmarks', 'demo')
SOURCES = sorted(
  path.relative_to(ROOT)
  for folder in (*ROOMS, *FREE, '.')
  for path in (ROOT / folder).glob('*.py' if folder == '.' else '**/*.py')
  if 'node_modules' not in path.parts
)


def parse(path):
  return ast.parse((ROOT / path).read_text('utf-8'))


def imports(path):
  """The top-level names of the modules that a file imports anywhere."""
  for node in ast.walk(parse(path)):
    if isinstance(node, ast.Import):
      yield from (alias.name.split('.')[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: a relative import'
      yield node.module.split('.')[0]


def in_rooms(*rooms):
  return [path for path in SOURCES if path.parts[0] in rooms]


def test_the_sources_are_found():
  found = {str(path) for path in SOURCES}
  assert {
    'train_image_classifier.py',
    'engine/train.py',
    'nets/resnet_v1.py',
    'datasets/convert/digits.py',
    'tests/test_house.py',
  } <= found
  assert not any('.venv' in path.parts for path in SOURCES)


@pytest.mark.parametrize('room', ROOMS)
def test_a_room_imports_only_itself(room):
  """Engine and deployment compose the four others, which compose none."""
  allowed = ROOMS if room in COMPOSERS else (room,)
  scripts = {path.stem for path in SOURCES if len(path.parts) == 1}
  forbidden = {*ROOMS, *FREE, *scripts} - set(allowed)
  wrong = {
    f'{path} imports {name}'
    for path in in_rooms(room)
    for name in imports(path)
    if name in forbidden
  }
  assert in_rooms(room) and wrong == set()


def test_nothing_imports_tests():
  wrong = [
    str(path)
    for path in SOURCES
    if path.parts[0] != 'tests' and 'tests' in imports(path)
  ]
  assert wrong == []


def test_scripts_import_the_engine_alone():
  """They hold nothing but flags; setup.py is none of them."""
  for path in SOURCES:
    if len(path.parts) == 1 and path.name != 'setup.py':
      ours = {name for name in imports(path) if name in (*ROOMS, *FREE)}
      assert ours <= {'engine', 'datasets'}, path


def test_every_module_and_public_function_says_what_it_does():
  silent = []
  for path in SOURCES:
    tree = parse(path)
    if tree.body and ast.get_docstring(tree) is None:
      silent.append(str(path))
    if path.parts[0] not in FREE:
      silent += [
        f'{path}: {node.name}'
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith('_')
        and ast.get_docstring(node) is None
      ]
  assert silent == []


SESSIONS = {  # who opens sessions, and with which configuration
  # What workers send to each other, and ask each other.
  'deployment/joined.py': {'ConfigProto', 'Session'},
  'deployment/watch.py': {'ConfigProto', 'Session'},
  'datasets/sessions.py': {'ConfigProto', 'Session'},
  'engine/common/runtime.py': {'ConfigProto', 'Session'},
  # It has nothing of ours.
  'engine/export/standalone.py': {'ConfigProto', 'Session'},
  'engine/replicas/opening.py': {'Session'},
  'engine/train.py': {'MonitoredSession'},
}


def test_sessions_are_opened_in_one_place():
  """Who decodes takes no GPU, and who trains leaves some of it to others."""
  openers = {
    'ConfigProto',
    'GPUOptions',
    'InteractiveSession',
    'Session',
    'Supervisor',
    'SessionManager',
  }
  found = {}
  for path in in_rooms(*ROOMS):
    for node in ast.walk(parse(path)):
      if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if name in openers or name.startswith(('Monitored', 'ChiefSession')):
          found.setdefault(str(path), set()).add(name)
        if name in ('ChiefSessionCreator', 'Server'):
          config = {each.arg: each.value for each in node.keywords}['config']
          assert ast.unparse(config.func).endswith('.session_config')
  found['engine/common/runtime.py'].discard('GPUOptions')
  assert found == SESSIONS


# Run in a new process, where nothing but TensorFlow is imported.
IMPORT_ALL = """
import importlib, logging, signal, sys
import tensorflow as tf
from absl import flags

def state():
  graph = tf.compat.v1.get_default_graph()
  return {
      'flags': sorted(flags.FLAGS), 'eager': tf.executing_eagerly(),
      'handlers': list(logging.root.handlers), 'level': logging.root.level,
      'tensorflow level': logging.getLogger('tensorflow').level,
      'operations': len(graph.get_operations()),
      'sigint': signal.getsignal(signal.SIGINT),
      'sigterm': signal.getsignal(signal.SIGTERM),
      'streams': (sys.stdout, sys.stderr, sys.excepthook),
      'equality': tf.Tensor.__eq__, 'seed': graph.seed, 'graph': id(graph),
      'control flow': tf.compat.v1.control_flow_v2_enabled(),
      'variables': tf.compat.v1.resource_variables_enabled(),
      'devices': tf.config.get_visible_devices()}

def check(name):
  for what, value in state().items():
    assert value == before[what], f'{name} changes {what}: {value}'

before = state()
for name in sys.argv[1:]:
  importlib.import_module(name)
  check(name)

from nets import resnet_v1
with tf.Graph().as_default():
  resnet_v1.resnet_v1(
      tf.compat.v1.placeholder(tf.float32, [None, 32, 32, 3]),
      [resnet_v1.resnet_v1_block('block1', 1, 2, 2)], 10, output_stride=4)
check('a network')
assert tf.executing_eagerly()
"""


def module_name(path):
  parts = path.with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


@pytest.mark.slow
def test_importing_and_building_change_nothing_global():
  """Every script and every room, in one process, in any order.

  No module needs another to be there before, nor anything else to be set up.
  """
  names = [
    module_name(path)
    for path in SOURCES
    if path.parts[0] not in FREE and path.name != 'setup.py'
  ]
  assert len(names) > 30
  random.Random(0).shuffle(names)
  names.sort(key=lambda name: not name.startswith('engine'))
  result = subprocess.run(
    [sys.executable, '-c', IMPORT_ALL, *names],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-2000:]
  assert result.stdout == ''


EXAMPLES = [
  path
  for path in SOURCES
  if path.parts[0] not in ('tests', 'nets')  # nets: in tests/nets
  and '>>>' in (ROOT / path).read_text('utf-8')
]


@pytest.mark.parametrize('path', EXAMPLES, ids=str)
def test_examples(path, graph):
  failed, attempted = doctest.testmod(
    importlib.import_module(module_name(path))
  )
  assert failed == 0 and attempted > 0
