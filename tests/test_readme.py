"""The README's Python runs, and its commands name what there is."""

import pathlib
import re

from datasets import dataset_factory
from datasets.convert import registry
from engine.config import flags
from engine.config import scripts as config

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text('utf-8')


def blocks(language):
  return re.findall(rf'```{language}\n(.*?)```', README, re.DOTALL)


def test_python_runs(capsys):
  codes = blocks('python')
  assert len(codes) == 2
  for code in codes:
    printed = re.findall(r'^print\(.*?\)  # (.*)$', code, re.MULTILINE)
    exec(compile(code, 'README.md', 'exec'), {})
    assert capsys.readouterr().out.splitlines() == printed


def test_flags_of_commands_exist(monkeypatch):
  monkeypatch.chdir(ROOT)  # where the flag files are
  commands = re.findall(
    r'python (\w+)\.py(.*)', '\n'.join(blocks('sh')).replace('\\\n', ' ')
  )
  classes = {
    'train_image_classifier': config.TrainConfig,
    'eval_image_classifier': config.EvalConfig,
    'classify_image': config.ClassifyConfig,
    'download_and_convert_data': config.ConvertConfig,
    'inspect_checkpoint': config.InspectConfig,
  }
  assert {script for script, _ in commands} == set(classes)
  for script, line in commands:
    flags.parse(classes[script], [script, *line.split()])


def test_tables_name_real_flags():
  fields = (
    config.TrainConfig.__dataclass_fields__
    | config.EvalConfig.__dataclass_fields__
    | config.ConvertConfig.__dataclass_fields__
    | config.InspectConfig.__dataclass_fields__
  )
  for flag in re.findall(r'`--(\w+)', README):
    assert flag in fields or flag in ('help', 'flagfile'), flag


def test_recipes_are_all_named():
  table = README.split('| recipe | |')[1].split('\n\n')[0]
  assert sorted(re.findall(r'`(\w+)`', table)) == sorted(
    path.stem for path in ROOT.glob('recipes/*.cfg')
  )


def test_make_targets_exist():
  makefile = (ROOT / 'Makefile').read_text()
  named = re.findall(r'(?:^|`)make ([a-z-]+)', README, re.MULTILINE)
  assert {'train', 'test', 'test-oldest', 'lint'} <= set(named)
  for target in named:
    assert re.search(rf'^{target}:', makefile, re.MULTILINE), target


def test_data_sets_are_all_named():
  line = README.split('Datasets with a name for training: ')[1].split('.')[0]
  assert re.findall(r'`(\w+)`', line) == list(dataset_factory.DATASETS)


def test_converters_are_all_named():
  table = README.split('| `--dataset_name` |')[1].split('\n\n')[0]
  names = re.findall(
    r'`([\w:]+)`', ''.join(row.split('|')[1] for row in table.splitlines()[2:])
  )
  assert sorted(names) == sorted([*registry.CONVERTERS, 'tfds:NAME'])


def test_scripts_and_rooms_are_in_the_map():
  tree = README.split('## A map of the tree')[1]
  rooms = [path.parent.name + '/' for path in ROOT.glob('*/__init__.py')]
  scripts = [path.name for path in ROOT.glob('*_*.py')]
  assert len(rooms) == 5 and len(scripts) == 5
  for name in rooms + scripts:
    assert name in tree, name
