"""inspect_checkpoint.py: what it tells of a checkpoint, and what it refuses."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import inspect_checkpoint
from engine.checkpoints import contents
from nets import nets_factory
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
ROOT = pathlib.Path(__file__).parents[1]
FACTS = {
  1: nets_factory.Released(1000, 40, 1),
  2: nets_factory.Released(1001, 48, 0),
}


def inspect(*arguments, **flags):
  return builders.call(inspect_checkpoint, *map(str, arguments), **flags)


def summary(printed):
  """The lines before the first empty one, {what: value}."""
  assert printed.status == 0, printed.err
  lines = printed.out.split('\n\n')[0].splitlines()[1:]
  return {line[2:16].strip(): line[17:] for line in lines}


def table(printed):
  """The rows of the variables, [(name, shape, dtype, kind)]."""
  lines = printed.out.split('\n\n')[-1].splitlines()
  assert lines[0].split() == ['variable', 'shape', 'dtype', 'kind']
  ends = [lines[0].index(word) for word in ('shape', 'dtype', 'kind')]
  return [
    (
      line[: ends[0]].strip(),
      line[ends[0] : ends[1]].strip(),
      line[ends[1] : ends[2]].strip(),
      line[ends[2] :],
    )
    for line in lines[1:]
  ]


@pytest.fixture
def released(workplace, monkeypatch):
  """released(family, version=2): a checkpoint like TF-Slim's."""

  def write(family, version=2):
    name = f'resnet_v{family}_tiny'
    monkeypatch.setitem(
      nets_factory.NETWORKS,
      name,
      nets_factory.NETWORKS[name]._replace(released=FACTS[family]),
    )
    return builders.write_released(
      workplace / f'{name}.ckpt', name, FACTS[family].num_classes, version
    )

  return write


@pytest.mark.parametrize(
  'family, version, facts',
  [
    (1, 1, ('1,000', '1', 'vgg', '40x40')),
    (2, 2, ('1,001', '0', 'inception', '48x48')),
  ],
)
def test_a_released_checkpoint(released, family, version, facts):
  path = released(family, version)
  printed = inspect(path)
  values = builders.tensors(path)
  moving = sum(value.size for name, value in values.items() if 'moving' in name)
  total = sum(value.size for value in values.values())
  assert printed.out.splitlines()[0] == path
  source = ' (as TF-Slim released it)'
  assert summary(printed) == {
    'network': f'resnet_v{family}_tiny, of 0.125 times the published channels',
    'classes': facts[0],
    'labels_offset': facts[1] + source,
    'preprocessing': facts[2] + source,
    'image size': facts[3] + source,
    'parameters': f'{total - moving:,}, and {moving:,} moving statistics of '
    'batch norm',
    'step': 'unknown: there is no global_step',
    'format': f'V{version}',
    'variables': f'{len(values)} of the model',
  }
  assert {row[0]: (row[1], row[2]) for row in table(printed)} == {
    name: (str(list(value.shape)), 'float32') for name, value in values.items()
  }


@pytest.mark.parametrize(
  'ending',
  [
    '',
    '/model.ckpt-6',
    '/model.ckpt-6.index',
    '/model.ckpt-6.meta',
    '/model.ckpt-6.data-00000-of-00001',
  ],
)
def test_a_run(digits_run, ending):
  printed = inspect(f'{digits_run.folder}{ending}')
  assert printed.out.startswith(f'{digits_run.folder}/model.ckpt-6\n')
  found = summary(printed)
  source = ' (says config.json)'
  assert found['trained as'] == (
    'resnet_v2_tiny on digits, says the config.json beside it'
  )
  assert found['classes'] == '10' and found['step'] == '6'
  assert found['labels_offset'] == '0' + source
  assert found['preprocessing'] == 'digits' + source
  assert found['image size'] == '32x32' + source
  kinds = [row[3] for row in table(printed)]
  slots = kinds.count('optimizer')
  assert slots and found['variables'].startswith(
    f'{kinds.count("model")} of the model, {slots} of the optimizer, '
  )
  assert 'global_step' in found['variables']
  assert kinds == sorted(kinds, key=['model', 'optimizer', 'counter'].index)


def test_json(released, digits_run):
  path = released(1)
  told = json.loads(inspect(path, json=True).out)
  assert told['network']['names'] == ['resnet_v1_tiny']
  assert (
    told['num_classes'],
    told['labels_offset'],
    told['image_size'],
    told['preprocessing_name'],
    told['known_from'],
    told['step'],
    told['format'],
  ) == (1000, 1, 40, 'vgg', 'released', None, 'V2')
  assert told['counts'] == {
    'model': 47,
    'shadows': 0,
    'slots': 0,
    'counters': 0,
  }
  names = {v['name'] for v in told['variables']}
  assert names == set(builders.tensors(path))
  told = json.loads(
    inspect(digits_run.folder, json=True, model_name='resnet_v2_tiny').out
  )
  assert (told['step'], told['known_from']) == (6, 'config.json')
  assert told['comparison']['verdict'] == ''
  assert told['comparison']['missing'] == []


def test_it_fits(released):
  printed = inspect(released(1), model_name='resnet_v1_tiny')
  assert (
    '\n\nIt fits resnet_v1_tiny.\n     47 fit\n      0 missing\n      0 '
    'of another shape\n      0 unexpected\n\n'
  ) in printed.out


def test_it_does_not_fit(released):
  path = released(1)
  printed = inspect(path, model_name='resnet_v2_tiny')
  assert printed.status == 0
  assert (
    '\n\nIt does not fit resnet_v2_tiny.\n'
    f'The checkpoint {path} is of resnet_v1_tiny (its units are '
    "bottleneck_v1, the network's bottleneck_v2): pass "
    '--model_name=resnet_v1_tiny.\n      0 fit\n'
  ) in printed.out
  assert ('\n     47 unexpected: resnet_v1_tiny/block1/unit_1/') in printed.out
  assert 'and 44 more (--json lists them)' in printed.out


def test_it_fits_in_part(released):
  """More than the network, less than it, and another shape."""
  path = released(1)
  values = builders.tensors(path)
  builders.write_checkpoint(
    'more.ckpt', {**values, 'aspp/weights': np.zeros(2, np.float32)}
  )
  printed = inspect('more.ckpt', model_name='resnet_v1_tiny')
  assert 'It fits resnet_v1_tiny, and holds more than that.' in printed.out
  assert '      1 unexpected: aspp/weights\n' in printed.out
  name = 'resnet_v1_tiny/logits/biases'
  builders.write_checkpoint(
    'other.ckpt', {**values, name: np.zeros(7, np.float32)}
  )
  printed = inspect('other.ckpt', model_name='resnet_v1_tiny')
  assert 'It does not fit resnet_v1_tiny.' in printed.out
  assert (
    f'      1 of another shape: {name} [7], in the network [1000]\n'
  ) in printed.out
  del values[name]
  builders.write_checkpoint('less.ckpt', values)
  printed = inspect('less.ckpt', model_name='resnet_v1_tiny')
  assert 'It does not fit resnet_v1_tiny.' in printed.out
  assert f'      1 missing: {name}\n' in printed.out


def test_a_checkpoint_that_is_not_known(released):
  values = builders.tensors(released(1))
  builders.write_checkpoint(
    'renamed.ckpt',
    {
      name.replace('resnet_v1_tiny', 'my/net'): value
      for name, value in values.items()
      if 'logits' not in name
    },
  )
  found = summary(inspect('renamed.ckpt'))
  unknown = 'unknown: no config.json beside it, and none of the released ones'
  assert found['network'].startswith(
    "resnet_v1_tiny, under the scope 'my/net', of 0.125 times"
  )
  assert found['classes'] == 'no logits, features only'
  for what in 'labels_offset', 'preprocessing', 'image size':
    assert found[what] == unknown
  builders.write_checkpoint(
    'mlp.ckpt',
    {
      'dense/kernel': np.zeros([2, 3], np.float32),
      'dense/kernel' + contents.SHADOW: np.zeros([2, 3], np.float32),
    },
  )
  printed = inspect('mlp.ckpt')
  found = summary(printed)
  assert found == {
    'network': 'unknown: it is none of the residual networks here',
    'parameters': '6, and 0 moving statistics of batch norm',
    'step': 'unknown: there is no global_step',
    'format': 'V2',
    'variables': '1 of the model, 1 moving averages of them',
  }
  assert [row[3] for row in table(printed)] == ['model', 'moving average']


def test_units_are_in_their_order(workplace):
  builders.write_checkpoint(
    'a.ckpt',
    {
      f'n/block1/unit_{i}/bottleneck_v1/conv1/weights': np.zeros(
        [1, 1, 64, 64], np.float32
      )
      for i in (1, 2, 10, 11, 9)
    },
  )
  assert [
    int(row[0].split('/')[2][5:]) for row in table(inspect('a.ckpt'))
  ] == [1, 2, 9, 10, 11]


@pytest.mark.parametrize(
  'arguments, words',
  [
    ((), ('Name one checkpoint, not none', 'PATH')),
    (('a', 'b'), ('Name one checkpoint, not 2',)),
    (('nowhere',), ('There is no checkpoint nowhere: PATH takes',)),
    (
      ('notes.txt',),
      ('notes.txt is damaged, or is another kind of file', 'PATH'),
    ),
    (('empty',), ('no readable checkpoint in empty', 'PATH')),
    (('half.ckpt',), ('half.ckpt is damaged',)),
    (
      ('good.ckpt', '--model_name=resnet_v1_51'),
      ("no network named 'resnet_v1_51'", 'resnet_v1_50'),
    ),
    (('good.ckpt', '--checkpoint_path=x'), ('--help',)),
  ],
)
def test_what_is_refused(workplace, arguments, words):
  (workplace / 'empty').mkdir()
  (workplace / 'notes.txt').write_text('no checkpoint')
  for name in 'good.ckpt', 'half.ckpt':
    builders.write_checkpoint(name, {'a': np.zeros(1000, np.float32)})
  data = workplace / 'half.ckpt.data-00000-of-00001'
  data.write_bytes(data.read_bytes()[:100])
  builders.refused(inspect(*arguments), *words)


def test_a_damaged_description(digits_run):
  shutil.copytree(digits_run.folder, 'copy')
  pathlib.Path('copy/config.json').write_text('{')
  builders.refused(inspect('copy'), 'copy/config.json is not the JSON object')


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(workplace):
  """`| head` is no error."""
  builders.write_checkpoint(
    'many.ckpt',
    {f'{"long" * 80}/{i}': np.zeros(1, np.float32) for i in range(250)},
  )
  result = subprocess.run(
    [
      'bash',
      '-o',
      'pipefail',
      '-c',
      f'{sys.executable} {ROOT}/inspect_checkpoint.py many.ckpt | head -n 1',
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.stdout == 'many.ckpt\n' and result.stderr == ''
  assert result.returncode == 141  # as a program that SIGPIPE has ended
