"""The annotations of a file in COCO's form, by image.

Such files are large: that of the instances of train2017 has 450 MB. One is read
once, and where the annotations of each image are is kept; they are read again
when the image is written.
"""

import array
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

import numpy as np

from datasets import files, json_files
from datasets.convert.masks import large_json
from datasets.images.image_files import BadImage
from datasets.progress import no_progress
from datasets.text import check_name, cut

_LONGEST = 255  # characters of a file's name


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

  def __init__(self, path: str | os.PathLike, progress: Callable = no_progress):
    """Reads where everything is.

    Args:
      path: of the file.
      progress: called with its bytes, 0 and a title; returns a context manager
        with update().

    Raises:
      ValueError: the file is not as COCO's are; the sentence names the place.
    """
    self.path = os.fspath(path)
    self.images: list[Image] = []
    self.categories: dict[int, str] = {}
    self._numbers: dict[int, int] = {}  # of images, by their ids
    self._names: set[str] = set()
    try:
      self._read(progress)
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

  def _read(self, progress):
    keep = {'images': self._keep_image, 'categories': self._keep_category}
    found = array.array('q')  # the image's id, place and size of each
    with (
      files.open_regular(self.path) as file,
      progress(
        os.fstat(file.fileno()).st_size, 0, 'reading annotations'
      ) as bar,
    ):
      passed = 0
      for name, value, place, data in large_json.lists(file):
        bar.update(place - passed)
        passed = place
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
