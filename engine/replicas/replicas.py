"""The replicas of a network: one a device, on all devices of all workers.

A process builds its network once a device, on the same variables, as TF-Slim
does with its clones; gradients are summed over them, and then over the
processes. Replica r of R takes the examples n of a step with n mod R = r.
"""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow.compat.v1 as tf

from engine.common import runtime, sums
from engine.config.scripts import TrainConfig
from engine.replicas import workers
from engine.replicas.collectives import Member
from engine.replicas.opening import Opening

# Groups of collective operations; the third is that of `deployment`.
_WORKERS, _REPLICAS = 1, 2


def devices(num_clones: int | None, on_cpu: bool) -> list[str]:
  """Returns the devices of the clones, such as '/GPU:0'; [''] is TensorFlow's
  choice.

  Args:
    num_clones: how many are asked for; None is one for each GPU.
    on_cpu: whether the GPUs are not to be used.

  Raises:
    ValueError: there are fewer GPUs.
  """
  gpus = [] if on_cpu else tf.config.list_physical_devices('GPU')
  count = len(gpus) or 1 if num_clones is None else num_clones
  if gpus and count > len(gpus):
    raise ValueError(
      f'--num_clones={count} is more than the {len(gpus)} GPUs that '
      'TensorFlow sees here: lower it, or pass --clone_on_cpu.'
    )
  if count == 1:
    return ['']
  kind = 'GPU' if gpus else 'CPU'
  return [f'/{kind}:{i}' for i in range(count)]


def accelerator(config: TrainConfig) -> runtime.Accelerator:
  """Returns how a configuration says that GPUs are used."""
  return runtime.Accelerator(
    not config.clone_on_cpu,
    config.gpu_allow_growth,
    config.gpu_layout == 'channels_last',
    config.xla,
  )


class Replicas:
  """The replicas of this process among all.

  Attributes:
    count: of all workers.
    workers: the processes.
    clones: how many are of this process.
  """

  def __init__(
    self,
    places: Sequence[str] = ('',),
    accelerator: runtime.Accelerator = runtime.ACCELERATOR,
    all_reduce: str = 'auto',
  ):
    """Sets the devices of this process.

    Args:
      places: see `devices`; of all workers as many.
      accelerator: how the training's session uses GPUs.
      all_reduce: see `Member`.
    """
    self._accelerator, self._all_reduce = accelerator, all_reduce
    self.workers = workers.current()
    self._places = list(places)
    self.clones = len(self._places)
    self.count = self.clones * self.workers.count
    self._between = Member(_WORKERS, self.workers.count, all_reduce)

  @classmethod
  def of(cls, config: TrainConfig) -> 'Replicas':
    """Returns those that a configuration asks for.

    Raises:
      ValueError: there are fewer GPUs.
    """
    return cls(
      devices(config.num_clones, config.clone_on_cpu),
      accelerator(config),
      config.all_reduce,
    )

  @property
  def numbers(self) -> range:
    """The numbers of this process's replicas."""
    first = self.workers.index * self.clones
    return range(first, first + self.clones)

  def members(self) -> list[Member]:
    """Returns a member for each clone, which sums over all replicas."""
    return [
      Member(_REPLICAS, self.count, self._all_reduce) for _ in self._places
    ]

  @contextlib.contextmanager
  def clone(self, i: int) -> Iterator[None]:
    """Builds a clone of this process: its device, the first one's variables."""
    with contextlib.ExitStack() as stack:
      if self._places[i]:
        stack.enter_context(tf.device(self._places[i]))
      if i:
        scope = tf.get_variable_scope()
        stack.enter_context(tf.variable_scope(scope, reuse=True))
        stack.enter_context(tf.name_scope(f'clone_{i}/'))
      yield

  def mean(self, values: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """Returns the means over all replicas, of float tensors.

    Args:
      values: those of each clone of this process.
    """
    return self.between(self.within(values))

  def within(self, values: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """Returns this process's share of the means; see `mean`."""
    if self.count == 1:
      return list(values[0])
    return [sums.total(each) / self.count for each in zip(*values, strict=True)]

  def between(self, shares: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sums over the workers."""
    if self.workers.count == 1:
      return list(shares)
    return self._between.sum_all(shares)

  def opening(self, precision: str) -> Opening:
    """Returns what opens the training's session.

    Args:
      precision: see `runtime.session_config`.
    """
    config = runtime.session_config(precision, self._accelerator)
    if self.clones > 1 and 'CPU' in self._places[0]:
      config.device_count['CPU'] = self.clones
    return Opening(
      self.workers.master,
      self.workers.session_config(config),
      stays=self.workers.count > 1,
    )
