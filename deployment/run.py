"""Training and evaluation by all workers of a cluster, or by one process."""

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import cluster as clusters
from deployment.joined import Joined
from deployment.watch import Watch
from engine import evaluate as engine_evaluate
from engine import train as engine_train
from engine.common import console, ending, runtime
from engine.config.parts.cluster import ClusterConfig
from engine.config.scripts import EvalConfig, TrainConfig
from engine.replicas import agreement, workers
from engine.replicas.replicas import accelerator, devices

# Flags in which workers may differ.
_OWN = {
  'task_index',
  'master',
  'worker_hosts',
  'dataset_dir',
  'train_dir',
  'resume',
  'eval_dir',
  'checkpoint_path',
  'num_preprocessing_threads',
  'verbosity',
}
_PARTING = 10.0  # seconds
# What a sum raises when a worker that it waits for is gone.
_LOST = (
  tf.errors.UnavailableError,
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.InternalError,
  tf.errors.DeadlineExceededError,
)


def train(given: TrainConfig) -> dict[str, Any] | None:
  """Trains, as one of the workers of a cluster if there is one.

  See `engine.train.train`; what the cluster is, TF_CONFIG or the flags say.
  """
  cpus = len(devices(given.num_clones, given.clone_on_cpu))
  with joined(given, cpus, accelerator(given)):
    return engine_train.train(given)


def evaluate(given: EvalConfig) -> dict[str, Any]:
  """Evaluates, each worker of a cluster a share; see
  `engine.evaluate.evaluate`.

  Raises:
    ValueError: several workers cannot do this.
  """
  with joined(given):
    if workers.current().count > 1 and (
      given.exported or given.checkpoints == 'new'
    ):
      flag = '--exported' if given.exported else '--checkpoints=new'
      raise ValueError(
        f'{flag} is for one process: start it without TF_CONFIG.'
      )
    return engine_evaluate.evaluate(given)


@contextlib.contextmanager
def joined(
  given: ClusterConfig,
  cpus: int = 1,
  gpus: runtime.Accelerator = runtime.ACCELERATOR,
) -> Iterator[None]:
  """Makes this process one of the workers of its cluster, if there is one.

  Args:
    given: the flags that say what the cluster is.
    cpus: the devices that are made of the CPU.
    gpus: how GPUs are used.

  Raises:
    ValueError: the cluster is not as it should be; says what to do.
  """
  cluster = clusters.find(
    worker_replicas=given.worker_replicas,
    task=given.task_index,
    master=given.master,
    num_ps_tasks=given.num_ps_tasks,
    worker_hosts=given.worker_hosts,
    environ=os.environ,
    evaluates=isinstance(given, EvalConfig),
  )
  if cluster is None:
    yield
    return
  for note in clusters.notes(0, os.environ):
    console.note(note)
  together = Joined(cluster, cpus, gpus)
  watch = Watch(
    cluster.addresses,
    cluster.index,
    given.worker_timeout_secs,
    clusters.check_own(cluster),
  )
  try:
    watch.wait_for_all()
    with workers.use(together):
      agreement.check(
        agreement.software(),
        'install the same on all workers, and start them again.',
      )
      agreement.check(_flags(given), 'start all workers with the same flags.')
      yield
      _part(together, watch)
  except SystemExit:  # by a signal: all stop after the same step
    _part(together, watch)
    raise
  except _LOST as error:
    watch.await_verdict()  # which names the worker, and does not return
    raise ending.Fault(console.explain(error)) from None
  finally:
    watch.stop()


def _part(together, watch):
  """Returns when all have done all, and know it of each other.

  The first wait says that all have done all. A worker that ended as it returns
  would take the answer from another that still reads it: so all wait again, not
  for long, and whoever is gone by then has done all.
  """
  together.wait()
  watch.stop()

  def wait():
    with contextlib.suppress(tf.errors.OpError):
      together.wait()

  last = threading.Thread(target=wait, daemon=True)
  last.start()
  last.join(_PARTING)


def _flags(given):
  """Returns the flags that all workers must have alike."""
  return {
    f'--{field.name}': given.text(field.name)
    for field in dataclasses.fields(given)
    if field.name not in _OWN
  }
