"""What an evaluation costs behind the network, in time and memory.

  python -m benchmarks.evaluation

Logits are made, not computed. This project keeps some numbers of each example,
batch by batch; the plain way keeps all logits and sorts each row. Both give the
same metrics. They take turns, each in a process of its own.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks import race, turns
from engine.tasks.classification.predictor import LogitsBatch, Predictor
from metrics import calibration, classification

SIZE = 100  # examples in a batch


class Made(Predictor):
  """What a network might say of a split that is not there."""

  def __init__(self, examples: int, num_classes: int):
    """Sets how many; examples must be a multiple of `SIZE`."""
    self.num_classes, self._examples = num_classes, examples

  def batches(self, title: str) -> Iterator[LogitsBatch]:
    """Yields batches that differ; to make one takes about 50 microseconds."""
    random = np.random.RandomState(0)
    shape = SIZE, self.num_classes
    logits = random.normal(0, 3, shape).astype(np.float32)
    for first in range(0, self._examples, SIZE):
      yield LogitsBatch(
        np.roll(logits, first // SIZE, -1),
        random.randint(0, self.num_classes, SIZE),
        np.arange(first, first + SIZE),
      )


def batchwise(made: Made) -> dict[str, float | int]:
  """Returns the metrics as an evaluation computes them."""
  return made.predict().metrics()


def at_once(made: Made) -> dict[str, float | int]:
  """Returns the same, plainly, of all logits."""
  logits, labels, _ = map(
    np.concatenate, zip(*made.batches('all'), strict=True)
  )
  first = np.argsort(-logits, -1, kind='stable')[:, :5].copy()
  predicted, classes = first[:, 0], logits.shape[-1]
  losses = classification.cross_entropies(logits, labels)
  tallied = calibration.tally(
    classification.probabilities(logits, predicted), predicted == labels
  )
  pairs = np.bincount(labels * classes + predicted, minlength=classes**2)
  confusion = pairs.reshape(classes, classes)
  each, occurs = classification.per_class(confusion), confusion.sum(1) > 0
  return {
    'examples': len(labels),
    'accuracy': float(np.mean(predicted == labels)),
    'top_5_accuracy': float(np.mean(np.any(first == labels[:, None], axis=-1))),
    'loss': float(losses.mean()),
    'mean_recall': float(each.recall[occurs].mean()),
    'mean_f1': float(each.f1[occurs].mean()),
    'expected_calibration_error': calibration.error(tallied),
  }


WAYS = {'this project': batchwise, 'all logits, sorted': at_once}


class Measured(NamedTuple):
  """What one turn took.

  Fields:
    seconds: of the metrics, the making of logits among them.
    megabytes: that the process had in use more than before, at the most.
  """

  seconds: float
  megabytes: float


def load(name: str) -> Callable[[int, int], Measured]:
  """Returns what measures a way on a number of examples and of classes."""
  before = turns.peak()

  def measure(examples: int, classes: int) -> Measured:
    begin = time.perf_counter()
    WAYS[name](Made(examples, classes))
    return Measured(time.perf_counter() - begin, turns.peak() - before)

  return measure


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--examples', type=int, default=20_000)
  parser.add_argument('--classes', type=int, default=1000)
  parser.add_argument('--turns', type=int, default=3)
  given = parser.parse_args()
  found: dict[int, dict[str, list[Measured]]] = {}
  with race.started({name: (load, name) for name in WAYS}) as competitors:
    for examples in (given.examples, 2 * given.examples):
      found[examples] = turns.take(
        {
          name: lambda each=each, examples=examples: each.ask(
            examples, given.classes
          )
          for name, each in competitors.items()
        },
        0,
        given.turns,
      )
  few, many = found.values()
  print(
    f'{given.classes:,} classes; {given.examples:,} and '
    f'{2 * given.examples:,} examples; for a million:'
  )
  for name in WAYS:
    one, two = few[name][-1].megabytes, many[name][-1].megabytes
    seconds = statistics.median(each.seconds for each in many[name])
    scale = 1e6 / given.examples
    print(
      f'  {name:<20} {seconds * scale / 2:8.1f} s {(two - one) * scale:10,.0f} '
      f'MB (measured {one:,.0f} and {two:,.0f} MB)'
    )
  ratio = turns.times_as_fast(
    *([each.seconds for each in many[name]] for name in WAYS)
  )
  print(f'  {ratio:.1f} times as fast')


if __name__ == '__main__':
  main()
