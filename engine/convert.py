"""Conversion of images to TFRecords, and a look at what is in them."""

import contextlib
import logging
import os
import pathlib
import shlex
import warnings
from collections.abc import Iterator

from datasets import dataset_factory, dataset_utils, label_kinds
from datasets.convert import registry
from datasets.records import description
from datasets.sources import archives, download
from datasets.verifying import table, verify
from datasets.writing import folders, writer
from datasets.writing.plan import Options
from engine.common import console
from engine.config.scripts import ConvertConfig


def _bar(total, initial, title):
  """Returns a progress bar, of bytes but for images."""
  unit = {
    'writing': 'image',
    'verifying': 'record',
    'reading masks': 'mask',
  }.get(title, 'B')
  return console.progress(total, initial, unit, title, unit_scale=unit == 'B')


def _local(source, name):
  """Returns what --source names, downloaded if it is an address."""
  if not download.is_url(source):
    return source
  folder = (
    dataset_utils.cache_dir()
    / 'downloads'
    / name.replace(':', '-')
    / download.folder_of(source)
  )
  return download.fetch(
    download.Download(source), str(folder), _bar, console.say
  )


def _downloaded(converter, name):
  """Returns the archive, or the folder of the files, of a known dataset."""
  folder = str(dataset_utils.cache_dir() / 'downloads' / name)
  for file in converter.downloads:
    path = download.fetch(file, folder, _bar, console.say)
  return path if converter.archive else os.path.dirname(path)


@contextlib.contextmanager
def _opened(config: ConvertConfig, name: str) -> Iterator[str | None]:
  """Yields the source, unpacked to a folder for as long as it is needed."""
  converter = registry.get_converter(name)
  registry.check_source(name, config.source)
  path = None
  if config.source:
    path = _local(config.source, name)
  elif converter.downloads:
    path = _downloaded(converter, name)
  if path is None or not os.path.isfile(path) or not archives.is_archive(path):
    yield path
    return
  with folders.work_folder(config.dataset_dir) as folder:
    console.say(f'Unpacking {path}.')
    inside = folder / pathlib.Path(path).name.partition('.')[0]
    archives.unpack(path, str(inside), _bar, config.max_unpacked_bytes)
    yield str(inside)


@contextlib.contextmanager
def _errors_only():
  """Hides Pillow's remarks on images that it reads nevertheless."""
  logger = logging.getLogger('PIL')
  level = logger.level
  with warnings.catch_warnings():
    warnings.filterwarnings('ignore', module='PIL')
    logger.setLevel(logging.CRITICAL)
    try:
      yield
    finally:
      logger.setLevel(level)


def _check_task(config, plan):
  for name in config.given_for_another(plan.task):
    raise ValueError(
      f'--{name} is for images with masks, and '
      f'{config.dataset_name} has none: leave the flag out.'
    )


def _introduce(plan):
  splits = ', '.join(
    f'{split} {len(items):,}' for split, items in plan.splits.items()
  )
  console.say(
    f'Found {sum(map(len, plan.splits.values())):,} images '
    f'{label_kinds.get(plan.task).preposition} {len(plan.class_names):,} '
    f'classes: {splits}.'
  )
  for sentence in plan.notes:
    console.note(sentence)


def _conclude(config, described, left_out):
  for sentence in left_out:
    console.note(f'left out: {sentence}')
  splits = ', '.join(
    f'{split} {found.examples:,} examples in {len(found.files)} file'
    f'{"s" * (len(found.files) > 1)}'
    for split, found in described.splits.items()
  )
  folder = shlex.quote(config.dataset_dir)
  console.say(
    f'Written to {config.dataset_dir}: {splits}.\n'
    'To check it, and see some of it:\n'
    f'  python download_and_convert_data.py --verify '
    f'--dataset_dir={folder}\n'
    'To train on it:\n'
    f'  python train_image_classifier.py --dataset_dir={folder}'
  )


def check(config: ConvertConfig) -> None:
  """Prints what is in the records, and draws some of them.

  Writes contact_sheet.png to `config.dataset_dir`, if that is on this machine.

  Raises:
    ValueError: there are no data, or something is wrong with them.
  """
  name = config.dataset_name or dataset_factory.name_of(config.dataset_dir)
  report = verify.verify(
    name, config.dataset_dir, config.max_image_pixels, config.num_threads, _bar
  )
  for line in table.describe(report):
    console.say(line)
  sheet = os.path.join(config.dataset_dir, 'contact_sheet.png')
  kind = label_kinds.get(report.task)
  if '://' in config.dataset_dir:
    console.note(f'no contact sheet: {config.dataset_dir} is an address.')
  elif kind.draw_samples(sheet, report, config.max_image_pixels, config.seed):
    console.say(f'Some of the images are in {sheet}.')
  if report.problems:
    raise ValueError(f'{config.dataset_dir} has problems: see above.')


@_errors_only()
def convert(config: ConvertConfig) -> description.Description | None:
  """Writes TFRecords that describe themselves, or verifies those there are.

  Args:
    config: what to do.

  Returns:
    What was written; None after verifying.

  Raises:
    ValueError: the source or its images are not what they should be, or
      verifying has found problems; the sentence says what to do.
  """
  if not config.dataset_dir:
    raise ValueError('--dataset_dir is missing: the folder of the TFRecords.')
  if config.verify:
    check(config)
    return None
  if not config.dataset_name:
    raise ValueError(
      '--dataset_name is missing: '
      f'{", ".join(registry.CONVERTERS)} or tfds:NAME.'
    )
  if '://' in config.dataset_dir:
    raise ValueError(
      f'--dataset_dir={config.dataset_dir} is an address; TFRecords are '
      'written to a folder of this machine, from where they can be copied '
      'there.'
    )
  folders.check_new(config.dataset_dir)
  for path in folders.leftovers(config.dataset_dir):
    console.note(
      f'{path} is left from a conversion that was stopped, unless '
      'one is under way: remove it.'
    )
  with _opened(config, config.dataset_name) as source:
    plan = registry.get_converter(config.dataset_name).plan(
      source,
      Options(
        config.validation_fraction,
        config.seed,
        config.labels_file,
        config.color_table,
        config.mask_values or (),
        config.ignore_label if config.ignore_label >= 0 else None,
        config.max_image_pixels,
        _bar,
      ),
    )
    _check_task(config, plan)
    _introduce(plan)
    described, left_out = writer.write(
      plan,
      config.dataset_dir,
      dataset_factory.registered(plan.name).file_pattern,
      config.seed,
      config.num_shards,
      config.skip_bad_examples,
      config.max_image_pixels,
      config.num_threads,
      _bar,
      console.note,
    )
  _conclude(config, described, left_out)
  return described
