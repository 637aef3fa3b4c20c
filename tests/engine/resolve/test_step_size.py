"""How many examples a step has, and what is said where that does not fit."""

import types

import pytest

from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.resolve import step_size

EXAMPLES = 80


@pytest.fixture
def run(tmp_path):
  """run(fields): the folder of a run with these in its config.json."""

  def begin(**fields):
    facts = {name: fields.pop(name) for name in ['replicas'] if name in fields}
    runs.write(TrainConfig(**fields), str(tmp_path), **facts)
    for end in 'index', 'data-00000-of-00001':
      (tmp_path / f'model.ckpt-2.{end}').touch()

  begin.folder = str(tmp_path)
  return begin


def sizes(run, replicas=1, examples=EXAMPLES, **flags):
  """Returns (batch_size, global_batch_size) of a training."""
  given = TrainConfig(train_dir=run.folder, **flags)
  complete = given if given.batch_size else given.replace(batch_size=32)
  found = step_size.completed(given, complete, examples, replicas)
  assert found == complete.replace(
    batch_size=found.batch_size, global_batch_size=found.global_batch_size
  )
  return found.batch_size, found.global_batch_size


# A new run.


@pytest.mark.parametrize(
  'replicas, flags, want',
  [
    (1, {}, (32, None)),
    (2, {}, (32, 64)),
    (3, {}, (26, 78)),  # as the data have no more
    (1, {'batch_size': 8}, (8, None)),
    (4, {'batch_size': 8}, (8, 32)),
    (1, {'global_batch_size': 24}, (24, 24)),
    (4, {'global_batch_size': 24}, (6, 24)),
    (4, {'global_batch_size': 24, 'batch_size': 6}, (6, 24)),
    (1, {'global_batch_size': 24, 'batch_size': 24}, (24, 24)),
    # `check` refuses these two.
    (2, {'global_batch_size': 15}, (7, 15)),
    (4, {'global_batch_size': 3}, (1, 3)),
  ],
)
def test_a_new_run(run, replicas, flags, want):
  assert sizes(run, replicas, **flags) == want


@pytest.mark.parametrize(
  'examples, replicas, want',
  [(5, 1, (5, None)), (5, 2, (2, 4)), (1, 2, (1, 2))],
)
def test_few_examples(run, examples, replicas, want):
  """The default fits; at least one each, which `check` refuses."""
  assert sizes(run, replicas, examples) == want


def test_a_size_that_a_flag_says_is_not_lowered(run):
  assert sizes(run, 2, 5, batch_size=8) == (8, 16)


@pytest.mark.parametrize('replicas, size', [(2, 24), (2, 8), (1, 12)])
def test_contradiction(run, replicas, size):
  with pytest.raises(
    ValueError,
    match=f'^--batch_size={size} in each of {replicas} replicas is not '
    '--global_batch_size=24: leave one of both out.$',
  ):
    sizes(run, replicas, batch_size=size, global_batch_size=24)


# A run that is resumed.

TWO = {'batch_size': 8, 'global_batch_size': 16, 'replicas': 2}
STAY = 'its batches stay the same.'
NORM = ' Batch norm measures over the examples of one replica.'


@pytest.mark.parametrize(
  'flags',
  [
    {},
    {'batch_size': 8},
    {'global_batch_size': 16},
    {'batch_size': 8, 'global_batch_size': 16},
  ],
)
@pytest.mark.parametrize(
  'replicas, said',
  [
    (1, 'resumes with 1 replica of 16 examples: '),
    (2, ''),
    (4, 'resumes with 4 replicas of 4 examples: '),
    (5, ''),  # refused by `check`
  ],
)
def test_resumed_with_other_replicas(run, capsys, flags, replicas, said):
  """Whatever flags repeat, both numbers stay: the batches do."""
  run(**TWO)
  assert sizes(run, replicas, **flags) == (8, 16)
  begin = 'The run had 2 replicas of 8 examples, and '
  assert capsys.readouterr().out == (
    f'{begin}{said}{STAY}{NORM}\n' if said else ''
  )


@pytest.mark.parametrize('flag', ['sync_batch_norm', 'freeze_batch_norm'])
def test_batch_norm_that_does_not_change(run, capsys, flag):
  run(**TWO)
  sizes(run, 1, **{flag: True})
  assert capsys.readouterr().out == (
    'The run had 2 replicas of 8 examples, and resumes with 1 replica of 16 '
    f'examples: {STAY}\n'
  )


@pytest.mark.parametrize('replicas', [{}, {'replicas': 1}])
def test_begun_by_one_replica(run, capsys, replicas):
  """Also by a version that knew no replicas."""
  run(batch_size=8, **replicas)
  assert sizes(run, 1) == (8, None)
  assert capsys.readouterr().out == ''
  assert sizes(run, 2) == (8, 8)
  assert capsys.readouterr().out == (
    'The run had 1 replica of 8 examples, and resumes with 2 replicas of 4 '
    f'examples: {STAY}{NORM}\n'
  )


def test_told_from_the_last_time(run, capsys):
  """Not from how it was begun: it may have been resumed in between."""
  run(**{**TWO, 'replicas': 4})
  assert sizes(run, 4) == (8, 16)
  assert capsys.readouterr().out == ''
  assert sizes(run, 2) == (8, 16)
  assert (
    'had 4 replicas of 4 examples, and resumes with 2 replicas of 8 ex'
    in (capsys.readouterr().out)
  )


@pytest.mark.parametrize(
  'replicas, flags, wanted',
  [
    (2, {'batch_size': 4}, 8),
    (1, {'global_batch_size': 24}, 24),
    (3, {'global_batch_size': 24}, 24),
    (2, {'batch_size': 12, 'global_batch_size': 24}, 24),
  ],
)
def test_resumed_with_another_number(run, replicas, flags, wanted):
  run(**TWO)
  with pytest.raises(
    ValueError,
    match=f'^The run in {run.folder} was begun with 16 examples in a step, not '
    f'{wanted}: pass --global_batch_size=16, or --accept_changes to resume '
    'with the new number.$',
  ):
    sizes(run, replicas, **flags)
  found = sizes(run, replicas, **flags, accept_changes=True)
  assert found == (wanted // replicas, wanted)


def test_resumed_with_another_size_of_the_same_number(run):
  """Sixteen examples in four replicas are those of two, and stay so called."""
  run(**TWO)
  assert sizes(run, 4, batch_size=4) == (8, 16)
  assert sizes(run, 4, batch_size=4, global_batch_size=16) == (8, 16)


def test_another_size_of_one_replica(run):
  """As ever, `resume.check` refuses it."""
  run(batch_size=8)
  assert sizes(run, 1, batch_size=4) == (4, None)


def test_a_contradiction_comes_first(run):
  run(**TWO)
  with pytest.raises(ValueError, match='leave one of both out'):
    sizes(run, 2, batch_size=4, global_batch_size=24, accept_changes=True)


# Whether a step fits.


def check(replicas, examples=EXAMPLES, **flags):
  data = types.SimpleNamespace(
    num_samples=examples, name='colours', split_name='train'
  )
  step_size.check(TrainConfig(**flags), data, replicas)


@pytest.mark.parametrize(
  'replicas, flags',
  [
    (1, {'batch_size': 80}),
    (1, {'batch_size': 8, 'num_micro_batches': 8}),
    (2, {'batch_size': 40, 'global_batch_size': 80}),
    (4, {'batch_size': 8, 'global_batch_size': 16, 'num_micro_batches': 4}),
  ],
)
def test_fits(replicas, flags):
  check(replicas, **flags)


@pytest.mark.parametrize(
  'replicas, flags, said',
  [
    (
      1,
      {'batch_size': 81},
      'A step has 81 examples, more than the 80 of colours, split train: lower '
      '--batch_size.',
    ),
    (
      2,
      {'batch_size': 41, 'global_batch_size': 82},
      'A step has 82 examples, as there are 2 replicas, more than the 80 of '
      'colours, split train: lower --batch_size, --global_batch_size or the '
      'number of replicas.',
    ),
    (
      2,
      {'batch_size': 7, 'global_batch_size': 15},
      '2 replicas do not divide the 15 examples of a step evenly: choose '
      '--num_clones, the number of workers or --global_batch_size so that they '
      'do.',
    ),
    (
      4,
      {'batch_size': 1, 'global_batch_size': 3},
      '4 replicas do not divide the 3 examples of a step evenly: choose '
      '--num_clones, the number of workers or --global_batch_size so that they '
      'do.',
    ),
    (
      1,
      {'batch_size': 8, 'num_micro_batches': 3},
      '--num_micro_batches=3 does not divide the 8 examples of a step: choose '
      'a factor of them.',
    ),
    # Of the sixteen, not of the eight that the run was begun with.
    (
      4,
      {'batch_size': 8, 'global_batch_size': 16, 'num_micro_batches': 8},
      '--num_micro_batches=8 does not divide the 4 examples of each of 4 '
      'replicas: choose a factor of them.',
    ),
  ],
)
def test_does_not_fit(replicas, flags, said):
  with pytest.raises(ValueError) as refused:
    check(replicas, **flags)
  assert str(refused.value) == said
