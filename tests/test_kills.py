"""Killed again and again, at any moment, a run ends with the same bits.

KILLS=20 (make kills) kills it more often than once, the default.
"""

import glob
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from engine.training import metrics_log
from nets import nets_factory, resnet_generator, resnet_v2
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
ROOT = pathlib.Path(__file__).parents[1]
KILLS = int(os.environ.get('KILLS', 1))
PATIENCE = 240  # seconds for a process to come to the moment of its death

# The training script with the network. Where it is killed once, graphs are not
# optimized, here and there, which saves a third of the time.
SCRIPT = """
import contextlib, sys
import train_image_classifier
from tests import builders, test_kills
test_kills.register_wide()
once = test_kills.KILLS == 1
with builders.unoptimized() if once else contextlib.nullcontext():
  sys.exit(train_image_classifier.main(sys.argv))
"""


def register_wide(setitem=dict.__setitem__):
  """Adds resnet_v2_wide, whose checkpoints of 5 MB take time to write."""
  setitem(resnet_generator.UNITS, 'wide', (1, 1))
  setitem(
    nets_factory.NETWORKS,
    'resnet_v2_wide',
    nets_factory.Network.of(
      resnet_generator.network(
        resnet_v2.resnet_v2, resnet_v2.resnet_v2_block, 'resnet_v2_wide', 'wide'
      ),
      resnet_v2.resnet_arg_scope,
      'inception',
    ),
  )


@pytest.fixture
def flags(colours, monkeypatch):
  """A training with everything whose state could be lost."""
  register_wide(monkeypatch.setitem)
  return {
    **builders.fast(colours),
    'model_name': 'resnet_v2_wide',
    'max_number_of_steps': 6 * (KILLS + 1),
    'save_interval_secs': 1,
    'learning_rate_decay_type': 'cosine',
    'learning_rate': 0.02,
    'warmup': '5',
    'moving_average_decay': 0.9,
    'num_micro_batches': 2,
    'mixup_alpha': 0.2,
    'rand_augment_layers': 1,
    'evaluate_every': 3,
    'keep_best': 2,
    'best_metric': 'loss',
    'plateau_patience': 1,
    'recalibrate_batch_norm_batches': 2,
    'optimizer': 'adamw',
  }


def start(flags):
  """Begins the training in a process of its own."""
  argv = [f'--{name}={value}' for name, value in flags.items()]
  return subprocess.Popen(
    [sys.executable, '-c', SCRIPT, *argv],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )


def finish(flags, folder):
  """Trains to the end in this process; returns what was printed."""
  printed = builders.train(**{**flags, 'train_dir': folder})
  assert printed.status == 0, printed.err
  return printed.out


def last_step():
  return max(
    (int(row['step']) for row in metrics_log.read_metrics('run')), default=0
  )


def being_written():
  """The files of a checkpoint that is not there in whole yet."""
  return glob.glob('run/**/*.tempstate*', recursive=True)


def moment(kind, dice):
  """A function that says whether the moment to kill has come."""
  if kind == 'writing':  # not the first one, from which nothing could resume
    return lambda: being_written() and glob.glob('run/model.ckpt-*.index')
  if kind == 'step':
    target = last_step() + dice.randint(2, 8)
    return lambda: last_step() >= target
  end = time.monotonic() + dice.uniform(0, 12)
  return lambda: time.monotonic() >= end


def kill_at(process, come):
  deadline = time.monotonic() + PATIENCE
  while process.poll() is None and not come():
    assert time.monotonic() < deadline
    time.sleep(0.001)  # the processes need both cores
  process.kill()
  return process.wait()


def facts(folder):
  """All that a run has found out, but for how fast it was."""
  rows = [
    [
      row[name]
      for name in ('step', 'loss', 'total_loss', 'accuracy', 'learning_rate')
    ]
    for row in metrics_log.read_metrics(folder)
  ]
  texts = [
    pathlib.Path(folder, name).read_text()
    for name in ('evaluations.csv', 'best.json')
  ]
  metrics = pathlib.Path(folder, 'eval/eval.json').read_text()
  return rows, texts, metrics.replace(folder, 'FOLDER')


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared', *['optimized'][: KILLS > 1])
def test_any_moment(flags):
  finish(flags, 'whole')
  dice = random.Random(os.environ.get('SEED', KILLS))
  cut, deaths = 0, 0
  for kind in (['writing', 'step', 'writing', 'time', 'step'] * KILLS)[:KILLS]:
    for _ in range(4):
      process = start(flags)
      deaths += kill_at(process, moment(kind, dice)) == -signal.SIGKILL
      if kind != 'writing' or being_written():
        break  # else it was written just before the end
    cut += bool(being_written())
  printed = finish(flags, 'run')
  assert deaths >= KILLS - 1
  assert cut >= max(1, KILLS // 5), 'no checkpoint was being written at a kill'
  assert 'Resuming from run/model.ckpt-' in printed
  assert facts('run') == facts('whole')
  assert builders.differing('run', 'whole') == []
  assert sorted(os.listdir('run/best')) == sorted(os.listdir('whole/best'))
  for best in glob.glob('run/best/*.index'):
    best = best.removesuffix('.index')
    assert builders.differing(best, best.replace('run', 'whole', 1)) == []
  assert not being_written()
