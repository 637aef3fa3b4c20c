"""Trainings as on a GPU, of which a CPU computes the same graph.

No GPU is needed: the kernels of half precision are there for CPUs too.
"""

import numpy as np
import pytest

from engine.training import loss_scale, metrics_log
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace', 'unevaluated')

SCALE = {'loss_scale/factor', 'loss_scale/steps'}


def succeeded(**flags):
  printed = builders.train(**flags)
  assert printed.status == 0, printed.err
  return builders.tensors(flags['train_dir'])


@pytest.fixture
def flags(colours):
  return {
    **builders.fast(colours),
    'max_number_of_steps': 3,
    'log_every_n_steps': 1,
    'recalibrate_batch_norm_batches': 0,
    'keep_checkpoints': 9,
  }


@pytest.mark.parametrize(
  'given',
  [
    {'precision': 'fp16'},
    pytest.param({'precision': 'bf16'}, marks=pytest.mark.slow),
    pytest.param(
      {'precision': 'fp16', 'freeze_batch_norm': True, 'learning_rate': 1e-4},
      marks=pytest.mark.slow,
    ),
  ],
)
def test_resumes_exactly(flags, given, pretended_gpu, monkeypatch):
  """Of float16 the first step is passed over, and its scale is kept."""
  monkeypatch.setattr(loss_scale, 'FIRST', 2.0**18)
  builders.save_every_step(monkeypatch)
  flags = {**flags, **given}
  values = succeeded(**{**flags, 'train_dir': 'whole'})
  assert {
    name for name in values if values[name].dtype != np.float32
  } <= SCALE | {'global_step'}
  if given['precision'] == 'fp16':
    assert SCALE <= values.keys()
    name = 'resnet_v1_tiny/logits/weights'
    first = [builders.tensors(f'whole/model.ckpt-{i}') for i in (1, 2)]
    assert (first[0]['loss_scale/factor'] < 2**18) != (
      first[0][f'{name}/Momentum'].any()
    )
    assert first[1]['global_step'] == 2
  else:
    assert not SCALE & values.keys()
  builders.rewind('whole', 2, 'half')
  succeeded(**{**flags, 'train_dir': 'half'})
  assert builders.differing('whole', 'half') == []
  assert [row['loss'] for row in metrics_log.read_metrics('half')] == [
    row['loss'] for row in metrics_log.read_metrics('whole')
  ]


def test_a_run_keeps_its_float16(flags, pretended_gpu):
  """Its checkpoints have a scale, which others lack."""
  succeeded(**{**flags, 'train_dir': 'run', 'max_number_of_steps': 1})
  builders.refused(
    builders.train(
      **{**flags, 'train_dir': 'run', 'precision': 'fp16'}, accept_changes=True
    ),
    'was begun with precision=fp32, not fp16: name another --train_dir',
  )


def test_float16_needs_a_gpu(flags):
  builders.refused(
    builders.train(**flags, precision='fp16'), '--precision=fp16 is for GPUs'
  )
