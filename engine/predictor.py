"""What a network says of every example of a split, with any weights."""
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine import (
  checkpoints,
  console,
  identify,
  input_pipeline,
  precision,
  views,
)
from engine.config import EvalConfig
from nets import nets_factory
from nets.slim_compat import slim


class Predictions(NamedTuple):
  """What was predicted of the good examples of a split.

  Fields:
    logits: float32 [examples, classes]; of several views the logarithm of
      the mean probability.
    labels: int64 [examples], in [0, classes).
    records: int64 [examples], the number of each example's record.
  """
  logits: np.ndarray
  labels: np.ndarray
  records: np.ndarray


def read(checkpoint: str, moving_averages: float | bool | None = False,
         names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
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
  averages = {name.removesuffix(identify.SHADOW): name for name in there
              if name.endswith(identify.SHADOW)}
  if moving_averages and not averages:
    raise ValueError(
        f'The checkpoint {checkpoint} lacks moving averages of the weights: '
        'was it trained with --moving_average_decay? --raw_weights evaluates '
        'the weights.')
  found = averages if moving_averages else {
      name: name for name in there if not name.endswith(identify.SHADOW)}
  wanted = found.keys() if names is None else [
      name for name in names if name in found]
  return {name: reader.get_tensor(found[name]) for name in wanted}


def _even(examples, batch_size):
  """Returns the largest batch size that leaves no small last batch."""
  return -(-examples // -(-examples // batch_size))


class Predictor:
  """A network in a graph and a session of its own, and a split to run it on.

  Attributes:
    source: the examples.
    variables: the names of the network's variables, moving_mean and
      moving_variance of batch norm among them.
    views: the number of views of each example that are averaged.
  """

  def __init__(self, config: EvalConfig, dataset: Dataset, num_classes: int):
    """Builds the network and opens the split.

    Args:
      config: a complete configuration.
      dataset: the split.
      num_classes: the number of logits.

    Raises:
      ValueError: an unknown name, or data that cannot be read.
    """
    self._config, self._num_classes = config, num_classes
    self._pictures = views.plan(config)
    self.views = views.count(self._pictures)
    self._graph = tf.Graph()
    with self._graph.as_default():
      self.source = input_pipeline.open_source(
          config, dataset, views.preprocessing(config, self._pictures),
          config.eval_image_size)
      self._stream = self.source.evaluation(config.batch_size)
      images = self._stream.batch.images
      self._view = None
      if isinstance(images, tuple):  # of which a view is fed at a time
        images = self._view = tf.placeholder(
            tf.float32, [None, None, None, images[0].shape[-1]])
      self._logits = self._network(images, False, None)
      self._variables = {v.op.name: v for v in slim.get_model_variables()}
    self._compared = None
    self.variables = list(self._variables)
    self._session = tf.Session(graph=self._graph,
                               config=precision.session_config('fp32'))

  def _network(self, images, is_training, reuse):
    network_fn = nets_factory.get_network_fn(
        self._config.model_name, self._num_classes, is_training=is_training)
    return network_fn(images, reuse=reuse)[0]

  def load(self, values: Mapping[str, np.ndarray],
           origin: str = 'what was given') -> None:
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
          f'the network, {checkpoints.some(missing)}: is --model_name right?')
    for name, variable in self._variables.items():
      here, there = variable.shape.as_list(), list(np.shape(values[name]))
      if here != there:
        raise ValueError(
            f'{name} is {here} in the network and {there} in {origin}: is the '
            'number of classes right? See --dataset_name and '
            '--labels_offset.')
    initializers = {name: variable.initializer
                    for name, variable in self._variables.items()}
    self._session.run(list(initializers.values()), {
        op.inputs[1]: values[name] for name, op in initializers.items()})

  def restore(self, checkpoint: str,
              moving_averages: float | bool | None = False) -> None:
    """Sets the network's variables from a checkpoint; see `read`.

    Raises:
      ValueError: the checkpoint is of another network, or lacks something.
    """
    identify.check(checkpoint, {
        name: variable.shape.as_list() for name, variable in
        self._variables.items()}, identify.read(checkpoint).values())
    self.load(read(checkpoint, moving_averages, self.variables),
              f'the checkpoint {checkpoint}')

  def predict(self, max_batches: int | None = None,
              title: str = 'evaluating') -> Predictions:
    """Returns what the network says of every example, each once.

    Args:
      max_batches: the number of batches, if not all; `max_num_batches` of the
        configuration by default.
      title: in front of the progress bar.

    Raises:
      ValueError: a bad example, that may not be left out.
    """
    batches = -(-self.source.num_examples // self._config.batch_size)
    limit = max_batches or self._config.max_num_batches or batches
    return self._pass(self._stream, self._batch, min(limit, batches), title)

  def compare(self, examples: int) -> tuple[Predictions, Predictions] | None:
    """Returns what is said of some examples, in a shuffled order.

    Args:
      examples: how many, rounded up to batches of about equal size.

    Returns:
      First by the moving averages of batch norm, then by the statistics of
      each batch. None where several views are averaged.
    """
    if self._view is not None:
      return None
    size = _even(self.source.num_examples, self._config.batch_size)
    if self._compared is None:
      with self._graph.as_default():
        stream = self.source.evaluation(size, shuffle=True)
        self._compared = stream, tf.stack(
            [self._network(stream.batch.images, by_batch, True)
             for by_batch in (False, True)], axis=1)
    stream, both = self._compared
    batches = -(-min(examples, self.source.num_examples) // size)
    found = self._pass(stream, lambda: stream.run(
        self._session, [both, *stream.batch[1:]]), batches, 'comparing')
    return tuple(found._replace(logits=found.logits[:, i]) for i in (0, 1))

  def _batch(self):
    """Returns the logits, labels and records of the next batch."""
    batch = self._stream.batch
    if self._view is None:
      return self._stream.run(self._session, [self._logits, *batch[1:]])
    pictures, *others = self._stream.run(self._session, batch)
    logits = [self._session.run(self._logits, {self._view: view.of(images)})
              for picture, images in zip(self._pictures, pictures, strict=True)
              for view in picture.views]
    return views.average(logits), *others

  def _pass(self, stream: input_pipeline.Stream, run: Callable, batches: int,
            title: str) -> Predictions:
    stream.seek(self._session, 0)
    found = []
    with console.progress(batches, unit='batch') as bar:
      bar.set_description(title)
      for _ in range(batches):
        values = run()
        good = values[1] >= 0  # else another stands in for a bad example
        found.append([value[good] for value in values])
        bar.update()
    return Predictions(*map(np.concatenate, zip(*found, strict=True)))

  def close(self) -> None:
    """Frees the session."""
    self._session.close()
