"""Exported models that are run here: which a path means, and what they say."""

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import json_files
from datasets.suggestions import nearest
from engine.checkpoints import locate
from engine.common import logs, runtime
from engine.config.export import INPUTS, ExportConfig
from engine.config.tasks import TASKS, get_task
from engine.export import samples, standalone
from engine.input import pixel_mean
from engine.tasks.base import Said

FLAG = '--exported'
_RUN_FOLDER = 'export'  # the default place of a run's exports
_UNFINISHED = ('.tmp', '.old')
# What goes through a model at once where no flag says so.
_IMAGES, _PIXELS = 16, 1 << 20
_HIDDEN, _SHOWN = -1, 1  # of stderr, where TFLite tells of its delegates
_AGAIN = 'export the model again.'


class _Input(TypedDict):
  """What goes in."""

  kind: str
  dtype: str
  shape: list[int | None]
  values: str


class _Output(TypedDict):
  """What comes out."""

  dtype: str
  shape: list[int | None]


class _Told(TypedDict):
  """What model.json says, as far as it is used."""

  format: str
  quantize: str | None
  task: str
  model_name: str
  end_point: str | None
  checkpoint: str
  step: int | None
  moving_averages: bool
  input: _Input
  preprocessing_name: str
  preprocessing: str
  network_input: list[int | None]
  outputs: dict[str, _Output]
  class_names: list[str]
  labels_offset: int
  versions: dict[str, str]


class Given(NamedTuple):
  """An image for a model.

  Fields:
    source: the number of its record, or the path of its file.
    label: as it was written; None of a file.
    data: the bytes of a file.
    image: uint8 [height, width, 3], as it is decoded.
  """

  source: Any
  label: Any
  data: bytes
  image: np.ndarray


def inside(folder: str) -> list[str]:
  """Returns the exported models in a folder of them."""
  names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
  return [
    os.path.join(folder, name)
    for name in names
    if not name.endswith(_UNFINISHED)
    and os.path.isfile(os.path.join(folder, name, standalone.DESCRIPTION))
  ]


def _is_model(path):
  return os.path.isfile(os.path.join(path, standalone.DESCRIPTION))


def is_meant(path: str) -> bool:
  """Whether a path is an exported model, a part of one, or a folder of them.

  A folder with checkpoints is that of a run.
  """
  folder = path if os.path.isdir(path) else os.path.dirname(path)
  if os.path.lexists(path) and _is_model(folder):
    return True
  return bool(inside(path)) and not locate.listed(path)


def _refusal(path, flag):
  """Returns what to do about a path that is no exported model."""
  outer, name = os.path.split(os.path.abspath(path))
  if os.path.isfile(path) and _is_model(outer):
    folder = os.path.dirname(path) or '.'
    return f'{path} is a part of an exported model: name its folder, {folder}.'
  exports = inside(os.path.join(path, _RUN_FOLDER))
  if exports:
    return (
      f'{path} is no exported model, but has some: name one of '
      f'{", ".join(exports)} with {flag}.'
    )
  if locate.listed(path) or (
    os.path.join(outer, locate.without_ending(name)) in locate.listed(outer)
  ):
    return (
      f'{path} is a checkpoint, or a folder of them, and no exported model: '
      f'pass it with --checkpoint_path instead of {flag}.'
    )
  if os.path.lexists(path):
    return (
      f'{path} holds no exported model: name the folder of a format, such as '
      f'RUN/{_RUN_FOLDER}/tflite, with {flag}.'
    )
  near = [os.path.basename(each) for each in inside(outer)]
  near = [os.path.join(outer, each) for each in nearest(name, near)]
  hint = f' Did you mean {" or ".join(near)}?' if near else ''
  return (
    f'There is no folder {path}: {flag} takes an exported model, such as '
    f'RUN/{_RUN_FOLDER}/tflite.{hint}'
  )


def find(path: str, flag: str = FLAG) -> str:
  """Returns the folder of the exported model that a user means by a path.

  Args:
    path: the folder, or one with it and no other exported model.
    flag: what the user gave it by, for the error.

  Raises:
    ValueError: there is none, or several; the sentence says what to do.
  """
  if _is_model(path):
    return path
  found = inside(path)
  if len(found) > 1:
    raise ValueError(
      f'{path} holds {len(found)} exported models: name one of '
      f'{", ".join(found)}.'
    )
  if not found:
    raise ValueError(_refusal(path, flag))
  return found[0]


def describe(folder: str) -> dict[str, Any]:
  """Returns what model.json says of a model.

  Raises:
    ValueError: it is damaged, or the model is not there.
  """
  path = os.path.join(folder, standalone.DESCRIPTION)
  try:
    told = json_files.read(path)
    json_files.check(told, _Told, 'it')
    for value, known in (
      (told['format'], standalone.FILES),
      (told['task'], TASKS),
      (told['input']['kind'], INPUTS),
    ):
      if value not in known:
        raise ValueError(f'{value!r} is unknown')
  except (OSError, ValueError) as error:
    raise ValueError(
      f'{path} does not describe an exported model ({error}): {_AGAIN}'
    ) from None
  standalone.model_file(folder, told)
  return told


def _preparation(told):
  """Returns what gives the network's input for an image, as evaluation does."""
  size, channels = told['network_input'][1], told['network_input'][3]
  config = pixel_mean.found(
    ExportConfig(
      checkpoint_path=told['checkpoint'],
      model_name=told['model_name'],
      preprocessing_name=told['preprocessing_name'],
      eval_image_size=size,
      use_grayscale=channels == 1,
    ),
    told['checkpoint'],
  )
  graph = tf.Graph()
  with graph.as_default():
    image = tf.placeholder(tf.uint8, [None, None, 3])
    served = get_task(told['task']).serve(config, {}, told['class_names'])
    prepared = served.prepare(image)
  session = runtime.session(graph)
  return lambda found: session.run(prepared, {image: found})


def _load(folder):
  """Returns the model in its runtime; ValueError if it does not load."""
  try:
    with logs.stderr_hidden(_HIDDEN):
      return standalone.Model(folder)
  except ImportError as error:
    raise ValueError(
      f'{folder} needs {error.name or error}. This installs all that exports '
      "need, in the folder of the project: pip install '.[export]'"
    ) from None
  except Exception as error:  # each runtime has errors of its own
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    raise ValueError(
      f'{folder} does not load in its runtime ({reason[:200]}): {_AGAIN}'
    ) from None


class Exported:
  """An exported model, which is loaded when it is used first.

  Attributes:
    folder: where it is.
    told: what model.json says.
    batch: how many images it takes at once, None for any number.
    size: height and width that images are brought to, None for any.
  """

  def __init__(self, path: str):
    """Reads what the model is.

    Args:
      path: see `find`.

    Raises:
      ValueError: it is none, or it tells no classes.
    """
    self.folder = find(path)
    self.told = describe(self.folder)
    if self.told['end_point']:
      raise ValueError(
        f'{self.folder} puts out the features {self.told["end_point"]} alone, '
        'and no classes: export the model without --end_point.'
      )
    kind, shape = self.told['input']['kind'], self.told['input']['shape']
    # Preprocessing to one size takes images of any.
    keeps = kind == 'image' or None in self.told['network_input'][1:3]
    self.batch, size = shape[0], tuple(shape[1:3])
    self.size = size if size and None not in size and keeps else None
    ranks = [len(each['shape']) for each in self.told['outputs'].values()]
    self._used = False
    # Files of several sizes, which give vectors.
    self._mixes = kind == 'encoded' and max(ranks, default=0) <= 2
    self._feed: Callable[[Sequence[Given]], Any] = {
      'encoded': lambda batch: [each.data for each in batch],
      'image': lambda batch: np.stack([each.image for each in batch]),
      'preprocessed': lambda batch: np.stack(
        [self._prepare(each.image) for each in batch]
      ),
    }[kind]

  _model = functools.cached_property(lambda self: _load(self.folder))
  _prepare = functools.cached_property(lambda self: _preparation(self.told))

  def check_batch(self, batch_size: int | None) -> None:
    """Raises ValueError if --batch_size is another than the model's."""
    if batch_size and self.batch not in (None, batch_size):
      raise ValueError(
        f'--batch_size={batch_size}: {self.folder} takes {self.batch} images '
        'at once, as it was exported: leave the flag out.'
      )

  def fitted(self, found: Any) -> Any:
    """Returns an example or a `Given` as the model is given it.

    Of a model for one size, images of others are scaled until they cover it,
    and their centre is cut, as are their masks.
    """
    if self.size is None:
      return found
    label = found.label
    if np.ndim(label):
      label = samples.fitted(label, self.size, Image.Resampling.NEAREST)
    image = samples.fitted(found.image, self.size)
    return found._replace(image=image, label=label)

  def say(
    self, given: Iterable[Given], batch_size: int | None = None
  ) -> Iterator[Said]:
    """Yields what the model says of images, in their order.

    Args:
      given: images, see `fitted`. Those of one size that follow each other go
        through the model together.
      batch_size: how many, None for as many as suit their size.
    """

    def size(each):
      return None if self._mixes else each.image.shape

    for _, group in itertools.groupby(given, size):
      same = iter(group)
      for first in same:
        rest = self._together(first.image, batch_size) - 1
        yield from self._run([first, *itertools.islice(same, rest)])

  def _together(self, image, batch_size):
    height, width, _ = image.shape
    suits = max(1, min(_IMAGES, _PIXELS // (height * width)))
    return self.batch or batch_size or suits

  def _run(self, batch):
    full = batch + batch[-1:] * ((self.batch or 0) - len(batch))
    inputs, model = self._feed(full), self._model
    with logs.stderr_hidden(_SHOWN if self._used else _HIDDEN):
      found = model(inputs)
    self._used = True
    for i, each in enumerate(batch):
      outputs = {name: value[i] for name, value in found.items()}
      yield Said(each.source, each.label, each.image, outputs)
