"""Images a second of exported networks, beside the checkpoint and others.

  python -m benchmarks.inference

Exports networks with random weights by the project's own script, and runs them

- from the checkpoint, in a session with variables, as evaluation does,
- as SavedModel, frozen graph, TFLite and ONNX, each in its own runtime, and in
  OpenVINO, which reads ONNX and frozen graphs,
- written in PyTorch, eager and compiled, and exported from there by
  torch.onnx: the same network as ONNX Runtime and OpenVINO have it natively,
- as keras.applications has the network for classification.

Each has a process of its own. All are alive and take turns, so that a slow
moment of the machine hits all alike; the table has medians of images a second,
and of the ratios within a turn: how many times as fast a row is as the
checkpoint's session, as Keras, and as the same network written natively.
Memory is the most that a process has had in use, from its start. What is not
installed is left out. All but Keras must say the same of the same images.

--images=N measures classify_image.py instead: a folder of N JPEGs of 500x375,
beside the bare network on arrays that are prepared.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import turns

Run = Callable[[np.ndarray], Any]
SESSION, KERAS = 'checkpoint, session', 'keras.applications'
_TOLERANCE = 1e-3  # of the scale, between libraries


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
  def scope(self) -> str:
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


def _checkpoint(folder):
  return os.path.join(folder, 'network.ckpt')


def write_checkpoint(folder: str, case: Case) -> None:
  """Writes a checkpoint with random weights, and the statistics of the start.

  For dense features it has the logits of a decoder too, which tell the export
  what it is for.
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
      session, _checkpoint(folder), write_meta_graph=False, write_state=False
    )


def write_exported(folder: str, case: Case, formats: Sequence[str]) -> None:
  """Exports the checkpoint by the project's script.

  Raises:
    ValueError: it failed; has what it said.
  """
  import export_inference_graph

  flags = {
    'checkpoint_path': _checkpoint(folder),
    'model_name': case.model_name,
    'format': ','.join(formats),
    'input': 'preprocessed',
    'output_dir': folder,
    'parity_examples': 1,
  }
  if not case.classes:
    flags |= {
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


# Competitors: each loads, and returns what runs a batch, float32 [batch,
# height, width, 3], and what gives the batch the form that it takes.


def _as_it_is(images):
  return images


def _channels_first(images):
  return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def session(folder: str, case: Case) -> tuple[Run, Run]:
  """The checkpoint in a session, as evaluation runs it."""
  import tensorflow.compat.v1 as tf

  from engine.checkpoints.inference import InferenceSession
  from engine.common import runtime

  with runtime.graph_building(), tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [None, case.size, case.size, 3])
    outputs = _build(case, images)
    network = InferenceSession(graph)
    network.restore(_checkpoint(folder))
  return lambda fed: network.session.run(outputs, {images: fed}), _as_it_is


def exported(name: str, folder: str, case: Case) -> tuple[Run, Run]:
  """A format in its own runtime, as docs/export.md shows it."""
  from engine.export import standalone

  model = standalone.Model(os.path.join(folder, name))
  return lambda images: model(images)[case.scope], _as_it_is


def saved_model(folder: str, case: Case) -> tuple[Run, Run]:
  return exported('saved_model', folder, case)


def frozen_graph(folder: str, case: Case) -> tuple[Run, Run]:
  return exported('frozen_graph', folder, case)


def tflite(folder: str, case: Case) -> tuple[Run, Run]:
  return exported('tflite', folder, case)


def onnx(folder: str, case: Case) -> tuple[Run, Run]:
  return exported('onnx', folder, case)


def native_onnx(folder: str, case: Case) -> tuple[Run, Run]:
  import onnxruntime

  model = onnxruntime.InferenceSession(
    _native(folder), providers=['CPUExecutionProvider']
  )
  return (lambda images: model.run(None, {'input': images})[0], _channels_first)


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


def openvino_onnx(folder: str, case: Case) -> tuple[Run, Run]:
  path = os.path.join(folder, 'onnx', 'model.onnx')
  return _openvino(path, case.scope), _as_it_is


def openvino_frozen(folder: str, case: Case) -> tuple[Run, Run]:
  path = os.path.join(folder, 'frozen_graph', 'graph.pb')
  return _openvino(path, f'{case.scope}:0'), _as_it_is


def openvino_native(folder: str, case: Case) -> tuple[Run, Run]:
  return _openvino(_native(folder), 'output'), _channels_first


def keras(folder: str, case: Case) -> tuple[Run, Run]:
  import tensorflow

  network = getattr(tensorflow.keras.applications, case.keras)(
    weights=None, classes=case.classes
  )
  return network.predict_on_batch, _as_it_is


def _network(folder, case):
  from benchmarks import torch_resnet
  from engine.checkpoints import contents

  network = torch_resnet.Network(
    case.model_name, case.classes, case.output_stride
  )
  return network.load(contents.read_values(_checkpoint(folder), False)).eval()


def torch(folder: str, case: Case, compiles: bool = False) -> tuple[Run, Run]:
  import torch

  network = _network(folder, case).to(memory_format=torch.channels_last)
  if compiles:
    network = torch.compile(network, dynamic=False)

  def run(images):
    with torch.inference_mode():
      return network(images).numpy()

  return run, lambda images: torch.from_numpy(images).permute(0, 3, 1, 2)


def compiled_torch(folder: str, case: Case) -> tuple[Run, Run]:
  return torch(folder, case, compiles=True)


class Rival(NamedTuple):
  """What is measured.

  Fields:
    load: loads it; see there.
    modules: what it needs besides TensorFlow.
    beside: the same network written natively, for the same runtime.
  """

  load: Callable[[str, Case], tuple[Run, Run]]
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


class Measured(NamedTuple):
  """What was measured of a competitor.

  Fields:
    seconds: of a batch, in each turn.
    peak: the most megabytes that its process has had in use.
  """

  seconds: Sequence[float]
  peak: float


class Answer(NamedTuple):
  """What a competitor says of a turn.

  Fields:
    seconds: of a batch.
    peak: see `Measured`.
    sample: some values of its output, flat.
  """

  seconds: float
  peak: float
  sample: np.ndarray


def batch_of(case: Case, size: int) -> np.ndarray:
  """Returns random images, float32 [size, height, width, 3]."""
  shape = size, case.size, case.size, 3
  return np.random.RandomState(1).uniform(-100, 100, shape).astype(np.float32)


def _load(name, folder, case):
  """Returns what measures one turn of a competitor, in its own process."""
  run, form = RIVALS[name].load(folder, case)
  fed: dict[int, Any] = {}

  def measure(size, least):
    if size not in fed:
      fed.clear()
      fed[size] = form(batch_of(case, size))
    images, said = fed[size], None

    def once():
      nonlocal said
      said = run(images)

    seconds = turns.seconds_of(once, least)
    values = np.asarray(said)
    if values.ndim == 4 and values.shape[1] > values.shape[-1]:
      values = values.transpose(0, 2, 3, 1)  # of the channels first
    flat = values.ravel()
    return Answer(seconds, turns.peak(), flat[:: max(1, flat.size // 1000)])

  return measure


def table(measured: Mapping[str, Measured], batch: int) -> list[str]:
  """Returns the lines of the table.

  Args:
    measured: by the names in `RIVALS`.
    batch: the number of images that are computed at once.
  """
  heads = (
    'images/s',
    'x session',
    'x Keras',
    'x native',
    'peak MB',
    'of session',
  )
  lines = [f'{"":28}' + ''.join(f'{head:>11}' for head in heads)]

  def times(name, other):
    if other not in measured:
      return ''
    ratio = turns.times_as_fast(measured[name].seconds, measured[other].seconds)
    return f'{ratio:.2f}'

  for name, (seconds, peak) in measured.items():
    cells = [
      f'{batch / statistics.median(seconds):.1f}',
      times(name, SESSION),
      times(name, KERAS),
      times(name, RIVALS[name].beside),
      f'{peak:,.0f}',
      f'{peak / measured[SESSION].peak:.2f}' if SESSION in measured else '',
    ]
    lines.append(f'{name:28}' + ''.join(f'{cell:>11}' for cell in cells))
  return lines


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


def _able(names, case):
  """Returns the competitors that can be measured; names the others."""
  found = []
  for name in names:
    reason = missing(name, case)
    if reason:
      print(f'Left out: {name}, since {reason}.', flush=True)
    else:
      found.append(name)
  return found


def prepare(folder: str, case: Case, names: Sequence[str]) -> None:
  """Makes all that competitors load."""
  turns.alone(write_checkpoint, folder, case)
  formats = ['saved_model', 'frozen_graph', 'tflite']
  if any('tf2onnx' in RIVALS[name].modules for name in names):
    formats.append('onnx')
  turns.alone(write_exported, folder, case, formats)
  if {_ORT, _OPENVINO} & {*names}:
    turns.alone(write_native, folder, case)


def _agrees(name, sample, wanted):
  difference = np.abs(sample - wanted).max() / np.abs(wanted).max()
  if not difference < _TOLERANCE:
    raise SystemExit(
      f'{name} says something else: by {difference:.1e} of the scale.'
    )


def _measure(rivals, batch, given):
  """Returns {name: Measured}; drops competitors that fail."""
  wanted = None
  for name in list(rivals):
    try:
      answer = rivals[name].ask(batch, 0)  # warms up
    except turns.Failed as failure:
      print(f'Left out: {name}, since {failure}.', flush=True)
      rivals.pop(name).close()
      continue
    if name != KERAS:
      wanted = answer.sample if wanted is None else wanted
      _agrees(name, answer.sample, wanted)
  peaks = {}

  def turn(name):
    answer = rivals[name].ask(batch, given.seconds)
    peaks[name] = answer.peak
    return answer.seconds

  found = turns.take(
    {name: lambda name=name: turn(name) for name in rivals},
    given.budget,
    given.turns,
  )
  return {name: Measured(found[name], peaks[name]) for name in found}


def compare(folder: str, case: Case, given: argparse.Namespace) -> None:
  """Prints a table for each batch size."""
  names = _able(given.competitors, case)
  prepare(folder, case, names)
  rivals = {name: turns.Competitor(_load, name, folder, case) for name in names}
  try:
    for batch in sorted(given.batch_sizes):  # memory only grows
      measured = _measure(rivals, batch, given)
      turn = len(next(iter(measured.values())).seconds)
      print(
        f'\n{case.model_name}, {case.size}x{case.size}, batch {batch}, '
        f'{os.cpu_count()} cores, medians of {turn} turns'
      )
      print('\n'.join(table(measured, batch)), flush=True)
  finally:
    for each in rivals.values():
      each.close()


# A folder of files.


def classify_folder(folder: str, images: str, case: Case, batch: int) -> Any:
  """Returns seconds a batch, from the second to the last, by the script."""
  from engine import classify
  from engine.config.scripts import ClassifyConfig
  from engine.input import image_files

  ticks, show = [], image_files.show

  def timed(*arguments, **options):
    ticks.append(time.perf_counter())
    show(*arguments, **options)

  image_files.show = timed
  config = ClassifyConfig(
    checkpoint_path=_checkpoint(folder),
    model_name=case.model_name,
    batch_size=batch,
  )
  begin = time.perf_counter()
  with contextlib.redirect_stdout(io.StringIO()):
    classify.classify(config, [images])
  first = ticks[batch - 1]
  return (
    (ticks[-1] - first) / (len(ticks) - batch) * batch,
    time.perf_counter() - begin,
  )


def _folder_turn(folder, images, case, batch):
  """Returns what measures one turn: both, in one process."""
  run, _ = session(folder, case)
  fed = batch_of(case, batch)
  run(fed)

  def measure(count):
    return turns.seconds_of(lambda: [run(fed) for _ in range(count)], 0) / count

  return measure


def _files(folder, images, case, batch):
  return lambda count: classify_folder(folder, images, case, batch)


def compare_folder(folder: str, case: Case, given: argparse.Namespace) -> None:
  """Prints what classify_image.py makes of a folder of JPEGs."""
  from benchmarks.input import make_photos

  turns.alone(write_checkpoint, folder, case)
  images = pathlib.Path(folder, 'images')
  images.mkdir()
  turns.alone(make_photos, images, given.images, 90)
  batch = 16
  count = given.images // batch
  arguments = folder, str(images), case, batch
  rivals = {
    'bare network': turns.Competitor(_folder_turn, *arguments),
    'classify_image.py': turns.Competitor(_files, *arguments),
  }
  whole = []

  def files():
    seconds, all_of_it = rivals['classify_image.py'].ask(count)
    whole.append(all_of_it)
    return seconds

  try:
    found = turns.take(
      {
        'bare network': lambda: rivals['bare network'].ask(count),
        'classify_image.py': files,
      },
      0,
      given.turns,
    )
  finally:
    for each in rivals.values():
      each.close()
  print(
    f'{case.model_name}, {given.images} JPEGs of 500x375, batches of {batch}, '
    f'{os.cpu_count()} cores, medians of {given.turns} turns'
  )
  for name, seconds in found.items():
    rate = batch / statistics.median(seconds)
    ratio = turns.times_as_fast(seconds, found['bare network'])
    print(f'{name:28}{rate:8.1f} images/s{ratio:8.2f} of the bare network')
  print(
    f'{statistics.median(whole):.0f} s from the start of the script to its end, '
    'imports apart'
  )


def main() -> None:
  """Measures as the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--cases', nargs='+', choices=CASES, default=[*CASES])
  parser.add_argument('--batch_sizes', type=int, nargs='+', default=[1, 16])
  parser.add_argument(
    '--competitors', nargs='+', choices=RIVALS, default=[*RIVALS]
  )
  parser.add_argument('--turns', type=int, default=3)  # at least
  parser.add_argument('--seconds', type=float, default=0.5)  # of a turn
  parser.add_argument('--budget', type=float, default=90)  # of a table, seconds
  parser.add_argument('--images', type=int, default=0)
  given = parser.parse_args()
  # TensorFlow turns oneDNN on by itself on some processors only.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  for name in given.cases[: 1 if given.images else None]:
    with tempfile.TemporaryDirectory() as folder:
      if given.images:
        compare_folder(folder, CASES[name], given)
      else:
        compare(folder, CASES[name], given)


if __name__ == '__main__':
  sys.exit(main())
