"""Half precision: where it is refused, that it is active, and its values."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from engine.common import processor, runtime
from engine.config.scripts import TrainConfig
from engine.model import precision
from engine.model.gradients import gradients
from engine.training import optimizers
from nets import decoders, nets_factory

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
    precision.check('bf16', False)
  assert str(error.value) == (
    f'--precision=bf16 would be slower than float32 here: {file} lists no '
    'amx_bf16 instructions. Leave the flag out.'
  )


@pytest.mark.parametrize('value', ['0', 'false', 'False'])
def test_onednn_must_be_on(machine, value):
  machine(onednn=value)
  with pytest.raises(ValueError) as error:
    precision.check('bf16', False)
  assert str(error.value) == (
    f'--precision=bf16 needs oneDNN, which TF_ENABLE_ONEDNN_OPTS={value} '
    'turns off: unset that, or leave the flag out.'
  )


def test_float16_is_for_gpus():
  with pytest.raises(ValueError) as error:
    precision.check('fp16', False)
  assert str(error.value) == (
    '--precision=fp16 is for GPUs, and none is used here: a processor would '
    'be slower by it. Leave the flag out. Where a processor has AMX, '
    '--precision=bf16 is faster.'
  )


@pytest.mark.parametrize(
  'kind, capability, fine',
  [
    ('bf16', (8, 0), True),
    ('bf16', (7, 5), False),
    ('fp16', (7, 5), True),
    ('fp16', (6, 1), False),
    ('fp16', None, True),
  ],
)
def test_gpus_must_have_units(kind, capability, fine, pretended_gpu):
  """None: TensorFlow does not tell. The processor does not matter."""
  pretended_gpu.pop('compute_capability')
  if capability:
    pretended_gpu['compute_capability'] = capability
  if fine:
    precision.check(kind, True)
    return
  needs = '8.0' if kind == 'bf16' else '7.0'
  with pytest.raises(ValueError) as error:
    precision.check(kind, True)
  assert str(error.value) == (
    f'--precision={kind} needs GPUs of compute capability {needs}, and '
    f'Pretended has {capability[0]}.{capability[1]}. Leave the flag out.'
  )


def test_what_a_gpu_computes_in(pretended_gpu):
  assert precision.half('bf16') == tf.bfloat16
  assert precision.half('fp16') == tf.float16
  assert precision.half('fp32') is None
  assert precision.half('bf16', gpu=False) is None
  rewrites = [
    runtime.session_config(
      'bf16', runtime.Accelerator(allowed)
    ).graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16
    for allowed in (True, False)
  ]
  assert rewrites == [0, rewriter_config_pb2.RewriterConfig.ON]


@pytest.mark.parametrize('onednn', [None, '1'])
def test_accepted(machine, onednn):
  machine(onednn=onednn)
  precision.check('bf16', False)


@pytest.mark.parametrize('flags', [None, 'fpu'])
def test_float32_is_always_accepted(machine, flags):
  machine(flags, ['a GPU'], '0')
  precision.check('fp32', False)


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


HALF = (None, tf.bfloat16, tf.float16)


def _classify(images, weight_decay=0.0):
  return nets_factory.get_network_fn(
    'resnet_v2_tiny', 5, is_training=True, weight_decay=weight_decay
  )(images)


def _segment(images, weight_decay=0.0):
  """With depthwise convolutions, whose kernels have no regularizer."""
  return decoders.build(
    'resnet_v1_small',
    'deeplabv3plus',
    images,
    5,
    output_stride=8,
    depth=8,
    is_training=True,
    weight_decay=weight_decay,
    decoder_options={'aspp_with_separable_conv': True},
  )


def _built(build, dtype):
  """Returns the graph's names, and logits and gradients of a network."""
  images = np.random.RandomState(0).normal(size=[8, 33, 33, 3])
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(1)
    with precision.variables_read_as(dtype):
      logits, end_points = build(
        precision.cast(tf.constant(images, tf.float32), dtype)
      )
    end_points = precision.in_float32(end_points)
    logits = tf.cast(logits, tf.float32)
    slopes = np.random.RandomState(1).normal(size=logits.shape)
    trained = tf.trainable_variables()
    found = gradients(logits, trained, tf.constant(slopes, tf.float32))
    names = {
      name: [(each.op.name, each.dtype) for each in tf.get_collection(name)]
      for name in ('variables', 'model_variables', 'trainable_variables')
    }
    names['end points'] = {k: v.dtype for k, v in end_points.items()}
    convolutions = {
      (op.type, op.get_attr('T'))
      for op in graph.get_operations()
      if 'Conv2' in op.type or 'DepthwiseConv' in op.type
    }
    normalized = {
      (op.get_attr('T'), op.get_attr('U'))
      for op in graph.get_operations()
      if op.type == 'FusedBatchNormV3'
    }
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      values = session.run([logits, found])
    return names, convolutions, normalized, values


def _cosine(one, other):
  one, other = (
    np.concatenate([each.ravel() for each in values]) for values in (one, other)
  )
  return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.usefixtures('workplace')
@pytest.mark.parametrize(
  'build', [_classify, pytest.param(_segment, marks=pytest.mark.slow)]
)
def test_networks_in_half_precision(build):
  """The same variables, all float32, and nearly the same values."""
  exact, *others = [_built(build, dtype) for dtype in HALF]
  for dtype, digits, found in zip(HALF[1:], (8, 11), others, strict=True):
    names, convolutions, normalized, (logits, slopes) = found
    assert names == exact[0]
    assert convolutions == {(kind, dtype) for kind, _ in exact[1]}
    assert normalized == {(dtype, tf.float32)}
    wanted, expected = exact[3]
    difference = np.linalg.norm(logits - wanted) / np.linalg.norm(wanted)
    assert 0.1 < difference * 2**digits < 12  # roundings
    assert {each.dtype for each in slopes} == {np.dtype(np.float32)}
    assert 0.97 < _cosine(slopes, expected) < 1 - 1e-7


@pytest.mark.usefixtures('workplace')
@pytest.mark.parametrize('build', [_classify, _segment])
def test_the_regularization_of_kernels(build):
  """As of the network's own regularizer, and once for two clones."""
  config = TrainConfig(weight_decay=0.125)
  values = []
  for dtype in HALF[:2]:
    with tf.Graph().as_default():
      tf.set_random_seed(1)
      for reuse in (False, True):
        with (
          tf.variable_scope(tf.get_variable_scope(), reuse=reuse),
          precision.variables_read_as(dtype),
        ):
          images = precision.cast(tf.zeros([2, 33, 33, 3]), dtype)
          build(images, 0.0 if dtype else 0.125)
      loss = tf.losses.get_regularization_loss() + optimizers.regularization(
        config, tf.trainable_variables(), dtype is not None
      )
      assert loss.dtype == tf.float32
      with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values.append(session.run(loss))
  assert values[0] > 0.1
  assert values[1] == pytest.approx(values[0], rel=1e-5)
