"""TF_CONFIG: the variable by which cluster managers name the workers.

tf.distribute, Kubeflow (TFJob) and Vertex AI write it. See
https://www.tensorflow.org/guide/distributed_training#TF_CONFIG.

Nothing here imports TensorFlow.
"""

import json
import re
from typing import Any

from datasets import json_files
from datasets.suggestions import did_you_mean, nearest
from deployment import addresses
from deployment.addresses import shown

# The chief has two names, of which the second is the older; it comes before the
# workers. The others do not train.
_CHIEFS, _WORKERS = ('chief', 'master'), 'worker'
_TRAINING = (*_CHIEFS, _WORKERS)
_JOBS = (*_TRAINING, 'ps', 'evaluator')

EXAMPLE = json.dumps(
  {
    'cluster': {'worker': ['host1:2222', 'host2:2222']},
    'task': {'type': 'worker', 'index': 1},
  }
)

_CURES = {  # of processes that have no part in a training
  'ps': (
    'gradients are summed by all-reduce between the workers, and a parameter '
    'server is not needed. Start no such process.'
  ),
  'evaluator': (
    'the workers train, and this command would train with them. Evaluate '
    'checkpoints while they are written by: python eval_image_classifier.py '
    '--checkpoint_path=RUN --checkpoints=new'
  ),
}


def read(
  text: str, evaluates: bool = False
) -> tuple[tuple[str, ...], int] | None:
  """Returns the workers' addresses, and which of them this process is.

  Args:
    text: the variable's value.
    evaluates: whether this process evaluates checkpoints, which is what a task
      of the type "evaluator" is for.

  Returns:
    None if it names no cluster, as on a single machine; and for an evaluator.

  Raises:
    ValueError: it is wrong, or this process is none of the workers.
  """
  config = _parsed(text)
  role = _role(config.get('task'))
  if role == 'evaluator' and evaluates:
    return None
  if role in _CURES:
    raise ValueError(
      f'TF_CONFIG["task"]["type"] is {shown(role)}: {_CURES[role]}'
    )
  if config.get('cluster', {}) == {}:
    _check_alone(config)
    return None
  cluster = _cluster(config['cluster'])
  found = _addresses(cluster)
  return found, _index(config.get('task'), cluster, len(found))


def parameter_servers(text: str) -> list[Any]:
  """Returns the addresses of parameter servers, which nothing needs.

  Args:
    text: the variable's value, which `read` has accepted.
  """
  return _parsed(text).get('cluster', {}).get('ps', [])


def _wrong(sentence):
  return ValueError(
    f"{sentence} An example, of worker 1: TF_CONFIG='{EXAMPLE}'"
  )


def _parsed(text):
  try:
    # What is not UTF-8 has come as surrogates, and is to be refused.
    config = json_files.parse(text.encode(errors='surrogatepass'))
  except json.JSONDecodeError as error:
    rest = error.doc[error.pos : error.pos + 20]
    at = f'at {shown(rest)}' if rest else 'at its end'
    raise _wrong(
      f'TF_CONFIG is no JSON: in line {error.lineno}, column {error.colno}, '
      f'{at}: {error.msg.removesuffix(" at")}.'
    ) from None
  except ValueError as error:
    raise _wrong(f'TF_CONFIG cannot be read: {error}.') from None
  if not isinstance(config, dict):
    raise _wrong(f'TF_CONFIG is {shown(config)}, and should be an object.')
  return config


def _role(task):
  role = task.get('type') if isinstance(task, dict) else None
  return role if isinstance(role, str) else None


def _check_alone(config):
  """Refuses what names no cluster, and yet is not of a single machine.

  Each of the processes would train alone, and into the same folder.
  """
  near = [name for name in config if 'cluster' in name.lower()]
  near = near or nearest('cluster', config, n=1, cutoff=0.8)
  if near and 'cluster' not in config:
    raise _wrong(
      f'TF_CONFIG has {shown(near[0])}, and no "cluster", where each worker '
      'finds the addresses of all. Kubeflow writes "sparseCluster" for a TFJob '
      'with enableDynamicWorker: set that to false.'
    )
  task = config.get('task')
  index = task.get('index', 0) if isinstance(task, dict) else 0
  if index not in (0, '0'):
    raise _wrong(
      f'TF_CONFIG["task"]["index"] is {shown(index)}, that of one of several '
      'workers, and there is no TF_CONFIG["cluster"] with their addresses.'
    )


def _cluster(cluster):
  """Returns the lists of a cluster by the names of their jobs."""
  if not isinstance(cluster, dict):
    raise _wrong(
      f'TF_CONFIG["cluster"] is {shown(cluster)}, and should be an object.'
    )
  for job, listed in cluster.items():
    where = f'TF_CONFIG["cluster"][{shown(job)}]'
    if job not in _JOBS:
      raise _wrong(
        f'{where} is unknown.{did_you_mean(job.lower(), _JOBS)} The jobs are: '
        f'{", ".join(_JOBS)}.'
      )
    if not isinstance(listed, list):
      raise _wrong(
        f'{where} is {shown(listed)}, and should be a list of addresses.'
      )
    if not listed and job in _TRAINING:
      raise _wrong(
        f'{where} is an empty list: write the addresses, or leave it out.'
      )
  return cluster


def _addresses(cluster):
  chiefs, others = (
    [
      (f'TF_CONFIG["cluster"]["{job}"][{i}]', address)
      for job in jobs
      for i, address in enumerate(cluster.get(job, []))
    ]
    for jobs in (_CHIEFS, (_WORKERS,))
  )
  if len(chiefs) > 1:
    (first, _), (second, _), *_ = chiefs
    raise _wrong(
      f'TF_CONFIG names {len(chiefs)} chiefs, as {first} and {second}: there '
      'is one. Name the others in TF_CONFIG["cluster"]["worker"].'
    )
  if not chiefs and not others:
    raise _wrong(
      f'TF_CONFIG["cluster"] has {" and ".join(cluster)} alone, and no worker.'
    )
  try:
    return addresses.check(chiefs + others)
  except ValueError as error:
    raise _wrong(str(error)) from None


def _index(task, cluster, count):
  """Returns which of all workers a task is; the chief is the first."""
  if task is None and count == 1:
    return 0
  if task is None:
    raise _wrong(
      f'TF_CONFIG names {count} workers, and has no "task", which tells the '
      'one that this process is.'
    )
  if not isinstance(task, dict):
    raise _wrong(
      f'TF_CONFIG["task"] is {shown(task)}, and should be an object.'
    )
  job = task.get('type')
  jobs = [name for name in cluster if name in _TRAINING]
  if job not in jobs:
    hint = did_you_mean(job.lower(), jobs) if isinstance(job, str) else ''
    raise _wrong(
      f'TF_CONFIG["task"]["type"] {_is(task, "type")}, and should be a job of '
      f'TF_CONFIG["cluster"]: {" or ".join(jobs)}.{hint}'
    )
  index = _whole(task, len(cluster[job]), job)
  has_chief = any(chief in cluster for chief in _CHIEFS)
  return index + (job == _WORKERS and has_chief)


def _whole(task, count, job):
  """Returns a task's index, which Vertex AI may write as a text."""
  index = task.get('index')
  is_number = isinstance(index, int) and not isinstance(index, bool)
  is_text = isinstance(index, str) and re.fullmatch('[0-9]{1,9}', index)
  if not (is_number or is_text) or not 0 <= int(index) < count:
    raise _wrong(
      f'TF_CONFIG["task"]["index"] {_is(task, "index")}, and should be a whole '
      f'number from 0 to {count - 1}, a place in TF_CONFIG["cluster"]["{job}"].'
    )
  return int(index)


def _is(task, name):
  return f'is {shown(task[name])}' if name in task else 'is missing'
