"""Slurm: the workers are the tasks of a step, which srun starts.

Importing this does not import TensorFlow.
"""

from collections.abc import Mapping

from deployment import addresses
from deployment.addresses import shown

_PORT = 8888  # of a node's first task; that of SlurmClusterResolver
# Steps that have one process, whatever they inherit: the shell of salloc and
# the script of sbatch.
_SHELLS = ('4294967290', '4294967291')
_CURE = (
  'srun sets it. If this process is none of a step with several tasks, run it '
  'by: env -u SLURM_STEP_NUM_TASKS python ...'
)
_OTHERWISE = 'Name the workers by --worker_hosts, and this one by --task.'


def read(environ: Mapping[str, str]) -> tuple[tuple[str, ...], int] | None:
  """Returns the workers' addresses, and which of them this process is.

  Lists are expanded by the functions of TensorFlow's SlurmClusterResolver. The
  class itself sorts hosts as text, node10 before node9, where Slurm counts
  tasks from node9; a worker would have the address of another.

  Args:
    environ: the environment.

  Returns:
    None outside of a step of several tasks. Batch scripts and the shells of
    salloc are one process, though Slurm tells them of several tasks.

  Raises:
    ValueError: variables are missing or wrong, or contradict each other.
  """
  if (
    not environ.get('SLURM_STEP_NUM_TASKS')
    or environ.get('SLURM_STEP_ID') in _SHELLS
    or (count := _number(environ, 'SLURM_STEP_NUM_TASKS')) < 2
  ):
    return None
  nodes, per_node = (
    _text(environ, name)
    for name in ('SLURM_STEP_NODELIST', 'SLURM_STEP_TASKS_PER_NODE')
  )
  from tensorflow.python.distribute.cluster_resolver import (
    slurm_cluster_resolver as slurm,
  )

  hosts = _expanded('SLURM_STEP_NODELIST', nodes, slurm.expand_hostlist)
  tasks = _expanded(
    'SLURM_STEP_TASKS_PER_NODE', per_node, slurm.expand_tasks_per_node
  )
  if len(hosts) != len(tasks) or sum(tasks) != count:
    raise ValueError(
      f'SLURM_STEP_NUM_TASKS is {count}, SLURM_STEP_NODELIST has {len(hosts)} '
      f'nodes ({shown(nodes)}), and SLURM_STEP_TASKS_PER_NODE has {sum(tasks)} '
      f'tasks on {len(tasks)} nodes ({shown(per_node)}). {_OTHERWISE}'
    )
  found = [
    f'{host}:{_PORT + local}'
    for host, number in zip(hosts, tasks, strict=True)
    for local in range(number)
  ]
  places = ((f"Slurm's worker {i}", each) for i, each in enumerate(found))
  return addresses.check(places), _index(environ, tasks)


def _expanded(name, text, expand):
  try:
    return expand(text)
  except ValueError:
    raise ValueError(
      f'{name} is {shown(text)}, which TensorFlow cannot read. {_OTHERWISE}'
    ) from None


def _index(environ, tasks):
  """Returns which of the workers a task is, from its node and place there.

  Slurm's own number, SLURM_PROCID, is another where tasks are spread over nodes
  in turn (srun --distribution=cyclic).
  """
  if not {'SLURM_NODEID', 'SLURM_LOCALID'} <= environ.keys():
    return _number(environ, 'SLURM_PROCID', sum(tasks))
  node = _number(environ, 'SLURM_NODEID', len(tasks))
  return sum(tasks[:node]) + _number(environ, 'SLURM_LOCALID', tasks[node])


def _text(environ, name):
  if not environ.get(name):
    raise ValueError(f'{name} is not set: {_CURE}')
  return environ[name]


def _number(environ, name, end=10**9):
  text = _text(environ, name)
  is_number = text.isascii() and text.isdigit() and len(text) < 10
  if not is_number or int(text) >= end:
    raise ValueError(
      f'{name} is {shown(text)}, and should be a whole number below {end}: '
      f'{_CURE}'
    )
  return int(text)
