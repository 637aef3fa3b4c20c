"""Training steps, beside TF-Slim's layers, keras.applications and PyTorch.

  python -m benchmarks.steps

A step of a network with batch norm, L2 and momentum, on random images that
are in memory. "this project" is the graph that the training script builds, of
`engine.training.step`; TF-Slim's is the network of tf_slim.nets with
`slim.learning.create_train_op`. keras.applications has no L2, which is a
little less to compute. PyTorch's network is that of rivals/torch_resnet.py,
channels last. Each has a process of its own, and they take turns; the table
has medians, and the medians of the ratios within a turn.
"""

import argparse
import importlib
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks import race

OURS, SLIM, KERAS = 'this project', 'TF-Slim', 'keras.applications'
TORCH, COMPILED = 'PyTorch, eager', 'PyTorch, compiled'
CLASSES, WEIGHT_DECAY, RATE = 1000, 1e-4, 1e-3


class Case(NamedTuple):
  """What is trained.

  Fields:
    model_name: the network.
    size: height and width of the images.
    batch: of so many.
  """

  model_name: str
  size: int
  batch: int


def examples(case: Case) -> tuple[np.ndarray, np.ndarray]:
  """Returns images, float32 [batch, size, size, 3], and int64 labels."""
  random = np.random.RandomState(0)
  shape = case.batch, case.size, case.size, 3
  images = random.standard_normal(shape).astype(np.float32)
  return images, random.randint(0, CLASSES, case.batch).astype(np.int64)


def _held(case):
  """Returns the examples as local variables, which nothing has to feed."""
  import tensorflow.compat.v1 as tf

  return [
    tf.get_local_variable(name, initializer=tf.constant(each))
    for name, each in zip(('images', 'labels'), examples(case), strict=True)
  ]


def _runs(config, step, loss):
  """Returns what takes a step in a session of the current graph."""
  import tensorflow.compat.v1 as tf

  session = tf.Session(config=config)
  session.run(
    [tf.global_variables_initializer(), tf.local_variables_initializer()]
  )
  return lambda: session.run([loss, step])[0]


def ours(case: Case) -> Callable[[], np.ndarray]:
  """The graph of the training script."""
  import tensorflow.compat.v1 as tf

  from engine.common import runtime
  from engine.config.scripts import TrainConfig
  from engine.config.tasks import get_task
  from engine.replicas.replicas import Replicas
  from engine.training import step
  from nets import nets_factory

  with runtime.graph_building(), tf.Graph().as_default():
    tf.set_random_seed(0)
    images, labels = _held(case)
    logits, end_points = nets_factory.get_network_fn(
      case.model_name, CLASSES, weight_decay=WEIGHT_DECAY, is_training=True
    )(images)
    built = step.build(
      get_task('classification'),
      TrainConfig(task='classification', optimizer='momentum'),
      Replicas(),
      [step.Tower(images.read_value(), logits, end_points, labels)],
      tf.constant(0.0, tf.float64),
      tf.constant(RATE),
      tf.train.get_or_create_global_step(),
    )
    return _runs(runtime.session_config(), built.apply, built.metrics['loss'])


def tf_slim(case: Case) -> Callable[[], np.ndarray]:
  """The network that tf_slim comes with, trained by its own functions."""
  import tensorflow.compat.v1 as tf

  from nets.slim_compat import slim

  family = case.model_name.rpartition('_')[0]
  module = importlib.import_module(f'tf_slim.nets.{family}')
  with tf.Graph().as_default():
    tf.set_random_seed(0)
    images, labels = _held(case)
    with slim.arg_scope(module.resnet_arg_scope(weight_decay=WEIGHT_DECAY)):
      logits, _ = getattr(module, case.model_name)(
        images, CLASSES, is_training=True
      )
    if logits.shape.ndims == 4:
      logits = tf.squeeze(logits, [1, 2])
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    loss = tf.losses.get_total_loss()
    step = slim.learning.create_train_op(
      loss, tf.train.MomentumOptimizer(RATE, 0.9)
    )
    return _runs(None, step, loss)


def keras(case: Case) -> Callable[[], np.ndarray]:
  """keras.applications, by `train_on_batch`."""
  import keras
  import tensorflow as tf

  keras.utils.set_random_seed(0)
  version, depth = case.model_name.split('_')[1:]
  name = f'ResNet{depth}' + {'v1': '', 'v2': 'V2'}[version]
  model = getattr(keras.applications, name)(
    weights=None,
    classes=CLASSES,
    input_shape=(case.size, case.size, 3),
    classifier_activation=None,
  )
  model.compile(
    keras.optimizers.SGD(RATE, 0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
  )
  images, labels = (tf.constant(each) for each in examples(case))
  return lambda: np.array(model.train_on_batch(images, labels))


def torch(case: Case, compiles: bool = False) -> Callable[[], np.ndarray]:
  """PyTorch, channels last."""
  import torch

  from benchmarks.rivals import torch_resnet

  torch.manual_seed(0)
  network = torch_resnet.Network(case.model_name, CLASSES)
  network = network.to(memory_format=torch.channels_last).train()
  optimizer = torch.optim.SGD(
    network.parameters(), RATE, 0.9, weight_decay=WEIGHT_DECAY
  )
  images, labels = (torch.from_numpy(each) for each in examples(case))
  images = images.permute(0, 3, 1, 2)

  def loss_of(images, labels):
    return torch.nn.functional.cross_entropy(network(images), labels)

  if compiles:
    loss_of = torch.compile(loss_of, dynamic=False)

  def run():
    optimizer.zero_grad()
    loss = loss_of(images, labels)
    loss.backward()
    optimizer.step()
    return loss.detach().numpy()

  return run


def compiled_torch(case: Case) -> Callable[[], np.ndarray]:
  """PyTorch, compiled."""
  return torch(case, compiles=True)


RIVALS = {
  OURS: ours,
  SLIM: tf_slim,
  KERAS: keras,
  TORCH: torch,
  COMPILED: compiled_torch,
}
_NEEDS = {TORCH: ['torch'], COMPILED: ['torch']}


def compare(case: Case, names: list[str], given: argparse.Namespace) -> None:
  """Prints the table."""
  race.compare(
    f'Training {case.model_name}, {case.size}x{case.size}, batch {case.batch}',
    {name: RIVALS[name] for name in race.able(names, _NEEDS)},
    case,
    {SLIM: 'TF-Slim', KERAS: 'Keras', TORCH: 'PyTorch'},
    given,
  )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--model_name', default='resnet_v1_50')
  parser.add_argument('--size', type=int, default=224)
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument(
    '--competitors', nargs='+', choices=RIVALS, default=[*RIVALS]
  )
  race.add_arguments(parser, seconds=0, budget=180)
  given = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  case = Case(given.model_name, given.size, given.batch_size)
  compare(case, given.competitors, given)


if __name__ == '__main__':
  main()
