"""Weights by name: downloaded once, checked, converted, kept in the cache.

A name such as pretrained:resnet_v1_50 stands wherever a checkpoint is named.
It is a folder of `cache_dir()`, which appears whole or not at all, and needs
no network from then on. Its pretrained.json says what it was made of.
"""

import contextlib
import glob
import hashlib
import importlib.util
import os
import pathlib
import shutil
import tempfile
import urllib.parse
from typing import Any, NamedTuple

import filelock

from datasets import dataset_utils
from datasets.files import disk_errors
from datasets.label_kinds import CLASSIFICATION
from datasets.sources import archives, download
from engine.checkpoints import architecture, contents, pretrained_names
from engine.common import console, files
from engine.common.loading import load
from engine.config import runs
from nets.catalogue import pretrained_table
from nets.catalogue.pretrained_table import Pretrained

RECORD = 'pretrained.json'
MIRROR = 'SLIM_RESNETS_MIRROR'  # of the environment
_VERSION = 1  # of what is made of a file; with another it is made again
_CONVERT = 'engine.checkpoints.convert.conversion:convert'
_CACHE = 'name another folder for the cache by XDG_CACHE_HOME'
_UNFINISHED = '.unfinished'
_COPIES = 2  # of the weights are on the disk at once
_KINDS = {
  'version': int,
  'name': str,
  'address': str,
  'sha256': str,
  'files': dict[str, int],
}
# What is said of DeepLab's besides, that no variable tells.
_FORMS: dict[str, dict[str, Any]] = {
  'deeplab': {'decoder_low_level': 'residual'}
}


class Found(NamedTuple):
  """Weights that are here.

  Fields:
    name: in `pretrained_table.PRETRAINED`.
    entry: what that has of them.
    folder: with a checkpoint, its config.json and pretrained.json.
  """

  name: str
  entry: Pretrained
  folder: str


def local(path: str) -> str:
  """Returns the path, or the folder of the weights that it names.

  Raises:
    ValueError: an unknown name, or weights that cannot be had; the sentence
      says what to do.
  """
  return find(path).folder if pretrained_names.is_name(path) else path


def find(path: str) -> Found:
  """Returns the weights of a name, which are made ready if need be.

  Args:
    path: such as pretrained:resnet_v1_50; see `pretrained_names.find`.

  Raises:
    ValueError: an unknown name, or weights that cannot be had; the sentence
      says what to do.
  """
  name, entry = pretrained_names.find(path)
  folder = os.path.join(_root(), *name.split(':'))
  if not _is_whole(name, entry, folder):
    _make(name, entry, folder)
  return Found(name, entry, folder)


def name_of(checkpoint: str) -> str | None:
  """Returns the name of a checkpoint in the cache, None of any other."""
  folder = os.path.dirname(os.path.abspath(checkpoint))
  is_ours = folder.startswith(os.path.join(os.path.abspath(_root()), ''))
  return record(folder).get('name') if is_ours else None


def record(folder: str) -> dict[str, Any]:
  """Returns what the pretrained.json of a folder says, {} without one."""
  if '://' in folder:
    return {}
  return files.read_json(os.path.join(folder, RECORD), _KINDS)


def checksum(entry: Pretrained) -> str | None:
  """Returns the published hash as 'md5:HEX' or 'sha256:HEX', None if none."""
  return f'{entry.hash.kind}:{entry.hash.value}' if entry.hash else None


def _root() -> str:
  return str(dataset_utils.cache_dir() / 'pretrained')


def _is_whole(name, entry, folder):
  """Whether a folder has been made of the file that the table has."""
  try:
    told = record(folder)
  except ValueError:  # damaged
    return False
  sizes = told.get('files', {})
  return (
    told.get('version') == _VERSION
    and told.get('name') == name
    and told.get('address') == entry.address
    and told.get('checksum') == checksum(entry)
    and bool(sizes)
    and _sizes(folder, sizes) == sizes
  )


def _sizes(folder, names):
  """Returns {name: bytes} of files in a folder, those that are there."""
  paths = {name: os.path.join(folder, name) for name in names}
  return {
    name: os.path.getsize(path)
    for name, path in paths.items()
    if os.path.isfile(path)
  }


def _make(name, entry, folder):
  """Makes the folder, unless another process has just done so."""
  with _alone(name, folder):
    if _is_whole(name, entry, folder):
      return
    if os.path.exists(folder):
      console.note(
        f'{folder} is incomplete, or is not made of what {name} is now, and '
        'is made again.',
        aside=True,
      )
    _sweep(folder)
    _check(name, entry, os.path.dirname(folder))
    _fill(name, entry, folder)


@contextlib.contextmanager
def _alone(name, folder):
  """Holds a folder, which is made later, for this process alone."""
  parent = os.path.dirname(folder)
  lock = filelock.FileLock(f'{folder}.lock')
  try:
    os.makedirs(parent, exist_ok=True)
    try:
      lock.acquire(blocking=False)
    except filelock.Timeout:
      console.note(f'another process is getting {name}: waiting.', aside=True)
      lock.acquire()
  except OSError as error:
    raise ValueError(
      f'{name} cannot be kept in {parent}: {error.strerror}. Change that, or '
      f'{_CACHE}.'
    ) from error
  try:
    yield
  finally:
    lock.release()


def _sweep(folder):
  """Removes what a kill left of a folder that was being made."""
  for path in glob.glob(f'{glob.escape(folder)}-*{_UNFINISHED}'):
    shutil.rmtree(path, ignore_errors=True)


def _check(name, entry, parent):
  """Refuses, before the download, what cannot end well.

  Raises:
    ValueError: PyTorch is not there to read it, or the disk is full.
  """
  if entry.needs_torch and not importlib.util.find_spec('torch'):
    others = [
      other
      for other, each in pretrained_table.of_network(entry.network).items()
      if not each.needs_torch
    ]
    instead = f' Or take {" or ".join(others)}, which needs none.'
    raise ValueError(
      f'{name} is a file of PyTorch, which is not installed, and which alone '
      f'reads it: pip install torch.{instead * bool(others)}'
    )
  needed, free = _COPIES * (entry.size or 0), shutil.disk_usage(parent).free
  if free < needed:
    raise ValueError(
      f'{name} takes {pretrained_names.megabytes(needed)} in {parent}, and '
      f'the disk has {free // 10**6} MB free: make room, or {_CACHE}.'
    )


def _bar(total: int | None, initial: int, title: str) -> Any:
  return console.progress(total, initial, 'B', title, unit_scale=True)


def _say(sentence: str) -> None:
  console.note(sentence, aside=True)  # stdout may be for JSON


def _address(name, entry):
  """Returns where the file is: at its publisher's, or at a mirror.

  Raises:
    ValueError: the mirror is a folder, and does not have it.
  """
  mirror = os.environ.get(MIRROR)
  if not mirror:
    return entry.address
  parts = urllib.parse.urlsplit(entry.address)
  inside = f'{parts.netloc}{parts.path}'
  if download.is_url(mirror):
    return f'{mirror.rstrip("/")}/{inside}'
  path = pathlib.Path(mirror, inside).absolute()
  if not path.is_file():
    raise ValueError(
      f'{MIRROR}={mirror} has no file {inside}, which is {name}: put it there, '
      'or leave the variable out.'
    )
  return path.as_uri()


def _downloaded(name, entry, folder):
  """Returns the path of the published file, whose hash is right."""
  file = entry.address.rpartition('/')[2]
  path = os.path.join(folder, file)
  if not entry.hash and _is_by_hand(path):
    _say(f'Using {path}, which was put there.')
    return path
  path = download.fetch(
    download.Download(
      _address(name, entry),
      checksum=checksum(entry),
      otherwise=(
        f'put a copy of {entry.address} at {os.path.join(folder, file)}, or '
        f'name a mirror by {MIRROR}'
      ),
    ),
    folder,
    _bar,
    _say,
  )
  if not entry.hash:
    _say(f'no hash of {name} is published: its variables alone are checked.')
  return path


def _is_by_hand(path):
  """Whether a file is there of which no download tells."""
  return os.path.isfile(path) and not download.tells_of(path)


def _fill(name, entry, folder):
  """Downloads the file, and makes the folder of it."""
  parent, own = os.path.split(folder)
  kept = f'{folder}.download'
  path = _downloaded(name, entry, kept)
  make = _unpack if entry.address.endswith('.tar.gz') else _convert
  with disk_errors(parent, f'Make room, or {_CACHE}.'):
    unfinished = tempfile.mkdtemp(_UNFINISHED, f'{own}-', parent)
    try:
      make(name, entry, path, unfinished)
      _record(name, entry, path, unfinished)
      os.chmod(unfinished, 0o755)  # mkdtemp makes it private
      if os.path.lexists(folder):
        shutil.rmtree(folder)
      os.rename(unfinished, folder)
    except ValueError:
      # It may be at fault itself. What was put there by hand stays.
      if not entry.hash and not _is_by_hand(path):
        shutil.rmtree(kept, ignore_errors=True)
      raise
    finally:
      shutil.rmtree(unfinished, ignore_errors=True)
  shutil.rmtree(kept, ignore_errors=True)


def _convert(name, entry, path, folder):
  """Makes the folder of another library's file, proved equal to it."""
  inside = os.path.join(folder, 'converted')
  load(_CONVERT)(
    path,
    inside,
    entry.network,
    preprocessing_name=entry.preprocessing,
    train_image_size=entry.image_size,
    labels_offset=entry.labels_offset,
  )
  told = os.path.join(inside, 'conversion.json')
  files.write_json(told, {**files.read_json(told), 'source': entry.address})
  for file in os.listdir(inside):
    os.rename(os.path.join(inside, file), os.path.join(folder, file))
  os.rmdir(inside)


def _facts(name, entry):
  """Returns what is known of weights, by the names of config.json."""
  offset, classes = entry.labels_offset, entry.num_classes
  told = {
    'task': CLASSIFICATION,
    'model_name': entry.network,
    'root_block': entry.root_block,
    'preprocessing_name': entry.preprocessing,
    'train_image_size': entry.image_size,
    'labels_offset': offset,
    # As a run, it counts labels, of which the offset is subtracted.
    'num_classes': classes and classes + (offset or 0),
    **_FORMS.get(name.partition(':')[0], {}),
  }
  return {key: value for key, value in told.items() if value is not None}


def _unpack(name, entry, path, folder):
  """Makes the folder of an archive, which has a checkpoint of slim."""
  inside = os.path.join(folder, 'unpacked')
  archives.unpack(path, inside, _bar)
  prefixes = {
    str(file).removesuffix('.index')
    for file in pathlib.Path(inside).rglob('*')
    if file.name.endswith(('.index', '.ckpt')) and file.is_file()
  }
  if len(prefixes) != 1:
    raise ValueError(
      f'{path} has {len(prefixes) or "no"} checkpoints, and {name} should have '
      'one: it is another file. Delete it, and it is downloaded again.'
    )
  (prefix,) = prefixes
  for file in (
    prefix,
    f'{prefix}.index',
    *glob.glob(f'{glob.escape(prefix)}.data-*'),
  ):
    if os.path.isfile(file):
      os.rename(file, os.path.join(folder, os.path.basename(file)))
  shutil.rmtree(inside)
  _check_network(
    name, entry, path, os.path.join(folder, os.path.basename(prefix))
  )
  files.write_json(
    os.path.join(folder, runs.CONFIG_FILENAME), _facts(name, entry)
  )


def _check_network(name, entry, path, checkpoint):
  """Refuses a checkpoint of another network than the table says."""
  try:
    found = architecture.network(contents.read(checkpoint).values())
  except Exception as error:  # damaged, in one of the ways of TensorFlow
    raise ValueError(
      f'The checkpoint in {path} is damaged: {console.explain(error)} Run the '
      'same command again, and it is downloaded again.'
    ) from error
  classes = found and found.num_classes
  if (
    found is None
    or entry.network not in found.names
    or entry.num_classes not in (None, classes)
  ):
    raise ValueError(
      f'{path} holds {found or "no network that is known here"} with '
      f'{classes or "no"} classes, and {name} should be {entry.network} with '
      f'{entry.num_classes or "any number"}: it is another file. Check what '
      f'is at {entry.address}.'
    )


def _digest(path):
  digest = hashlib.sha256()
  with open(path, 'rb') as file:
    while data := file.read(1 << 20):
      digest.update(data)
  return digest.hexdigest()


def _record(name, entry, path, folder):
  """Writes pretrained.json, which makes the folder whole."""
  files.write_json(
    os.path.join(folder, RECORD),
    {
      'version': _VERSION,
      'name': name,
      'address': entry.address,
      'checksum': checksum(entry),
      'sha256': _digest(path),
      'licence': entry.licence,
      'files': _sizes(folder, sorted(os.listdir(folder))),
    },
  )
