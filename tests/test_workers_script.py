"""Two workers, processes of their own on this machine, through the scripts."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

import eval_image_classifier
from engine.training import metrics_log
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
ROOT = pathlib.Path(__file__).parents[1]
PATIENCE = 240  # seconds for a process to end
SCRIPT = """
import importlib, sys
from tests import builders
builders.register_tiny_networks()
script = importlib.import_module(sys.argv[1])
with builders.unoptimized():
  sys.exit(script.main(sys.argv[1:]))
"""


def addresses(count):
  """Addresses on this machine with ports that are free."""
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in sockets:
      each.bind(('127.0.0.1', 0))
    return [f'127.0.0.1:{each.getsockname()[1]}' for each in sockets]


class Workers:
  """A script as the workers of a cluster."""

  def __init__(self, script, *flags):
    """Starts one for each dict of flags."""
    hosts = addresses(len(flags))
    self.processes = []
    for i, own in enumerate(flags):
      cluster = {
        'cluster': {'worker': hosts},
        'task': {'type': 'worker', 'index': i},
      }
      self.processes.append(
        subprocess.Popen(
          [
            sys.executable,
            '-c',
            SCRIPT,
            script,
            *(f'--{name}={value}' for name, value in own.items()),
          ],
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
          env={
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'TF_CONFIG': json.dumps(cluster),
          },
        )
      )

  def __enter__(self):
    return self

  def __exit__(self, *error):
    for process in self.processes:
      process.kill()

  def ended(self):
    """Returns (status, out, err) of each, once they have ended."""
    found = []
    for process in self.processes:
      out, err = process.communicate(timeout=PATIENCE)
      found.append((process.returncode, out, err))
    return found


def workers(script, *flags):
  with Workers(script, *flags) as started:
    return started.ended()


def training(colours, **others):
  return {
    **builders.fast(colours),
    'batch_size': 4,
    'recalibrate_batch_norm_batches': 1,
    **others,
  }


def report(folder):
  return json.loads(pathlib.Path(folder, 'eval.json').read_text())


def agree(got, want):
  """Integers and names are equal, floats to 1e-6.

  By the statistics of each batch, it counts which examples it has.
  """
  assert type(got) is type(want)
  if isinstance(want, dict):
    assert got.keys() == want.keys()
    by_batch = any(name.endswith('_with_moving_statistics') for name in want)
    for name in want:
      if not by_batch or name.endswith(('examples', '_moving_statistics')):
        agree(got[name], want[name])
  elif isinstance(want, list):
    for each, wanted in zip(got, want, strict=True):
      agree(each, wanted)
  elif isinstance(want, float):
    assert got == pytest.approx(want, rel=1e-6, abs=1e-6)
  else:
    assert got == want


def rows(folder):
  return [
    {name: row[name] for name in ('step', 'loss', 'total_loss', 'accuracy')}
    for row in metrics_log.read_metrics(folder)
  ]


def same_as_clones(flags, **alone):
  """Trains by two workers and by two clones; compares all that is written."""
  chief, other = workers('train_image_classifier', *[flags] * 2)
  assert chief[0] == other[0] == 0, chief[2] + other[2]
  assert 'in each of 2 replicas of 2 workers' in chief[1]
  printed = builders.train(
    **{**flags, 'num_clones': 2, 'train_dir': 'clones', **alone}
  )
  assert printed.status == 0, printed.err
  assert builders.differing('run', 'clones') == []
  assert rows('run') == rows('clones')
  got, want = report('run/eval'), report('clones/eval')
  assert got.pop('checkpoint') == 'run/model.ckpt-2'
  want.pop('checkpoint')
  agree(got, want)
  return chief[1], other[1]


def test_two_workers_are_two_clones(colours):
  """The same bits; the 23 examples are evaluated once each."""
  same_as_clones(training(colours))
  assert report('run/eval')['examples'] == 23


@pytest.mark.slow
def test_everything_of_two_workers(colours):
  same_as_clones(
    training(
      colours,
      sync_batch_norm=True,
      moving_average_decay=0.9,
      evaluate_every=1,
      keep_best=2,
      mixup_alpha=0.2,
      optimizer='adamw',
    )
  )
  for name in 'evaluations.csv', 'best.json':
    assert pathlib.Path('run', name).exists()


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_parts_of_two_workers(colours):
  """Workers sum their parts first, clones each part: in another order."""
  flags = training(colours, num_micro_batches=2, sync_batch_norm=True)
  found = workers('train_image_classifier', *[flags] * 2)
  assert [each[0] for each in found] == [0, 0], found
  printed = builders.train(**{**flags, 'num_clones': 2, 'train_dir': 'clones'})
  assert printed.status == 0, printed.err
  losses = [
    [float(row['loss']) for row in rows(folder)] for folder in ('run', 'clones')
  ]
  assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_masks_of_two_workers(shapes):
  flags = builders.shape_flags(shapes, batch_size=2)
  same_as_clones(flags)
  assert report('run/eval')['examples'] == 7


@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 6])
def test_evaluation_by_two_workers(colours_run, count):
  """Fewer examples than workers, and several batches each."""
  data = builders.write_colours(pathlib.Path('data'), 10, count)
  flags = {
    'checkpoint_path': colours_run.folder,
    'dataset_dir': data,
    'batch_size': 2,
  }
  printed = builders.call(eval_image_classifier, **flags, eval_dir='alone')
  assert printed.status == 0, printed.err
  found = workers('eval_image_classifier', *[{**flags, 'eval_dir': 'both'}] * 2)
  assert [each[0] for each in found] == [0, 0], found
  agree(report('both'), report('alone'))
  assert report('both')['examples'] == count
  for path in pathlib.Path('alone').glob('*.csv'):
    assert pathlib.Path('both', path.name).read_text() == path.read_text()


@pytest.mark.slow
def test_other_flags_are_refused(colours):
  flags = training(colours)
  found = workers(
    'train_image_classifier', flags, {**flags, 'learning_rate': 0.5}
  )
  for status, _, err in found:
    assert status == 1 and 'Traceback' not in err
    assert (
      'error: Worker 1 has --learning_rate 0.5, not none as worker 0, the '
      'chief, has: start all workers with the same flags.' in err
    )
  assert not pathlib.Path('run').exists()


@pytest.mark.slow
def test_other_data_are_refused(colours):
  """Of as many examples, in another place."""
  other = builders.write_colours(
    pathlib.Path('other'), 80, 23, labels=(1, 0, 2, 3, 4)
  )
  flags = training(colours)
  found = workers(
    'train_image_classifier', flags, {**flags, 'dataset_dir': other}
  )
  for status, _, err in found:
    assert status == 1 and 'Traceback' not in err
    assert 'error: Worker 1 has the split train ' in err
    assert 'give all workers the same data.' in err
  assert not list(pathlib.Path('run').glob('model.ckpt*'))


@pytest.mark.slow
def test_sigterm_to_one(colours):
  """All save the same step once, and end; resumed, the bits are as ever."""
  flags = training(colours, max_number_of_steps=400)
  with Workers('train_image_classifier', flags, flags) as started:
    end = time.monotonic() + PATIENCE
    while not (
      pathlib.Path('run/metrics.csv').exists() and len(rows('run')) > 2
    ):
      assert time.monotonic() < end
      assert {process.poll() for process in started.processes} == {None}
      time.sleep(0.05)
    started.processes[1].send_signal(signal.SIGTERM)
    found = started.ended()
  for status, out, err in found:
    assert status == 128 + signal.SIGTERM, err
    assert (
      'Stopped and saved; python train_image_classifier.py --resume=run '
      'resumes from here.' in out
    )
  step = int(builders.tensors('run')['global_step'])
  assert 2 < step < 400 and int(rows('run')[-1]['step']) == step
  numbers = [
    int(path.stem.rpartition('-')[2])
    for path in pathlib.Path('run').glob('model.ckpt-*.index')
  ]
  assert sorted(numbers) == sorted({0, step} & set(numbers))
  printed = builders.train(
    **{
      **flags,
      'max_number_of_steps': step,
      'train_dir': 'clones',
      'num_clones': 2,
      'recalibrate_batch_norm_batches': 0,
    }
  )
  assert printed.status == 0, printed.err
  assert [
    name
    for name in builders.differing('run', 'clones')
    if '/moving_' not in name  # which the last step recalibrates
  ] == []
