"""Training in float32 and in half precision: time, memory, and the loss.

  python -m benchmarks.precision

Steps of resnet_v1_50 on 224x224 images in batches of 16, momentum, of noise and
random labels. Each kind has a process of its own, and they take turns. The
losses are compared step by step: all kinds begin with the same weights, and see
the same batches. Where bfloat16 is refused, as on a processor without AMX, this
says so, and measures float32 alone.
"""

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from benchmarks import race, turns

# Kind -> the precision of its session, and what its network is built in.
KINDS = {
  'float32': ('fp32', None),
  'bfloat16': ('bf16', None),
  'bfloat16 by casts, as on a GPU': ('fp32', 'bfloat16'),
}
BATCHES = 4  # that come again and again


def load(
  kind: str, model_name: str, size: int, batch: int
) -> Callable[[int], tuple[float, list[float], float]]:
  """Returns a training, as (steps) -> seconds a step, losses, peak megabytes.

  Args:
    kind: a key of `KINDS`.
    model_name: the network.
    size: of the images, in pixels.
    batch: images in a step.
  """
  import tensorflow.compat.v1 as tf

  from engine.common import runtime
  from engine.model import gradients, precision
  from nets import nets_factory

  kept, dtype = KINDS[kind]
  random = np.random.RandomState(0)
  images = random.normal(size=[BATCHES * batch, size, size, 3])
  labels = random.randint(0, 1000, BATCHES * batch)
  with runtime.graph_building(), tf.Graph().as_default():
    tf.set_random_seed(0)
    given = tf.placeholder(tf.float32, [batch, size, size, 3])
    right = tf.placeholder(tf.int64, [batch])
    with precision.variables_read_as(dtype and tf.as_dtype(dtype)):
      logits, _ = nets_factory.get_network_fn(
        model_name, 1000, is_training=True
      )(precision.cast(given, dtype and tf.as_dtype(dtype)))
    loss = tf.losses.sparse_softmax_cross_entropy(
      right, tf.cast(logits, tf.float32)
    )
    trained = tf.trainable_variables()
    found = gradients.gradients(loss, trained)
    update = tf.train.MomentumOptimizer(0.01, 0.9).apply_gradients(
      list(zip(found, trained, strict=True))
    )
    session = runtime.session(precision=kept)
    session.run(tf.global_variables_initializer())
  parts = list(
    zip(np.split(images, BATCHES), np.split(labels, BATCHES), strict=True)
  )
  losses: list[float] = []

  def take():
    image, label = parts[len(losses) % BATCHES]
    losses.append(
      float(session.run([loss, update], {given: image, right: label})[0])
    )

  def run(steps: int) -> tuple[float, list[float], float]:
    seconds = [turns.timed(take) for _ in range(steps)]
    # The first step also prepares the graph.
    return statistics.median(seconds), list(losses), turns.peak()

  return run


def kinds() -> list[str]:
  """Returns those that this machine has, and says why not all."""
  from engine.common import runtime
  from engine.model import precision

  try:
    precision.check('bf16', runtime.uses_gpu())
  except ValueError as error:
    print(f'float32 alone: {error}')
    return ['float32']
  return list(KINDS)


def main() -> None:
  """Prints a row for each kind."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model_name', default='resnet_v1_50')
  parser.add_argument('--size', type=int, default=224)
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument('--steps', type=int, default=3, help='in a turn')
  parser.add_argument('--turns', type=int, default=4, help='at least')
  parser.add_argument('--budget', type=float, default=60, help='seconds')
  given = parser.parse_args()
  loads = {
    kind: (load, kind, given.model_name, given.size, given.batch_size)
    for kind in turns.alone(kinds)
  }
  with race.started(loads) as competitors:
    for each in competitors.values():
      each.ask(1)
    found = turns.take(
      {
        kind: (lambda each=each: each.ask(given.steps))
        for kind, each in competitors.items()
      },
      given.budget,
      given.turns,
    )
  report(found, given.batch_size)


def report(
  found: dict[str, list[tuple[float, list[float], float]]], batch: int
) -> None:
  """Prints a row for each kind.

  Args:
    found: what `load`'s function returned in each turn, float32 among them.
    batch: images in a step.
  """
  seconds = {kind: [each[0] for each in found[kind]] for kind in found}
  exact = np.array(found['float32'][-1][1])
  print(
    '| | images/s | of float32 | peak MB | first loss | error of the loss |'
  )
  print('|---|---|---|---|---|---|')
  for kind, each in found.items():
    _, losses, peak = each[-1]
    error = np.abs(np.array(losses) / exact - 1)
    print(
      f'| {kind} | {batch / statistics.median(seconds[kind]):.1f} | '
      f'{turns.times_as_fast(seconds[kind], seconds["float32"]):.2f} | '
      f'{peak:,.0f} | {losses[0]:.4f} | {error[0]:.2%} in the first step, '
      f'{error.mean():.2%} in {len(error)} |'
    )


if __name__ == '__main__':
  main()
