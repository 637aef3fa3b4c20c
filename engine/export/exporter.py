"""Exports a trained network, and proves that it says what it said before."""

import dataclasses
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engine.checkpoints import contents
from engine.common import console, files, runtime
from engine.common.loading import load
from engine.config.export import FORMATS, TOLERANCES, ExportConfig
from engine.evaluation import statistics
from engine.export import artefact, freezing, parity, samples, standalone
from engine.export.untrained import write_untrained
from engine.resolve import class_names
from engine.resolve.files import files as resolved
from engine.tasks.base import Task
from engine.tasks.served import Served

_RANGES = {  # of the values of an input
  'encoded': 'the bytes of a JPEG, PNG, GIF or BMP file',
  'image': 'RGB, 0 to 255',
  'preprocessed': 'as the preprocessing gives it',
}


def _check_modules(names):
  """Raises ValueError where a format needs what is not installed."""
  for name in names:
    missing = [
      module
      for module in FORMATS[name].modules
      if importlib.util.find_spec(module) is None
    ]
    if missing:
      raise ValueError(
        f'--format={name} needs {", ".join(missing)}. This installs all that '
        "exports need, in the folder of the project: pip install '.[export]'"
      )


def _decay(given, run, checkpoint):
  """Returns the decay of the moving averages to export, None for none."""
  decay = run.get('moving_average_decay')
  if given.raw_weights or not decay or not contents.read(checkpoint).shadows:
    return None
  return decay


@dataclasses.dataclass(frozen=True)
class _Export:
  """What all formats of an export share.

  Attributes:
    config: complete.
    task: what the labels are of.
    checkpoint: its prefix.
    run: what the training wrote, {} if there is nothing.
    served: what is exported.
    decay: of the moving averages that are exported, None for none.
    labels_offset: what was subtracted from labels.
  """

  config: ExportConfig
  task: Task
  checkpoint: str
  run: Mapping[str, Any]
  served: Served
  decay: float | None
  labels_offset: int

  def folder(self, name: str) -> str:
    """Returns where a format is written."""
    ending = f'_{self.config.quantize}' if self.config.quantize else ''
    return os.path.join(self.config.output_dir, name + ending)

  def freeze(self, name: str) -> freezing.Frozen:
    """Returns the graph that a format is made of."""
    entry, config, kind = FORMATS[name], self.config, self.config.input_of(name)
    spec = freezing.input_of(
      self.served, kind, entry.any_size, config.batch_size, config.image_size
    )
    return freezing.freeze(
      self.served, kind, spec, entry.texts, self.checkpoint, self.decay
    )

  def told(self, name: str, frozen: freezing.Frozen) -> dict[str, Any]:
    """Returns what model.json says."""
    kind = self.config.input_of(name)
    modules = ('tensorflow', 'numpy', *FORMATS[name].modules)
    return {
      'format': name,
      **FORMATS[name].facts,
      'quantize': self.config.quantize,
      'task': self.task.name,
      'model_name': self.config.model_name,
      'end_point': self.config.end_point,
      'checkpoint': self.checkpoint,
      'step': contents.step(self.checkpoint),
      'moving_averages': self.decay is not None,
      'input': {
        'name': artefact.INPUT,
        'kind': kind,
        **artefact.described(frozen.input),
        'values': _RANGES[kind],
      },
      'preprocessing_name': self.config.preprocessing_name,
      'preprocessing': self.served.preprocessing,
      'network_input': [None, *self.served.input_size, self.served.channels],
      'outputs': {
        output: artefact.described(spec)
        for output, spec in frozen.outputs.items()
      },
      'class_names': self.served.names,
      'labels_offset': self.labels_offset,
      'versions': {each: importlib.metadata.version(each) for each in modules},
    }


def _prepared(given: ExportConfig) -> _Export:
  """Returns what is exported, after all checks that need no weights."""
  _check_modules(given.format)
  task, config, checkpoint, run = resolved(given, 'export')
  if config.output_dir:
    files.check_folder(config.output_dir, 'output_dir')
  num_classes = contents.num_classes(contents.read(checkpoint).values())
  if num_classes is None and config.end_point is None:
    raise ValueError(
      f'The checkpoint {checkpoint} has no logits: it holds features only. '
      'Name those to export with --end_point.'
    )
  offset = class_names.labels_offset(config, checkpoint, run)
  if given.labels_offset not in (None, offset):
    raise ValueError(
      f'--labels_offset={given.labels_offset} contradicts the checkpoint, '
      f'which was trained with labels_offset={offset}: leave the flag out.'
    )
  names = []
  if num_classes is not None:
    names = class_names.of_checkpoint(config, checkpoint, run, num_classes)
  served = task.serve(config, run, names)
  decay = _decay(given, run, checkpoint)
  return _Export(config, task, checkpoint, run, served, decay, offset)


def _write(
  made: _Export,
  name: str,
  reference: parity.Reference,
  compared: Sequence[samples.Sample],
) -> Mapping[str, Any]:
  """Writes a format, if it says what the checkpoint says; returns measures."""
  quantize = made.config.quantize
  calibrated = []
  if quantize == 'int8':
    calibrated = samples.to_calibrate(made.config, made.run)
  kind, frozen = made.config.input_of(name), made.freeze(name)
  shape = frozen.input.shape.as_list()

  def calibration() -> Iterator[np.ndarray]:
    for batch, _ in parity.fed(reference, calibrated, kind, shape):
      yield batch

  told = made.told(name, frozen)
  folder = made.folder(name)
  with artefact.unfinished(folder) as path:
    console.say(f'Writing {folder}.')
    load(FORMATS[name].writer)(
      artefact.Artefact(*frozen, told, quantize, calibration), path
    )
    files.write_json(os.path.join(path, standalone.DESCRIPTION), told)
    inputs, wanted = parity.batches(reference, compared, kind, shape)
    found = parity.run_alone(path, inputs)
    measured = parity.compare(wanted, found, len(made.served.names))
    examples = len(compared)
    files.write_json(
      os.path.join(path, parity.FILENAME),
      {'examples': examples, 'outputs': measured},
    )
    tolerance = TOLERANCES[quantize]
    wrong = parity.beyond(measured, tolerance, examples)
    if wrong:
      raise ValueError(
        f'{os.path.basename(folder)} says something else than '
        f'{made.checkpoint}, and was not written: {", ".join(wrong)}, over '
        f'{examples} examples. What to try: {tolerance.cure}.'
      )
  return measured


@runtime.graph_building()
def export(given: ExportConfig) -> dict[str, Any]:
  """Writes a network in other formats, each compared with its checkpoint.

  A folder of a format has the model, model.json, which says what it takes and
  gives, and parity.json, which says how far it is from the checkpoint. Without
  a checkpoint an untrained graph is written.

  Args:
    given: what to do; fields that are None are completed from the run.

  Returns:
    {folder: {output: measures}}; {} of an untrained graph.

  Raises:
    ValueError: what was asked for does not fit, or an artefact says something
      else than the checkpoint; the sentence says what to do.
  """
  if given.checkpoint_path is None:
    write_untrained(given)
    return {}
  made = _prepared(given)
  for name in given.format:
    artefact.check_place(made.folder(name))
  statistics.tell_lag(made.run, made.checkpoint)
  compared, results = samples.to_compare(made.config, made.run), {}
  with parity.Reference(made.served) as reference:
    reference.restore(made.checkpoint, made.decay)
    for name in given.format:
      results[made.folder(name)] = _write(made, name, reference, compared)
  console.say(
    f'Each says what {made.checkpoint} says, over {len(compared)} examples:'
  )
  rows = {os.path.basename(path): found for path, found in results.items()}
  for line in parity.lines(rows):
    console.say(line)
  return results
