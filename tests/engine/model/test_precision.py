"""bfloat16: where it is refused, that it is active, and that it trains."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.common import processor, runtime
from engine.model import precision

# What TensorFlow's optimization of a graph makes of it counts.
pytestmark = pytest.mark.usefixtures('optimized')


@pytest.fixture
def machine(monkeypatch, tmp_path):
  """machine(flags, gpus, onednn): what `check` finds instead of this one."""

  def pretend(flags='fpu amx_bf16 avx512_bf16', gpus=(), onednn=None):
    file = tmp_path / 'cpuinfo'
    if flags is not None:
      file.write_text(
        f'processor\t: 0\nmodel name\t: amx_bf16 or so\nflags\t\t: {flags}\n\n'
      )
    monkeypatch.setattr(processor, 'CPUINFO', file)
    monkeypatch.setattr(
      tf.config, 'list_physical_devices', lambda kind=None: list(gpus)
    )
    monkeypatch.delenv('TF_ENABLE_ONEDNN_OPTS', raising=False)
    if onednn is not None:
      monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', onednn)
    return file

  return pretend


@pytest.mark.parametrize(
  'flags', ['fpu avx512f avx512_bf16', '', None, 'amx_bf16x']
)
def test_slow_processors_are_refused(machine, flags):
  """AVX512_BF16 alone is slower than float32; None: no such file."""
  file = machine(flags)
  with pytest.raises(ValueError) as error:
    precision.check('bf16')
  assert str(error.value) == (
    f'--precision=bf16 would be slower than float32 here: {file} lists no '
    'amx_bf16 instructions. Leave the flag out.'
  )


@pytest.mark.parametrize('value', ['0', 'false', 'False'])
def test_onednn_must_be_on(machine, value):
  machine(onednn=value)
  with pytest.raises(ValueError) as error:
    precision.check('bf16')
  assert str(error.value) == (
    f'--precision=bf16 needs oneDNN, which TF_ENABLE_ONEDNN_OPTS={value} '
    'turns off: unset that, or leave the flag out.'
  )


def test_gpus_are_refused(machine):
  machine(gpus=['a GPU'])
  with pytest.raises(ValueError) as error:
    precision.check('bf16')
  assert str(error.value) == (
    "--precision=bf16 is for CPUs: TensorFlow's rewriter has no bfloat16 "
    'for the GPU that is there, and none has been measured. Leave the flag '
    'out.'
  )


@pytest.mark.parametrize('onednn', [None, '1'])
def test_accepted(machine, onednn):
  machine(onednn=onednn)
  precision.check('bf16')


@pytest.mark.parametrize('flags', [None, 'fpu'])
def test_float32_is_always_accepted(machine, flags):
  machine(flags, ['a GPU'], '0')
  precision.check('fp32')


@pytest.mark.parametrize('kind', ['fp32', 'bf16'])
def test_gpus_are_shared(kind):
  assert runtime.session_config(kind).gpu_options.allow_growth


def _train(tiny, kind, steps=20):
  """Trains a tiny network on four colours.

  Returns:
    The losses, the dtypes of all variables, and {operation: how many have
    bfloat16 outputs in the graph that was run}.
  """
  random = np.random.RandomState(0)
  labels = np.arange(32) % 4
  colours = random.uniform(-1, 1, (4, 1, 1, 3))
  images = colours[labels] + random.normal(0, 0.1, (32, 16, 16, 3))
  with tf.Graph().as_default():
    tf.set_random_seed(1)
    logits, _ = tiny(tf.constant(images, tf.float32), 4)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    update = tf.train.MomentumOptimizer(0.05, 0.9).minimize(loss)
    metadata = tf.RunMetadata()
    with tf.Session(config=runtime.session_config(kind)) as session:
      session.run(tf.global_variables_initializer())
      session.run(loss)  # another graph: its rewriting says nothing of update
      losses = [
        session.run(
          [loss, update],
          run_metadata=metadata,
          options=(tf.RunOptions(output_partition_graphs=True)),
        )[0]
        for _ in range(steps)
      ]
      values = session.run(tf.global_variables())
    found = {}
    for partition in metadata.partition_graphs:
      for node in partition.node:
        if node.attr['T'].type == tf.bfloat16.as_datatype_enum:
          found[node.op] = found.get(node.op, 0) + 1
    return losses, {value.dtype for value in values}, found


@pytest.mark.skipif(
  not {'amx_bf16', 'avx512_bf16'} & processor.instructions(),
  reason='the rewriter leaves processors without bfloat16 alone',
)
def test_bfloat16_is_active_and_trains(tiny):
  """Convolutions and their gradients; weights stay float32."""
  exact, dtypes, operations = _train(tiny, 'fp32')
  assert operations == {} and dtypes == {np.dtype(np.float32)}
  rounded, dtypes, operations = _train(tiny, 'bf16')
  assert dtypes == {np.dtype(np.float32)}
  for name in ('Conv2D', 'BackpropFilter', 'BackpropInput'):
    assert sum(n for op, n in operations.items() if name in op) >= 4, name
  difference = np.abs(np.subtract(rounded, exact))
  assert 0 < difference[0] < 0.05
  assert exact[-1] < exact[0] / 5 and rounded[-1] < rounded[0] / 5
