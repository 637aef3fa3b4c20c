"""Two replicas in one process, through the scripts."""

import json
import pathlib
import shutil

import pytest

from engine.training import metrics_log
from tests import builders
from tests.builders import refused, train

pytestmark = pytest.mark.usefixtures('workplace')


def everything(colours):
  """A training with all whose state two replicas share."""
  return {
    **builders.fast(colours),
    'num_clones': 2,
    'batch_size': 4,
    'max_number_of_steps': 4,
    'num_micro_batches': 2,
    'sync_batch_norm': True,
    'moving_average_decay': 0.9,
    'evaluate_every': 2,
    'keep_best': 2,
    'best_metric': 'loss',
    'early_stopping_patience': 9,
    'plateau_patience': 1,
    'recalibrate_batch_norm_batches': 2,
  }


def alone(flags):
  """The same with one replica that has all examples."""
  return {**flags, 'num_clones': 1, 'batch_size': 8, 'train_dir': 'alone'}


def found(folder, name):
  return [float(row[name]) for row in metrics_log.read_metrics(folder)]


def config(folder):
  return json.loads(pathlib.Path(folder, 'config.json').read_text())


def succeeded(**flags):
  printed = train(**flags)
  assert printed.status == 0, printed.err
  return printed.out


@pytest.mark.slow
def test_everything_together(colours):
  """Equal to one replica that has the whole batches."""
  flags = everything(colours)
  out = succeeded(**{**flags, 'train_dir': 'whole'})
  assert (
    '4 steps of 8 images of 32x32 (0.4 epochs), 4 in each of 2 replicas, '
    'learning rate times 1 (--scale_learning_rate=none), '
  ) in out
  assert 'Recalibrating batch norm over 4 batches.' in out
  run = config('whole')
  assert (run['batch_size'], run['global_batch_size']) == (4, 8)
  assert run['replicas'] == 2 and 'num_clones' not in run
  assert len(list(pathlib.Path('whole/best').glob('*.index'))) == 2
  succeeded(**alone(flags))
  assert found('whole', 'loss') == pytest.approx(
    found('alone', 'loss'), rel=1e-3
  )
  rows = [
    [
      each.split(',')
      for each in (folder / 'evaluations.csv').read_text().split()
    ]
    for folder in map(pathlib.Path, ('whole', 'alone'))
  ]
  assert [row[0] for row in rows[0]] == [row[0] for row in rows[1]]


@pytest.mark.slow
def test_everything_resumed(colours):
  flags = everything(colours)
  succeeded(**{**flags, 'train_dir': 'whole'})
  succeeded(**{**flags, 'max_number_of_steps': 2})
  out = succeeded(resume='run', max_number_of_steps=4, num_clones=2)
  assert 'Resuming from run/model.ckpt-2, step 2.' in out
  assert 'The run had' not in out
  assert builders.differing('whole', 'run') == []
  assert found('whole', 'loss') == found('run', 'loss')


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
@pytest.mark.parametrize('then, now', [(2, 1), (1, 2)])
def test_resumed_with_other_clones(colours, then, now):
  """The batches stay; what is said; the same bits each time."""
  flags = {**everything(colours), 'evaluate_every': 4}
  begin = flags if then == 2 else {**alone(flags), 'train_dir': 'run'}
  wanted = {**flags, 'train_dir': 'whole', 'num_clones': then}
  if then == 1:
    wanted['batch_size'] = 8
  succeeded(**wanted)
  succeeded(**{**begin, 'max_number_of_steps': 2})
  shutil.copytree('run', 'again')
  said = {
    2: 'The run had 2 replicas of 4 examples, and resumes with 1 replica of 8 '
    'examples: its batches stay the same.\n',
    1: 'The run had 1 replica of 8 examples, and resumes with 2 replicas of 4 '
    'examples: its batches stay the same.\n',
  }[then]
  for folder in 'run', 'again':
    out = succeeded(
      resume=folder, max_number_of_steps=4, num_clones=now, evaluate_every=4
    )
    assert said in out
    assert config(folder)['replicas'] == now
    assert config(folder)['global_batch_size'] == 8
  assert builders.differing('run', 'again') == []
  assert found('run', 'loss') == pytest.approx(found('whole', 'loss'), rel=1e-3)
  # And back: nothing is said of what it was begun with.
  out = succeeded(resume='run', max_number_of_steps=5, num_clones=then)
  assert 'examples: its batches stay the same.' in out


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
@pytest.mark.parametrize(
  'options',
  [
    {'mixup_alpha': 0.2, 'dropout_rate': 0.3},
    {'scale_learning_rate': 'linear', 'optimizer': 'adam'},
    {'cache': 'memory', 'clone_on_cpu': True},
    {'recompute': True, 'freeze_batch_norm': True},
  ],
)
def test_resumed_to_the_same_bits(colours, options):
  flags = {
    **builders.fast(colours),
    **options,
    'num_clones': 2,
    'batch_size': 4,
    'max_number_of_steps': 4,
    'recalibrate_batch_norm_batches': 0,
  }
  out = succeeded(**{**flags, 'train_dir': 'whole'})
  scale = 2 if 'scale_learning_rate' in options else 1
  assert f'learning rate times {scale} (--scale_learning_rate=' in out
  rates = found('whole', 'learning_rate')
  assert rates == pytest.approx([scale * 0.01] * 4, rel=0.5)
  for steps in 2, 4:
    succeeded(**{**flags, 'max_number_of_steps': steps})
  assert builders.differing('whole', 'run') == []


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_from_a_checkpoint(colours, colours_run):
  """Both clones begin with its weights: as one replica, the loss is low."""
  flags = {
    **builders.fast(colours),
    'checkpoint_path': str(colours_run.folder),
    'freeze_batch_norm': True,
    'learning_rate': 0.001,
    'batch_size': 4,
    'num_clones': 2,
  }
  succeeded(**flags)
  succeeded(**alone(flags))
  assert found('run', 'loss') == pytest.approx(found('alone', 'loss'), rel=1e-4)
  assert found('run', 'loss')[0] < 1


@pytest.mark.slow
def test_masks(shapes):
  """Crops of masks in two replicas; the same evaluation as of one."""
  flags = builders.shape_flags(
    shapes,
    batch_size=2,
    num_clones=2,
    sync_batch_norm=True,
    learning_rate=0.01,
    max_number_of_steps=3,
  )
  succeeded(**{**flags, 'train_dir': 'whole'})
  for steps in 2, 3:
    out = succeeded(**{**flags, 'max_number_of_steps': steps})
  assert builders.differing('whole', 'run') == []
  assert 'mIOU' in out
  # Each replica's loss is over its own pixels that are not ignored.
  succeeded(**{**flags, 'num_clones': 1, 'batch_size': 4, 'train_dir': 'alone'})
  assert found('run', 'loss') == pytest.approx(found('alone', 'loss'), rel=0.05)


# Bad input.


@pytest.mark.parametrize(
  'flags, words',
  [
    ({'num_clones': 0}, '--num_clones=0 must be at least 1'),
    (
      {'batch_size': None, 'global_batch_size': 15},
      '2 replicas do not divide the 15 examples of a step evenly',
    ),
    (
      {'global_batch_size': 8},
      '--batch_size=8 in each of 2 replicas is not --global_batch_size=8',
    ),
    (
      {'sync_batch_norm': True, 'recompute': True},
      '--recompute computes layers twice, and --sync_batch_norm sums over',
    ),
    (
      {'batch_size': 41},
      'A step has 82 examples, as there are 2 replicas, more than the 80',
    ),
    (
      {'num_micro_batches': 3},
      '--num_micro_batches=3 does not divide the 8 examples of each of 2',
    ),
    ({'scale_learning_rate': 'half'}, '--scale_learning_rate=half'),
  ],
)
def test_refused(colours, flags, words):
  given = {**builders.fast(colours), 'num_clones': 2, **flags}
  printed = train(**{k: v for k, v in given.items() if v is not None})
  refused(printed, words)
  assert not pathlib.Path('run').exists()


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_few_examples():
  """Where no flag says a size, it fits the data."""
  data = builders.write_colours(pathlib.Path('few'), train=7, validation=2)
  flags = builders.fast(data)
  del flags['batch_size']
  assert '2 steps of 6 images of 32x32' in succeeded(**flags, num_clones=2)
  refused(
    train(**{**flags, 'train_dir': 'other'}, num_clones=8),
    'A step has 8 examples, as there are 8 replicas, more than the 7 of',
  )
