"""The proof that a converted checkpoint computes what its source does.

The source's network is built from the source's own arrays (`source_network`),
ours by `nets` and the checkpoint that was written. Both see the same images,
and take one step of training from the same labels.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from engine.checkpoints import architecture, contents
from engine.checkpoints.convert import source_network
from engine.checkpoints.inference import InferenceSession
from engine.common import runtime
from engine.common.variables import some
from nets import nets_factory

CHECKPOINT = 'model.ckpt-0'  # in the folder of a conversion
# [height, width] of the images: the usual one, one whose stages have sides of
# both parities, and one that is enough for a gradient.
SIZES = ((224, 224), (201, 181))
GRADIENT_SIZE = (97, 81)
_GRADIENT_IMAGES = 4
_BATCH = 'gradients_of_batch'
# The largest difference over the largest value. Those of Keras are a tenth of
# it, as the tests see to; weights of which rounding makes more are no others.
TOLERANCE = 1e-4
# Of gradients, as the length of the difference over that of the gradient: a
# ReLU of what is 0 but for rounding passes all of a gradient or none, which
# shows in small layers. Statistics of a batch make more of every rounding, the
# more the deeper the network is. What differs in truth differs by about 1.
GRADIENT_TOLERANCE = 0.05
BATCH_TOLERANCE = 0.1
# About the largest value that the source's preprocessing gives.
_SCALES = {'keras_v1': 128.0, 'keras_v2': 1.0, 'torch': 2.0, 'torch_d': 2.0}


class Result(NamedTuple):
  """How a checkpoint differs from its source.

  Fields:
    logits: the largest difference of logits, as a share of the largest value;
      None if the network has none.
    features: that of the outputs of units, all stages among them.
    gradients: the largest of all variables: the length of the difference of the
      gradients as a share of theirs, by the moving statistics of batch norm.
    gradients_of_batch: by those of the batch.
    units: how many outputs of units were compared.
    variables: how many gradients were compared.
    sizes: [height, width] of the images.
    tolerance: of logits and features.
    gradient_tolerance: of gradients.
    batch_tolerance: of gradients by the statistics of the batch.
  """

  logits: float | None
  features: float
  gradients: float
  gradients_of_batch: float
  units: int
  variables: int
  sizes: tuple[tuple[int, int], ...]
  tolerance: float
  gradient_tolerance: float
  batch_tolerance: float

  def as_json(self) -> dict[str, Any]:
    """Returns the fields, as conversion.json holds them."""
    return self._asdict()

  def __str__(self) -> str:
    sizes = ' and '.join(f'{height}x{width}' for height, width in self.sizes)
    logits = (
      'no logits' if self.logits is None else f'logits to {self.logits:.1e}'
    )
    return (
      f'Equal to its source at {sizes}: {logits}, the outputs of {self.units} '
      f'units to {self.features:.1e} of their scale, the gradients of '
      f'{self.variables} variables to {self.gradients:.1e}, with the '
      f'statistics of a batch to {self.gradients_of_batch:.1e}.'
    )

  def beyond(self) -> list[str]:
    """Returns what is past its tolerance, such as 'logits 0.2'."""
    limits = {
      'logits': self.tolerance,
      'features': self.tolerance,
      'gradients': self.gradient_tolerance,
      _BATCH: self.batch_tolerance,
    }
    found = {name: getattr(self, name) for name in limits}
    return [
      f'{name.replace("_", " ")} {value:.2g} (at most {limits[name]:g})'
      for name, value in found.items()
      if value is not None and not value <= limits[name]  # nor is a NaN
    ]


def _share(wanted, found):
  """The largest difference over the largest value."""
  return float(np.abs(wanted - found).max() / (np.abs(wanted).max() or 1.0))


def _lengths(wanted, found):
  """The length of the difference over that of what is wanted, the largest.

  Of a gradient that is next to nothing beside the longest one, such as that of
  a bias which batch norm takes away again, what is left is rounding.
  """
  longest = max(map(np.linalg.norm, wanted))
  return max(
    float(
      np.linalg.norm(one - other) / (np.linalg.norm(one) + 0.01 * longest or 1)
    )
    for one, other in zip(wanted, found, strict=True)
  )


def _loss(features, logits, labels):
  """The cross-entropy of logits; of features alone, that of their means."""
  if logits is None:
    logits = tf.reduce_mean(features, [1, 2])
  return tf.reduce_mean(
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  )


class _Network(NamedTuple):
  """Tensors of a network, and what is fed.

  Fields:
    images: float32 [batch, height, width, channels].
    labels: int32 [batch].
    units: outputs of units, by their scopes.
    logits: see `source_network.Computed`.
    infers: the gradients by our variables, without the scope of the network,
      where batch norm has its moving statistics.
    trains: where it has those of the batch.
  """

  images: tf.Tensor
  labels: tf.Tensor
  units: dict[str, tf.Tensor]
  logits: tf.Tensor | None
  infers: dict[str, tf.Tensor]
  trains: dict[str, tf.Tensor]


def _placeholders(channels):
  return (
    tf.placeholder(tf.float32, [None, None, None, channels]),
    tf.placeholder(tf.int32, [None]),
  )


def _gradients(loss, learned):
  found = tf.gradients(loss, [*learned.values()])
  return dict(zip(learned, found, strict=True))


def _theirs(form, arrays, channels):
  images, labels = _placeholders(channels)
  infers, trains = (
    source_network.compute(form, arrays, images, is_training)
    for is_training in (False, True)
  )
  steps = [
    _gradients(_loss(each.features, each.logits, labels), each.learned)
    for each in (infers, trains)
  ]
  return _Network(images, labels, infers.units, infers.logits, *steps)


def _ours(form, network, options, classes, channels):
  images, labels = _placeholders(channels)
  epsilon = {k: v for k, v in options.items() if k == 'batch_norm_epsilon'}
  others = {k: v for k, v in options.items() if k not in epsilon}
  losses = []
  for is_training in (True, False):
    net, end_points = nets_factory.get_network_fn(
      network, classes, is_training=is_training, **epsilon
    )(
      images,
      reuse=not is_training,
      global_pool=bool(classes),
      # The last unit of our blocks strides where Keras' next unit does. Only
      # where it leaves that to its end, too, are batch statistics those of all
      # positions.
      store_non_strided_activations=is_training and form == 'keras_v1',
      **others,
    )
    losses.append(_loss(net, net if classes else None, labels))
  known = nets_factory.get_network(network)
  scope = f'{known.default_scope}/'
  learned = {v.op.name.removeprefix(scope): v for v in tf.trainable_variables()}
  units = {
    name.removeprefix(scope).removesuffix(f'/{known.unit}'): tensor
    for name, tensor in end_points.items()
    if name.endswith(f'/{known.unit}')
  }
  trains, infers = (_gradients(loss, learned) for loss in losses)
  return _Network(
    images, labels, units, net if classes else None, infers, trains
  )


def _check_same(wanted, found, what):
  """Makes sure that both networks have the same parts."""
  if wanted != found:
    others = sorted(wanted ^ found)
    raise ValueError(
      f'The converted network and its source differ in {len(others)} '
      f'{what}, {some(others)}: the source is of another network.'
    )


def _compared(wanted, found):
  """The difference of the outputs of a unit, where both have them.

  Where the last unit of our block strides and theirs leaves that to the next
  one, ours are every second of theirs.
  """
  if wanted.shape != found.shape:
    wanted = wanted[:, ::2, ::2]
  if wanted.shape != found.shape:
    return np.inf
  return _share(wanted, found)


def _images(form, sizes, channels, count=1):
  random = np.random.RandomState(0)
  scale = _SCALES[form]
  return random.uniform(-scale, scale, (count, *sizes, channels)).astype(
    np.float32
  )


class _Pair(NamedTuple):
  """A network of another library and ours, each with what runs it."""

  theirs: _Network
  ours: _Network
  run_theirs: Callable
  run_ours: Callable

  def _run(self, fetch, images, labels=()):
    """The values of what `fetch` takes of each network."""
    return (
      run(fetch(network), {network.images: images, network.labels: labels})
      for network, run in (
        (self.theirs, self.run_theirs),
        (self.ours, self.run_ours),
      )
    )

  def outputs(self, images):
    """Returns the difference of logits, None without, and of units."""
    wanted, found = self._run(
      lambda net: (net.units, [] if net.logits is None else net.logits), images
    )
    units = max(_compared(wanted[0][name], found[0][name]) for name in found[0])
    if not len(found[1]):
      return None, units
    return _share(wanted[1], found[1]), units

  def gradients(self, images, labels, is_training):
    """Returns the difference of the gradients."""
    field = 'trains' if is_training else 'infers'
    return _lengths(
      *self._run(
        lambda net: [getattr(net, field)[name] for name in self.ours.infers],
        images,
        labels,
      )
    )


@runtime.graph_building()
def _build(form, values, network, options, ours):
  """Returns both networks, the arrays that theirs is fed, and the graphs."""
  here = architecture.network({name: np.shape(v) for name, v in ours.items()})
  if here is None or here.channels is None:
    raise ValueError('These are no variables of a network with its root.')
  with tf.Graph().as_default() as graph:
    arrays = {
      name: tf.placeholder(tf.float32, value.shape)
      for name, value in values.items()
    }
    theirs = _theirs(form, arrays, here.channels)
  with tf.Graph().as_default() as our_graph:
    built = _ours(form, network, options, here.num_classes, here.channels)
  _check_same({*theirs.units}, {*built.units}, 'units')
  _check_same(
    {name for name in theirs.infers if not _is_folded(name, built.infers)},
    {*built.infers},
    'variables',
  )
  return theirs, built, arrays, graph, our_graph


def _is_folded(name, ours):
  """Whether a bias is part of the moving mean behind it."""
  scope, _, end = name.rpartition('/')
  return end == 'biases' and f'{scope}/BatchNorm/beta' in ours


def compare(
  form: str,
  values: Mapping[str, np.ndarray],
  network: str,
  options: Mapping[str, Any],
  ours: Mapping[str, np.ndarray],
) -> Result:
  """Compares a network of another library with one of ours.

  Args:
    form: see `prove`.
    values: see `prove`.
    network: see `prove`.
    options: see `prove`.
    ours: the values of our variables, by their names without the scope of the
      network.

  Returns:
    What was found, all of it within the tolerances.

  Raises:
    ValueError: the values differ by more, or the parts of the networks do.
  """
  theirs, built, arrays, graph, our_graph = _build(
    form, values, network, options, ours
  )
  given = {arrays[name]: value for name, value in values.items()}
  channels = built.images.shape.as_list()[-1]
  scope = nets_factory.get_network(network).default_scope
  with (
    runtime.session(graph, infers=True) as session,
    InferenceSession(our_graph) as session_of_ours,
  ):
    session_of_ours.load(
      {f'{scope}/{name}': value for name, value in ours.items()}
    )
    pair = _Pair(
      theirs,
      built,
      lambda fetches, feed: session.run(fetches, {**given, **feed}),
      session_of_ours.session.run,
    )
    logits, units = zip(
      *(pair.outputs(_images(form, size, channels)) for size in SIZES),
      strict=True,
    )
    images = _images(form, GRADIENT_SIZE, channels, _GRADIENT_IMAGES)
    classes = 2 if built.logits is None else built.logits.shape.as_list()[-1]
    labels = np.arange(_GRADIENT_IMAGES) % classes
    result = Result(
      None if None in logits else max(logits),
      max(units),
      pair.gradients(images, labels, is_training=False),
      pair.gradients(images, labels, is_training=True),
      len(built.units),
      len(built.infers),
      SIZES,
      TOLERANCE,
      GRADIENT_TOLERANCE,
      BATCH_TOLERANCE,
    )
  if result.beyond():
    raise ValueError(
      f'{network} does not compute what its source does: they differ by '
      f'{", ".join(result.beyond())}. Nothing is kept.'
    )
  return result


def prove(
  form: str,
  values: Mapping[str, np.ndarray],
  network: str,
  options: Mapping[str, Any],
  folder: str,
) -> Result:
  """Compares a converted checkpoint with its source.

  Args:
    form: a key of `source_network.FORMS`.
    values: the source's arrays by its own names; what its network does not
      need may be among them.
    network: the name of ours.
    options: what it is built with, such as root_block; batch_norm_epsilon
      among them if it is not the default.
    folder: has the checkpoint.

  Returns:
    What was found, all of it within the tolerances.

  Raises:
    ValueError: the values differ by more, or the parts of the networks do.
  """
  scope = f'{nets_factory.get_network(network).default_scope}/'
  told = contents.read_values(os.path.join(folder, CHECKPOINT))
  ours = {name.removeprefix(scope): value for name, value in told.items()}
  return compare(form, values, network, options, ours)
