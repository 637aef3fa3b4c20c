"""Killed again and again, at any moment, a run ends with the same bits.

KILLS=20 (make kills) kills it more often than twice, the default.
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
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
ROOT = pathlib.Path(__file__).parents[1]
KILLS = int(os.environ.get('KILLS', 2))
PATIENCE = 120  # seconds for a process to come to the moment of its death

# The training script with a network whose checkpoints, of 5 MB, take some time
# to write.
SCRIPT = """
import sys
import train_image_classifier
from nets import resnet_generator
from tests import builders
builders.register_tiny_networks()
from nets import nets_factory, resnet_v2
resnet_generator.UNITS['wide'] = (1, 1)
nets_factory.NETWORKS['resnet_v2_wide'] = nets_factory.Network.of(
    resnet_generator.network(resnet_v2.resnet_v2, resnet_v2.resnet_v2_block,
                             'resnet_v2_wide', 'wide'),
    resnet_v2.resnet_arg_scope, 'inception')
sys.exit(train_image_classifier.main(sys.argv))
"""


@pytest.fixture
def argv(colours):
  """A training with everything whose state could be lost."""
  return [
    f'--{name}={value}'
    for name, value in {
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
    }.items()
  ]


def start(argv, train_dir):
  return subprocess.Popen(
    [sys.executable, '-c', SCRIPT, *argv, f'--train_dir={train_dir}'],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )


def finish(process):
  printed, _ = process.communicate(timeout=300)
  assert process.returncode == 0, printed
  return printed


def last_step():
  return max(
    (int(row['step']) for row in metrics_log.read_metrics('run')), default=0
  )


def being_written():
  """The files of a checkpoint that is not there in whole yet."""
  return glob.glob('run/**/*.tempstate*', recursive=True)


def moment(kind, dice):
  """A function that says whether the moment to kill has come."""
  if kind == 'writing':
    return lambda: bool(being_written())
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
  process.communicate()
  return process.returncode


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


def test_any_moment(argv):
  dice = random.Random(os.environ.get('SEED', KILLS))
  whole = start(argv, 'whole')
  cut, deaths = 0, 0
  for kind in (['writing', 'step', 'writing', 'time', 'step'] * KILLS)[:KILLS]:
    for _ in range(4):
      process = start(argv, 'run')
      deaths += kill_at(process, moment(kind, dice)) == -signal.SIGKILL
      if kind != 'writing' or being_written():
        break  # else it was written just before the end
    cut += bool(being_written())
  printed = finish(start(argv, 'run'))
  finish(whole)
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
