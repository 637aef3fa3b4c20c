"""Builders that the tests share: records, images, checkpoints, runs.

Its fixtures are for all tests; see conftest.py.
"""

import contextlib
import functools
import io
import itertools
import json
import os
import pathlib
import shutil
import types
from collections.abc import Callable, Sequence

import filelock
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from matplotlib import figure
from PIL import Image

import train_image_classifier
from datasets import dataset_utils
from datasets.records import description, tfrecord
from engine.input.pipeline import Source
from engine.tasks.classification.labels import ClassLabels
from engine.training import hooks, metrics_log
from nets import nets_factory, resnet_generator, resnet_v1, resnet_v2
from tests import golden

COLOURS = {
  'red': (200, 40, 40),
  'green': (40, 180, 40),
  'blue': (40, 40, 200),
  'grey': (120, 120, 120),
  'white': (235, 235, 235),
}
FAMILIES = {
  1: (
    resnet_v1.resnet_v1,
    resnet_v1.resnet_v1_block,
    resnet_v1.resnet_arg_scope,
    'vgg',
  ),
  2: (
    resnet_v2.resnet_v2,
    resnet_v2.resnet_v2_block,
    resnet_v2.resnet_arg_scope,
    'inception',
  ),
}


# Units in the blocks of small networks; a decoder needs a unit before the
# first stride, and rates a block that can be dilated.
UNITS = {'tiny': (1, 1), 'small': (2, 1, 1)}


def register_tiny_networks(setitem=dict.__setitem__) -> None:
  """Adds resnet_v1_tiny, resnet_v2_tiny and the same of 'small'."""
  for version, depth in itertools.product(FAMILIES, UNITS):
    family, block, arg_scope, preprocessing = FAMILIES[version]
    setitem(resnet_generator.UNITS, depth, UNITS[depth])
    name = f'resnet_v{version}_{depth}'
    function = functools.partial(
      resnet_generator.network(family, block, name, depth),
      depth_multiplier=1 / 8,
    )
    functools.update_wrapper(function, function.func)
    function.default_image_size = 32
    setitem(
      nets_factory.NETWORKS,
      name,
      nets_factory.Network.of(function, arg_scope, preprocessing),
    )


@contextlib.contextmanager
def shared(factory: pytest.TempPathFactory, name: str):
  """Yields a path that the workers of pytest-xdist share, to one at a time.

  Whoever finds nothing there makes it.
  """
  base = factory.getbasetemp()
  if 'PYTEST_XDIST_WORKER' in os.environ:
    base = base.parent
  path = base / 'shared' / name
  path.parent.mkdir(exist_ok=True)
  with filelock.FileLock(f'{path}.lock'):
    yield path


@pytest.fixture(scope='session')
def cache_home(tmp_path_factory) -> pathlib.Path:
  """The cache of all tests, so that the digits are made once."""
  with shared(tmp_path_factory, 'cache') as path:
    path.mkdir(exist_ok=True)
  return path


@pytest.fixture
def workplace(tmp_path, monkeypatch, cache_home) -> pathlib.Path:
  """An empty current folder, a cache, and the tiny networks."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('XDG_CACHE_HOME', str(cache_home))
  register_tiny_networks(monkeypatch.setitem)
  return tmp_path


@contextlib.contextmanager
def unoptimized():
  """Sessions run graphs as they were built.

  TensorFlow's optimization of a graph takes a quarter of the time of most
  tests. bfloat16 is part of it, and keeps it.
  """
  begin = tf.Session.__init__

  def plainly(session, target='', graph=None, config=None):
    given, config = config, tf.ConfigProto()
    if given is not None:
      config.CopyFrom(given)
    rewriting = config.graph_options.rewrite_options
    rewriting.disable_meta_optimizer = (
      rewriting.auto_mixed_precision_onednn_bfloat16 != rewriting.ON
    )
    begin(session, target, graph, config)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tf.Session, '__init__', plainly)
    yield


@contextlib.contextmanager
def loose_figures():
  """Figures are drawn without the search for a layout, a third of the time."""
  begin = figure.Figure.__init__

  def loosely(fig, *arguments, layout=None, **options):
    begin(fig, *arguments, **options)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figure.Figure, '__init__', loosely)
    yield


@pytest.fixture(autouse=True)
def plain_graphs(request):
  """Tests run graphs as they were built, but for those of `optimized`."""
  optimizes = 'optimized' in request.fixturenames
  with contextlib.nullcontext() if optimizes else unoptimized():
    yield


@pytest.fixture
def optimized(monkeypatch):
  """Graphs run as outside of tests: TensorFlow optimizes them."""
  monkeypatch.setattr(f'{__name__}.unoptimized', contextlib.nullcontext)


@pytest.fixture
def unevaluated(monkeypatch):
  """Leaves out the evaluation at the end of a training."""
  monkeypatch.setattr('engine.train._evaluate', lambda config: None)


@pytest.fixture
def pretended_gpu(monkeypatch):
  """TensorFlow names the engine a GPU; what is to be on it is on the CPU."""
  listed = tf.config.list_physical_devices
  gpu = tf.config.PhysicalDevice('/physical_device:GPU:0', 'GPU')
  monkeypatch.setattr(
    tf.config,
    'list_physical_devices',
    lambda kind=None: [gpu] if kind == 'GPU' else listed(kind),
  )
  details = {'device_name': 'Pretended', 'compute_capability': (9, 0)}
  monkeypatch.setattr(
    tf.config.experimental, 'get_device_details', lambda device: details
  )
  return details


@pytest.fixture
def uncompared(monkeypatch):
  """Leaves out batch norm's two statistics from evaluations."""
  monkeypatch.setattr(
    'engine.evaluation.evaluator.Evaluator._statistics', lambda _: []
  )


def call(script, *arguments: str, **flags) -> types.SimpleNamespace:
  """Runs a script's main in this process, by plain graphs, to loose figures.

  Args:
    script: its module.
    *arguments: other arguments, flags among them.
    **flags: name=value becomes --name=value.

  Returns:
    status, out and err: what it returned and printed.
  """
  out, err = io.StringIO(), io.StringIO()
  argv = [script.__name__, *(f'--{k}={v}' for k, v in flags.items())]
  with (
    unoptimized(),
    loose_figures(),
    contextlib.redirect_stdout(out),
    contextlib.redirect_stderr(err),
  ):
    status = script.main([*argv, *arguments])
  return types.SimpleNamespace(
    status=status, out=out.getvalue(), err=err.getvalue()
  )


def train(*arguments: str, **flags) -> types.SimpleNamespace:
  """Runs the training script; see `call`."""
  return call(train_image_classifier, *arguments, **flags)


def refused(printed: types.SimpleNamespace, *words: str) -> None:
  """Asserts a failure of one line on stderr that has all the words."""
  assert printed.status == 1
  assert printed.err.startswith('error: ')
  assert printed.err.count('\n') == 1, printed.err
  for word in words:
    assert word in printed.err
  assert 'Traceback' not in printed.out + printed.err


def source(
  dataset, preprocess, size: int, labels_offset: int = 0, *arguments, **options
) -> Source:
  """The examples of a split, with a class for every image.

  Args:
    dataset: the split.
    preprocess: see `ClassLabels`.
    size: height and width of the network's input.
    labels_offset: subtracted from every label.
    *arguments: of `Source`, behind labels_offset.
    **options: of `Source`.
  """
  classes = dataset.num_classes - labels_offset
  return Source(
    dataset,
    ClassLabels(preprocess, size, classes, labels_offset),
    labels_offset,
    *arguments,
    **options,
  )


@pytest.fixture(scope='session')
def colours(tmp_path_factory) -> str:
  """The folder of the colour dataset, for --dataset_dir."""
  with shared(tmp_path_factory, 'colours') as path:
    return str(path) if path.exists() else write_colours(path)


def fast(colours: str) -> dict:
  """Flags of a short training on the colours, in the folder 'run'."""
  return {
    'model_name': 'resnet_v1_tiny',
    'dataset_name': 'flowers',
    'dataset_dir': colours,
    'preprocessing_name': 'digits',
    'train_image_size': 32,
    'batch_size': 8,
    'max_number_of_steps': 2,
    'log_every_n_steps': 1,
    'train_dir': 'run',
  }


def learn(colours: str) -> dict:
  """Flags of a training that tells the colours apart at its end."""
  return {
    **fast(colours),
    'batch_size': 16,
    'max_number_of_steps': 30,
    'learning_rate': 0.1,
    'log_every_n_steps': 10,
  }


def finished(
  folder: pathlib.Path, cache_home: pathlib.Path, flags: dict
) -> types.SimpleNamespace:
  """Trains in a folder with the tiny networks; returns what was printed."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(cache_home))
    register_tiny_networks(patch.setitem)
    printed = train(**{**flags, 'train_dir': folder})
  assert printed.status == 0, printed.err
  printed.folder = folder
  return printed


def shared_run(
  factory: pytest.TempPathFactory,
  name: str,
  cache_home: pathlib.Path,
  flags: dict,
) -> types.SimpleNamespace:
  """Returns what `finished` does, of one training for all workers."""
  with shared(factory, name) as folder:
    told = pathlib.Path(f'{folder}.json')
    if not told.exists():
      printed = finished(folder, cache_home, flags)
      told.write_text(json.dumps({'out': printed.out, 'err': printed.err}))
  return types.SimpleNamespace(
    folder=folder, status=0, **json.loads(told.read_text())
  )


def save_every_step(patch: pytest.MonkeyPatch) -> None:
  """Lets trainings write a checkpoint after each step; see `rewind`."""
  begin = hooks.Save.__init__

  def eagerly(save, saver, path, seconds, *others):
    begin(save, saver, path, 0, *others)

  patch.setattr(hooks.Save, '__init__', eagerly)


def rewind(run: str | pathlib.Path, step: int, folder: str) -> None:
  """Copies a run as if it had been killed after a step that it has saved."""
  shutil.copytree(run, folder)
  kept = []
  for path in pathlib.Path(folder).glob('model.ckpt-*.index'):
    number = int(path.stem.rpartition('-')[2])
    if number <= step:
      kept.append(number)
      continue
    for file in path.parent.glob(f'{path.stem}.*'):
      file.unlink()
  assert step in kept
  paths = [f'{folder}/model.ckpt-{number}' for number in sorted(kept)]
  tf.train.update_checkpoint_state(folder, paths[-1], paths)
  path = pathlib.Path(folder, metrics_log.METRICS_FILENAME)
  header, *rows = path.read_text().splitlines(keepends=True)
  column = header.split(',').index('step')
  path.write_text(
    header + ''.join(row for row in rows if int(row.split(',')[column]) <= step)
  )


@pytest.fixture(scope='session')
def digits_run(tmp_path_factory, cache_home) -> types.SimpleNamespace:
  """A finished run of six steps on the digits: folder, status, out, err.

  Its folder is for reading; copy it for anything else.
  """
  return shared_run(
    tmp_path_factory,
    'digits_run',
    cache_home,
    {
      'model_name': 'resnet_v2_tiny',
      'max_number_of_steps': 6,
      'batch_size': 16,
      'log_every_n_steps': 2,
    },
  )


@pytest.fixture(scope='session')
def colours_run(tmp_path_factory, cache_home, colours) -> types.SimpleNamespace:
  """A finished run that has learned the colours; see `digits_run`."""
  return shared_run(tmp_path_factory, 'colours_run', cache_home, learn(colours))


def colour_image(label: int, seed: int, size: int = 40) -> Image.Image:
  """A noisy image of the `label`-th colour."""
  noise = np.random.RandomState(seed).uniform(-30, 30, (size, size, 3))
  colour = list(COLOURS.values())[label]
  return Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8))


def encode(image: Image.Image, form: str) -> bytes:
  """The bytes of an image file; `form` is 'png' or 'jpeg'."""
  data = io.BytesIO()
  image.save(data, form)
  return data.getvalue()


def colour_example(label: int, seed: int) -> tf.train.Example:
  """A record of a colour: PNG for an even seed, JPEG for an odd one."""
  form = ('png', 'jpeg')[seed % 2]
  return dataset_utils.image_to_tfexample(
    encode(colour_image(label, seed), form), form.encode(), 40, 40, label
  )


def write_colours(
  folder: pathlib.Path,
  train: int = 80,
  validation: int = 23,
  labels: tuple[int, ...] = (0, 1, 2, 3, 4),
) -> str:
  """Writes a dataset of five colours in the form of flowers.

  Args:
    folder: made if need be.
    train: the number of examples in the two shards for training.
    validation: the number in the one for validation.
    labels: the colours that occur.

  Returns:
    The folder, as --dataset_dir takes it.
  """
  folder.mkdir(parents=True, exist_ok=True)
  shards = [
    ('train_00000-of-00002', range(0, train // 2)),
    ('train_00001-of-00002', range(train // 2, train)),
    ('validation_00000-of-00001', range(1000, 1000 + validation)),
  ]
  for name, seeds in shards:
    dataset_utils.write_tfrecord(
      folder / f'flowers_{name}.tfrecord',
      (colour_example(labels[seed // 2 % len(labels)], seed) for seed in seeds),
    )
  dataset_utils.write_label_file(dict(enumerate(COLOURS)), folder)
  return str(folder)


def damage_colours(
  folder: str, split: str = 'train_00000-of-00002', number: int = 4
) -> str:
  """Cuts the image of a record short; returns the record's name."""
  path = pathlib.Path(folder, f'flowers_{split}.tfrecord')
  records = list(tf.io.tf_record_iterator(str(path)))
  example = tf.train.Example.FromString(records[number])
  data = example.features.feature['image/encoded'].bytes_list.value
  data[0] = data[0][: len(data[0]) // 2]
  records[number] = example.SerializeToString()
  tfrecord.write(path, records)
  return f'record {number} of {path}'


def write_released(
  path: pathlib.Path, model_name: str, num_classes: int, version: int = 2
) -> str:
  """Writes a checkpoint like a released one: model variables, nothing else.

  Args:
    path: its prefix; for V1 the file.
    model_name: a network that is registered.
    num_classes: 1000 or 1001, as they were released.
    version: 1 or 2, TensorFlow's checkpoint format.

  Returns:
    `path` as --checkpoint_path takes it.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with tf.Graph().as_default(), tf.Session() as session:
    nets_factory.get_network_fn(model_name, num_classes, is_training=False)(
      tf.zeros([1, 32, 32, 3])
    )
    variables = tf.global_variables()
    for variable in variables:
      variable.load(golden.fill(variable.op.name, variable.shape), session)
    tf.train.Saver(variables, write_version=version).save(
      session, str(path), write_meta_graph=False, write_state=False
    )
  return str(path)


def write_checkpoint(path: str, values: dict[str, np.ndarray]) -> None:
  """Writes a checkpoint of these values and no other."""
  with tf.Graph().as_default(), tf.Session() as session:
    saver = tf.train.Saver(
      {
        name: tf.get_variable(f'v{i}', initializer=value, use_resource=True)
        for i, (name, value) in enumerate(values.items())
      }
    )
    session.run(tf.global_variables_initializer())
    saver.save(session, path, write_meta_graph=False, write_state=False)


def add_checkpoint(
  folder: str | pathlib.Path,
  step: int,
  values: dict[str, np.ndarray],
  **changes: np.ndarray,
) -> None:
  """Adds a checkpoint to a run's folder, as its newest.

  Args:
    folder: has a file `checkpoint`, or none at all.
    step: of the checkpoint.
    values: its values by name, besides global_step.
    **changes: instead of the values whose names end like that; _ is /.
  """
  values = {**values, 'global_step': np.int64(step)}
  for ending, value in changes.items():
    for name in values:
      if name.endswith(ending.replace('_', '/')):
        values[name] = value
  path = str(pathlib.Path(folder, f'model.ckpt-{step}'))
  write_checkpoint(path, values)
  state = tf.train.get_checkpoint_state(str(folder))
  known = [
    str(pathlib.Path(folder, pathlib.Path(each).name))
    for each in (state.all_model_checkpoint_paths if state else [])
  ]
  tf.train.update_checkpoint_state(str(folder), path, [*known, path])


def tensors(checkpoint: str) -> dict[str, np.ndarray]:
  """All the values of a checkpoint, or of the newest one in a folder."""
  reader = tf.train.load_checkpoint(checkpoint)
  return {
    name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
  }


def differing(first: str, second: str) -> list[str]:
  """The names whose bits differ between two checkpoints, or that lack."""
  one, two = tensors(first), tensors(second)
  return sorted(
    name
    for name in one.keys() | two.keys()
    if name not in one
    or name not in two
    or one[name].tobytes() != two[name].tobytes()
  )


# Coloured rectangles on noise, and their masks.

SHAPE_NAMES = ('background', 'red', 'green')
SHAPE_COLOURS = np.array([(128, 128, 128), (220, 30, 30), (30, 200, 30)])
IGNORED = 255


def shape(
  seed: int, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """An image and its mask: two rectangles, and a corner that is ignored."""
  random = np.random.RandomState(seed)
  height, width = size or (24 + 4 * (seed % 3), 32 - 4 * (seed % 2))
  mask = np.zeros((height, width), np.uint8)
  for value in (1, 2):
    y, x = random.randint(0, height - 10), random.randint(0, width - 10)
    mask[y : y + random.randint(8, 16), x : x + random.randint(8, 16)] = value
  noise = random.uniform(-20, 20, (height, width, 3))
  image = np.clip(SHAPE_COLOURS[mask] + noise, 0, 255).astype(np.uint8)
  mask[:3, :3] = IGNORED
  return image, mask


def shape_example(seed: int, ignored: int = IGNORED) -> tf.train.Example:
  """The record of a shape, with another value where it is ignored."""
  image, mask = shape(seed)
  mask[mask == IGNORED] = ignored
  return dataset_utils.image_seg_to_tfexample(
    encode(Image.fromarray(image), 'png'),
    b'png',
    f'shape {seed}.png'.encode(),
    *mask.shape,
    3,
    encode(Image.fromarray(mask), 'png'),
  )


SHAPE_TRAIN, SHAPE_VAL = range(12), range(100, 107)


def write_shapes(
  folder: pathlib.Path, train=SHAPE_TRAIN, val=SHAPE_VAL, ignored: int = IGNORED
) -> str:
  """Writes the dataset; returns the folder, as --dataset_dir takes it."""
  folder.mkdir(parents=True, exist_ok=True)
  for split, seeds in (('train', train), ('val', val)):
    dataset_utils.write_tfrecord(
      folder / f'{split}-00000-of-00001.tfrecord',
      [shape_example(seed, ignored) for seed in seeds],
    )
  dataset_utils.write_label_file(dict(enumerate(SHAPE_NAMES)), folder)
  return str(folder)


def write_broken_shapes(
  folder: str, change: Callable[[Image.Image], Image.Image]
) -> str:
  """Writes the shapes, and changes the mask of record 5 for training."""

  def broken(seed):
    example = shape_example(seed)
    if seed == 5:
      changed = change(Image.fromarray(shape(seed)[1]))
      replace_mask(example, changed)
    return example

  path = write_shapes(pathlib.Path(folder))
  dataset_utils.write_tfrecord(
    pathlib.Path(path, 'train-00000-of-00001.tfrecord'),
    map(broken, SHAPE_TRAIN),
  )
  return path


def replace_mask(example: tf.train.Example, mask: Image.Image) -> None:
  """Puts another mask into a record."""
  data = example.features.feature['image/segmentation/class/encoded'].bytes_list
  data.value[0] = encode(mask, 'png')


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> str:
  """The folder of the shapes, for --dataset_dir."""
  with shared(tmp_path_factory, 'shapes') as path:
    return str(path) if path.exists() else write_shapes(path)


@pytest.fixture(scope='session')
def shapes_run(tmp_path_factory, cache_home, shapes) -> types.SimpleNamespace:
  """A finished run of two steps on the shapes: folder, status, out, err."""
  return shared_run(
    tmp_path_factory,
    'shapes_run',
    cache_home,
    shape_flags(shapes, evaluate_every=1),
  )


def shape_flags(shapes: str, **others) -> dict:
  """Flags of a short training on the shapes, in the folder 'run'."""
  return {
    'model_name': 'resnet_v1_small',
    'dataset_dir': shapes,
    'train_crop_size': 33,
    'output_stride': 8,
    'decoder': 'fcn',
    'decoder_depth': 8,
    'batch_size': 4,
    'max_number_of_steps': 2,
    'log_every_n_steps': 1,
    'train_dir': 'run',
    'learning_rate': 0.05,
    **others,
  }


# Noise, and masks of noise.


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
  """The bytes of a PNG; of another mode if that is named."""
  image = Image.fromarray(pixels)
  data = io.BytesIO()
  (image.convert(mode) if mode else image).save(data, 'png')
  return data.getvalue()


def noise_image(seed: int, height: int, width: int) -> np.ndarray:
  """A noisy image: uint8 [height, width, 3]."""
  return np.random.default_rng(seed).integers(
    0, 256, (height, width, 3), np.uint8
  )


def noise_mask(
  seed: int, height: int, width: int, values: Sequence[int]
) -> np.ndarray:
  """A mask of some values: uint8 [height, width]."""
  return np.random.default_rng(seed).choice(
    np.array(values, np.uint8), (height, width)
  )


def mask_record(seed: int, ids: np.ndarray, **features) -> bytes:
  """A record of a noisy image and these ids; None leaves a feature out."""
  height, width = ids.shape[:2]
  example = dataset_utils.image_seg_to_tfexample(
    png(noise_image(seed, height, width)),
    b'png',
    f'Bild {seed}'.encode(),
    height,
    width,
    3,
    png(ids),
  )
  names = {'data': 'image/encoded', 'seg': 'image/segmentation/class/encoded'}
  for name, value in features.items():
    del example.features.feature[names[name]]
    if value is not None:
      example.features.feature[names[name]].CopyFrom(
        dataset_utils._feature(value)
      )
  return dataset_utils.serialize(example)


def write_masks(
  folder: pathlib.Path,
  names: Sequence[str],
  ignore_label: int | None = 255,
  described: bool = True,
  data_name: str = 'tfrecord',
  source_values: tuple[int, ...] = (),
  **splits: list[bytes],
) -> str:
  """Writes records, labels.txt and dataset.json; returns the folder.

  Of pixels dataset.json says what a loop over them says.
  """
  folder.mkdir(parents=True, exist_ok=True)
  found = {}
  for split, records in splits.items():
    name = f'{split}-00000-of-00001.tfrecord'
    written = tfrecord.write(folder / name, records)
    if described:
      found[split] = description.Split(
        {name: written}, *_count_pixels(records, len(names), ignore_label)
      )
  dataset_utils.write_label_file(dict(enumerate(names)), folder)
  if described:
    description.write(
      description.Description(
        data_name,
        tuple(names),
        3,
        (8, 8),
        (30, 30),
        found,
        'segmentation',
        ignore_label,
        source_values,
      ),
      folder,
    )
  return os.fspath(folder)


def _count_pixels(records, classes, ignore_label):
  pixels, images, ignored = [0] * classes, [0] * classes, 0
  for data in records:
    feature = tf.train.Example.FromString(data).features.feature[
      'image/segmentation/class/encoded'
    ]
    ids = np.asarray(Image.open(io.BytesIO(feature.bytes_list.value[0])))
    for label in range(classes):
      if label != ignore_label:
        pixels[label] += int((ids == label).sum())
        images[label] += bool((ids == label).any())
    ignored += int((ids == ignore_label).sum())
  return tuple(images), tuple(pixels), ignored
