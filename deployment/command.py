"""What the launcher is told: its flags, and the script that it starts.

Nothing here imports TensorFlow.
"""

import argparse
import dataclasses
import functools
import importlib.machinery
import importlib.util
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from engine.common import console
from engine.config import aliases


@dataclasses.dataclass(frozen=True)
class Job:
  """What to start, and how to go on when a worker ends.

  Fields:
    command: the script and its arguments, or -m, a module and its arguments.
    workers: how many, at least 1.
    log_dir: the folder of the output of all workers but the chief.
    cores: the numbers of each worker's cores; None where all may use all.
    gpus: the names of each worker's GPUs, as in CUDA_VISIBLE_DEVICES; None to
      leave that as it is.
    grace_secs: how long workers may go on after a signal, or after the first
      that has ended.
    max_restarts: how often all are started again.
  """

  command: Sequence[str]
  workers: int
  log_dir: str
  cores: Sequence[Sequence[int]] | None = None
  gpus: Sequence[Sequence[str]] | None = None
  grace_secs: float = 300
  max_restarts: int = 3


class _Parser(argparse.ArgumentParser):
  """Raises its errors, as sentences."""

  def error(self, message):
    message = re.sub(r'^argument (?=.*: --)\S+: ', '', message).rstrip('.')
    raise ValueError(f'{message}. --help lists the flags.')


class _Number(NamedTuple):
  """A flag whose value is a number.

  Fields:
    kind: int, or float of seconds.
    low: the least value.
    default: None where there is none, or where the machine says it.
    text: what it is, for people.
  """

  kind: Callable[[str], float]
  low: int
  default: int | None
  text: str

  def read(self, flag: str, value: str) -> float:
    """Returns the number of a flag's value."""
    try:
      found = self.kind(value)
    except ValueError:
      found = math.nan
    if found >= self.low:  # NaN is not
      return found
    what = 'whole number' if self.kind is int else 'number of seconds'
    raise argparse.ArgumentTypeError(
      f'--{flag}={value} must be a {what} of at least {self.low}'
    )


_NUMBERS = {
  'workers': _Number(int, 1, None, 'how many'),
  'cores_per_worker': _Number(
    int,
    0,
    None,
    'the cores that each worker keeps to; 0 for any (default: an equal share, '
    'or any where there are fewer cores than workers)',
  ),
  'gpus_per_worker': _Number(
    int,
    0,
    None,
    "how many of CUDA_VISIBLE_DEVICES, or of the machine's GPUs, each worker "
    'has for its own (default: all see all)',
  ),
  'grace_secs': _Number(
    float,
    0,
    300,
    'workers that go on for longer after a signal, or after another one has '
    'finished, are killed (default: %(default)s)',
  ),
  'max_restarts': _Number(
    int,
    0,
    3,
    'how often all are started again when one is lost (default: %(default)s)',
  ),
}


def _parser():
  parser = _Parser(
    'python -m deployment.launch',
    usage='%(prog)s --workers=N [flags] -- SCRIPT [its flags]',
    description='Starts copies of a script, or of -m MODULE, on this machine, '
    'as workers of one cluster. When one is lost, all are started again.',
    allow_abbrev=False,
  )
  for flag, number in _NUMBERS.items():
    parser.add_argument(
      f'--{flag}',
      type=functools.partial(number.read, flag),
      default=number.default,
      metavar='N' if number.kind is int else 'SECONDS',
      help=number.text,
    )
  parser.add_argument(
    '--log_dir',
    default=os.path.join('runs', 'workers'),
    metavar='DIR',
    help='the folder of worker-1.log, ..., the output of all workers but the '
    'first (default: %(default)s)',
  )
  return parser


def read(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Job:
  """Returns what a command line says.

  Args:
    argv: the arguments, without the program's name.
    environ: the environment variables.

  Raises:
    ValueError: a flag, the script or the environment is not as it should be.
    SystemExit: after the help.
  """
  end = argv.index('--') if '--' in argv else len(argv)
  parser = _parser()
  given, others = parser.parse_known_args(argv[:end])
  if others:
    raise ValueError(_no_flag(others[0], vars(given)))
  if given.workers is None:
    raise ValueError(
      '--workers is missing: it says how many are started, as --workers=2 does.'
    )
  command = list(argv[end + 1 :])
  _check_command(command)
  if _has_cluster(environ.get('TF_CONFIG', '')):
    raise ValueError(
      'TF_CONFIG has a cluster: this process is a worker itself. Start the '
      'script without the launcher, or unset TF_CONFIG.'
    )
  if not given.log_dir:
    raise ValueError('--log_dir is empty: name a folder, or leave it out.')
  workers = given.workers
  return Job(
    command,
    workers,
    given.log_dir,
    _cores(workers, given.cores_per_worker),
    _gpus(workers, given.gpus_per_worker, environ.get('CUDA_VISIBLE_DEVICES')),
    given.grace_secs,
    given.max_restarts,
  )


def _no_flag(argument, known):
  if not argument.startswith('--'):
    return (
      f'The argument {argument!r} is no flag: the script and its own flags '
      'come after --, as in --workers=2 -- train.py --its_flag.'
    )
  name = argument[2:].partition('=')[0]
  hint = aliases.suggestion(name, known)
  return (
    f'There is no flag --{name}.{hint} --help lists the flags; those of the '
    'script come after --.'
  )


def _check_command(command):
  """Refuses what Python would not find, before anything is started."""
  script, *arguments = command or ['']
  if not script:
    raise ValueError(
      'There is no script: name it after --, as in --workers=2 -- train.py.'
    )
  if script == '-m':
    if not arguments:
      raise ValueError('There is no module after -m: name one.')
    _check_module(arguments[0])
  elif script.startswith('-'):
    raise ValueError(
      f'The script comes first after --, and {script!r} is none. It is a file, '
      'or -m and a module.'
    )
  elif not os.path.exists(script):
    raise ValueError(
      f'The script {script} does not exist. It is looked for from the current '
      'folder.'
    )


def _check_module(name):
  """Looks for the outermost package alone, as those inside take an import."""
  package = name.partition('.')[0]
  here = importlib.machinery.PathFinder
  if not package or not (
    here.find_spec(package, [os.getcwd()]) or importlib.util.find_spec(package)
  ):
    raise ValueError(
      f'The module {name} does not exist. It is looked for from the current '
      'folder, and among what is installed.'
    )


def _has_cluster(text):
  try:
    found = json.loads(text)
  except ValueError:
    return False
  return isinstance(found, dict) and bool(found.get('cluster'))


def _shares(names, workers, each):
  return [names[each * i : each * (i + 1)] for i in range(workers)]


def _cores(workers, each):
  """Returns the cores of each worker; None where they are not pinned."""
  if not hasattr(os, 'sched_setaffinity'):
    if each:
      console.note(
        '--cores_per_worker has no effect: this system does not pin processes.',
        aside=True,
      )
    return None
  names = sorted(os.sched_getaffinity(0))
  if each is None:
    each = len(names) // workers
  if each * workers > len(names):
    raise ValueError(
      f'--workers={workers} with --cores_per_worker={each} needs '
      f'{each * workers} cores, and {len(names)} may be used: name fewer, or '
      '--cores_per_worker=0 to let workers use any.'
    )
  return _shares(names, workers, each) if each else None


def _gpus(workers, each, visible):
  """Returns the GPUs of each worker; None to leave all to all.

  Args:
    workers: how many.
    each: how many GPUs a worker has; None if it was not said.
    visible: the value of CUDA_VISIBLE_DEVICES, None if it is not set.
  """
  if each is None:
    return None
  if visible is None:
    return _shares([*map(str, range(workers * each))], workers, each)
  names = [name.strip() for name in visible.split(',') if name.strip()]
  if '-1' in names:  # CUDA takes what is before it
    names = names[: names.index('-1')]
  if each * workers > len(names):
    raise ValueError(
      f'--workers={workers} with --gpus_per_worker={each} needs '
      f'{each * workers} GPUs, and CUDA_VISIBLE_DEVICES={visible} names '
      f'{len(names)}: name fewer workers, or more GPUs.'
    )
  return _shares(names, workers, each)
