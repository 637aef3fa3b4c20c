"""Exported models on a split or on files, reported as checkpoints are."""

import concurrent.futures
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tf_slim.data.dataset import Dataset

from datasets import dataset_factory
from datasets.images.image_files import Decoder
from datasets.records.examples import Example, Examples
from datasets.text import distinct
from engine.common import console, files
from engine.config import runs
from engine.config.fields import fill
from engine.config.scripts import ClassifyConfig, EvalConfig
from engine.evaluation import report
from engine.export import inspection, samples
from engine.export.opening import Exported, Given
from engine.input import image_files
from engine.resolve import class_names, data, places, task
from engine.resolve.evaluation import data_names
from engine.tasks.base import EvaluatedSplit, Found, Shares, Task

_READ = 64  # examples that are decoded side by side


class _Seen(Examples):
  """The records of a split, as a model is given them."""

  def __init__(self, exported: Exported, config: EvalConfig, dataset: Dataset):
    self._exported = exported
    super().__init__(
      dataset,
      exported.told['labels_offset'],
      config.max_image_pixels,
      config.skip_bad_examples,
    )

  def example(self, index: int) -> Example | None:
    """Returns an example; see `Examples`."""
    found = super().example(index)
    return found and self._exported.fitted(found)


class Split:
  """An exported model and a split to run it on.

  Attributes:
    examples: the records, as the model is given them.
  """

  def __init__(
    self, exported: Exported, split_task: Task, config: EvalConfig, dataset: Any
  ):
    """Opens the split.

    Args:
      exported: the model.
      split_task: what the labels are of.
      config: complete.
      dataset: the split.
    """
    self._exported, self._task = exported, split_task
    self._config, self._dataset = config, dataset
    self.examples = _Seen(exported, config, dataset)

  def predict(self, num_classes: int) -> Found:
    """Returns what the model says of every good example, each once."""
    size = self._exported.batch or self._config.batch_size
    return self._task.gather(
      self._config,
      self._dataset,
      num_classes,
      self._exported.say(self._given(), size),
    )

  def mask(self, image: np.ndarray) -> np.ndarray:
    """Returns what is predicted of an image, int32 [height, width].

    Args:
      image: uint8 [height, width, 3], as the model is given it.
    """
    (said,) = self._exported.say([Given(0, None, *samples.of(image))])
    return said.outputs['classes']

  def _given(self) -> Iterator[Given]:
    """Yields the good examples; names those that are left out."""
    count, limit = len(self.examples), self._config.max_num_batches
    if limit:
      size = self._exported.batch or self._config.batch_size or 1
      count = min(count, limit * size)
    told = 0
    with (
      concurrent.futures.ThreadPoolExecutor(
        self._config.num_preprocessing_threads
      ) as pool,
      console.progress(count, unit='image', title='evaluating') as bar,
    ):
      for first in range(0, count, _READ):
        block = range(first, min(first + _READ, count))
        found = [*pool.map(self.examples.example, block)]
        for sentence in self.examples.left_out[told:]:
          console.note(f'left out: {sentence}')
        told = len(self.examples.left_out)
        for record, each in zip(block, found, strict=True):
          if each is not None:
            yield Given(record, each.label, each.data, each.image)
          bar.update()


def _run_folder(exported):
  """Returns the folder of the run that a model comes from, as far as known.

  It is that of the checkpoint, or, if that was moved, the one where exports
  are written by default.
  """
  beside = os.path.dirname(exported.told['checkpoint'])
  outer = os.path.normpath(os.path.join(exported.folder, '..', '..'))
  return next(
    (
      folder
      for folder in (beside, outer)
      if os.path.exists(os.path.join(folder, runs.CONFIG_FILENAME))
    ),
    beside,
  )


def _as_run(
  exported: Exported, run: Mapping[str, Any], dataset: Dataset
) -> dict[str, Any]:
  """Returns the run with the classes of the model, as config.json has them."""
  names, offset = exported.told['class_names'], exported.told['labels_offset']
  own = class_names.of_dataset(dataset, offset)
  if names == distinct(own, offset):
    names = own
  elif names == [str(i) for i in range(len(names))]:  # nobody has named them
    names = [str(offset + i) for i in range(len(names))]
  return {
    **run,
    'num_classes': offset + len(names),
    'class_names': names,
    'labels_offset': offset,
  }


def _resolved(given, exported):
  """Returns task, complete configuration and split of an evaluation."""
  run, told = runs.read(_run_folder(exported)), exported.told
  # All else that a run says is in the model.
  complete = runs.complete(
    given.replace(exported=None), run, data_names(given, run), fixed=()
  )
  complete = places.with_dataset_name(
    complete.replace(task=complete.task or told['task'])
  )
  specification = dataset_factory.get_specification(
    complete.dataset_name, complete.dataset_dir
  )
  found = task.of_data(
    given.replace(dataset_name=complete.dataset_name), specification
  )
  if found.name != told['task']:
    raise ValueError(
      f'{exported.folder} was exported for {told["task"]}, but the dataset '
      f'{complete.dataset_name} is for {found.name}: name other data, or '
      'another --exported.'
    )
  complete = fill(
    complete.replace(task=found.name),
    found.name,
    {
      'eval_image_size': told['network_input'][1],
      'output_stride': run.get('output_stride'),
      'dataset_split_name': found.evaluated_split(specification.splits),
      'eval_dir': _beside(exported, 'eval'),
    },
    found.evaluation_defaults(specification),
  ).replace(labels_offset=told['labels_offset'])
  dataset = data.open_split(complete)
  data.check_evaluated(
    _as_run(exported, run, dataset), complete, dataset, exported.folder
  )
  found.prepare_dataset(complete, dataset)
  return found, complete, dataset


def _beside(exported, name):
  """Returns the default folder of what is written about a model."""
  own = os.path.basename(os.path.abspath(exported.folder))
  return os.path.normpath(os.path.join(exported.folder, '..', f'{name}-{own}'))


def _say_checkpoint(exported, found_task, metrics):
  """Prints what the checkpoint was evaluated to, where that is known."""
  path = os.path.join(_run_folder(exported), 'eval', report.FILENAME)
  same = 'step', 'dataset', 'split', 'examples'
  try:
    told = files.read_json(path)
    if told and all(told.get(name) == metrics[name] for name in same):
      seen = ', of images as they are' if exported.size else ''
      console.say(
        f'{found_task.brief(told)}: the checkpoint{seen}, says {path}'
      )
  except (ValueError, KeyError, TypeError):
    pass  # of another version


def evaluate(given: EvalConfig) -> dict[str, Any]:
  """Evaluates an exported model on every example of a split, once.

  Writes what an evaluation of a checkpoint writes, by default to eval-NAME
  beside the model.

  Args:
    given: what to do; fields that are None are completed from the model, and
      from the run it comes from.

  Returns:
    The metrics: exported, format, quantize, input, checkpoint, step, model,
    dataset, split, sizes, those of the task's predictions, left_out.

  Raises:
    ValueError: the model or the data do not fit; the sentence says what to do.
  """
  assert given.exported is not None
  exported = Exported(given.exported)
  exported.check_batch(given.batch_size)
  found_task, config, dataset = _resolved(given, exported)
  files.check_folder(config.eval_dir, 'eval_dir')
  told = exported.told
  names = class_names.of_dataset(dataset, config.labels_offset)
  network = Split(exported, found_task, config, dataset)
  split = EvaluatedSplit(config, dataset, names, network)
  console.say(
    f'Evaluating {exported.folder}, {inspection.kind_of(told)}, on the '
    f'{len(network.examples):,} examples of {dataset.name}, split '
    f'{dataset.split_name}{_brought(exported)}.'
  )
  found = network.predict(len(names))
  metrics = report.metrics_of(
    found_task,
    split,
    found,
    exported=exported.folder,
    format=told['format'],
    quantize=told['quantize'],
    input=told['input']['kind'],
    checkpoint=told['checkpoint'],
    step=told['step'] or 0,
    model=told['model_name'],
    moving_averages=told['moving_averages'],
  )
  report.say(found_task, split, metrics)
  _say_checkpoint(exported, found_task, metrics)
  report.write(split, metrics, report.draw(found_task, split, found))
  report.summarize(config.eval_dir, metrics)
  return metrics


def _brought(exported):
  """Returns how images come to the size of the model."""
  if exported.size is None:
    return ''
  height, width = exported.size
  return f', each scaled and cut to {height}x{width} before'


def classify(given: ClassifyConfig, arguments: list[str]) -> Shares:
  """Prints what an exported model says of images that are files.

  See `engine.classify.classify`. Masks and overlays are of the images as the
  model is given them, by default in segmented-NAME beside the model.
  """
  named = image_files.find(arguments)
  assert given.exported is not None
  exported = Exported(given.exported)
  told = exported.told
  found = task.choose(given, told['task'], f'the model {exported.folder}')
  exported.check_batch(given.batch_size)
  config = fill(
    given.replace(exported=None),
    found.name,
    {'output_dir': _beside(exported, 'segmented')},
  )
  if config.output_dir:
    files.check_folder(config.output_dir, 'output_dir')
  named = named._replace(files=found.unfinished(config, named.files))
  decode = Decoder()

  def read() -> Iterator[Given]:
    for path, content in image_files.read(named.files):
      yield exported.fitted(Given(path, None, content, decode(content)))

  results = found.show_files(
    config,
    told['class_names'],
    named.files,
    exported.say(read(), given.batch_size),
  )
  image_files.check_all(len(results), named)
  return results
