"""Which workers make a cluster, and which of them a process is."""

import copy
import json
import pathlib
import random
import re
import socket
import subprocess
import sys

import pytest

from deployment import cluster, tf_config
from deployment.cluster import Cluster
from tests import fuzzing

ROOT = pathlib.Path(__file__).parents[2]
AB = ('a:2222', 'b:2222')
EXAMPLE = f" An example, of worker 1: TF_CONFIG='{tf_config.EXAMPLE}'"
ABC = ('a:2222', 'b:2222', 'c:2222')


def find(environ=None, **given):
  flags = {
    'worker_replicas': 1,
    'task': 0,
    'master': '',
    'num_ps_tasks': 0,
    'worker_hosts': None,
  }
  return cluster.find(**{**flags, **given}, environ=environ or {})


def refusal(environ=None, **given):
  with pytest.raises(ValueError) as error:
    find(environ, **given)
  text = str(error.value)
  assert text.isprintable() and len(text) < 700
  return text


def config(jobs=None, task=None, **more):
  """The environment with a TF_CONFIG."""
  whole = {'cluster': jobs, 'task': task, **more}
  present = {name: part for name, part in whole.items() if part is not None}
  return {'TF_CONFIG': json.dumps(present)}


def worker(index, job='worker'):
  return {'type': job, 'index': index}


def slurm(tasks, nodes, per_node, **more):
  return {
    'SLURM_STEP_NUM_TASKS': str(tasks),
    'SLURM_STEP_NODELIST': nodes,
    'SLURM_STEP_TASKS_PER_NODE': per_node,
    **{f'SLURM_{name}': str(value) for name, value in more.items()},
  }


def test_importing_it_does_not_import_tensorflow():
  code = (
    'import sys, deployment.cluster as c; '
    "assert not c.notes(0, {}) and 'tensorflow' not in sys.modules"
  )
  subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


# Clusters.

VERTEX = {  # as Vertex AI writes it
  'cluster': {
    'chief': ['cmle-training-workerpool0-1f2-0:2222'],
    'worker': [
      'cmle-training-workerpool1-1f2-0:2222',
      'cmle-training-workerpool1-1f2-1:2222',
    ],
    'ps': ['cmle-training-workerpool2-1f2-0:2222'],
    'evaluator': ['cmle-training-workerpool3-1f2-0:2222'],
  },
  'environment': 'cloud',
  'task': {'type': 'worker', 'index': '1', 'cloud': 'b0a', 'trial': '1'},
  'job': '{"worker_pool_specs": []}',
}
KUBEFLOW = {  # as TFJob writes it
  'cluster': {
    'ps': ['job-ps-0.kubeflow.svc:2222'],
    'worker': [
      'job-worker-0.kubeflow.svc:2222',
      'job-worker-1.kubeflow.svc:2222',
    ],
  },
  'task': {'type': 'worker', 'index': 1},
  'environment': 'cloud',
}


@pytest.mark.parametrize(
  'environ, given, expected',
  [
    # Alone.
    ({}, {}, None),
    ({'TF_CONFIG': ''}, {}, None),
    ({'TF_CONFIG': ' \n'}, {}, None),
    ({'TF_CONFIG': '{}'}, {}, None),
    ({}, {'worker_hosts': ('a:2222',)}, None),
    ({}, {'master': 'local', 'num_ps_tasks': 2}, None),
    (config({'worker': ['a:2222']}), {}, None),
    (config({'worker': ['a:2222']}, worker(0)), {}, None),
    (config({'chief': ['a:2222']}, worker(0, 'chief')), {}, None),
    (config({'worker': ['a:2222'], 'ps': ['b:1']}, worker(0)), {}, None),
    (config({}, worker('0', 'chief')), {}, None),
    (config(None, {'type': 'worker', 'index': 0}), {}, None),
    (config(None, {'cloud': 'b0a'}, environment='cloud', job={}), {}, None),
    (config(master='x', rpc_layer='grpc'), {}, None),
    (config({'worker': ['a:2222']}), {'master': 'grpc://a:2222'}, None),
    # Flags.
    ({}, {'worker_hosts': AB}, Cluster(AB, 0)),
    ({}, {'worker_hosts': AB, 'task': 1}, Cluster(AB, 1)),
    ({}, {'worker_hosts': ABC, 'worker_replicas': 3}, Cluster(ABC, 0)),
    ({}, {'worker_hosts': AB, 'master': 'grpc://B:2222'}, Cluster(AB, 0)),
    ({}, {'worker_hosts': AB, 'master': 'a:2222'}, Cluster(AB, 0)),
    (
      {},
      {'worker_hosts': ('a:1', 'a:65535'), 'num_ps_tasks': 1},
      Cluster(('a:1', 'a:65535'), 0),
    ),
    (
      {},
      {'worker_hosts': ('[::1]:80', '[fe80::2%eth0]:80', '127.0.0.1:80')},
      Cluster(('[::1]:80', '[fe80::2%eth0]:80', '127.0.0.1:80'), 0),
    ),
    (
      {},
      {'worker_hosts': ('[::1]:80', '[::2]:80'), 'master': 'grpc://[0::02]:80'},
      Cluster(('[::1]:80', '[::2]:80'), 0),
    ),
    (slurm(2, 'n[1-2]', '1(x2)'), {'worker_hosts': AB}, Cluster(AB, 0)),
    # TF_CONFIG.
    (config({'worker': AB}, worker(0)), {}, Cluster(AB, 0)),
    (config({'worker': AB}, worker(1)), {'task': 1}, Cluster(AB, 1)),
    (config({'worker': AB}, worker(1)), {'worker_replicas': 2}, Cluster(AB, 1)),
    (
      config({'worker': ['b:2222', 'c:2222'], 'chief': ['a:2222']}, worker(1)),
      {'task': 2},
      Cluster(ABC, 2),
    ),
    (
      config({'worker': ['b:2222'], 'chief': ['a:2222']}, worker(0, 'chief')),
      {},
      Cluster(AB, 0),
    ),
    (
      config({'worker': ['b:2222'], 'master': ['a:2222']}, worker(0)),
      {},
      Cluster(AB, 1),
    ),
    (
      config({'worker': AB, 'ps': [], 'evaluator': []}, worker(1)),
      {},
      Cluster(AB, 1),
    ),
    (
      {'TF_CONFIG': json.dumps(VERTEX)},
      {},
      Cluster(
        (
          'cmle-training-workerpool0-1f2-0:2222',
          'cmle-training-workerpool1-1f2-0:2222',
          'cmle-training-workerpool1-1f2-1:2222',
        ),
        2,
      ),
    ),
    (
      {'TF_CONFIG': json.dumps(KUBEFLOW, indent=2)},
      {},
      Cluster(
        ('job-worker-0.kubeflow.svc:2222', 'job-worker-1.kubeflow.svc:2222'), 1
      ),
    ),
    (
      {**config({'worker': AB}, worker(1)), **slurm(3, 'n[1-3]', '1(x3)')},
      {},
      Cluster(AB, 1),
    ),
    ({**config(), **slurm(3, 'n[1-3]', '1(x3)')}, {}, None),
  ],
)
def test_clusters(environ, given, expected):
  assert find(environ, **given) == expected


def test_an_evaluator_that_evaluates_is_alone():
  environ = config({'worker': AB}, worker(0, 'evaluator'))
  assert find(environ, evaluates=True) is None
  environ = config({'worker': AB}, worker(1))
  assert find(environ, evaluates=True) == Cluster(AB, 1)
  refusal(config({'worker': AB}, worker(0, 'ps')), evaluates=True)


def test_the_example_in_the_sentences_is_right():
  found = re.search("TF_CONFIG='(.*)'$", refusal({'TF_CONFIG': '{'}))
  assert find({'TF_CONFIG': found[1]}) == Cluster(
    ('host1:2222', 'host2:2222'), 1
  )


# Slurm.


@pytest.mark.parametrize(
  'environ, expected',
  [
    ({'SLURM_NTASKS': '4', 'SLURM_PROCID': '0'}, None),  # a batch script
    ({'SLURM_STEP_NUM_TASKS': ''}, None),
    ({'SLURM_STEP_NUM_TASKS': '1'}, None),
    (slurm(2, 'n[1-2]', '1(x2)', STEP_ID=4294967290, PROCID=0), None),
    (
      slurm(4, 'node[01-03,07]', '1(x4)', PROCID=3, STEP_ID=0),
      Cluster(('node01:8888', 'node02:8888', 'node03:8888', 'node07:8888'), 3),
    ),
    (
      slurm(4, 'a[1-2],b', '2,1(x2)', PROCID=2, NODEID=1, LOCALID=0),
      Cluster(('a1:8888', 'a1:8889', 'a2:8888', 'b:8888'), 2),
    ),
    # Slurm counts from node9, and SlurmClusterResolver from node10.
    (
      slurm(2, 'node[9-10]', '1(x2)', PROCID=0, NODEID=0, LOCALID=0),
      Cluster(('node9:8888', 'node10:8888'), 0),
    ),
    # Cyclic: the second task is the first of the second node.
    (
      slurm(4, 'n[1-2]', '2(x2)', PROCID=1, NODEID=1, LOCALID=0),
      Cluster(('n1:8888', 'n1:8889', 'n2:8888', 'n2:8889'), 2),
    ),
  ],
)
def test_slurm(environ, expected):
  assert find(environ) == expected


def test_slurm_as_tensorflow_resolves_it(monkeypatch):
  import tensorflow as tf

  environ = slurm(5, 'n[01-02],m5', '2(x2),1', PROCID=3)
  for name, value in environ.items():
    monkeypatch.setenv(name, value)
  resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
    gpus_per_node=5, gpus_per_task=1, auto_set_gpu=False
  )
  theirs = resolver.cluster_spec().as_dict()['worker']
  assert sorted(find(environ).addresses) == theirs
  assert find(environ).addresses == tuple(theirs[1:] + theirs[:1])
  assert resolver.get_task_info() == ('worker', find(environ).index)


@pytest.mark.parametrize(
  'environ, words',
  [
    (
      {'SLURM_STEP_NUM_TASKS': 'x'},
      'SLURM_STEP_NUM_TASKS is "x", and should be a whole number',
    ),
    (
      {'SLURM_STEP_NUM_TASKS': '2'},
      'SLURM_STEP_NODELIST is not set: srun sets it.',
    ),
    (
      slurm(2, 'n[1-2]', '1(x2)'),
      'SLURM_PROCID is not set: srun sets it. If this process is none of a '
      'step with several tasks, run it by: env -u SLURM_STEP_NUM_TASKS python',
    ),
    (
      slurm(2, 'n[1-2]', '1(x2)', PROCID=2),
      'SLURM_PROCID is "2", and should be a whole number below 2:',
    ),
    (
      slurm(2, 'n[1-2]', '1(x2)', NODEID=2, LOCALID=0),
      'SLURM_NODEID is "2", and should be a whole number below 2:',
    ),
    (
      slurm(3, 'n[1-2]', '2,1', NODEID=1, LOCALID=1),
      'SLURM_LOCALID is "1", and should be a whole number below 1:',
    ),
    (
      slurm(2, 'n[1-', '2', PROCID=0),
      'SLURM_STEP_NODELIST is "n[1-", which TensorFlow cannot read. Name the '
      'workers by --worker_hosts, and this one by --task.',
    ),
    (
      slurm(2, 'n', 'two', PROCID=0),
      'SLURM_STEP_TASKS_PER_NODE is "two", which',
    ),
    (
      slurm(4, 'n[1-2]', '2', PROCID=0),
      'SLURM_STEP_NUM_TASKS is 4, SLURM_STEP_NODELIST has 2 nodes ("n[1-2]"), '
      'and SLURM_STEP_TASKS_PER_NODE has 2 tasks on 1 nodes ("2"). Name',
    ),
    (
      slurm(2, 'n,n', '1(x2)', PROCID=0),
      'Slurm\'s worker 1 is "n:8888", the address that Slurm\'s worker 0 has',
    ),
  ],
)
def test_slurm_that_is_wrong(environ, words):
  assert words in refusal(environ)


# Flags that are wrong, or contradict what else is said.

LAUNCH = (
  'Or start all on this machine: python -m deployment.launch --workers=4 -- '
  'train_image_classifier.py ...'
)


FLAGS = [
  ({}, {'worker_replicas': 0}, '--worker_replicas=0 is less than 1.'),
  ({}, {'task': -1}, '--task=-1 is less than 0.'),
  ({}, {'num_ps_tasks': -1}, '--num_ps_tasks=-1 is less than 0.'),
  (
    {},
    {'worker_replicas': 4},
    '--worker_replicas=4 says how many workers there are, and not where they '
    'are. Name the workers by TF_CONFIG, or by flags, such as '
    '--worker_hosts=host1:2222,host2:2222 --task=0 and',
    LAUNCH,
  ),
  (config(), {'worker_replicas': 4}, '--worker_replicas=4 says', LAUNCH),
  (
    {'SLURM_NTASKS': '4'},
    {'worker_replicas': 4},
    '--worker_replicas=4 says',
    LAUNCH,
  ),
  (
    {},
    {'task': 3},
    '--task=3 is the number of one of several workers, and nothing says '
    'where they are.',
    LAUNCH,
  ),
  (
    {},
    {'worker_replicas': 3, 'worker_hosts': AB},
    '--worker_replicas=3, and --worker_hosts names 2 workers, a:2222, '
    'b:2222. Correct one of them, or leave out --worker_replicas.',
  ),
  (
    config({'chief': ['a:2222']}),
    {'worker_replicas': 2},
    '--worker_replicas=2, and TF_CONFIG names 1 worker, a:2222. Correct',
  ),
  (
    slurm(2, 'n[1-2]', '1(x2)', PROCID=0),
    {'worker_replicas': 8},
    '--worker_replicas=8, and Slurm names 2 workers, n1:8888, n2:8888.',
  ),
  (
    config({'chief': ['a:2222'], 'worker': ['b:2222']}, worker(0)),
    {'task': 2},
    '--task=2, and by TF_CONFIG this process is worker 1 of 2 workers, '
    'a:2222, b:2222, counted from 0. Leave out --task.',
  ),
  (
    slurm(2, 'n[1-2]', '1(x2)', PROCID=0),
    {'task': 1},
    '--task=1, and by Slurm this process is worker 0 of 2',
  ),
  (
    {},
    {'worker_hosts': AB, 'task': 2},
    '--task=2, and --worker_hosts names 2 workers, a:2222, b:2222: --task is '
    'a number from 0 to 1, of the worker that this process is.',
  ),
  (
    config({'worker': AB}, worker(0)),
    {'worker_hosts': AB},
    'Both --worker_hosts and TF_CONFIG name the workers.',
    'env -u TF_CONFIG python',
  ),
  (
    {},
    {'master': 'grpc://host:2222'},
    '--master=grpc://host:2222 is the address of a server, and workers need '
    'the addresses of all. Leave out --master. Name the workers by TF_CONFIG',
    'deployment.launch --workers=2',
  ),
  (
    {},
    {'worker_hosts': AB, 'master': 'grpc://a:2223'},
    '--master=grpc://a:2223 is the address of no worker',
  ),
  ({}, {'master': 'x'}, '--master=x is the address of a server'),
  (
    {},
    {'worker_hosts': AB, 'master': 'grpc://c:2222'},
    '--master=grpc://c:2222 is the address of no worker: --worker_hosts '
    'names 2 workers, a:2222, b:2222. Leave out --master',
  ),
  ({}, {'worker_hosts': ()}, '--worker_hosts names no worker. An example: '),
  (
    {},
    {'worker_hosts': ('a:2222', 'b')},
    '--worker_hosts[1] is "b", and has no port: write host:port, such as '
    '"host1:2222". An example: --worker_hosts=host1:2222,host2:2222 --task=0',
  ),
]


@pytest.mark.parametrize(
  'environ, given, words',
  [(environ, given, words) for environ, given, *words in FLAGS],
)
def test_flags_that_are_wrong(environ, given, words):
  text = refusal(environ, **given)
  assert text.startswith(words[0])
  assert all(each in text for each in words)


# TF_CONFIG that is wrong.


@pytest.mark.parametrize(
  'address, problem',
  [
    (5, 'is 5, and should be a text, such as "host1:2222".'),
    (None, 'is null, and should be a text'),
    (True, 'is true, and should be a text'),
    (['b:1'], 'is ["b:1"], and should be a text'),
    ('', 'is "", and has no port: write host:port, such as "host1:2222".'),
    ('b', 'is "b", and has no port:'),
    ('b:', 'is "b:", and has no port:'),
    ('[::1]', 'is "[::1]", and has no port:'),
    (':1', 'is ":1", and has no host before the port:'),
    ('b:x', 'is "b:x", and has the port "x", which is no number:'),
    ('b:1.5', 'has the port "1.5", which is no number:'),
    ('b:-1', 'has the port "-1", which is no number:'),
    ('b:1 ', 'has the port "1 ", which is no number:'),
    ('b:٣', 'has the port "\\u0663", which is no number:'),
    ('b:0', 'has the port "0": a port is a number from 1 to 65535.'),
    ('b:65536', 'has the port "65536": a port is a number from 1 to 65535.'),
    ('b:' + '9' * 5000, '999...: a port is a number from 1 to 65535.'),
    ('::1:2222', 'has several colons: write host:port, and an IPv6 address in'),
    ('[b]:1', 'has "[b]" for its host: in brackets stands an IPv6 address,'),
    ('[::g]:1', 'has "[::g]" for its host:'),
    ('[]:1', 'has "[]" for its host:'),
    ('grpc://b:1', 'begins with "grpc://": write host:port, without it.'),
    ('b c:1', 'has the host "b c": a name of a host has letters, digits,'),
    ('b/c:1', 'has the host "b/c":'),
    ('ü:1', 'has the host "\\u00fc":'),
    ('x' * 254 + ':1', 'xxx...: a name of a host has letters'),
    (
      'a:2222',
      'the address that TF_CONFIG["cluster"]["chief"][0] has already:',
    ),
    (
      'A:02222',
      'the address that TF_CONFIG["cluster"]["chief"][0] has already:',
    ),
  ],
)
def test_addresses_that_are_wrong(address, problem):
  jobs = {'chief': ['a:2222'], 'worker': ['c:2222', address]}
  text = refusal(config(jobs, worker(0)))
  assert text.startswith('TF_CONFIG["cluster"]["worker"][1] is ')
  assert problem in text
  assert text.endswith(EXAMPLE)


PS = (
  'TF_CONFIG["task"]["type"] is "ps": gradients are summed by all-reduce '
  'between the workers, and a parameter server is not needed. Start no such '
  'process.'
)
EVALUATOR = (
  'TF_CONFIG["task"]["type"] is "evaluator": the workers train, and this '
  'command would train with them. Evaluate checkpoints while they are written '
  'by: python eval_image_classifier.py --checkpoint_path=RUN --checkpoints=new'
)


@pytest.mark.parametrize(
  'jobs, task, words',
  [
    # Processes of no use.
    ({'worker': AB, 'ps': ['c:1']}, worker(0, 'ps'), PS),
    ({'ps': ['c:1']}, worker(0, 'ps'), PS),
    (None, worker(0, 'ps'), PS),
    ({'worker': AB}, worker(0, 'evaluator'), EVALUATOR),
    ({'worker': AB, 'evaluator': ['c:1']}, worker(0, 'evaluator'), EVALUATOR),
    # The cluster.
    ([], None, 'TF_CONFIG["cluster"] is [], and should be an object.'),
    ('a:1', None, 'TF_CONFIG["cluster"] is "a:1", and should be an object.'),
    (False, None, 'TF_CONFIG["cluster"] is false, and should be an object.'),
    (
      {'workers': AB},
      worker(0),
      'TF_CONFIG["cluster"]["workers"] is unknown. Did you mean worker? The '
      'jobs are: chief, master, worker, ps, evaluator.',
    ),
    ({'CHIEF': AB}, None, '["CHIEF"] is unknown. Did you mean chief? The'),
    ({'': AB}, None, 'TF_CONFIG["cluster"][""] is unknown. The jobs are:'),
    (
      {'worker': 'a:1,b:1'},
      worker(0),
      'TF_CONFIG["cluster"]["worker"] is "a:1,b:1", and should be a list of',
    ),
    (
      {'worker': {'0': 'a:1'}},
      worker(0),
      'TF_CONFIG["cluster"]["worker"] is {"0": "a:1"}, and should be a list',
    ),
    ({'worker': None}, None, '["worker"] is null, and should be a list'),
    ({'worker': AB, 'ps': 'c'}, worker(0), '["ps"] is "c", and should be a'),
    (
      {'chief': ['a:1'], 'worker': []},
      worker(0),
      'TF_CONFIG["cluster"]["worker"] is an empty list: write the addresses, '
      'or leave it out.',
    ),
    (
      {'chief': ['a:1', 'b:1']},
      worker(0, 'chief'),
      'TF_CONFIG names 2 chiefs, as TF_CONFIG["cluster"]["chief"][0] and '
      'TF_CONFIG["cluster"]["chief"][1]: there is one. Name the others in '
      'TF_CONFIG["cluster"]["worker"].',
    ),
    (
      {'chief': ['a:1'], 'master': ['b:1']},
      worker(0, 'chief'),
      'as TF_CONFIG["cluster"]["chief"][0] and '
      'TF_CONFIG["cluster"]["master"][0]: there is one.',
    ),
    (
      {'ps': ['a:1'], 'evaluator': ['b:1']},
      None,
      'TF_CONFIG["cluster"] has ps and evaluator alone, and no worker.',
    ),
    # The task.
    (
      {'worker': AB},
      None,
      'TF_CONFIG names 2 workers, and has no "task", which tells the one that '
      'this process is.',
    ),
    ({'worker': AB}, 1, 'TF_CONFIG["task"] is 1, and should be an object.'),
    ({'worker': AB[:1]}, [], 'TF_CONFIG["task"] is [], and should be an'),
    (
      {'worker': AB, 'ps': ['c:1']},
      {'index': 0},
      'TF_CONFIG["task"]["type"] is missing, and should be a job of '
      'TF_CONFIG["cluster"]: worker.',
    ),
    (
      {'worker': AB},
      worker(0, 'chief'),
      'TF_CONFIG["task"]["type"] is "chief", and should be a job of',
    ),
    (
      {'worker': AB, 'chief': ['c:1']},
      worker(0, 'Worker'),
      'TF_CONFIG["task"]["type"] is "Worker", and should be a job of '
      'TF_CONFIG["cluster"]: worker or chief. Did you mean worker?',
    ),
    ({'worker': AB}, worker(0, ['ps']), 'is ["ps"], and should be a job of'),
    ({'worker': AB}, worker(0, 1), '["type"] is 1, and should be a job of'),
    (
      {'worker': AB},
      {'type': 'worker'},
      'TF_CONFIG["task"]["index"] is missing, and should be a whole number '
      'from 0 to 1, a place in TF_CONFIG["cluster"]["worker"].',
    ),
    (
      {'chief': ['c:1'], 'worker': AB},
      worker(2),
      '["index"] is 2, and should be a whole number from 0 to 1, a place in',
    ),
    (
      {'chief': ['c:1'], 'worker': AB},
      worker(1, 'chief'),
      '["index"] is 1, and should be a whole number from 0 to 0, a place in '
      'TF_CONFIG["cluster"]["chief"].',
    ),
    ({'worker': AB[:1]}, worker(1), '["index"] is 1, and should be a whole'),
    *(
      ({'worker': AB}, worker(index), f'["index"] is {text}, and should be')
      for index, text in (
        (-1, '-1'),
        (10**30, '1' + '0' * 30),
        (0.5, '0.5'),
        (1.0, '1.0'),
        (True, 'true'),
        (False, 'false'),
        (None, 'null'),
        (float('nan'), 'NaN'),
        (float('inf'), 'Infinity'),
        ('', '""'),
        ('-1', '"-1"'),
        ('2', '"2"'),
        ('1 ', '"1 "'),
        ('1\n', '"1\\n"'),
        ('٣', '"\\u0663"'),
        ('x', '"x"'),
        ([0], '[0]'),
      )
    ),
    # No cluster, where there should be one.
    (
      None,
      worker(1),
      'TF_CONFIG["task"]["index"] is 1, that of one of several workers, and '
      'there is no TF_CONFIG["cluster"] with their addresses.',
    ),
  ],
)
def test_jobs_and_tasks_that_are_wrong(jobs, task, words):
  text = refusal(config(jobs, task))
  assert words in text
  if words not in (PS, EVALUATOR):
    assert text.startswith('TF_CONFIG')
    assert text.endswith(EXAMPLE)


@pytest.mark.parametrize(
  'given, words',
  [
    (
      "{'cluster': {}}",
      'TF_CONFIG is no JSON: in line 1, column 2, at "\'cluster\': {}}": '
      'Expecting property name enclosed in double quotes.',
    ),
    (
      '{"cluster":\n  {worker: 1}}',
      'in line 2, column 4, at "worker: 1}}": Expecting property name',
    ),
    (
      '{"task": 1',
      "in line 1, column 11, at its end: Expecting ',' delimiter.",
    ),
    ('{"a', 'in line 1, column 2, at "\\"a": Unterminated string starting.'),
    ('{"a": "\x01"}', 'at "\\u0001\\"}": Invalid control character.'),
    ('{} {}', 'in line 1, column 4, at "{}": Extra data.'),
    ('x' * 10**6, 'in line 1, column 1, at "xxxxxxxxxxxxxxxxxxxx": Expecting'),
    ('[]', 'TF_CONFIG is [], and should be an object.'),
    ('null', 'TF_CONFIG is null, and should be an object.'),
    ('"' + 'x' * 10**6 + '"', 'xxx..., and should be an object.'),
    ('NaN', 'TF_CONFIG is NaN, and should be an object.'),
    (
      '{"cluster": {"worker": ["a:1"], "worker": ["b:1"]}}',
      'TF_CONFIG cannot be read: it has "worker" twice.',
    ),
    (
      '{"task": 1, "task": 2}',
      'TF_CONFIG cannot be read: it has "task" twice.',
    ),
    ('[' * 10**5, 'TF_CONFIG cannot be read: it nests more than 20 values'),
    ('{"a": ' * 30 + '1' + '}' * 30, 'it nests more than 20 values'),
    ('9' * 5000, 'TF_CONFIG cannot be read: '),
    (' ' * (1 << 24) + '1', 'it has more than 16,777,216 bytes'),
    ('{"a": "\udcff"}', 'TF_CONFIG cannot be read: it is not UTF-8 text.'),
    ('{"a": "\ud800"}', 'TF_CONFIG cannot be read: it is not UTF-8 text.'),
    (
      '{"cluster": null}',
      'TF_CONFIG["cluster"] is null, and should be an object.',
    ),
    (
      '{"sparseCluster": {"worker": {"0": "a:1"}}}',
      'TF_CONFIG has "sparseCluster", and no "cluster", where each worker '
      'finds the addresses of all. Kubeflow writes "sparseCluster" for a TFJob '
      'with enableDynamicWorker: set that to false.',
    ),
    ('{"clutser": {}}', 'TF_CONFIG has "clutser", and no "cluster"'),
    ('{"Cluster": {}}', 'TF_CONFIG has "Cluster", and no "cluster"'),
  ],
)
def test_texts_that_are_wrong(given, words):
  text = refusal({'TF_CONFIG': given})
  assert words in text
  assert text.startswith('TF_CONFIG')
  assert text.endswith(EXAMPLE)


def test_damaged_texts():
  """Each ends in a sentence, or in a cluster with this process in it."""
  sources = {
    name: json.dumps(whole).encode()
    for name, whole in (('vertex', VERTEX), ('kubeflow', KUBEFLOW))
  }
  outcomes = []

  def attempt(number, given):
    found = fuzzing.attempt(
      number, find, {'TF_CONFIG': given}, says=('TF_CONFIG',)
    )
    outcomes.append(found)
    assert found is None or 0 <= found.index < len(found.addresses)

  for number, data in fuzzing.mutations('tf_config', sources, 600):
    attempt(number, data.decode(errors='surrogateescape'))
  for number in range(600):
    chance = random.Random(number)
    whole = copy.deepcopy(chance.choice((VERTEX, KUBEFLOW)))
    for _ in range(chance.choice((1, 1, 2))):
      fuzzing.replant(whole, chance)
    attempt(number, json.dumps(whole))
  assert 100 < sum(found is not None for found in outcomes) < 1000


# Notes.


def test_notes():
  needless = (
    ': gradients are summed by all-reduce between the workers; a parameter '
    'server is not needed, and none is used.'
  )
  servers = config({'worker': AB, 'ps': ['c:1']}, worker(0))
  assert cluster.notes(0, {}) == []
  assert cluster.notes(0, {'TF_CONFIG': ' '}) == []
  assert cluster.notes(0, config({'worker': AB, 'ps': []}, worker(0))) == []
  assert cluster.notes(0, servers) == ['TF_CONFIG["cluster"]["ps"]' + needless]
  assert cluster.notes(2, {}) == ['--num_ps_tasks=2' + needless]
  assert len(cluster.notes(2, servers)) == 2


# The own address.


def test_an_address_of_this_machine():
  with socket.create_server(('127.0.0.1', 0)) as server:  # its port is taken
    own = f'127.0.0.1:{server.getsockname()[1]}'
    assert cluster.check_own(Cluster((own, 'b:2222'), 0)) == ''
  assert cluster.check_own(Cluster(('b:2222', 'localhost:1'), 1)) == ''


def test_an_address_of_another_machine():
  """192.0.2.0/24 is for documentation: no machine has one of its addresses."""
  assert cluster.check_own(Cluster(('127.0.0.1:1', '192.0.2.1:2222'), 1)) == (
    ' By the cluster worker 1, this process, has the address 192.0.2.1:2222, '
    'which is none of this machine: is this another worker? Behind the name of '
    'a service it may be right.'
  )
  hint = cluster.check_own(Cluster(('[2001:db8::1]:2222', 'b:2222'), 0))
  assert 'has the address [2001:db8::1]:2222, which is none of this' in hint


def test_one_of_a_names_addresses_is_enough(monkeypatch):
  def resolve(host, port, type):
    assert (host, port) == ('a', 0)
    family = socket.AF_INET
    return [(family, type, 6, '', (ip, 0)) for ip in ('192.0.2.1', '127.0.0.1')]

  monkeypatch.setattr(socket, 'getaddrinfo', resolve)
  assert cluster.check_own(Cluster(AB, 0)) == ''


@pytest.mark.parametrize(
  'failure',
  [
    socket.gaierror(-2, 'Name or service not known'),
    TimeoutError(),
    UnicodeError('label empty or too long'),
  ],
)
def test_a_name_that_is_not_known(monkeypatch, failure):
  def fail(*_, **__):
    raise failure

  monkeypatch.setattr(socket, 'getaddrinfo', fail)
  assert cluster.check_own(Cluster(AB, 1)) == (
    ' By the cluster worker 1, this process, has the address b:2222, and no '
    'machine of the name b is known here: correct the name.'
  )
