"""Step times of several replicas and workers, and what more would reach.

  python -m benchmarks.scaling

Trains by the very function that the training script calls, the same number of
examples a step

- in one process with all cores, by 1, 2 and 4 replicas (--num_clones) on
  devices of the CPU,
- in two workers over loopback, with half of the cores each, as
  `deployment.launch` pins them.

A third process with half of the cores trains half of the examples: it is what
a worker would take if there were no other. Two workers more only sum tensors of
the gradients' shapes. Each has processes of its own. All are alive and take
turns, so that a slow moment of the machine hits all alike; the tables have
medians, and medians of the ratios within a turn. Every other block of steps
leaves the loop out, as in benchmarks.overhead.

At last it predicts, by arithmetic that is shown, the efficiency of more workers
on a network: how long a step takes alone, beside how long it takes with them.
--table prints that alone.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple
from unittest import mock

import tensorflow.compat.v1 as tf

from benchmarks import turns
from benchmarks.input import make_photos
from datasets.convert import image_folder
from datasets.writing import writer
from datasets.writing.plan import Options
from deployment import run
from engine import train
from engine.config.scripts import TrainConfig
from engine.replicas import collectives
from engine.replicas import workers as processes
from engine.replicas.replicas import Replicas
from engine.training import step
from nets import nets_factory
from nets.slim_compat import slim

KINDS = 'the loop', 'bare steps'
SUMS = 'only sums'
WARM_UP = 3  # steps
PREDICTED = 'resnet_v1_50', 'resnet_v1_152'
WORKERS = 8, 16, 32, 64, 128, 256


class Contender(NamedTuple):
  """Processes that share a step.

  Fields:
    workers: how many.
    clones: replicas of each.
    half: whether they have half of the examples and of the cores.
  """

  workers: int = 1
  clones: int = 1
  half: bool = False


CONTENDERS = {
  '1 replica': Contender(),
  '2 replicas': Contender(clones=2),
  '4 replicas': Contender(clones=4),
  '2 workers': Contender(workers=2),
  'half alone': Contender(half=True),
  SUMS: Contender(workers=2),
}
Times = Mapping[str, float]  # seconds of a step, or of a sum, by kind


# Prediction.


class Layer(NamedTuple):
  """A trained variable.

  Fields:
    size: of its gradient, in bytes.
    work: multiply-adds of its convolution for one image.
  """

  size: int
  work: int


class Pack(NamedTuple):
  """Gradients that are sent together.

  Fields:
    size: in bytes.
    share: of the work of the backward pass that is done when they are there.
  """

  size: int
  share: float


class Cost(NamedTuple):
  """What a prediction takes for granted.

  Fields:
    seconds: a step of a worker alone.
    gbits: of the network, gigabits a second in each direction.
    latency: seconds that a message takes, however short.
  """

  seconds: float
  gbits: float
  latency: float


def layers_of(
  name: str, classes: int = 1000, size: int | None = None
) -> tuple[list[Layer], list[Layer]]:
  """Returns the trained variables of a network, and the moving averages.

  Args:
    name: of the network.
    classes: the number of logits.
    size: height and width of the images, None for the network's default.
  """
  size = size or nets_factory.get_network(name).default_image_size
  with tf.Graph().as_default() as graph:
    nets_factory.get_network_fn(name, classes)(
      tf.placeholder(tf.float32, [1, size, size, 3])
    )
    work = {
      operation.name.rpartition('/')[0]: operation.outputs[0]
      .shape[1:3]
      .num_elements()
      for operation in graph.get_operations()
      if operation.type == 'Conv2D'
    }
    trained = tf.trainable_variables()
    moving = [
      each for each in slim.get_model_variables() if each not in trained
    ]

  def layer(variable):
    values = variable.shape.num_elements()
    scope, _, kind = variable.op.name.rpartition('/')
    positions = work.get(scope, 0) if kind == 'weights' else 0
    return Layer(values * variable.dtype.base_dtype.size, values * positions)

  return [*map(layer, trained)], [*map(layer, moving)]


def packs_of(
  layers: Sequence[Layer], pack_bytes: int = collectives.PACK_BYTES
) -> list[Pack]:
  """Returns the packs in the order in which they are sent.

  >>> packs_of([Layer(4, 30), Layer(8, 10), Layer(4, 60)], pack_bytes=12)
  [Pack(size=12, share=0.7), Pack(size=4, share=1.0)]
  """
  whole = sum(each.work for each in layers)
  with tf.Graph().as_default():
    gradients = [
      tf.placeholder(tf.float32, [each.size // 4]) for each in layers
    ]
  found = []
  for places in collectives.packs(gradients, pack_bytes):
    done = sum(each.work for each in layers[min(places) :])
    found.append(Pack(sum(layers[i].size for i in places), done / whole))
  return found


def sent(size: float, workers: int) -> float:
  """Returns the bytes that each worker sends to sum some over a ring.

  >>> sent(100.0, 2), sent(100.0, 4)
  (100.0, 150.0)
  """
  return 2 * (workers - 1) / workers * size


def timeline(
  packs: Sequence[Pack], workers: int, cost: Cost
) -> list[tuple[float, float, float]]:
  """Returns when each pack is there, begins to be sent, and is summed.

  The forward pass is a third of a step, the backward pass the rest. One pack is
  sent at a time, and the 2 (n-1) messages of its ring one after the other.

  Args:
    packs: in the order in which they are sent.
    workers: how many, n.
    cost: of a step and of the network.

  Returns:
    Seconds from the beginning of the step.
  """
  found, end = [], 0.0
  for pack in packs:
    there = cost.seconds * (1 + 2 * pack.share) / 3
    begin = max(there, end)
    end = (
      begin
      + sent(pack.size, workers) * 8 / (cost.gbits * 1e9)
      + 2 * (workers - 1) * cost.latency
    )
    found.append((there, begin, end))
  return found


def efficiency(packs: Sequence[Pack], workers: int, cost: Cost) -> float:
  """Returns the time of a step alone, of that with the others."""
  *_, (_, _, end) = timeline(packs, workers, cost)
  return cost.seconds / max(end, cost.seconds)


def _cost(name, arguments, gbits):
  """Returns what is taken for granted of a network."""
  works = [
    nets_factory.count(each, 1000).multiply_adds
    for each in (name, PREDICTED[0])
  ]
  return Cost(
    arguments.step_ms / 1000 * works[0] / works[1],
    gbits,
    arguments.latency_us / 1e6,
  )


def prediction(arguments: argparse.Namespace, measured: float) -> list[str]:
  """Returns the lines of the prediction.

  Args:
    arguments: of the command line.
    measured: gigabits a second that were reached over loopback, 0 for none.
  """
  lines = [
    '',
    'Predicted efficiency: a step alone, of a step with the others.',
    f'Taken for granted: a step of resnet_v1_50 alone takes '
    f'{arguments.step_ms:g} ms (--step_ms), of another network as much longer '
    'as it has multiply-adds; a third is the forward pass; a message takes '
    f'{arguments.latency_us:g} us (--latency_us).',
  ]
  for name in PREDICTED:
    layers, _ = layers_of(name)
    packs = packs_of(layers)
    lines += ['', *_arithmetic(name, packs, _cost(name, arguments, 10.0))]
    lines.append(
      f'{"Gbit/s":>12}' + ''.join(f'{n:>5} workers' for n in WORKERS)
    )
    for gbits in [*arguments.gbits, *([measured] if measured else [])]:
      cost = _cost(name, arguments, gbits)
      lines.append(
        f'{gbits:>12.3g}'
        + ''.join(f'{efficiency(packs, n, cost):>13.1%}' for n in WORKERS)
        + ('  (measured over loopback)' if gbits == measured else '')
      )
  return lines


def _arithmetic(name, packs, cost, workers=8):
  """Returns how the number of the table's first field comes about."""
  size = sum(pack.size for pack in packs)
  ends = timeline(packs, workers, cost)
  last = max(ends[-1][-1], cost.seconds)
  return [
    f'{name}: {size // 4:,} trained parameters, {size / 1e6:.1f} MB of '
    f'gradients in {len(packs)} packs. {workers} workers at {cost.gbits:g} '
    f'Gbit/s send {sent(size, workers) / 1e6:.1f} MB each:',
    *(
      f'  {pack.size / 1e6:6.1f} MB are there at {there * 1000:6.1f} ms (after '
      f'{pack.share:4.0%} of the backward pass), sent from {begin * 1000:6.1f} '
      f'to {end * 1000:6.1f} ms'
      for pack, (there, begin, end) in zip(packs, ends, strict=True)
    ),
    f'  {cost.seconds * 1000:.1f} ms alone / {last * 1000:.1f} ms = '
    f'{cost.seconds / last:.1%}',
  ]


# A worker that takes turns.


class Line:
  """JSON texts to and from the process that gives the turns."""

  def __init__(self, connected: socket.socket):
    # Two files: one for both forgets what it has read ahead when it writes.
    self._in, self._out = connected.makefile('r'), connected.makefile('w')

  def send(self, value: Any) -> None:
    """Sends what JSON holds."""
    self._out.write(json.dumps(value) + '\n')
    self._out.flush()

  def receive(self) -> Any:
    """Returns what the other end has sent.

    Raises:
      EOFError: it is gone.
    """
    text = self._in.readline()
    if not text:
      raise EOFError
    return json.loads(text)


def _connect(path: str) -> Line | None:
  """Returns the line of a chief; other workers follow it."""
  if not processes.current().is_chief:
    return None
  connected = socket.socket(socket.AF_UNIX)
  connected.connect(path)
  return Line(connected)


def schedule(
  line: Line | None, kinds: Sequence[str], number: int, steps: int
) -> Iterator[str]:
  """Yields the kind of each step, and tells how long they have taken.

  Args:
    line: asks for turns; None follows the worker that does.
    kinds: that take turns.
    number: of turns.
    steps: of each kind in a turn.
  """
  for kind in kinds:
    yield from [kind] * WARM_UP
  for turn in range(number + 1):
    if line:
      line.receive()
    if turn == number:
      return
    seconds = {}
    # In turn what goes first, for what the one leaves in the caches.
    for kind in kinds[:: -1 if turn % 2 else 1]:
      begin = perf_counter()
      yield from [kind] * steps
      seconds[kind] = (perf_counter() - begin) / steps
    if line:
      line.send(seconds)


class Turns:
  """Takes the place of `TrainStep.take`; the loop and the bare step in turn."""

  def __init__(self, arguments: argparse.Namespace):
    self._arguments = arguments
    self._kinds: Iterator[str] | None = None

  def __call__(self, built, session, stream, parts):
    if self._kinds is None:
      given = self._arguments
      line = _connect(given.address)
      self._kinds = schedule(line, KINDS, given.turns, given.steps)
    if next(self._kinds, KINDS[0]) == KINDS[0]:
      _TAKE(built, session, stream, parts)
    else:
      session.run_step_fn(
        lambda step_context: step_context.session.run(built.apply)
      )


_TAKE = step.TrainStep.take


def config_of(
  contender: Contender, arguments: argparse.Namespace
) -> TrainConfig:
  """Returns what a contender trains; all have the same steps."""
  each = 2 * arguments.turns * arguments.steps
  return TrainConfig(
    model_name=arguments.model_name,
    dataset_dir=os.path.join(arguments.folder, 'data'),
    train_image_size=arguments.image_size,
    global_batch_size=arguments.batch // (2 if contender.half else 1),
    num_clones=contender.clones,
    clone_on_cpu=True,
    max_number_of_steps=2 * WARM_UP + each + 1,  # one more, which saves
    recalibrate_batch_norm_batches=0,
    eval_split_name='validation',
    save_interval_secs=10**6,
    save_summaries_secs=10**6,
    train_dir=os.path.join(
      arguments.folder, arguments.contender.replace(' ', '_')
    ),
  )


def contend(arguments: argparse.Namespace) -> None:
  """Trains, or sums, when it is this contender's turn."""
  if arguments.contender == SUMS:
    _contend_in_sums(arguments)
    return
  taken = Turns(arguments)
  with (
    mock.patch.object(
      step.TrainStep, 'take', lambda *arguments: taken(*arguments)
    ),
    mock.patch.object(train, '_evaluate', lambda config: None),
  ):
    run.train(config_of(CONTENDERS[arguments.contender], arguments))


def _contend_in_sums(arguments):
  """Sums tensors of the shapes of a step, and one number."""
  trained, moving = layers_of(arguments.model_name, 2, arguments.image_size)
  with run.joined(TrainConfig()), tf.Graph().as_default():
    replicas = Replicas()

    def summed(sizes):
      return tf.group(
        *replicas.between([tf.Variable(tf.zeros([n // 4])) for n in sizes])
      )

    ops = {
      'all': tf.group(
        *(summed([each.size for each in part]) for part in (moving, trained))
      ),
      'one number': summed([4]),
    }
    session = replicas.opening('fp32').create_session()
    line = _connect(arguments.address)
    for kind in schedule(line, [*ops], arguments.turns, arguments.steps):
      session.run(ops[kind])


# The process that gives the turns.


class Started:
  """A contender's processes, by the launcher."""

  def __init__(self, name: str, arguments: argparse.Namespace):
    contender = CONTENDERS[name]
    tag = name.replace(' ', '_')
    address = os.path.join(arguments.folder, f'{tag}.socket')
    cores = len(os.sched_getaffinity(0))
    half = contender.half or contender.workers > 1
    self._log = pathlib.Path(arguments.folder, f'{tag}.log')
    self._line: Line | None = None
    self._name = name
    self._server = socket.socket(socket.AF_UNIX)
    self._server.bind(address)
    self._server.listen(1)
    self._server.settimeout(0.2)
    passed = ('model_name', 'image_size', 'batch', 'steps', 'turns')
    with open(self._log, 'w') as file:
      self._process = subprocess.Popen(
        [
          *(sys.executable, '-m', 'deployment.launch'),
          f'--workers={contender.workers}',
          f'--cores_per_worker={max(cores // 2, 1) if half else cores}',
          f'--log_dir={os.path.join(arguments.folder, tag + ".logs")}',
          '--max_restarts=0',
          *('--', '-m', 'benchmarks.scaling'),
          f'--contender={name}',
          f'--address={address}',
          f'--folder={arguments.folder}',
          *(f'--{each}={getattr(arguments, each)}' for each in passed),
        ],
        stdout=file,
        stderr=file,
      )

  def wait(self) -> None:
    """Returns when it waits for its first turn."""
    while self._line is None:
      with contextlib.suppress(TimeoutError):
        connected, _ = self._server.accept()
        connected.setblocking(True)
        self._line = Line(connected)
      if self._process.poll() is not None:
        self._fail()

  def ask(self) -> Times:
    """Gives it a turn; returns its times."""
    assert self._line
    try:
      self._line.send('begin')
      return self._line.receive()
    except (EOFError, OSError):
      self._fail()
      raise

  def end(self) -> None:
    """Gives it the last turn, after which it ends by itself."""
    assert self._line
    self._line.send('end')

  def join(self) -> None:
    """Returns when it has ended."""
    if self._process.wait():
      self._fail()

  def _fail(self):
    self._process.wait(60)
    raise SystemExit(f'{self._name} failed:\n{self._log.read_text()[-4000:]}')

  def close(self) -> None:
    """Ends it, however it stands."""
    if self._process.poll() is None:
      self._process.terminate()  # the launcher, which ends its workers
      try:
        self._process.wait(30)
      except subprocess.TimeoutExpired:
        self._process.kill()  # and its workers with it
        self._process.wait()
    self._server.close()


def loopback() -> int | None:
  """Returns the bytes that this machine has sent to itself, None if unknown."""
  with contextlib.suppress(OSError):
    for text in pathlib.Path('/proc/net/dev').read_text().splitlines():
      name, _, counts = text.partition(':')
      if name.strip() == 'lo':
        return int(counts.split()[8])
  return None


class Measured(NamedTuple):
  """What was measured.

  Fields:
    times: of each contender, in each turn.
    loopback: bytes that a sum of all has sent over loopback, in each turn.
  """

  times: Mapping[str, Sequence[Times]]
  loopback: Sequence[float]


def measure(arguments: argparse.Namespace) -> Measured:
  """Returns what the contenders measure, in turn."""
  counted: list[float] = []

  def ask(started, counts):
    def once():
      before = loopback()
      times = started.ask()
      after = loopback()
      if counts and before is not None and after is not None:
        counted.append((after - before) / arguments.steps)
      return times

    return once

  with contextlib.ExitStack() as stack:
    all_started = {}
    for name in CONTENDERS:
      each = Started(name, arguments)
      stack.callback(each.close)
      all_started[name] = each
    for each in all_started.values():
      each.wait()
    found = turns.take(
      {name: ask(each, name == SUMS) for name, each in all_started.items()},
      0,
      arguments.turns,
    )
    for each in all_started.values():
      each.end()
    for each in all_started.values():
      each.join()
  return Measured(found, counted)


def _of(measured, name, kind):
  return [each[kind] for each in measured.times[name]]


def report(
  measured: Measured, arguments: argparse.Namespace, cores: int
) -> list[str]:
  """Returns the lines of what was measured."""
  loop = KINDS[0]
  alone = _of(measured, '1 replica', loop)
  half = _of(measured, 'half alone', loop)
  lines = [
    f'{arguments.model_name}, {arguments.image_size}x{arguments.image_size}, '
    f'{arguments.batch} examples a step, {cores} cores, medians of '
    f'{arguments.turns} turns of {arguments.steps} steps:',
    f'{"":12}{"ms a step":>12}{"of 1 replica":>14}{"bare, ms":>12}'
    f'{"the loop":>10}',
  ]
  for name in CONTENDERS:
    if name == SUMS:
      continue
    times, bare = (_of(measured, name, kind) for kind in KINDS)
    speed = f'{turns.times_as_fast(times, alone):.3f}'
    lines.append(
      f'{name:12}{statistics.median(times) * 1000:>12.1f}'
      f'{"" if CONTENDERS[name].half else speed:>14}'
      f'{statistics.median(bare) * 1000:>12.1f}'
      f'{turns.times_as_fast(bare, times) - 1:>+10.2%}'
    )
  workers = _of(measured, '2 workers', loop)
  return [
    *lines,
    f'2 workers are {turns.times_as_fast(workers, alone):.3f} times as fast as '
    'one process with all cores (goal: 0.9), and have '
    f'{turns.times_as_fast(workers, half):.3f} of the speed that both would '
    'have without each other.',
    *_report_sums(measured, arguments),
  ]


def _report_sums(measured, arguments):
  trained, moving = layers_of(arguments.model_name, 2, arguments.image_size)
  sizes = [sum(each.size for each in part) for part in (trained, moving)]
  times = _of(measured, SUMS, 'all')
  share = turns.times_as_fast(_of(measured, '2 workers', KINDS[0]), times)
  one = statistics.median(_of(measured, SUMS, 'one number'))
  counted = ''
  if measured.loopback:
    counted = (
      f' Counted on loopback, of both: '
      f'{statistics.median(measured.loopback) / 1e6:.1f} MB.'
    )
  return [
    f'A step sums {sizes[0] / 1e6:.2f} MB of gradients and '
    f"{sizes[1] / 1e6:.2f} MB of batch norm's statistics; each of 2 workers "
    f'sends {sent(sum(sizes), 2) / 1e6:.2f} MB.{counted}',
    f'Alone, that takes {statistics.median(times) * 1000:.1f} ms, '
    f'{share:.1%} of a step of 2 workers: {rate(measured, arguments):.2f} '
    f'Gbit/s. One number takes {one * 1e6:.0f} us, {one / 2 * 1e6:.0f} a '
    'message.',
  ]


def rate(measured: Measured, arguments: argparse.Namespace) -> float:
  """Returns the gigabits a second that a worker has sent, of sums alone."""
  parts = layers_of(arguments.model_name, 2, arguments.image_size)
  size = sum(each.size for part in parts for each in part)
  seconds = statistics.median(_of(measured, SUMS, 'all'))
  return sent(size, 2) * 8 / seconds / 1e9


def _write_data(folder: str, batch: int) -> None:
  """Writes photographs; each contender finds the same."""
  photos = pathlib.Path(folder, 'photos')
  photos.mkdir()
  make_photos(photos, max(200, 2 * batch), 85)
  writer.write(
    image_folder.plan(str(photos), Options()),
    os.path.join(folder, 'data'),
    '%s-*.tfrecord',
  )


def _arguments():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model_name', default='resnet_v1_18')
  parser.add_argument('--image_size', type=int, default=128)
  parser.add_argument('--batch', type=int, default=32, help='of all together')
  parser.add_argument('--steps', type=int, default=3, help='a kind and turn')
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument('--table', action='store_true', help='predict alone')
  parser.add_argument('--gbits', type=float, nargs='+', default=[10, 25, 100])
  parser.add_argument('--step_ms', type=float, default=200)
  parser.add_argument('--latency_us', type=float, default=50)
  for name in ('--contender', '--address', '--folder'):  # of its own workers
    parser.add_argument(name, default='', help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.batch % 4 or given.batch < 4 or min(given.steps, given.turns) < 1:
    parser.error('--batch is a multiple of 4, --steps and --turns are positive')
  if (
    not all(0 < each < math.inf for each in (*given.gbits, given.step_ms))
    or not 0 <= given.latency_us < math.inf
  ):
    parser.error('--gbits and --step_ms are positive, --latency_us is not less')
  return given


def main() -> None:
  """Measures and predicts as the command line says."""
  arguments = _arguments()
  tf.get_logger().setLevel('ERROR')  # not what is deprecated
  if arguments.contender:
    contend(arguments)
    return
  reached = 0.0
  if not arguments.table:
    with tempfile.TemporaryDirectory() as folder:
      arguments.folder = folder
      _write_data(folder, arguments.batch)
      measured = measure(arguments)
    for text in report(measured, arguments, len(os.sched_getaffinity(0))):
      print(text)
    reached = rate(measured, arguments)
  for text in prediction(arguments, reached):
    print(text)


if __name__ == '__main__':
  main()
