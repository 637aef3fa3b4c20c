"""Dense features, beside TF-Slim's dilation by SpaceToBatch and PyTorch.

  python -m benchmarks.dense

Computes resnet_v1_101's features of one 513x513 image at output stride 16
and 8, with the same random weights:

- the network in a session with variables, as evaluation runs it,
- exported by export_inference_graph.py as a frozen graph,
- in a session, with every dilated convolution left to slim.conv2d(rate=...),
  which shuffles its map around a plain convolution, as TF-Slim has it,
- written in PyTorch, channels last.

All must give the same values. Each has a process of its own, and they take
turns; the table has medians, and the medians of the ratios within a turn.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import numpy as np

from benchmarks import race, runtimes, turns

OURS, EXPORTED = 'this project', 'this project, exported'
SLIM, TORCH = 'SpaceToBatch', 'PyTorch, eager'
COMPILED = 'PyTorch, compiled'
_TOLERANCE = 1e-4  # of the scale
_NEEDS = {TORCH: ['torch'], COMPILED: ['torch']}


class Case(NamedTuple):
  """What is computed.

  Fields:
    model_name: the network.
    size: height and width of the images.
    batch: of so many.
    stride: the output stride.
    folder: where the weights are.
  """

  model_name: str
  size: int
  batch: int
  stride: int
  folder: str


def picture(case: Case) -> np.ndarray:
  """Returns random float32 images [batch, size, size, 3] in [-1, 1)."""
  shape = case.batch, case.size, case.size, 3
  return np.random.RandomState(1).uniform(-1, 1, shape).astype(np.float32)


def _of_runtimes(case):
  return runtimes.Case(case.model_name, case.size, output_stride=case.stride)


def ours(case: Case) -> Callable[[], np.ndarray]:
  """The network in a session, as evaluation runs it."""
  loaded = runtimes.session(case.folder, _of_runtimes(case))
  images = picture(case)
  return lambda: loaded.run(images)


def exported(case: Case) -> Callable[[], np.ndarray]:
  """The frozen graph of export_inference_graph.py, in TensorFlow."""
  loaded = runtimes.frozen_graph(case.folder, _of_runtimes(case))
  images = picture(case)
  return lambda: loaded.run(images)


def space_to_batch(case: Case) -> Callable[[], np.ndarray]:
  """The same with TF-Slim's dilation."""
  from nets.layers import dilation

  with mock.patch.object(dilation, 'use_native', lambda: False):
    return ours(case)


def torch(case: Case, compiles: bool = False) -> Callable[[], np.ndarray]:
  """PyTorch, channels last."""
  loaded = runtimes.torch(case.folder, _of_runtimes(case), compiles)
  images = loaded.form(picture(case))
  return lambda: loaded.channels_last(loaded.run(images))


def compiled_torch(case: Case) -> Callable[[], np.ndarray]:
  """PyTorch, compiled."""
  return torch(case, compiles=True)


RIVALS = {
  OURS: ours,
  EXPORTED: exported,
  SLIM: space_to_batch,
  TORCH: torch,
  COMPILED: compiled_torch,
}


def compare(case: Case, names: list[str], given: argparse.Namespace) -> None:
  """Prints the table of an output stride."""
  race.compare(
    f'{case.model_name}, {case.size}x{case.size}, batch {case.batch}, output '
    f'stride {case.stride}',
    {name: RIVALS[name] for name in race.able(names, _NEEDS)},
    case,
    {SLIM: 'TF-Slim', TORCH: 'PyTorch'},
    given,
    race.Agreement(_TOLERANCE),
  )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--model_name', default='resnet_v1_101')
  parser.add_argument('--size', type=int, default=513)
  parser.add_argument('--batch_size', type=int, default=1)
  parser.add_argument('--strides', type=int, nargs='+', default=[16, 8])
  parser.add_argument(
    '--competitors', nargs='+', choices=RIVALS, default=[*RIVALS]
  )
  race.add_arguments(parser, seconds=2, budget=60)
  given = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  for stride in given.strides:
    with tempfile.TemporaryDirectory() as folder:
      case = Case(
        given.model_name, given.size, given.batch_size, stride, folder
      )
      network = _of_runtimes(case)
      turns.alone(runtimes.write_checkpoint, folder, network)
      turns.alone(runtimes.write_exported, folder, network, ['frozen_graph'])
      compare(case, given.competitors, given)


if __name__ == '__main__':
  main()
