"""Networks for inference, in all runtimes that they are compared in.

What a runtime loads is made before: a checkpoint with random weights, its
exports by the project's own script, and PyTorch's export of the same network.
"""

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import turns

SESSION, KERAS = 'checkpoint, session', 'keras.applications'


class Case(NamedTuple):
  """A network that is measured.

  Fields:
    model_name: its name.
    size: height and width of its images.
    classes: of its logits; None for features.
    output_stride: of its features, None for the nominal one.
    keras: the function of keras.applications, if there is one.
  """

  model_name: str
  size: int
  classes: int | None = None
  output_stride: int | None = None
  keras: str | None = None

  @property
  def output(self) -> str:
    """The name of the output that is compared."""
    return 'logits' if self.classes else 'features'


CASES = {
  'classification': Case('resnet_v1_50', 224, classes=1000, keras='ResNet50'),
  'dense': Case('resnet_v1_101', 513, output_stride=16),
}


# What is made before the measuring.


def _build(case, images):
  from nets import nets_factory

  options: dict[str, Any] = {}
  if case.output_stride:
    options = {'global_pool': False, 'output_stride': case.output_stride}
  return nets_factory.get_network_fn(case.model_name, case.classes)(
    images, **options
  )[0]


def checkpoint(folder: str) -> str:
  """Returns the prefix of the checkpoint in a folder."""
  return os.path.join(folder, 'network.ckpt')


def write_checkpoint(folder: str, case: Case) -> None:
  """Writes a checkpoint with random weights, and the statistics of the start.

  For dense features it has the logits of a decoder too, without which no masks
  are exported.
  """
  import tensorflow.compat.v1 as tf

  from nets import decoders

  random = np.random.RandomState(0)
  with tf.Graph().as_default(), tf.Session() as session:
    images = tf.zeros([1, case.size, case.size, 3])
    if case.classes:
      _build(case, images)
    else:
      decoders.build(case.model_name, 'fcn', images, 21, is_training=False)
    variables = tf.global_variables()
    session.run([each.initializer for each in variables])
    for variable in variables:
      shape = variable.shape.as_list()
      if len(shape) == 4:
        scale = (2 / np.prod(shape[:-1])) ** 0.5
        variable.load(random.standard_normal(shape) * scale, session)
    tf.train.Saver(variables).save(
      session, checkpoint(folder), write_meta_graph=False, write_state=False
    )


def write_exported(folder: str, case: Case, formats: Sequence[str]) -> None:
  """Exports the checkpoint by the project's script.

  Raises:
    ValueError: it failed; has what it said.
  """
  import export_inference_graph

  flags = {
    'checkpoint_path': checkpoint(folder),
    'model_name': case.model_name,
    'format': ','.join(formats),
    'input': 'preprocessed',
    'output_dir': folder,
    'parity_examples': 1,
  }
  if not case.classes:
    flags |= {
      'task': 'segmentation',
      'output_stride': case.output_stride,
      'image_size': case.size,
      'end_point': f'{case.model_name}/block4',
    }
  said = io.StringIO()
  with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    status = export_inference_graph.main(
      ['export', *(f'--{name}={value}' for name, value in flags.items())]
    )
  if status:
    raise ValueError(said.getvalue().strip().splitlines()[-1])


def _native(folder):
  return os.path.join(folder, 'native.onnx')


def write_native(folder: str, case: Case) -> None:
  """Writes the network of PyTorch as ONNX, with a free batch."""
  import torch

  torch.onnx.export(
    _network(folder, case),
    (torch.zeros(1, 3, case.size, case.size),),
    _native(folder),
    input_names=['input'],
    output_names=['output'],
    dynamic_axes={'input': {0: 'batch'}, 'output': {0: 'batch'}},
    opset_version=17,
    dynamo=False,
  )


# Competitors.


def _as_it_is(values):
  return values


def _channels_first(images):
  return np.ascontiguousarray(np.moveaxis(images, -1, 1))


def _channels_last(outputs):
  return np.moveaxis(outputs, 1, -1)


class Loaded(NamedTuple):
  """A network in a runtime.

  Fields:
    run: returns logits or features of a batch.
    form: gives a batch, float32 [batch, height, width, 3], the form of run's.
    channels_last: returns what run has returned as [batch, ..., channels].
  """

  run: Callable[[Any], np.ndarray]
  form: Callable[[np.ndarray], Any] = _as_it_is
  channels_last: Callable[[np.ndarray], np.ndarray] = _as_it_is


def session(folder: str, case: Case) -> Loaded:
  """The checkpoint in a session, as evaluation runs it."""
  import tensorflow.compat.v1 as tf

  from engine.checkpoints.inference import InferenceSession
  from engine.common import runtime

  with runtime.graph_building(), tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [None, case.size, case.size, 3])
    outputs = _build(case, images)
    network = InferenceSession(graph)
    network.restore(checkpoint(folder))
  return Loaded(lambda fed: network.session.run(outputs, {images: fed}))


def exported(name: str, folder: str, case: Case) -> Loaded:
  """A format in its own runtime, as docs/export.md shows it."""
  from engine.export import standalone

  model = standalone.Model(os.path.join(folder, name))
  return Loaded(lambda images: model(images)[case.output])


def saved_model(folder: str, case: Case) -> Loaded:
  return exported('saved_model', folder, case)


def frozen_graph(folder: str, case: Case) -> Loaded:
  return exported('frozen_graph', folder, case)


def tflite(folder: str, case: Case) -> Loaded:
  return exported('tflite', folder, case)


def onnx(folder: str, case: Case) -> Loaded:
  return exported('onnx', folder, case)


def native_onnx(folder: str, case: Case) -> Loaded:
  import onnxruntime

  model = onnxruntime.InferenceSession(
    _native(folder), providers=['CPUExecutionProvider']
  )
  return Loaded(
    lambda images: model.run(None, {'input': images})[0],
    _channels_first,
    _channels_last,
  )


def _openvino(path, scope):
  """Runs a file in OpenVINO, compiled for the batch at hand."""
  import openvino

  core, compiled = openvino.Core(), {}

  def run(images):
    if images.shape not in compiled:
      compiled.clear()
      model = core.read_model(path)
      model.reshape(list(images.shape))
      compiled[images.shape] = core.compile_model(model, 'CPU')
    return compiled[images.shape](images)[scope]

  return run


def openvino_onnx(folder: str, case: Case) -> Loaded:
  path = os.path.join(folder, 'onnx', 'model.onnx')
  return Loaded(_openvino(path, case.output))


def openvino_frozen(folder: str, case: Case) -> Loaded:
  path = os.path.join(folder, 'frozen_graph', 'graph.pb')
  return Loaded(_openvino(path, f'{case.output}:0'))


def openvino_native(folder: str, case: Case) -> Loaded:
  return Loaded(
    _openvino(_native(folder), 'output'), _channels_first, _channels_last
  )


def keras(folder: str, case: Case) -> Loaded:
  import tensorflow

  network = getattr(tensorflow.keras.applications, case.keras)(
    weights=None, classes=case.classes
  )
  return Loaded(network.predict_on_batch)


def _network(folder, case):
  from benchmarks.rivals import torch_resnet
  from engine.checkpoints import contents

  network = torch_resnet.Network(
    case.model_name, case.classes, case.output_stride
  )
  return network.load(contents.read_values(checkpoint(folder), False)).eval()


def torch(folder: str, case: Case, compiles: bool = False) -> Loaded:
  import torch

  network = _network(folder, case).to(memory_format=torch.channels_last)
  if compiles:
    network = torch.compile(network, dynamic=False)

  def run(images):
    with torch.inference_mode():
      return network(images).numpy()

  return Loaded(
    run,
    lambda images: torch.from_numpy(images).permute(0, 3, 1, 2),
    _channels_last,
  )


def compiled_torch(folder: str, case: Case) -> Loaded:
  return torch(folder, case, compiles=True)


class Rival(NamedTuple):
  """What is measured.

  Fields:
    load: loads it from a folder.
    modules: what it needs besides TensorFlow.
    beside: the same network written natively, for the same runtime.
  """

  load: Callable[[str, Case], Loaded]
  modules: tuple[str, ...] = ()
  beside: str | None = None


_ORT, _OPENVINO = 'ONNX Runtime, native', 'OpenVINO, native'
RIVALS = {
  SESSION: Rival(session),
  'SavedModel': Rival(saved_model),
  'frozen graph': Rival(frozen_graph),
  'TFLite, XNNPACK': Rival(tflite),
  'ONNX Runtime, our ONNX': Rival(
    onnx, ('tf2onnx', 'onnx', 'onnxruntime'), _ORT
  ),
  _ORT: Rival(native_onnx, ('torch', 'onnx', 'onnxruntime')),
  'OpenVINO, our ONNX': Rival(
    openvino_onnx, ('tf2onnx', 'onnx', 'onnxruntime', 'openvino'), _OPENVINO
  ),
  'OpenVINO, our frozen graph': Rival(
    openvino_frozen, ('openvino',), _OPENVINO
  ),
  _OPENVINO: Rival(openvino_native, ('torch', 'onnx', 'openvino')),
  KERAS: Rival(keras),
  'PyTorch, eager': Rival(torch, ('torch',)),
  'PyTorch, compiled': Rival(compiled_torch, ('torch',)),
}


def missing(name: str, case: Case) -> str | None:
  """Returns why a competitor cannot be measured, None if it can."""
  if name == KERAS and not case.keras:
    return 'it has no such network'
  absent = [
    module
    for module in RIVALS[name].modules
    if importlib.util.find_spec(module) is None
  ]
  return f'{", ".join(absent)} is not installed' if absent else None


def prepare(folder: str, case: Case, names: Sequence[str]) -> None:
  """Makes all that competitors load."""
  turns.alone(write_checkpoint, folder, case)
  formats = ['saved_model', 'frozen_graph', 'tflite']
  if any('tf2onnx' in RIVALS[name].modules for name in names):
    formats.append('onnx')
  turns.alone(write_exported, folder, case, formats)
  if {_ORT, _OPENVINO} & {*names}:
    turns.alone(write_native, folder, case)
