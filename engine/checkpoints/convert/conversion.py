"""Makes a checkpoint of ours of weights in the files of other libraries.

What is written is a folder as a run has it: the checkpoint, and the config.json
that evaluation, classification, export and fine-tuning read. conversion.json
says what it was made of, and how it was proved equal to that.
"""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.checkpoints import contents, locate
from engine.checkpoints.convert import name_map as maps
from engine.checkpoints.convert import naming, proof, reading, recognition
from engine.checkpoints.convert.arrays import as_float32
from engine.checkpoints.convert.recognition import Recognised
from engine.common import console, files
from engine.common.variables import some
from engine.config import runs
from engine.config.scripts import TrainConfig
from nets import nets_factory, resnet_generator
from preprocessing import preprocessing_factory

FILENAME = 'conversion.json'
CHECKPOINT = 'model.ckpt-0'
_OUTPUT = 'output'


class Converted(NamedTuple):
  """What was written.

  Fields:
    folder: that holds it.
    checkpoint: the prefix of the checkpoint in it.
    recognised: what the source is.
    config: what config.json holds.
    proof: how it compares with its source, in a sentence.
  """

  folder: str
  checkpoint: str
  recognised: Recognised
  config: dict[str, Any]
  proof: str


def check_output(output: str) -> None:
  """Makes sure that a folder can be made, before anything is read.

  Raises:
    ValueError: it has files, or cannot be written to.
  """
  locate.check_name(output, f'--{_OUTPUT}')
  if os.path.lexists(output) and not os.path.isdir(output):
    raise ValueError(f'--{_OUTPUT}={output} is a file: name a folder.')
  if os.path.isdir(output) and os.listdir(output):
    raise ValueError(
      f'--{_OUTPUT}={output} has files in it, which are kept: name a folder '
      'that is new or empty.'
    )
  files.check_folder(output, _OUTPUT)


@contextlib.contextmanager
def _whole(output: str) -> Iterator[str]:
  """Yields a folder beside `output` that takes its name at the end.

  An error leaves nothing.
  """
  output = os.path.realpath(output)  # it may be a link to an empty folder
  parent, name = os.path.split(output)
  os.makedirs(parent, exist_ok=True)
  for path in glob.glob(
    f'{glob.escape(os.path.join(parent, "." + name))}-*.tmp'
  ):
    console.note(
      f'{path} is left of a conversion that was stopped, or another one writes '
      'to it now: if none does, remove it.',
      aside=True,
    )
  unfinished = tempfile.mkdtemp('.tmp', f'.{name}-', parent)
  try:
    yield unfinished
    os.chmod(unfinished, 0o755)  # mkdtemp makes it private
    check_output(output)  # another process may have made it
    if os.path.isdir(output):
      os.rmdir(output)
    os.rename(unfinished, output)
  except BaseException:
    shutil.rmtree(unfinished, ignore_errors=True)
    raise


def _checked_settings(given: Mapping[str, Any]) -> dict[str, Any]:
  """Returns settings that are given, each in its range."""
  found = {name: value for name, value in given.items() if value is not None}
  if 'preprocessing_name' in found:
    preprocessing_factory.get_preprocessing(found['preprocessing_name'], False)
  if 'root_block' in found:
    resnet_generator.get_root(found['root_block'])
  return {k: TrainConfig.parsed(k, v) for k, v in found.items()}


def _check_classes(path, found, num_classes):
  if num_classes is None or num_classes == found.num_classes:
    return
  there = (
    'no logits'
    if found.num_classes is None
    else f'{found.num_classes:,} classes'
  )
  raise ValueError(
    f'--num_classes={num_classes} does not fit {path}, which has {there}: '
    'leave the flag out, or name another --source. Fine-tuning replaces the '
    'logits by those of its data.'
  )


def _check_root(given, found):
  """Refuses a --root_block that is not that of the source's library."""
  root = given.get('root_block')
  own = found.options.get('root_block')
  own = own or nets_factory.get_network(found.network).root_block
  if root not in (None, own):
    raise ValueError(
      f'--root_block={root} contradicts the source, whose network begins with '
      f'{own}: leave the flag out.'
    )


def _config(found: Recognised, settings: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what config.json holds."""
  network = nets_factory.get_network(found.network)
  known = {**found.settings, **settings}
  config: dict[str, Any] = {
    'model_name': found.network,
    'task': found.task,
    'use_grayscale': found.channels == 1,
    **{name: option.default for name, option in network.options.items()},
    **found.options,
    **known,
  }
  classes = found.num_classes
  if classes is not None:
    # As all runs, it counts the labels, of which the offset is subtracted.
    offset = config.get('labels_offset') or 0
    config['num_classes'] = classes + offset
  return config


def _proof(
  found: Recognised,
  source: Mapping[str, np.ndarray],
  config: Mapping[str, Any],
  folder: str,
) -> tuple[dict[str, Any], str]:
  """Proves the checkpoint in a folder; returns what to write, and to say.

  Raises:
    ValueError: its values are not those of the source.
  """
  written = contents.read_values(os.path.join(folder, CHECKPOINT))
  if written.keys() != found.values.keys() or not all(
    np.array_equal(written[name], value) for name, value in found.values.items()
  ):
    raise ValueError(
      f'The checkpoint in {folder} is not what was written: is the disk '
      'damaged?'
    )
  if found.form not in naming.FORMS:
    return (
      {'kind': 'values', 'variables': len(written)},
      f'The values of its {len(written)} variables are those of the source, '
      'bit by bit.',
    )
  options = dict(found.options)
  if config.get('batch_norm_epsilon') is not None:
    options['batch_norm_epsilon'] = config['batch_norm_epsilon']
  result = proof.prove(found.form, source, found.network, options, folder)
  return {'kind': 'outputs', **result.as_json()}, str(result)


def _facts(arrays, found, proved):
  """Returns what conversion.json holds."""
  return {
    'source': os.path.abspath(arrays.path),
    'format': arrays.format,
    'sha256': reading.digests(arrays),
    'recognized_as': {
      'form': found.form,
      'library': found.library,
      'network': found.network,
      'options': found.options,
      'task': found.task,
      'num_classes': found.num_classes,
    },
    'left_over': found.left_over,
    'proof': proved,
  }


def convert(
  source: str,
  output: str,
  model_name: str | None = None,
  name_map: str | None = None,
  num_classes: int | None = None,
  **settings: Any,
) -> Converted:
  """Makes a checkpoint, and what a run has beside it, of a file of weights.

  Args:
    source: .h5, .weights.h5 or .keras of Keras; .safetensors, .pth; .npz; a
      checkpoint of slim's networks, or a folder of them.
    output: the folder to make; it is new or empty, and there in whole or not
      at all.
    model_name: the network; None for what the names and shapes tell.
    name_map: a table of names, for files that are not known; see `name_map`.
    num_classes: how many logits the source must have; None for any.
    **settings: fields of a run's config.json that are others than the
      source's library has by default: preprocessing_name, train_image_size,
      labels_offset, batch_norm_epsilon, root_block. None for the default.

  Returns:
    What was written.

  Raises:
    ValueError: the source is damaged, or of no network here; or it does not
      fit what is said of it; or its values differ in our network. Nothing is
      written.
    OSError: something cannot be read or written.
  """
  check_output(output)
  given = _checked_settings(settings)
  arrays = reading.read(source)
  if name_map is not None:
    found = maps.recognise(
      arrays, maps.read(name_map), model_name, given.get('root_block')
    )
  else:
    found = recognition.recognise(arrays, model_name)
  _check_root(given, found)
  _check_classes(arrays.path, found, num_classes)
  config = _config(found, given)
  with _whole(output) as folder:
    contents.write_values(os.path.join(folder, CHECKPOINT), found.values)
    left_over = set(found.left_over)
    proved, sentence = _proof(
      found,
      {
        name: as_float32(name, value)
        for name, value in arrays.values.items()
        if found.form in naming.FORMS
        and name not in left_over
        and value.dtype.kind == 'f'
      },
      config,
      folder,
    )
    files.write_json(
      os.path.join(folder, runs.CONFIG_FILENAME),
      {k: _as_text(k, v) for k, v in config.items() if v is not None},
    )
    files.write_json(
      os.path.join(folder, FILENAME), _facts(arrays, found, proved)
    )
  folder = os.path.normpath(output)
  return Converted(
    folder, os.path.join(folder, CHECKPOINT), found, config, sentence
  )


def _as_text(name, value):
  """Returns a value as config.json has it."""
  fields = TrainConfig.__dataclass_fields__
  return TrainConfig.as_text(name, value) if name in fields else value


def describe(converted: Converted) -> list[str]:
  """Returns what to print of a conversion."""
  found, config = converted.recognised, converted.config
  classes = (
    'without logits'
    if found.num_classes is None
    else f'of {found.num_classes:,} classes'
  )
  lines = [f'{found.flags}, {classes}, by {found.library}.']
  size = config.get('train_image_size')
  if size is not None:  # of masks the data tell it
    lines.append(
      f'Preprocessing {config["preprocessing_name"]}, images of {size}x{size}, '
      f'labels_offset {config["labels_offset"]}.'
    )
  if found.left_over:
    lines.append(
      f'Left over, {len(found.left_over)} arrays: {some(found.left_over)} '
      f'({FILENAME} lists them).'
    )
  return [*lines, converted.proof, f'Written to {converted.folder}.']
