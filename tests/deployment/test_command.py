"""deployment/command.py: what the launcher takes, and what it refuses."""

import json
import os

import pytest

from deployment import command


@pytest.fixture(autouse=True)
def cores(tmp_path, monkeypatch):
  """Eight cores, and a script in the current folder."""
  monkeypatch.setattr(os, 'sched_setaffinity', None, raising=False)
  monkeypatch.setattr(
    os, 'sched_getaffinity', lambda pid: {*range(2, 10)}, raising=False
  )
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'train.py').touch()


def read(*flags, script=('train.py',), **variables):
  return command.read([*flags, '--', *script], variables)


def test_defaults():
  assert read('--workers=2', script=['train.py', '--', '--workers=3']) == (
    command.Job(
      command=['train.py', '--', '--workers=3'],
      workers=2,
      log_dir=os.path.join('runs', 'workers'),
      cores=[[2, 3, 4, 5], [6, 7, 8, 9]],
      gpus=None,
      grace_secs=300,
      max_restarts=3,
    )
  )


def test_flags():
  flags = '--workers 1 --log_dir=a --cores_per_worker=0 --gpus_per_worker=1 '
  flags += '--grace_secs=0.5 --max_restarts=0'
  script = ['-m', 'json.tool']
  assert read(*flags.split(), script=script) == command.Job(
    script, 1, 'a', None, [['0']], 0.5, 0
  )


@pytest.mark.parametrize(
  'workers, each, found',
  [
    (3, None, [[2, 3], [4, 5], [6, 7]]),
    (8, None, [[core] for core in range(2, 10)]),
    (9, None, None),
    (9, 0, None),
    (2, 0, None),
    (2, 1, [[2], [3]]),
  ],
)
def test_cores(workers, each, found):
  flags = [] if each is None else [f'--cores_per_worker={each}']
  assert read(f'--workers={workers}', *flags).cores == found


def test_without_pinning(monkeypatch, capsys):
  """As on macOS."""
  monkeypatch.delattr(os, 'sched_setaffinity')
  monkeypatch.delattr(os, 'sched_getaffinity')
  assert read('--workers=2').cores is None
  assert capsys.readouterr() == ('', '')
  assert read('--workers=2', '--cores_per_worker=1').cores is None
  assert capsys.readouterr().err == (
    'note: --cores_per_worker has no effect: this system does not pin '
    'processes.\n'
  )


@pytest.mark.parametrize(
  'visible, found',
  [
    (None, [['0', '1'], ['2', '3']]),
    ('4,GPU-8a, 6,7,9', [['4', 'GPU-8a'], ['6', '7']]),
    ('4,5,6,7,-1', [['4', '5'], ['6', '7']]),
  ],
)
def test_gpus(visible, found):
  variables = {} if visible is None else {'CUDA_VISIBLE_DEVICES': visible}
  flags = ['--workers=2', '--gpus_per_worker={}']
  assert read(flags[0], flags[1].format(2), **variables).gpus == found
  assert read(flags[0], flags[1].format(0), **variables).gpus == [[], []]


@pytest.mark.parametrize('visible, count', [('', 0), ('0', 1), ('0,-1,1', 1)])
def test_gpus_that_are_not_there(visible, count):
  with pytest.raises(ValueError) as error:
    read('--workers=2', '--gpus_per_worker=1', CUDA_VISIBLE_DEVICES=visible)
  assert str(error.value) == (
    '--workers=2 with --gpus_per_worker=1 needs 2 GPUs, and '
    f'CUDA_VISIBLE_DEVICES={visible} names {count}: name fewer workers, or '
    'more GPUs.'
  )


@pytest.mark.parametrize(
  'argv, said',
  [
    (
      '--workers=0 -- train.py',
      '--workers=0 must be a whole number of at least 1. --help lists the '
      'flags.',
    ),
    (
      '--workers=two -- train.py',
      '--workers=two must be a whole number of at least 1. --help lists the '
      'flags.',
    ),
    (
      '--workers -- train.py',
      'argument --workers: expected one argument. --help lists the flags.',
    ),
    (
      '-- train.py',
      '--workers is missing: it says how many are started, as --workers=2 '
      'does.',
    ),
    (
      '--workers=2 --grace_secs=nan -- train.py',
      '--grace_secs=nan must be a number of seconds of at least 0. --help '
      'lists the flags.',
    ),
    (
      '--workers=2 --max_restarts=-1 -- train.py',
      '--max_restarts=-1 must be a whole number of at least 0. --help lists '
      'the flags.',
    ),
    (
      '--worker=2 -- train.py',
      'There is no flag --worker. Did you mean --workers? --help lists the '
      'flags; those of the script come after --.',
    ),
    (
      '--workers=2 train.py --train_dir=a',
      "The argument 'train.py' is no flag: the script and its own flags come "
      'after --, as in --workers=2 -- train.py --its_flag.',
    ),
    (
      '--workers=2',
      'There is no script: name it after --, as in --workers=2 -- train.py.',
    ),
    (
      '--workers=2 --',
      'There is no script: name it after --, as in --workers=2 -- train.py.',
    ),
    (
      '--workers=2 -- other.py',
      'The script other.py does not exist. It is looked for from the current '
      'folder.',
    ),
    (
      '--workers=2 -- --train_dir=a train.py',
      "The script comes first after --, and '--train_dir=a' is none. It is a "
      'file, or -m and a module.',
    ),
    (
      '--workers=2 --log_dir= -- train.py',
      '--log_dir is empty: name a folder, or leave it out.',
    ),
    ('--workers=2 -- -m', 'There is no module after -m: name one.'),
    (
      '--workers=2 -- -m no_package.train',
      'The module no_package.train does not exist. It is looked for from the '
      'current folder, and among what is installed.',
    ),
    (
      '--workers=2 -- -m .train',
      'The module .train does not exist. It is looked for from the current '
      'folder, and among what is installed.',
    ),
    (
      '--workers=4 --cores_per_worker=3 -- train.py',
      '--workers=4 with --cores_per_worker=3 needs 12 cores, and 8 may be '
      'used: name fewer, or --cores_per_worker=0 to let workers use any.',
    ),
  ],
)
def test_what_is_refused(argv, said):
  with pytest.raises(ValueError) as error:
    command.read(argv.split(), {})
  assert str(error.value) == said


@pytest.mark.parametrize(
  'value, refused',
  [
    (json.dumps({'cluster': {'worker': ['127.0.0.1:1']}}), True),
    (json.dumps({'cluster': {}}), False),
    ('[]', False),
    ('no JSON', False),
    ('', False),
  ],
)
def test_a_worker_is_no_launcher(value, refused):
  if not refused:
    assert read('--workers=2', TF_CONFIG=value).workers == 2
    return
  with pytest.raises(ValueError, match='^TF_CONFIG has a cluster: this proc'):
    read('--workers=2', TF_CONFIG=value)


def test_help(capsys):
  with pytest.raises(SystemExit) as ended:
    command.read(['--help'], {})
  assert ended.value.code == 0
  out = capsys.readouterr().out
  assert '-- SCRIPT [its flags]' in out and '--gpus_per_worker' in out
