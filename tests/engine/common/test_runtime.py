"""How graphs are built and run; the process is left as it was."""

import time

import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from engine.common import processor, runtime


def equal():
  """Whether two eager tensors of one value are equal, or None by identity."""
  found = tf.constant(1) == tf.constant(1)
  return None if found is False else bool(found)


@pytest.fixture
def restored():
  yield
  tf.disable_tensor_equality()  # as tests/conftest.py has it


@pytest.mark.parametrize('enabled', [True, False])
def test_tensor_equality_is_set_back(restored, enabled):
  """Also after an error; within, tensors are told apart by identity."""
  (tf.enable_tensor_equality if enabled else tf.disable_tensor_equality)()
  before = equal()
  assert before is (True if enabled else None)
  with pytest.raises(ZeroDivisionError):
    with runtime.graph_building():
      assert equal() is None
      raise ZeroDivisionError
  assert equal() is before


def test_as_a_decorator(restored):
  tf.enable_tensor_equality()
  compare = runtime.graph_building()(equal)
  assert compare() is None and compare() is None
  assert equal() is True


def test_sessions_share_a_gpu_or_leave_it_alone(graph):
  for gpu in (True, False):
    config = runtime.session_config(accelerator=runtime.Accelerator(gpu))
    assert config.gpu_options.allow_growth
    assert dict(config.device_count) == ({} if gpu else {'GPU': 0})
  value = tf.constant(3)
  with runtime.session(graph, gpu=False) as session:
    assert session.run(value) == 3


def test_how_a_gpu_is_used():
  def config(**fields):
    return runtime.session_config(accelerator=runtime.Accelerator(**fields))

  assert not config(allow_growth=False).gpu_options.allow_growth
  off = rewriter_config_pb2.RewriterConfig.OFF
  for keeps in (False, True):
    rewrites = config(keeps_layout=keeps).graph_options.rewrite_options
    assert (rewrites.layout_optimizer == off) == keeps
  for xla in (False, True):
    found = config(xla=xla).graph_options.optimizer_options.global_jit_level
    assert (found == tf.OptimizerOptions.ON_1) == xla


@pytest.mark.parametrize(
  'flags,onednn,apart',
  [('avx2', True, True), ('avx2', False, False), ('avx2 avx512f', True, False)],
)
def test_batch_norm_is_left_apart_where_it_is_slow_in_one(
  flags, onednn, apart, monkeypatch, tmp_path
):
  """In oneDNN's convolutions without AVX-512, and for inference alone."""
  monkeypatch.setattr(processor, 'CPUINFO', tmp_path / 'cpuinfo')
  monkeypatch.setattr(runtime, 'uses_onednn', lambda: onednn)

  def remapping(**options):
    config = runtime.session_config(**options)
    return config.graph_options.rewrite_options.remapping

  off = rewriter_config_pb2.RewriterConfig.OFF
  assert remapping(infers=True) != off  # an unknown processor
  processor.CPUINFO.write_text(f'flags : {flags}\n')
  assert (remapping(infers=True) == off) == apart
  assert remapping() != off


@pytest.mark.parametrize('tf32', [True, False])
@pytest.mark.parametrize('bits', [True, False])
def test_arithmetic_is_set_and_set_back(tf32, bits):
  """Also after an error."""

  def now():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    return enabled, runtime.is_deterministic()

  before = now()
  assert before == (True, False)
  with pytest.raises(ZeroDivisionError):
    with runtime.arithmetic(tf32, bits):
      assert now() == (tf32, bits)
      raise ZeroDivisionError
  assert now() == before


def test_what_has_no_deterministic_kernel():
  """As TensorFlow says it of a GPU; other errors stay as they are."""
  message = 'A deterministic GPU implementation of X is not available.\n more'
  error = tf.errors.UnimplementedError(None, None, message)
  with pytest.raises(ValueError) as found, runtime.arithmetic(True, True):
    raise error
  assert str(found.value) == (
    '--deterministic: TensorFlow has no kernel for the GPU that gives the same '
    'bits each time: A deterministic GPU implementation of X is not available. '
    'Pass --deterministic=false to do without.'
  )
  with pytest.raises(tf.errors.UnimplementedError):
    with runtime.arithmetic(True, False):
      raise error
  with pytest.raises(tf.errors.UnimplementedError, match='else'):
    with runtime.arithmetic(True, True):
      raise tf.errors.UnimplementedError(None, None, 'Something else')


@pytest.mark.parametrize('bits', [True, False])
def test_the_time(graph, bits):
  """TensorFlow's own operation is an error where bits are asked for."""
  with runtime.arithmetic(True, bits):
    now, own = runtime.timestamp(), tf.timestamp()
    assert now.dtype == tf.float64 and now.shape == []
    with tf.Session() as session:
      before = time.time()
      assert before - 1 <= session.run(now) <= time.time() + 1
      if bits:
        with pytest.raises(tf.errors.FailedPreconditionError):
          session.run(own)


@pytest.mark.parametrize('infers', [False, True])
def test_graphs_of_a_training_are_looked_over_once(infers):
  rewrites = runtime.session_config(infers=infers).graph_options.rewrite_options
  once = rewrites.meta_optimizer_iterations == type(rewrites).ONE
  assert once is not infers
