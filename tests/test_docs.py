"""README, docs, CONTRIBUTING and CHANGELOG: code runs, names and links exist.

Each test reads all of the pages. A page is a path relative to the root.
"""

import dataclasses
import importlib
import inspect
import pathlib
import re

import pytest

# All that the docs are compared with, in one place.
from datasets.convert.registry import CONVERTERS
from datasets.dataset_factory import DATASETS
from deployment import command
from engine.config import deeplab, tasks
from engine.config.convert_weights import ConvertWeightsConfig
from engine.config.export import ExportConfig
from engine.config.fields import Config
from engine.config.flags import parse
from engine.config.losses import LOSSES
from engine.config.optimizers import OPTIMIZERS
from engine.config.schedules import SCHEDULES
from engine.config.scripts import (
  ClassifyConfig,
  ConvertConfig,
  EvalConfig,
  ExtractConfig,
  InspectConfig,
  TrainConfig,
)
from nets.decoders import DECODERS
from nets.nets_factory import NETWORKS
from preprocessing.preprocessing_factory import PREPROCESSING

METRICS = tasks.metrics()

SCRIPTS = {
  'train_image_classifier': TrainConfig,
  'eval_image_classifier': EvalConfig,
  'classify_image': ClassifyConfig,
  'download_and_convert_data': ConvertConfig,
  'inspect_checkpoint': InspectConfig,
  'convert_weights': ConvertWeightsConfig,
  'export_inference_graph': ExportConfig,
}

# Commands of modules, as those of scripts.
MODULES = {'nets.extract': ExtractConfig}

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {
  str(path.relative_to(ROOT)): path.read_text('utf-8')
  for path in (
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')),
    *sorted(ROOT.glob('docs/*.md')),
  )
}
# What is told to a reader of today's code; the change log tells of older one.
TODAY = {name: text for name, text in PAGES.items() if name != 'CHANGELOG.md'}
EVERYTHING = '\n'.join(TODAY.values())
MAKEFILE = (ROOT / 'Makefile').read_text('utf-8')
# Flags of every script that are no fields of a configuration.
COMMON_FLAGS = {'help', 'flagfile'}
OTHER_PROGRAMS = (
  'ruff',
  'mypy',
  'pip',
  'git',
  'pytest',
  'tensorboard',
  '.venv',
)
BANNED = re.compile(
  r'\b(pictures?|data sets?|mended|mends?|EXIF turns?)\b', re.IGNORECASE
)


def blocks(text, language):
  """The blocks of code of a language; '' for those of none."""
  found = re.findall(r'^```(\w*)\n(.*?)^```$', text, re.DOTALL | re.M)
  return [code for its_language, code in found if its_language == language]


def shell_lines(text):
  """The commands of a page's shell blocks, each on one line."""
  lines = '\n'.join(blocks(text, 'sh')).replace('\\\n', ' ').splitlines()
  return [line.partition('  #')[0].strip() for line in lines if line.strip()]


def prose(text):
  """A page without its blocks of code."""
  return re.sub(r'^```.*?^```', '', text, flags=re.DOTALL | re.M)


def code_spans(text):
  return re.findall(r'`([^`\n]+)`', prose(text))


def section(page, heading):
  """The text below a heading, up to the next one."""
  found = re.search(
    rf'^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)',
    prose(PAGES[page]),
    re.DOTALL | re.M,
  )
  assert found, f'{page} has no heading {heading!r}'
  return found[1]


def first_cells(text, header):
  """The first cells of the rows of the table that begins with a header."""
  rows = text.split(header)[1].split('\n\n')[0].splitlines()[2:]
  return ''.join(row.split('|')[1] for row in rows)


def fields(*configs):
  return {field.name for each in configs for field in dataclasses.fields(each)}


def experiments():
  """{module: its configuration} of all that can be run in experiments/."""
  found = {}
  for path in sorted(ROOT.glob('experiments/*.py')):
    if "__name__ == '__main__'" in path.read_text('utf-8'):
      module = importlib.import_module(f'experiments.{path.stem}')
      (found[module.__name__],) = (
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, Config)
        and each.__module__ == module.__name__
      )
  return found


def benchmark_flags():
  """{module: the flags it defines} of all that can be run in benchmarks/."""

  def defined(path):
    text = path.read_text('utf-8')
    found = set(re.findall(r"add_argument\(\s*'--(\w+)'", text))
    shared = path.with_name('race.py')
    return found | (defined(shared) if 'race.add_arguments' in text else set())

  return {
    f'benchmarks.{path.stem}'.removesuffix('.__main__'): defined(path)
    for path in ROOT.glob('benchmarks/*.py')
    if "__name__ == '__main__'" in path.read_text('utf-8')
  }


def launcher_flags():
  return {*vars(command._parser().parse_args([]))}


LAUNCHER = 'deployment.launch'


def test_the_pages_are_found():
  assert len(PAGES) >= 13 and all(PAGES.values())


def test_readme_is_short_and_shows_one_image():
  readme = PAGES['README.md']
  assert len(readme.splitlines()) <= 150
  assert len(re.findall(r'!\[', readme)) == 1


@pytest.mark.parametrize('page', PAGES)
def test_words(page):
  found = [match[0] for match in BANNED.finditer(PAGES[page])]
  assert found == []


# Code and commands.


@pytest.mark.slow
def test_python_runs(capsys):
  codes = [
    (page, code)
    for page, text in PAGES.items()
    for code in blocks(text, 'python')
  ]
  assert len(codes) >= 4
  for page, code in codes:
    printed = re.findall(r'^print\((?:.|\n)*?\)  # (.*)$', code, re.M)
    exec(compile(code, page, 'exec'), {})
    assert capsys.readouterr().out.splitlines() == printed, page


def test_blocks_are_of_known_languages():
  """A misspelt language would leave a block unchecked."""
  for page, text in PAGES.items():
    opened = re.findall(r'^```(.*)$', text, re.M)[::2]
    assert set(opened) <= {'python', 'sh', ''}, page


def test_commands_of_scripts_parse(monkeypatch):
  monkeypatch.chdir(ROOT)  # where the flag files are
  seen = set()
  for page, text in TODAY.items():
    for line in shell_lines(text):
      found = re.fullmatch(r'python (\w+)\.py(.*)', line)
      if found:
        script, rest = found.groups()
        assert script in SCRIPTS, f'{page}: {line}'
        config, arguments = parse(SCRIPTS[script], [script, *rest.split()])
        takes = script in ('classify_image', 'inspect_checkpoint')
        assert takes or not arguments, f'{page}: {line}'
        seen.add(script)
  assert seen == set(SCRIPTS)


def test_commands_of_modules_parse():
  runnable, flags = (
    {**experiments(), **MODULES},
    {**benchmark_flags(), 'nets': {'json'}, LAUNCHER: launcher_flags()},
  )
  commands = re.findall(r'python -m ([\w.]+)([^`\n]*)', EVERYTHING)
  ours = [each for each in commands if each[0].split('.')[0] != 'pytest']
  assert {'experiments.degradation', 'benchmarks.input'} <= {m for m, _ in ours}
  for module, rest in ours:
    if module in runnable:
      parse(runnable[module], [module, *rest.split()])
    else:
      assert module in flags, module
      if module == LAUNCHER:
        rest = rest.partition(' -- ')[0]  # what follows is a script's
      assert set(re.findall(r'--(\w+)', rest)) <= flags[module], module
  assert {module for module, _ in ours} == {*runnable, *flags}


def test_commands_of_the_launcher_parse(monkeypatch):
  monkeypatch.chdir(ROOT)
  found = [
    line.removeprefix(f'python -m {LAUNCHER} ')
    for text in TODAY.values()
    for line in shell_lines(text)
    if line.startswith(f'python -m {LAUNCHER} ')
  ]
  assert len(found) >= 3
  for line in found:
    job = command.read(line.split(), {})
    script, *rest = job.command
    _, arguments = parse(SCRIPTS[script.removesuffix('.py')], [script, *rest])
    assert not arguments, line


def test_flags_of_the_launcher_are_all_documented():
  table = first_cells(
    PAGES['docs/scaling.md'], '| flag of the launcher | default | |'
  )
  assert set(re.findall(r'`--(\w+)`', table)) == launcher_flags()


def test_every_line_of_a_shell_block_is_checked():
  """A command of another form would go unseen."""
  known = r'python \w+\.py |(\.venv/bin/)?python -m \w|make [a-z]'
  for page, text in TODAY.items():
    for line in shell_lines(text):
      assert re.match(known, line), f'{page}: {line}'


# Flags.


def own_flags():
  known = fields(*SCRIPTS.values(), *MODULES.values(), *experiments().values())
  known |= COMMON_FLAGS | launcher_flags()
  return known.union(*benchmark_flags().values())


def test_flags_exist():
  known = own_flags() | deeplab.FLAGS.keys()
  for page, text in TODAY.items():
    for span in code_spans(text):
      if span.split()[0].startswith(OTHER_PROGRAMS):
        continue
      for flag in re.findall(r'(?:^|\s)--(\w+)', span):
        positive = flag.removeprefix('no')
        assert flag in known or positive in known, f'{page}: --{flag}'


def test_flags_are_all_documented():
  named = set(re.findall(r'--(\w+)', '\n'.join(code_spans(EVERYTHING))))
  every = fields(*SCRIPTS.values(), *MODULES.values())
  assert sorted(every - named) == []


def test_flags_without_effect_are_all_listed():
  listed = section('docs/differences-from-tf-slim.md', 'Flags without effect')
  dead = {
    field.name
    for each in SCRIPTS.values()
    for field in dataclasses.fields(each)
    if field.metadata['now']
  }
  assert dead and dead <= set(re.findall(r'`--(\w+)`', listed))


# Names.


def test_recipes_are_all_named():
  table = first_cells(PAGES['docs/training.md'], '| recipe | |')
  assert sorted(re.findall(r'`(\w+)`', table)) == sorted(
    path.stem for path in ROOT.glob('recipes/*.cfg')
  )


def test_recipe_files_exist():
  for name in re.findall(r'recipes/(\w+)\.cfg', EVERYTHING):
    assert (ROOT / f'recipes/{name}.cfg').exists() or name == 'NAME', name


def make_targets(text):
  lines = shell_lines(text) + code_spans(text)
  return [
    target for line in lines for target in re.findall(r'^make ([a-z-]+)', line)
  ]


def test_make_targets_exist():
  for page, text in PAGES.items():
    for target in make_targets(text):
      assert re.search(rf'^{target}:', MAKEFILE, re.MULTILINE), (page, target)
  assert {'train', 'test'} <= set(make_targets(PAGES['README.md']))


def test_make_targets_are_all_named():
  targets = re.findall(r'^([a-z-]+):.*##', MAKEFILE, re.MULTILINE)
  assert {'train', 'test', 'test-oldest', 'lint'} <= set(targets)
  assert set(targets) <= set(make_targets(PAGES['CONTRIBUTING.md']))


def test_datasets_are_all_named():
  line = PAGES['docs/data.md'].split('Datasets with a name for training: ')[1]
  assert re.findall(r'`(\w+)`', line.split('.')[0]) == list(DATASETS)


def test_converters_are_all_named():
  table = first_cells(PAGES['docs/data.md'], '| `--dataset_name` |')
  names = re.findall(r'`([\w:]+)`', table)
  assert sorted(names) == sorted([*CONVERTERS, 'tfds:NAME'])


def test_networks_are_all_named():
  table = first_cells(PAGES['docs/networks.md'], '| name | |')
  for name in NETWORKS:
    family, _, depth = name.rpartition('_')
    assert family in table, name
    assert f'_{depth}' in table or family.startswith('cifar_'), name


@pytest.mark.parametrize(
  'page, header, registry',
  [
    ('docs/training.md', '| `--optimizer` |', OPTIMIZERS),
    ('docs/training.md', '| schedule |', SCHEDULES),
    ('docs/data.md', '| name | in training |', PREPROCESSING),
    ('docs/segmentation.md', '| `--decoder` |', DECODERS),
    ('docs/segmentation.md', '| loss |', LOSSES),
  ],
)
def test_entries_of_registries_are_all_named(page, header, registry):
  names = re.findall(r'`(\w+)`', first_cells(PAGES[page], header))
  assert sorted(names) == sorted(registry)


def test_metrics_are_all_named():
  text = section('docs/training.md', 'Evaluating while training')
  assert set(METRICS) <= set(re.findall(r'`(\w+)`', text))


def test_scripts_and_rooms_are_in_the_map():
  tree = ''.join(blocks(PAGES['CONTRIBUTING.md'], ''))
  rooms = [path.parent.name + '/' for path in ROOT.glob('*/__init__.py')]
  scripts = [path.name for path in ROOT.glob('*_*.py')]
  assert len(rooms) == 6 and len(scripts) == 7
  for name in rooms + scripts:
    assert name in tree, name


# Links.


def anchors(page):
  """The anchors of a page's headings, as GitHub makes them."""
  return {
    re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
    for heading in re.findall(r'^#+ (.*)$', prose(PAGES[page]), re.M)
  }


def links(page):
  """The (path, anchor) of each relative link and image of a page."""
  found = re.findall(r'\]\(([^)\s]+)\)', prose(PAGES[page]))
  return [target.partition('#')[::2] for target in found if '://' not in target]


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
  for target, anchor in links(page):
    path = (ROOT / page).parent / target if target else ROOT / page
    assert path.resolve().is_relative_to(ROOT), target
    assert path.is_file(), f'{page}: {target}'
    if anchor:
      linked = str(path.resolve().relative_to(ROOT))
      assert anchor in anchors(linked), f'{page}: {target}#{anchor}'


def test_no_link_is_left_out():
  """Links of another form, such as [text][1], would go unchecked."""
  for page, text in PAGES.items():
    assert not re.search(r'\]\[|^\[[^\]]+\]: ', prose(text), re.M), page


def test_readme_links_to_all_pages():
  linked = {target for target, _ in links('README.md')}
  assert set(PAGES) - {'README.md'} <= linked


def test_measurements_are_in_the_docs():
  """The README's table says what the page of all measurements says."""
  rows = re.findall(r'^\| resnet_v.* % \|$', PAGES['README.md'], re.M)
  assert len(rows) == 4
  for row in rows:
    assert row in PAGES['docs/measurements.md']


def test_files_that_are_named_exist():
  """Paths in the text, such as `nets/decoders.py`, in what is there."""
  folders = '|'.join(
    ('datasets', 'engine', 'metrics', 'nets', 'preprocessing')
    + ('recipes', 'tests')
  )
  for page, text in TODAY.items():
    for span in code_spans(text):
      if re.fullmatch(rf'(?:{folders})/[\w/]+\.(?:py|cfg)', span):
        assert (ROOT / span).exists(), f'{page}: {span}'


def test_python_of_the_docs_needs_no_more_than_the_library():
  """The pages show what `pip install .` gives: nets and preprocessing."""
  for page, text in PAGES.items():
    for code in blocks(text, 'python'):
      for name in re.findall(r'^(?:from|import) (\w+)', code, re.M):
        assert name in {'nets', 'preprocessing', 'tensorflow'}, (page, name)
