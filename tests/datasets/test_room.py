"""Rules of this room that a machine can check."""

import ast
import graphlib
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PATHS = sorted((ROOT / 'datasets').glob('**/*.py'))


def name_of(path):
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {name_of(path): ast.parse(path.read_text('utf-8')) for path in PATHS}


def imported(tree):
  """The modules of this room that a module imports as it is imported."""
  for node in tree.body:
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        inner = f'{node.module}.{alias.name}'
        yield inner if inner in MODULES else node.module


def test_no_module_imports_itself_by_way_of_others():
  graph = {
    name: {other for other in imported(tree) if other in MODULES}
    for name, tree in MODULES.items()
  }
  assert graph['datasets.dataset_factory'] >= {'datasets.label_kinds'}
  assert len([*graphlib.TopologicalSorter(graph).static_order()]) > 40


def test_a_folder_has_no_more_than_15_modules():
  folders = [path.parent for path in PATHS if path.name != '__init__.py']
  assert max(map(folders.count, set(folders))) <= 15


def test_nothing_else_tells_the_kinds_of_label_apart():
  """What differs by them is an entry of label_kinds.KINDS."""
  kinds = {'classification', 'segmentation', 'CLASSIFICATION', 'SEGMENTATION'}
  wrong = []
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
        if kinds & {word for word in words if isinstance(word, str)}:
          wrong.append(name)
  assert {*wrong} == {'datasets.label_kinds'}
