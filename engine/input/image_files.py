"""Images that are files: which are meant, and how they are read."""

import collections
import concurrent.futures
import itertools
import json
import pathlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow.compat.v1 as tf

from datasets import files
from datasets.images import image_files
from datasets.text import one_line
from engine.common import console
from engine.common.variables import some

_SHOWN = 5  # names in a line
_VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')
_THREADS = 4  # that read files at once

_Item = TypeVar('_Item')


class Named(NamedTuple):
  """What the arguments of a command name.

  Fields:
    files: the files, each once.
    missing: a sentence on each name that is of none.
  """

  files: list[str]
  missing: list[str]


def find(arguments: list[str], command: str = 'classify_image.py') -> Named:
  """Returns the files named, and the images in the folders named.

  Those of a folder, and of the folders in it, are in the order of their names,
  where numbers count as numbers: frame2 is before frame10.

  Args:
    arguments: names of files and folders.
    command: whose arguments they are, for the error.

  Raises:
    ValueError: there is not one file.
  """
  found, missing = [], []
  for argument in arguments:
    try:
      found += _files(argument)
    except ValueError as error:
      missing.append(str(error))
    except OSError as error:
      missing.append(console.explain(error))
  if not found:
    raise ValueError(
      ' '.join(missing[:_SHOWN])
      if missing
      else f'Name images, or folders of them: python {command} '
      '--checkpoint_path=DIR a.png folder/'
    )
  return Named(list(dict.fromkeys(found)), missing)


def _files(argument):
  """Returns the file, or the images in the folder; ValueError if none."""
  path = pathlib.Path(argument)
  if path.is_dir():
    inside = [
      str(file)
      for file in sorted(path.rglob('*'), key=_natural)
      if file.suffix.lower() in image_files.SUFFIXES
    ]
    if not inside:
      raise ValueError(
        f'The folder {argument} has no images '
        f'({", ".join(image_files.SUFFIXES)}).'
      )
    return inside
  if not path.exists():
    raise ValueError(f'There is no file or folder {argument}.')
  if path.suffix.lower() in _VIDEOS:
    frames = path.with_suffix('')
    made, video = (shlex.quote(str(each)) for each in (frames, path))
    pattern = shlex.quote(str(frames / '%06d.png'))
    raise ValueError(
      f'{argument} is a video: make a folder of its frames, and name that: '
      f'mkdir {made} && ffmpeg -i {video} {pattern}'
    )
  return [argument]


def _natural(path):
  """Returns what sorts paths part by part, numbers in them as numbers."""
  parts = [re.split(r'(\d+)', part) for part in path.parts]
  return [
    [int(each) if i % 2 else each for i, each in enumerate(split)]
    for split in parts
  ], path


def decoded(data: tf.Tensor) -> tf.Tensor:
  """Returns the image in the bytes of a file, uint8 [height, width, 3]."""
  image = tf.io.decode_image(data, channels=3, expand_animations=False)
  image.set_shape([None, None, 3])
  return image


def _in_order(function, items, ahead):
  """Yields the futures of function(item), in order, computed in threads.

  Args:
    function: what is computed.
    items: of what.
    ahead: how many are computed before they are asked for.
  """
  waiting: collections.deque[concurrent.futures.Future] = collections.deque()
  pool = concurrent.futures.ThreadPoolExecutor(min(_THREADS, ahead))
  try:
    for item in items:
      waiting.append(pool.submit(function, item))
      if len(waiting) > ahead:
        yield waiting.popleft()
    while waiting:
      yield waiting.popleft()
  finally:
    pool.shutdown(cancel_futures=True)


def read(
  paths: Sequence[str],
  prepare: Callable[[np.ndarray], Any] | None = None,
  ahead: int = 1,
) -> Iterator[tuple[str, Any]]:
  """Yields the files that are images, as TensorFlow decodes them rightly.

  Names the others on stderr, and those of which the first of several images is
  taken. Files are read in threads while the caller does something else.

  Args:
    paths: the files.
    prepare: returns what is yielded of an image, uint8 [height, width, 3], in
      any thread; None yields the bytes.
    ahead: how many files are read before they are asked for.
  """
  decoder, several = image_files.Decoder(), []

  def load(path):
    image, pixels = image_files.decoded(
      files.read_bytes(path), decoder, first_of_many=True
    )
    return image.images, prepare(pixels) if prepare else image.data

  with console.progress(len(paths), unit='image') as bar:
    for path, loaded in zip(paths, _in_order(load, paths, ahead), strict=True):
      try:
        images, found = loaded.result()
      except image_files.BadImage as bad:
        console.error(f'{one_line(path)} {bad}.')
      except files.Irregular as error:
        console.error(str(error))
      except OSError as error:
        console.error(console.explain(error))
      else:
        if images > 1:
          several.append(f'{path} ({images})')
        yield path, found
      bar.update()
  if several:
    console.note(
      'of files with several images, the first is taken: '
      f'{some(several, _SHOWN)}.',
      aside=True,
    )


def stems(paths: Sequence[str]) -> dict[str, str]:
  """Returns a name for each file, without its ending, that no other has.

  >>> stems(['a/1.png', 'b/1.jpg'])
  {'a/1.png': '1', 'b/1.jpg': '1-2'}
  """
  found, taken = {}, set()
  for path in dict.fromkeys(paths):
    stem, number = pathlib.Path(path).stem, 1
    name = stem
    while name in taken:
      number += 1
      name = f'{stem}-{number}'
    taken.add(name)
    found[path] = name
  return found


def batches(found: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
  """Yields lists of `size` items, in order; the last may have less.

  >>> [*batches([1, 2, 3], 2)]
  [[1, 2], [3]]
  """
  found = iter(found)
  while batch := list(itertools.islice(found, size)):
    yield batch


def check_all(
  read_files: int, named: Named, wanted: str = 'classified'
) -> None:
  """Names what is missing; raises ValueError if not all could be read.

  Args:
    read_files: how many could.
    named: what was asked for.
    wanted: what was to be done with them.
  """
  for sentence in named.missing:
    console.error(sentence)
  total = len(named.files) + len(named.missing)
  if read_files < total:
    raise ValueError(
      f'{total - read_files} of {total} files could not be {wanted}: see above.'
    )


def show(
  path: str,
  shares: Sequence[tuple[str, float]],
  as_json: bool,
  listed: str,
  unit: str,
  **written: str,
) -> None:
  """Prints what is predicted of a file.

  Args:
    path: the file.
    shares: (class name, share in [0, 1]), the largest first.
    as_json: whether to print a JSON object in a line.
    listed: what the list of classes is called in it.
    unit: what a share is called in it.
    **written: other files that were written, by what they are.
  """
  if as_json:
    classes = [{'name': name, unit: share} for name, share in shares]
    console.say(json.dumps({'file': path, **written, listed: classes}))
    return
  console.say(one_line(path))
  for name, share in shares:
    console.say(f'  {share:7.2%}  {one_line(name)}')
