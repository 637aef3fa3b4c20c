"""The workers of a training or an evaluation, and which this process is.

All workers are equal replicas, which sum their gradients by all-reduce. They
are named by the flags --worker_hosts and --task, by TF_CONFIG, or by Slurm.

Importing this does not import TensorFlow.
"""

import contextlib
import socket
from collections.abc import Mapping
from typing import NamedTuple

from datasets import text
from deployment import addresses, slurm, tf_config

_EXAMPLE = '--worker_hosts=host1:2222,host2:2222 --task=0'
_CURE = (
  f'Name the workers by TF_CONFIG, or by flags, such as {_EXAMPLE} and, in the '
  'other process, --task=1. Or start all on this machine: python -m '
  'deployment.launch --workers={count} -- train_image_classifier.py ...'
)


class Cluster(NamedTuple):
  """Workers that train or evaluate together.

  Fields:
    addresses: 'host:port' of each worker; the chief's is the first.
    index: of this process.
  """

  addresses: tuple[str, ...]
  index: int  # type: ignore[assignment]  # of tuples


class _Found(NamedTuple):
  """What names the workers: its name, and what it says."""

  source: str
  cluster: Cluster


def find(
  *,
  worker_replicas: int,
  task: int,
  master: str,
  num_ps_tasks: int,
  worker_hosts: tuple[str, ...] | None,
  environ: Mapping[str, str],
  evaluates: bool = False,
) -> Cluster | None:
  """Returns the cluster that this process is part of.

  Args:
    worker_replicas: TF-Slim's number of workers; 1 says nothing.
    task: which worker this process is; 0 says nothing but with `worker_hosts`.
    master: TF-Slim's address of a server, which nothing needs; '' or 'local'
      is none.
    num_ps_tasks: TF-Slim's number of parameter servers, which nothing needs.
    worker_hosts: 'host:port' of each worker; None if another source is to name
      them.
    environ: the environment, with TF_CONFIG and what Slurm sets.
    evaluates: whether this process evaluates checkpoints: one that TF_CONFIG
      calls an evaluator is alone then, and is refused otherwise.

  Returns:
    None for one worker alone.

  Raises:
    ValueError: a source is wrong, or two contradict each other.
  """
  for name, value, least in (
    ('worker_replicas', worker_replicas, 1),
    ('task', task, 0),
    ('num_ps_tasks', num_ps_tasks, 0),
  ):
    if value < least:
      raise ValueError(f'--{name}={value} is less than {least}.')
  found = _found(worker_hosts, task, environ, evaluates)
  _check_number(worker_replicas, found)
  _check_task(task, found)
  _check_master(master, found)
  alone = found is None or len(found.cluster.addresses) == 1
  return None if alone else found.cluster


def notes(num_ps_tasks: int, environ: Mapping[str, str]) -> list[str]:
  """Returns sentences on parameter servers, which are asked for in vain.

  Args:
    num_ps_tasks, environ: which `find` has accepted.
  """
  given = environ.get('TF_CONFIG', '')
  servers = tf_config.parameter_servers(given) if given.strip() else []
  return [
    f'{who}: gradients are summed by all-reduce between the workers; a '
    'parameter server is not needed, and none is used.'
    for who, number in (
      (f'--num_ps_tasks={num_ps_tasks}', num_ps_tasks),
      ('TF_CONFIG["cluster"]["ps"]', len(servers)),
    )
    if number
  ]


def _found(worker_hosts, task, environ, evaluates):
  """Returns what the first of the sources says, None if there is none."""
  config = environ.get('TF_CONFIG', '')
  if worker_hosts is not None and config.strip():
    raise ValueError(
      'Both --worker_hosts and TF_CONFIG name the workers. Leave out '
      '--worker_hosts and --task, or run this without the variable: '
      f'env -u TF_CONFIG python ... {_EXAMPLE}'
    )
  if worker_hosts is not None:
    return _Found('--worker_hosts', _of_flags(worker_hosts, task))
  if config.strip():
    source, found = 'TF_CONFIG', tf_config.read(config, evaluates)
  else:
    source, found = 'Slurm', slurm.read(environ)
  return _Found(source, Cluster(*found)) if found else None


def _of_flags(hosts, task):
  if not hosts:
    raise ValueError(f'--worker_hosts names no worker. An example: {_EXAMPLE}')
  try:
    found = addresses.check(
      (f'--worker_hosts[{i}]', host) for i, host in enumerate(hosts)
    )
  except ValueError as error:
    raise ValueError(f'{error} An example: {_EXAMPLE}') from None
  if task >= len(found):
    raise ValueError(
      f'--task={task}, and --worker_hosts names {_listed(found)}: --task is a '
      f'number from 0 to {len(found) - 1}, of the worker that this process is.'
    )
  return Cluster(found, task)


def _listed(found):
  return f'{len(found)} worker{"s" * (len(found) > 1)}, {text.few(found)}'


def _check_number(count, found):
  if count == 1:
    return
  if not found:
    raise ValueError(
      f'--worker_replicas={count} says how many workers there are, and not '
      f'where they are. {_CURE.format(count=count)}'
    )
  if count != len(found.cluster.addresses):
    raise ValueError(
      f'--worker_replicas={count}, and {found.source} names '
      f'{_listed(found.cluster.addresses)}. Correct one of them, or leave out '
      '--worker_replicas.'
    )


def _check_task(task, found):
  if task and not found:
    raise ValueError(
      f'--task={task} is the number of one of several workers, and nothing '
      f'says where they are. {_CURE.format(count=task + 1)}'
    )
  if task and task != found.cluster.index:
    raise ValueError(
      f'--task={task}, and by {found.source} this process is worker '
      f'{found.cluster.index} of {_listed(found.cluster.addresses)}, counted '
      'from 0. Leave out --task.'
    )


def _check_master(master, found):
  if master in ('', 'local'):
    return
  known = found.cluster.addresses if found else ()
  with contextlib.suppress(ValueError):
    address = addresses.key(master.rpartition('://')[2])
    if address in map(addresses.key, known):
      return
  if found:
    raise ValueError(
      f'--master={master} is the address of no worker: {found.source} names '
      f'{_listed(known)}. Leave out --master; each worker is a server of its '
      'own.'
    )
  raise ValueError(
    f'--master={master} is the address of a server, and workers need the '
    f'addresses of all. Leave out --master. {_CURE.format(count=2)}'
  )


def check_own(cluster: Cluster) -> str:
  """Returns what may be wrong with the address of this worker.

  It asks for the address of a name, which may take seconds.

  Returns:
    A hint to go on behind the sentence of a timeout, with a space before it; ''
    if the host is known, and this machine.

  >>> check_own(Cluster(('127.0.0.1:2222', 'b:2222'), 0))
  ''
  """
  address = cluster.addresses[cluster.index]
  host, _ = addresses.split(address)
  who = f'worker {cluster.index}, this process, has the address {address}'
  try:
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
  except (OSError, UnicodeError):
    return (
      f' By the cluster {who}, and no machine of the name {host} is known '
      'here: correct the name.'
    )
  if any(_is_own(family, place) for family, _, _, _, place in found):
    return ''
  return (
    f' By the cluster {who}, which is none of this machine: is this another '
    'worker? Behind the name of a service it may be right.'
  )


def _is_own(family, place):
  """Whether this machine has an address, at a port that is free."""
  try:
    with socket.socket(family, socket.SOCK_STREAM) as mine:
      mine.bind(place)
    return True
  except OSError:
    return False
