"""Dense features by native dilation, beside SpaceToBatch as TF-Slim has it.

  python -m benchmarks.dense

Computes resnet_v1_101's features of one 513x513 image at output stride 16
and 8. The network is built twice, with the same weights: as it is here, and
with every dilated convolution left to slim.conv2d(rate=...), which shuffles
its map around a plain convolution. Both take turns in one process, so that a
slow moment of the machine hits both; the table gives medians, and the median
of the ratios of neighbouring runs. Before that, both must give the same values.
"""

import argparse
import os
import statistics
import time
from unittest import mock

import numpy as np
import tensorflow.compat.v1 as tf

from nets import nets_factory
from nets.layers import dilation

KINDS = {'ours': dilation.use_native, 'SpaceToBatch': lambda: False}


class Built:
  """The network of one kind, in a graph and a session of its own.

  Attributes:
    seconds: those of each timed run.
  """

  def __init__(self, kind: str, arguments: argparse.Namespace, stride: int):
    self.seconds, self._picture = [], picture(arguments)
    with tf.Graph().as_default() as graph:
      self._images = tf.placeholder(tf.float32, self._picture.shape)
      with mock.patch.object(dilation, 'use_native', KINDS[kind]):
        self.features, _ = nets_factory.get_network_fn(
          arguments.model_name, None
        )(self._images, global_pool=False, output_stride=stride)
      self._variables = tf.global_variables()
      self._session = tf.Session(graph=graph)
    dilated = any(
      operation.type == 'SpaceToBatchND' for operation in graph.get_operations()
    )
    if dilated != (kind == 'SpaceToBatch'):
      raise SystemExit(
        f'This machine cannot build {kind!r} apart from the '
        'other kind: it lacks native dilation.'
      )
    self._fill()

  def _fill(self):
    """The weights of a network at the start, the same for both kinds."""
    random = np.random.RandomState(0)
    values = {}
    for variable in self._variables:
      shape = variable.shape.as_list()
      if len(shape) == 4:
        value = random.standard_normal(shape) / np.prod(shape[:-1]) ** 0.5
      else:
        value = np.full(shape, variable.op.name.endswith(('gamma', 'variance')))
      values[variable.initializer.inputs[1]] = value
    self._session.run([each.initializer for each in self._variables], values)

  def values(self) -> np.ndarray:
    """Returns the features, float32 [batch, height, width, channels]."""
    return self._session.run(self.features, {self._images: self._picture})

  def time(self) -> None:
    """Runs once more, and takes the time."""
    begin = time.perf_counter()
    # The op, so that no features are copied out of the session.
    self._session.run(self.features.op, {self._images: self._picture})
    self.seconds.append(time.perf_counter() - begin)

  def peak(self) -> float:
    """Returns the most megabytes that one run holds at once."""
    # A run of its own: the trace slows what it counts.
    record = tf.RunMetadata()
    self._session.run(
      self.features.op,
      {self._images: self._picture},
      tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
      record,
    )
    changes = sorted(
      (each.alloc_micros, each.alloc_bytes)
      for device in record.step_stats.dev_stats
      for node in device.node_stats
      for used in node.memory
      for each in used.allocation_records
    )
    return max(np.cumsum([size for _, size in changes]), default=0) / 1e6


def picture(arguments: argparse.Namespace) -> np.ndarray:
  """Returns random float32 images [batch, size, size, 3] in [-1, 1)."""
  return (
    np.random.RandomState(1)
    .uniform(-1, 1, (arguments.batch_size, arguments.size, arguments.size, 3))
    .astype(np.float32)
  )


def compare(arguments: argparse.Namespace, stride: int) -> str:
  """Returns the line of the table for one output stride."""
  built = {kind: Built(kind, arguments, stride) for kind in KINDS}
  ours, others = (each.values() for each in built.values())
  difference = np.abs(ours - others).max() / np.abs(others).max()
  if not difference < 1e-4:
    raise SystemExit(
      f'The features differ by {difference:.1e} of their scale '
      f'at output stride {stride}.'
    )
  for turn in range(arguments.rounds):
    # In turn who goes first, for what the one leaves in the caches.
    for each in list(built.values())[:: -1 if turn % 2 else 1]:
      each.time()
  seconds = [each.seconds for each in built.values()]
  ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
  peaks = [each.peak() for each in built.values()]
  return (
    f'{stride:>6}'
    + ''.join(f'{statistics.median(each) * 1000:>14,.0f}' for each in seconds)
    + f'{ratio:>9.2f}x'
    + ''.join(f'{peak:>14,.0f}' for peak in peaks)
    + f'{difference:>12.0e}'
  )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--model_name', default='resnet_v1_101')
  parser.add_argument('--size', type=int, default=513)
  parser.add_argument('--batch_size', type=int, default=1)
  parser.add_argument('--rounds', type=int, default=20)
  parser.add_argument('--strides', type=int, nargs='+', default=[16, 8])
  arguments = parser.parse_args()
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  print(
    f'{arguments.model_name}, {arguments.size}x{arguments.size}, batch '
    f'{arguments.batch_size}, {os.cpu_count()} cores, medians of '
    f'{arguments.rounds} runs'
  )
  print(
    f'{"stride":>6}{"ours, ms":>14}{"slim, ms":>14}{"ours is":>10}'
    f'{"ours, MB":>14}{"slim, MB":>14}{"differ by":>12}',
    flush=True,
  )
  for stride in arguments.strides:
    print(compare(arguments, stride), flush=True)


if __name__ == '__main__':
  main()
