"""A network in a session of its own, with weights from anywhere."""

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from engine import checkpoints, fit, identify, precision
from nets.slim_compat import slim


def read(
  checkpoint: str,
  moving_averages: float | bool | None = False,
  names: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
  """Returns the values of a checkpoint by the names of their variables.

  Args:
    checkpoint: its prefix.
    moving_averages: whether to read the moving averages of the variables
      instead, under the variables' names; a decay is as good as True.
    names: the variables to read, if not all; those that the checkpoint lacks
      are left out.

  Raises:
    ValueError: moving averages are asked for, and there are none.
  """
  reader = tf.train.load_checkpoint(checkpoint)
  there = {name: name for name in reader.get_variable_to_shape_map()}
  averages = {
    name.removesuffix(identify.SHADOW): name
    for name in there
    if name.endswith(identify.SHADOW)
  }
  if moving_averages and not averages:
    raise ValueError(
      f'The checkpoint {checkpoint} lacks moving averages of the weights: '
      'was it trained with --moving_average_decay? --raw_weights evaluates '
      'the weights.'
    )
  found = (
    averages
    if moving_averages
    else {name: name for name in there if not name.endswith(identify.SHADOW)}
  )
  wanted = (
    found.keys() if names is None else [name for name in names if name in found]
  )
  return {name: reader.get_tensor(found[name]) for name in wanted}


class Opened:
  """A network in a graph and a session of its own.

  Attributes:
    graph: the graph.
    session: the session.
    variables: the names of the network's variables, moving_mean and
      moving_variance of batch norm among them.
  """

  def __init__(self, graph: tf.Graph):
    """Opens a session on the graph, which has the network."""
    self.graph = graph
    with graph.as_default():
      self._variables = {v.op.name: v for v in slim.get_model_variables()}
    self.variables = list(self._variables)
    self.session = tf.Session(
      graph=graph, config=precision.session_config('fp32')
    )

  def load(
    self, values: Mapping[str, np.ndarray], origin: str = 'what was given'
  ) -> None:
    """Sets the network's variables.

    Args:
      values: by the variables' names; others are ignored.
      origin: what has the values, for an error.

    Raises:
      ValueError: a variable has no value, or one of another shape.
    """
    missing = [name for name in self._variables if name not in values]
    if missing:
      raise ValueError(
        f'{origin[0].upper()}{origin[1:]} lacks {len(missing)} variables of '
        f'the network, {checkpoints.some(missing)}: is --model_name right?'
      )
    for name, variable in self._variables.items():
      here, there = variable.shape.as_list(), list(np.shape(values[name]))
      if here != there:
        raise ValueError(
          f'{name} is {here} in the network and {there} in {origin}: is the '
          f'number of classes right ({here[-1]} in the data)? See '
          '--dataset_name, --dataset_dir and --labels_offset.'
        )
    initializers = {
      name: variable.initializer for name, variable in self._variables.items()
    }
    self.session.run(
      list(initializers.values()),
      {op.inputs[1]: values[name] for name, op in initializers.items()},
    )

  def restore(
    self, checkpoint: str, moving_averages: float | bool | None = False
  ) -> None:
    """Sets the network's variables from a checkpoint; see `read`.

    Raises:
      ValueError: the checkpoint is of another network, or lacks something.
    """
    fit.check(
      checkpoint,
      {
        name: variable.shape.as_list()
        for name, variable in self._variables.items()
      },
      identify.read(checkpoint).values(),
      shortcuts=True,
    )
    self.load(
      read(checkpoint, moving_averages, self.variables),
      f'the checkpoint {checkpoint}',
    )

  def close(self) -> None:
    """Frees the session."""
    self.session.close()
