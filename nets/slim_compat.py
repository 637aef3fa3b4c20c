"""Repairs tf-slim 1.1.0 for TensorFlow 2.16 to 2.21.

tf-slim takes names from private modules of TensorFlow that are no longer there,
in 2.16 as in 2.21. Importing this module sets them again, for all that use
TensorFlow in the process: the names in `MOVED`, which lists what of tf-slim
needs each, and the module of slim.batch_norm's layer, where tf-keras has moved
it. scikit-learn, which one loss of tf-slim uses, is imported when that is
called. A name that TensorFlow has is left alone. Importing nets or
preprocessing changes nothing else in the process.

`REPAIRED` lists the names that were set. Every module here imports slim from
this one place:

>>> from nets.slim_compat import slim
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

OLDEST = (2, 16)
NEWEST = (2, 21)

# Private module -> {the name that tf-slim asks it for: where it lives today}.
# All of them are gone from TensorFlow 2.16 and still gone from 2.21.
MOVED = {
  'tensorflow.python.framework.ops': {
    # create_train_op with clipping, optimize_loss, slim.utils
    'Tensor': tf.Tensor,
    'IndexedSlices': tf.IndexedSlices,
  },
  'tensorflow.python.ops.array_ops': {
    # slim.data's TFExampleDecoder, maxout, streaming metrics
    'stack': tf.stack,
    'unstack': tf.unstack,
  },
  'tensorflow.python.ops.control_flow_ops': {
    # TFExampleDecoder's Image handler, metrics, histograms
    'Assert': tf.compat.v1.Assert,
    'case': tf.compat.v1.case,
    'cond': tf.compat.v1.cond,
    'while_loop': tf.compat.v1.while_loop,
  },
  'tensorflow.python.ops.variable_scope': {
    # slim.local_variable, slim.global_variable
    'variable': tf.compat.v1.Variable
  },
}

# slim.batch_norm: on its first use the first module loads its layer from where
# tf_keras had it; the second is where it has it now.
_NORMALIZATION = 'tensorflow.python.layers.normalization'
_LAYER_HOME = 'tf_keras.src.layers.normalization.batch_normalization'
_NORMALIZATION_HOME = 'tf_keras.src.legacy_tf_layers.normalization'


def check_version(version: str) -> None:
  """Raises ImportError if tf-slim cannot be repaired for a TensorFlow.

  >>> check_version('2.21.0')

  Args:
    version: of TensorFlow, such as '2.21.0'.
  """
  release = tuple(int(part) for part in version.split('.')[:2])
  if release < OLDEST:
    raise ImportError(
      f'TensorFlow {version} is older than {OLDEST[0]}.{OLDEST[1]}, the '
      'oldest that these networks run on. Upgrade it: '
      'pip install --upgrade tensorflow tf-keras'
    )


def _module(name):
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ImportError(
      f'TensorFlow {tf.__version__} has no module {name}, which tf-slim '
      f'needs; the newest TensorFlow known to work is {NEWEST[0]}.'
      f'{NEWEST[1]}. Install it: pip install "tensorflow<={NEWEST[0]}.'
      f'{NEWEST[1]}.99" "tf-keras<={NEWEST[0]}.{NEWEST[1]}.99"'
    ) from error


def repair() -> list[str]:
  """Sets the names that are missing, and returns them ([] if none).

  Raises:
    ImportError: a module is missing, or the package tf-keras.
  """
  repaired = []
  for name, attributes in MOVED.items():
    module = _module(name)
    for attribute, home in attributes.items():
      if not hasattr(module, attribute):
        setattr(module, attribute, home)
        repaired.append(f'{name}.{attribute}')
  if importlib.util.find_spec('tf_keras') is None:
    raise ImportError(
      'slim.batch_norm needs the package tf-keras of the same version as '
      f'TensorFlow ({tf.__version__}): pip install tf-keras'
    )
  layers = _module(_NORMALIZATION)
  try:
    layers.BatchNormalization  # noqa: B018  (loaded on access)
  except (ImportError, AttributeError):
    layers.normalization = _module(_NORMALIZATION_HOME)
    repaired.append(f'{_NORMALIZATION}.BatchNormalization')
  return repaired


@contextlib.contextmanager
def batch_norm_by(make: Callable[[Callable], Callable]) -> Iterator[None]:
  """Builds slim.batch_norm's layers, within, by another function.

  Args:
    make: given `tf.nn.fused_batch_norm`, returns what is called in its place.
  """
  nn = _module(_LAYER_HOME).tf.compat.v1.nn
  fused = nn.fused_batch_norm
  nn.fused_batch_norm = make(fused)
  try:
    yield
  finally:
    nn.fused_batch_norm = fused


def uses_onednn() -> bool:
  """Whether TensorFlow computes by oneDNN on this processor."""
  port = _module('tensorflow.python.util._pywrap_util_port')
  return bool(port.IsMklEnabled())


def has_dilation_gradient() -> bool:
  """Whether this machine's kernels differentiate dilated convolutions.

  The forward kernels exist everywhere; the CPU's gradient kernels come with
  oneDNN alone (TF_ENABLE_ONEDNN_OPTS=0 turns it off, some platforms lack it),
  a GPU's with cuDNN. Asked without opening a session, since the first session
  of a process fixes its thread pool.
  """
  return uses_onednn() or bool(tf.config.list_physical_devices('GPU'))


@contextlib.contextmanager
def _sklearn_later() -> Iterator[None]:
  """Imports tf-slim, within, without scikit-learn, until it is used.

  metric_learning's cluster_loss alone needs it, whose import takes a second.
  """
  name = 'sklearn.metrics'
  if 'sklearn' in sys.modules or importlib.util.find_spec('sklearn') is None:
    yield
    return
  sys.modules[name] = None  # type: ignore[assignment]
  try:
    yield
  finally:
    del sys.modules[name]
  learning = _module('tf_slim.losses.metric_learning')
  learning.metrics, learning.HAS_SKLEARN = _Later(name), True


class _Later:
  """A module that is imported when an attribute of it is asked for."""

  def __init__(self, name: str):
    self._name = name

  def __getattr__(self, attribute: str) -> Any:
    return getattr(importlib.import_module(self._name), attribute)


check_version(tf.__version__)
REPAIRED = repair()

with _sklearn_later():
  import tf_slim as slim  # (after the repair)

__all__ = [
  'slim',
  'batch_norm_by',
  'has_dilation_gradient',
  'uses_onednn',
  'repair',
  'check_version',
]
