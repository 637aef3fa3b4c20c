"""COCO's files of annotations, which are large: indexed, and read by image.

That of the instances of train2017 has 450 MB. It is read once, element by
element; where the annotations of each image are is kept, and they are read
again when the image is written.
"""

import array
import functools
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

import numpy as np

from datasets import files, json_files
from datasets.convert.masks.pairs import find_root
from datasets.images.image_files import SUFFIXES, BadImage
from datasets.sources import listing
from datasets.text import check_name, cut, few
from datasets.writing.plan import Item

INSTANCES, PANOPTIC = 'instances', 'panoptic'
_CHUNK, _LARGEST = 1 << 20, 1 << 24  # bytes: read at once, of an element
_BLANK = ' \t\n\r'
_LONGEST = 255  # characters of a file's name
_SPLITS = {'train': 'train', 'val': 'val', 'valid': 'val', 'test': 'test'}
_INSIDE = '_annotations.coco.json'  # beside its images, as Roboflow has it
# Where the images of annotations/KIND_NAME.json are, the first that there is.
_IMAGES = ('images/{}', '{}', 'images')


class _Image(TypedDict):
  id: int
  file_name: str
  height: int
  width: int


class _Category(TypedDict):
  id: int
  name: str


class _Annotation(TypedDict):
  image_id: int


class Source(NamedTuple):
  """A file of annotations, and where its images are.

  Fields:
    path: of the file.
    images: their folder.
    part: what the file is called behind its kind, such as train2017.
  """

  path: pathlib.Path
  images: pathlib.Path
  part: str


class Image(NamedTuple):
  """An image of a file of annotations.

  Fields:
    name: relative to the folder of the images.
    height: in pixels, as the file says.
    width: the same.
  """

  name: str
  height: int
  width: int


class _Reader:
  """Reads the values of a JSON file one after the other.

  The bytes are taken for characters one by one: those that make up the
  structure are ASCII, and places in the text are then places in the file.
  """

  def __init__(self, file):
    self._file, self._text, self._at = file, '', 0
    self._passed = 0  # bytes of the file before the text
    self._decode = json.JSONDecoder().raw_decode

  @property
  def place(self):
    return self._passed + self._at

  def _more(self):
    """Reads on; whether there was something."""
    data = self._file.read(max(_CHUNK, len(self._text) - self._at))
    if data:
      self._passed += self._at
      self._text = self._text[self._at :] + data.decode('latin-1')
      self._at = 0
    return bool(data)

  def next(self):
    """Returns the character that is next, '' at the end; passes over blanks."""
    while True:
      while self._at < len(self._text) and self._text[self._at] in _BLANK:
        self._at += 1
      if self._at < len(self._text) or not self._more():
        return self._text[self._at : self._at + 1]

  def take(self, wanted):
    """Passes over one of the characters, and returns it."""
    found = self.next()
    if not found:
      raise ValueError(f'it ends at byte {self.place:,}, before it is complete')
    if found not in wanted:
      raise ValueError(
        f'byte {self.place:,} is {found!r} instead of '
        f'{" or ".join(map(repr, wanted))}'
      )
    self._at += 1
    return found

  def value(self):
    """Returns the next value, its place, and its bytes."""
    self.next()
    while True:
      try:
        value, end = self._decode(self._text, self._at)
        wrong = ''
      except RecursionError:
        raise ValueError('it nests too deeply') from None
      except ValueError as error:
        end, wrong = len(self._text), getattr(error, 'msg', str(error))
      # What ends with the text, as a number may, may go on behind it.
      whole = end < len(self._text)
      if whole or end - self._at > _LARGEST or not self._more():
        break
    if wrong:
      raise ValueError(f'behind byte {self.place:,}: {wrong}')
    place, data = self.place, self._text[self._at : end].encode('latin-1')
    self._at = end
    return value, place, data


def _elements(reader, opening, closing):
  """Yields once for each element of a list or object, to be taken then."""
  reader.take(opening)
  while reader.next() != closing:
    yield
    if reader.next() == closing:
      break
    reader.take(',')
  reader.take(closing)


def _scan(file) -> Iterator[tuple[str, Any, int, bytes]]:
  """Yields (list, element, place, bytes) of the lists of a JSON object."""
  reader = _Reader(file)
  for _ in _elements(reader, '{', '}'):
    name, place, _ = reader.value()
    if not isinstance(name, str):
      raise ValueError(f'byte {place:,} should begin a name')
    reader.take(':')
    if reader.next() != '[':
      reader.value()
      continue
    for _ in _elements(reader, '[', ']'):
      yield name, *reader.value()
  if reader.next():
    raise ValueError(f'there is more behind its end, at byte {reader.place:,}')


def check_path(name: str) -> str:
  """Returns a name of a file below a folder.

  Raises:
    ValueError: it leads elsewhere, or is none.
  """
  check_name(name, 'the file')
  path = pathlib.PurePosixPath(name)
  if (
    not path.parts
    or path.is_absolute()
    or '..' in path.parts
    or max(map(len, path.parts)) > _LONGEST
  ):
    raise ValueError(f'the file {cut(name, 60)!r} is no path within a folder')
  return str(path)


class Annotations:
  """The annotations of a file, by image; safe in many threads.

  Attributes:
    path: of the file.
    images: all of them, in the order of the file.
    categories: the name of each category by its id, in the order of the ids.
    counts: int64 [images], the number of annotations of each.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads where everything is.

    Raises:
      ValueError: the file is not as COCO's are; the sentence names the place.
    """
    self.path = os.fspath(path)
    self.images: list[Image] = []
    self.categories: dict[int, str] = {}
    self._numbers: dict[int, int] = {}  # of images, by their ids
    self._names: set[str] = set()
    try:
      self._read()
    except files.Irregular:
      raise
    except OSError as error:
      raise ValueError(
        f'{self.path} cannot be read: {error.strerror or error}.'
      ) from None
    except ValueError as error:
      raise ValueError(
        f"{self.path} is not JSON in COCO's form: "
        f'{cut(str(error).removesuffix("."), 300)}. Put back the file, or '
        'export it again.'
      ) from None

  def _read(self):
    keep = {'images': self._keep_image, 'categories': self._keep_category}
    found = array.array('q')  # the image's id, place and size of each
    with files.open_regular(self.path) as file:
      for name, value, place, data in _scan(file):
        if name == 'annotations':
          json_files.check(value, _Annotation, 'an annotation')
          found.extend((value['image_id'], place, len(data)))
        elif name in keep:
          keep[name](json_files.parse(data))
    if not self.images or not self.categories:
      raise ValueError(f'it has no {"categories" if self.images else "images"}')
    self.categories = dict(sorted(self.categories.items()))
    self._sort(np.array(found, np.int64).reshape(-1, 3))

  def _keep_image(self, value):
    json_files.check(value, _Image, 'an image')
    name = check_path(value['file_name'])
    if value['id'] in self._numbers or name in self._names:
      raise ValueError(f'it has the image {value["id"]}, {name!r}, twice')
    if value['height'] < 1 or value['width'] < 1:
      raise ValueError(f'the image {name!r} has no pixels')
    self._numbers[value['id']] = len(self.images)
    self._names.add(name)
    self.images.append(Image(name, value['height'], value['width']))

  def _keep_category(self, value):
    json_files.check(value, _Category, 'a category')
    if value['id'] in self.categories:
      raise ValueError(f'it has the category {value["id"]} twice')
    self.categories[value['id']] = value['name']

  def _sort(self, found):
    """Orders the annotations by their images."""
    unknown = next(
      (each for each in found[:, 0].tolist() if each not in self._numbers), None
    )
    if unknown is not None:
      raise ValueError(
        f'it has annotations of the image {unknown}, which is none of its '
        'images'
      )
    numbers = np.array(
      [self._numbers[each] for each in found[:, 0].tolist()], np.int64
    )
    self._places = found[np.argsort(numbers, kind='stable'), 1:]
    self.counts = np.bincount(numbers, minlength=len(self.images))
    self._ends = self.counts.cumsum()

  def of(self, number: int) -> list[dict[str, Any]]:
    """Returns the annotations of an image, in the order of the file.

    Raises:
      BadImage: they cannot be read.
    """
    end = self._ends[number]
    try:
      with files.open_regular(self.path) as file:
        found = []
        for place, size in self._places[end - self.counts[number] : end]:
          file.seek(place)
          found.append(json_files.parse(file.read(size)))
        return found
    except (ValueError, OSError) as error:
      raise BadImage(
        f'has annotations in {self.path} that cannot be read: {error}'
      ) from None


def _annotation_files(folder, kind):
  """Returns the files of annotations below a folder, and what they are of."""
  begin = f'{kind}_'
  found = [
    (path, path.stem.removeprefix(begin))
    for path in sorted((folder / 'annotations').glob(f'{begin}*.json'))
  ]
  if kind != INSTANCES:
    return found
  return found + [
    (folder / name / _INSIDE, name)
    for name in listing.folders_in(folder)
    if (folder / name / _INSIDE).is_file()
  ]


def _images_of(root, path, part):
  """Returns the folder of the images of a file of annotations, or None."""
  if path.name == _INSIDE:
    return path.parent
  for place in _IMAGES:
    folder = root / place.format(part)
    # That of all images has no folder for each part.
    if folder.is_dir() and ('{}' in place or not listing.folders_in(folder)):
      return folder
  return None


def _split_of(path, part, alone):
  """Returns the split that a file of annotations is for."""
  word = re.match('[a-z]*', part.lower())[0]
  if word in _SPLITS or alone:
    return _SPLITS.get(word, 'train')
  raise ValueError(
    f'{path} is not the only one, and does not tell its split: call it train, '
    f'val or test, as in {INSTANCES}_train.json.'
  )


def find(
  source: str | os.PathLike, kind: str
) -> tuple[dict[str, Source], list[str]]:
  """Returns the files of annotations of each split, and notes.

  Args:
    source: a folder with annotations/KIND_PART.json, and with images in
      images/PART, PART or images; or with PART/_annotations.coco.json.
    kind: `INSTANCES` or `PANOPTIC`.

  Raises:
    ValueError: there is none, none for train, or two for one split.
  """
  root = find_root(
    source,
    lambda folder: bool(_annotation_files(folder, kind)),
    f'annotations/{kind}_*.json',
  )
  found, notes = {}, []
  there = _annotation_files(root, kind)
  for path, part in there:
    split = _split_of(path, part, len(there) == 1)
    images = _images_of(root, path, part)
    if split in found:
      raise ValueError(
        f'{found[split].path} and {path} are both for {split}. Keep one.'
      )
    if images:
      found[split] = Source(path, images, part)
    elif split == 'train':
      raise ValueError(
        f'There are no images for {path}: unpack them to {root / part}.'
      )
    else:
      notes.append(f'There are no images for {path}, so {split} is left out.')
  if 'train' not in found:
    raise ValueError(
      f'{root} has {few(path.name for path, _ in there)} but none for train. '
      f'Add annotations/{kind}_train.json.'
    )
  return {
    split: found[split] for split in _SPLITS.values() if split in found
  }, notes


def index(sources: Mapping[str, Source]) -> dict[str, Annotations]:
  """Returns the annotations of each split.

  Raises:
    ValueError: a file that is not as COCO's are, or of other categories than
      that of train.
  """
  found = {split: Annotations(each.path) for split, each in sources.items()}
  first = found['train']
  for other in found.values():
    if other.categories != first.categories:
      raise ValueError(
        f'{first.path} and {other.path} have other categories. Export both '
        'with the same ones.'
      )
  return found


def plan_images(
  root: str | os.PathLike,
  sources: Mapping[str, Source],
  annotations: Mapping[str, Annotations],
  read_mask: Callable[[Source, Annotations, int], np.ndarray],
) -> tuple[dict[str, list[Item]], list[str]]:
  """Returns the items of each split, and notes.

  Args:
    root: what the images' names are relative to.
    sources: of each split.
    annotations: of each split.
    read_mask: called with those of a split and the number of an image; see
      `Item.read_mask`.

  Raises:
    ValueError: an image is missing.
  """
  items, notes, used = {}, [], {}
  there: dict[pathlib.Path, dict[str, tuple[str, str]]] = {}
  for split, source in sources.items():
    if source.images not in there:
      there[source.images] = _files_in(source.images, pathlib.Path(root))
    known, images = there[source.images], annotations[split].images
    missing = [image.name for image in images if image.name not in known]
    if missing:
      raise ValueError(
        f'{source.path} names {len(missing):,} images that {source.images} '
        f'does not have: {few(missing)}. Add them, or take them out of the '
        'file.'
      )
    used.setdefault(source.images, set()).update(each.name for each in images)
    items[split] = [
      Item(
        known[image.name][0],
        None,
        functools.partial(listing.read_file, known[image.name][1]),
        read_mask=functools.partial(
          read_mask, source, annotations[split], number
        ),
      )
      for number, image in enumerate(images)
    ]
  for folder, known in there.items():
    left = sorted(known.keys() - used[folder])
    if left:
      notes.append(
        f'{len(left):,} images of {folder} are in no file of annotations, and '
        f'are left out: {few(left)}.'
      )
  return items, notes


def _files_in(folder, root):
  """Returns the images of a folder by their names within it."""
  start = folder.relative_to(root).as_posix()
  begin = '' if start == '.' else f'{start}/'
  return {
    name.removeprefix(begin): (name, path)
    for name, path in listing.files_under(folder, root)
    if os.path.splitext(name)[1].lower() in SUFFIXES
  }
