"""A network as a layer of Keras 3.

Needs Keras with its TensorFlow backend, the default.
"""

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from nets import nets_factory, registry, variables

# What the layer passes to the network by itself, and where it has it from.
_GIVEN = {
  'inputs': 'what the layer is called with',
  'is_training': 'the argument `training` of a call, which fit() gives',
  'reuse': 'the layer: every call of one shares its weights',
}


@keras.saving.register_keras_serializable('slim_resnets')
class NetworkLayer(keras.layers.Layer):
  """A network of `nets_factory` as a layer, trainable and savable.

  Its variables have the names of the graph network, so checkpoints of TF-Slim
  and of the scripts fit (`restore`), and the values are the graph network's.
  Every layer has variables of its own.

  A call with `training=True` normalizes by the batch's statistics and updates
  the moving ones, unless `trainable` is False, as for Keras's own layers. The
  weight decay is in `losses`.

  >>> layer = NetworkLayer('cifar_resnet_v1_20', num_classes=10)
  >>> layer(tf.zeros([2, 32, 32, 3])).shape.as_list()
  [2, 10]

  Args:
    network_name: see `nets_factory.get_network`.
    num_classes: the number of logits; None or 0 for features.
    weight_decay: the L2 weight of the convolutions' kernels.
    end_points: the names of end points to return, such as
      'resnet_v1_50/block2'.
    arg_scope_options: more options of `nets_factory.get_arg_scope`, such as
      `batch_norm_decay` or `zero_init_last_gamma`.
    name: the layer's.
    trainable: whether the variables are trained.
    dtype: float32, in which the layer computes.
    **network_options: arguments of the network, such as `output_stride`,
      `global_pool` or `depth_multiplier`.

  Call arguments:
    inputs: float [batch, height, width, channels]; the number of channels is
      known, and all else may be unknown.
    training: whether batch norm uses the batch's statistics.

  Returns of a call:
    Logits or features as of the network, and if `end_points` were asked for,
    a pair of that and a dict of them by their names.

  Raises:
    ValueError: there is no such network or end point, or an option is out of
      range.
    TypeError: the network has no such option.
    RuntimeError: Keras has another backend than TensorFlow, or a call is
      within a graph of TensorFlow 1.
  """

  def __init__(
    self,
    network_name: str,
    num_classes: int | None = None,
    weight_decay: float = 0.0,
    end_points: Sequence[str] = (),
    arg_scope_options: Mapping[str, Any] | None = None,
    name: str | None = None,
    trainable: bool = True,
    dtype: Any = None,
    **network_options: Any,
  ):
    if keras.backend.backend() != 'tensorflow':
      raise RuntimeError(
        f'Keras has the backend {keras.backend.backend()}, and the networks '
        'are of TensorFlow: set KERAS_BACKEND=tensorflow before Python starts.'
      )
    super().__init__(name=name, trainable=trainable, dtype=dtype)
    if (self.compute_dtype, self.variable_dtype) != ('float32', 'float32'):
      raise ValueError(
        f'dtype={self.dtype_policy.name}: the layer computes in float32. Pass '
        "it dtype='float32'; layers around it can have another."
      )
    function = nets_factory.get_network(network_name).function
    for option in network_options:
      if option in _GIVEN:
        raise TypeError(f'{option} is {_GIVEN[option]}: leave it out.')
      if option not in inspect.signature(function).parameters:
        raise TypeError(f'{network_name} has no argument {option!r}.')
    self._options = {
      'network_name': network_name,
      'num_classes': num_classes,
      'weight_decay': weight_decay,
      'end_points': list(end_points),
      'arg_scope_options': dict(arg_scope_options or {}),
      **network_options,
    }
    self._network_options = network_options
    self._end_points = tuple(end_points)
    self._by_name: dict[str, keras.Variable] = {}
    self._call_eagerly = tf2.function(
      self._call, autograph=False, reduce_retracing=True
    )

  @property
  def by_name(self) -> dict[str, keras.Variable]:
    """The variables by their names in checkpoints; none before it is built."""
    return dict(self._by_name)

  def get_config(self) -> dict[str, Any]:
    return {
      **super().get_config(),
      **self._options,
      'end_points': [*self._end_points],
      'arg_scope_options': {**self._options['arg_scope_options']},
    }

  @classmethod
  def from_config(cls, config: dict[str, Any]) -> 'NetworkLayer':
    # Functions, such as an activation_fn, are saved as a dict each.
    options = {
      option: keras.saving.deserialize_keras_object(value)
      if isinstance(value, dict)
      else value
      for option, value in config['arg_scope_options'].items()
    }
    return super().from_config({**config, 'arg_scope_options': options})

  def restore(
    self, checkpoint: str, exclude_scopes: Sequence[str] = ()
  ) -> None:
    """Sets the variables to those of a checkpoint of TF-Slim or the scripts.

    The layer has to be built: call it once, or `build((None, None, None, 3))`.
    `variables.restore` tells the arguments and the errors.
    """
    if not self.built:
      raise ValueError(
        f'The layer {self.name} has no variables yet to restore: call it '
        'first, or its build((None, None, None, 3)) for images of 3 channels.'
      )
    variables.restore(self._by_name, checkpoint, exclude_scopes)

  def build(self, input_shape: Sequence[int | None]) -> None:
    """Makes the variables, as the network asks for them in a graph."""
    _check_context()
    wanted = {}

    def get(getter, name, **options):
      made = getter(name, **options)
      wanted[name] = made, options
      return made

    with tf.Graph().as_default(), variables.scope(get):
      images = tf.placeholder(tf.float32, input_shape)
      _, end_points = self._network(images, False)
      losses = tf.losses.get_regularization_losses()
      made = [made for made, _ in wanted.values()]
      # None for those that have no part in the losses.
      slopes = tf.gradients(losses, made) if losses else [None] * len(made)
    for name in self._end_points:
      registry.entry('end point', end_points, name)
    decay = keras.regularizers.L2(self._options['weight_decay'] / 2)
    for slope, (name, (_, options)) in zip(slopes, wanted.items(), strict=True):
      variable = _variable(name, **options)
      if slope is not None:
        variable.regularizer = decay
      self._by_name[name] = variable  # which also tracks it
    self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: input_shape[-1]})
    self.built = True

  def call(self, inputs: Any, training: bool | None = False) -> Any:
    _check_context()
    training = bool(training and self.trainable)
    if tf.executing_eagerly():
      return self._call_eagerly(inputs, training)
    return self._call(inputs, training)

  def _call(self, inputs, training):
    def get(getter, name, **_):
      value = self._by_name[name].value
      if training and not isinstance(value, tf2.Variable):
        raise RuntimeError(
          'Keras keeps the variables apart from the layer here, as in '
          'stateless_call, where batch norm cannot update its statistics: '
          'call the layer itself, or with training=False.'
        )
      return value

    before = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    with variables.scope(get):
      net, end_points = self._network(inputs, training)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)[before:]
    with tf.control_dependencies(updates):
      net = tf.identity(net)
    if not self._end_points:
      return net
    return net, {name: end_points[name] for name in self._end_points}

  def _network(self, images, is_training):
    network = nets_factory.get_network_fn(
      self._options['network_name'],
      self._options['num_classes'],
      self._options['weight_decay'],
      is_training,
      **self._options['arg_scope_options'],
    )
    return network(images, **self._network_options)


def _check_context():
  with tf.init_scope():
    if not tf.executing_eagerly():
      raise RuntimeError(
        'The layer is for TensorFlow 2 code, and this is a graph of TensorFlow '
        '1, which owns its variables: call the function of '
        'nets_factory.get_network_fn here instead.'
      )


def _variable(
  name, shape=None, dtype=tf.float32, initializer=None, trainable=True, **_
):
  """Returns the variable of Keras that `tf.get_variable` was asked for."""
  value = variables.initial_value(initializer, shape, dtype)
  *scopes, leaf = name.split('/')
  with contextlib.ExitStack() as stack:
    for scope in scopes:
      stack.enter_context(keras.name_scope(scope))
    return keras.Variable(
      lambda *_, **__: value(),
      shape=tuple(tf.TensorShape(shape).as_list()),
      dtype=tf.as_dtype(dtype).name,
      trainable=bool(trainable),
      autocast=False,
      aggregation='none' if trainable else 'mean',
      name=leaf,
    )
