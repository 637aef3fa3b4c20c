"""A network in a session of its own, for inference with any weights."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import compatibility, contents
from engine.common import runtime, variables
from nets.slim_compat import slim

Session = TypeVar('Session', bound='InferenceSession')


class InferenceSession:
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
    self.session = runtime.session(graph, infers=True)

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
        f'the network, {variables.some(missing)}: is --model_name right?'
      )
    for name, variable in self._variables.items():
      here, there = variable.shape.as_list(), list(np.shape(values[name]))
      if here != there:
        raise ValueError(
          f'{name} is {here} in the network and {there} in {origin}: is the '
          f'number of classes right ({here[-1]} in the data)? See '
          '--dataset_name, --dataset_dir and --labels_offset.'
        )
    variables.assign(
      self.session,
      {variable: values[name] for name, variable in self._variables.items()},
    )

  def update(self, values: Mapping[str, np.ndarray]) -> None:
    """Sets some of the network's variables, by their names."""
    variables.assign(
      self.session,
      {self._variables[name]: value for name, value in values.items()},
    )

  def restore(
    self, checkpoint: str, moving_averages: float | bool | None = False
  ) -> None:
    """Sets the network's variables from a checkpoint; see
    `contents.read_values`.

    Raises:
      ValueError: the checkpoint is of another network, or lacks something.
    """
    wanted = {
      name: variable.shape.as_list()
      for name, variable in self._variables.items()
    }
    there = contents.read(checkpoint).values()
    compatibility.check(checkpoint, wanted, there, shortcuts=True)
    compatibility.check_decoder(checkpoint, wanted, there)
    self.load(
      contents.read_values(checkpoint, moving_averages, self.variables),
      f'the checkpoint {checkpoint}',
    )

  def close(self) -> None:
    """Frees the session."""
    self.session.close()

  def __enter__(self: Session) -> Session:
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()
