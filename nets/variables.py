"""Who owns the variables of networks in TensorFlow 2 code.

Graphs of TensorFlow 1 own their variables. A `tf.function` does not: TensorFlow
traces it more than once, and frees what nobody else holds. `Variables` is a
`tf.Module` that owns them: each is made once, by the first trace, and found
again by its name, which is the one it has in graphs and checkpoints.

>>> import tensorflow as tf
>>> from nets import nets_factory, variables
>>> owner = variables.Variables()
>>> network = nets_factory.get_network_fn('cifar_resnet_v1_20', 10)
>>> @tf.function
... def predict(images):
...   with owner.scope():
...     return network(images)[0]
>>> predict(tf.zeros([2, 32, 32, 3])).shape.as_list()
[2, 10]
>>> owner.by_name['cifar_resnet_v1_20/conv1/weights'].shape.as_list()
[3, 3, 3, 16]
"""

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import tensorflow as tf2
import tensorflow.compat.v1 as tf


def scope(get: Callable[..., Any]) -> contextlib.AbstractContextManager:
  """Returns a scope in which `tf.get_variable` is `get`.

  It begins anew at the root of names, whatever scopes are around it.

  Args:
    get: a custom getter, `get(getter, name, **options)`, where the getter is
      TensorFlow's own and the options are those of `tf.get_variable`.
  """
  return tf.variable_scope(
    tf.VariableScope(reuse=None, custom_getter=get), auxiliary_name_scope=False
  )


class Variables(tf2.Module):
  """Owns the variables of networks that are built in tf.functions.

  A second network of the same scope shares the first one's variables; take
  two owners for two sets of them. `tf.train.Checkpoint(owner)` saves them.
  Inside of the function, `tf.compat.v1.losses.get_regularization_loss()` is the
  weight decay; batch norm's statistics are updated by the function itself.

  Attributes:
    by_name: a dict from a name, such as 'resnet_v1_50/conv1/weights', to its
      tf.Variable, in the order in which they were made.
  """

  def __init__(self, name: str | None = None):
    super().__init__(name)
    self.by_name: dict[str, tf.Variable] = {}

  def scope(self) -> contextlib.AbstractContextManager:
    """Returns the scope to build networks in, inside of a tf.function."""
    return scope(self._get)

  def restore(
    self, checkpoint: str, exclude_scopes: Collection[str] = ()
  ) -> None:
    """Sets all variables made so far; see `restore`."""
    restore(self.by_name, checkpoint, exclude_scopes)

  def _get(
    self,
    getter: Callable,
    name: str,
    shape: Any = None,
    dtype: Any = tf.float32,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    reuse: Any = None,
    **options: Any,
  ) -> tf.Variable:
    found = self.by_name.get(name)
    if found is None:
      if reuse is True:
        raise ValueError(f'reuse=True, but there is no variable {name} yet.')
      # Outside of the function that is traced, which would make it anew.
      with tf.init_scope():
        found = tf2.Variable(
          initial_value(initializer, shape, dtype),
          trainable=trainable,
          name=name,
          aggregation=options.get('aggregation'),
        )
        self.by_name[name] = found
    elif not found.shape.is_compatible_with(shape):
      raise ValueError(
        f'The variable {name} has the shape {found.shape}, and a network asks '
        f'for {shape}: networks that differ take a `Variables` or a scope each.'
      )
    loss = regularizer and regularizer(found)
    if loss is not None:
      tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)
    return found


def initial_value(
  initializer: Any, shape: Any, dtype: Any
) -> Callable[[], tf.Tensor]:
  """Returns a function that makes what `tf.get_variable` would begin with."""
  if initializer is None:
    initializer = tf.glorot_uniform_initializer()
  if not callable(initializer):
    return lambda: tf.convert_to_tensor(initializer)
  sizes = tf.TensorShape(shape).as_list()
  return lambda: initializer(sizes, dtype=tf.as_dtype(dtype))


def restore(
  variables: Mapping[str, Any],
  checkpoint: str,
  exclude_scopes: Collection[str] = (),
) -> None:
  """Sets variables to the values that a checkpoint has under their names.

  It sets all or none. What else the checkpoint has is not read.

  Args:
    variables: by their names in the checkpoint; eager variables of TensorFlow
      or of Keras.
    checkpoint: what TF-Slim and the scripts write: the part of the files'
      names before '.index', or their folder for its newest.
    exclude_scopes: the scopes, or names, of variables to leave as they are,
      such as 'resnet_v1_50/logits'.

  Raises:
    ValueError: there is no readable checkpoint, it lacks a variable or has
      one of another shape, or an excluded scope is that of no variable.
  """
  for excluded in exclude_scopes:
    if not any(_within(name, excluded) for name in variables):
      raise ValueError(
        f'exclude_scopes has {excluded!r}, but no variable is in that scope. '
        f'Their names are such as {_some(variables)}.'
      )
  wanted = {
    name: variable
    for name, variable in variables.items()
    if not any(_within(name, excluded) for excluded in exclude_scopes)
  }
  try:
    reader = tf.train.load_checkpoint(checkpoint)
    shapes = reader.get_variable_to_shape_map()
    lacking = [name for name in wanted if name not in shapes]
    others = [
      f'{name} of {list(variable.shape)}, there {shapes[name]}'
      for name, variable in wanted.items()
      if name in shapes and list(variable.shape) != shapes[name]
    ]
    if not lacking and not others:
      values = {name: reader.get_tensor(name) for name in wanted}
  except (ValueError, RuntimeError, tf.errors.OpError) as error:
    raise ValueError(
      f'No checkpoint can be read from {checkpoint}: {error}\nGive the part of '
      'its file names before .index, or the folder that it is in.'
    ) from error
  for what, found in (
    ('lacks variables', lacking),
    ('has variables of another shape', others),
  ):
    if found:
      raise ValueError(
        f'The checkpoint {checkpoint} {what}, {len(found)} of {len(wanted)}: '
        f'{_some(found)}. Take the network that it was trained with, or leave '
        'them as they are by exclude_scopes.'
      )
  for name, variable in wanted.items():
    variable.assign(tf.cast(values[name], variable.dtype))


def _within(name, scope_name):
  return f'{name}/'.startswith(f'{scope_name.rstrip("/")}/')


def _some(names):
  first = [*names][:3]
  return ', '.join(first) + (', ...' if len(names) > len(first) else '')
