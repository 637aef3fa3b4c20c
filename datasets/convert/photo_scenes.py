"""The second embedded dataset for segmentation: digits on photographs.

Scenes as those of `datasets.convert.scenes`, but fewer, and on windows of the
photographs and textures that come with scikit-image and scikit-learn. Neither a
digit nor a photograph of a test scene is in a train scene.
"""

import functools
import importlib.resources
import os

import numpy as np
from PIL import Image

from datasets.convert import scenes
from datasets.writing import writer
from datasets.writing.plan import Plan

FILE_PATTERN = 'photo_scenes_%s.tfrecord'
SCENES = {'train': 600, 'test': 150}
SIZE = 97  # pixels of a side of a scene
HEIGHTS = (24, 48)  # of a digit, in pixels
COUNTS = (3, 6)  # digits of a scene
# Where each library keeps its images, and those of each split.
FOLDERS = {'skimage': 'data', 'sklearn': 'datasets/images'}
PHOTOGRAPHS = {
  'train': (
    ('skimage', 'astronaut.png'),
    ('skimage', 'brick.png'),
    ('skimage', 'coffee.png'),
    ('skimage', 'coins.png'),
    ('skimage', 'grass.png'),
    ('skimage', 'hubble_deep_field.jpg'),
    ('skimage', 'ihc.png'),
    ('skimage', 'motorcycle_left.png'),
    ('sklearn', 'china.jpg'),
  ),
  'test': (
    ('skimage', 'camera.png'),
    ('skimage', 'chelsea.png'),
    ('skimage', 'gravel.png'),
    ('skimage', 'rocket.jpg'),
    ('sklearn', 'flower.jpg'),
  ),
}
_LEAST_WINDOW = 64  # pixels of a side


@functools.cache
def _photograph(library, name):
  """Returns an image of a library: uint8 [height, width, 3].

  Raises:
    ValueError: the library is not installed, or does not have it.
  """
  try:
    folder = importlib.resources.files(library)
    with folder.joinpath(FOLDERS[library], name).open('rb') as file:
      return np.asarray(Image.open(file).convert('RGB'))
  except (ModuleNotFoundError, FileNotFoundError) as error:
    raise ValueError(
      f'photo_scenes is made of photographs that come with scikit-image and '
      f'scikit-learn, and {library} is not there or lacks {name}: '
      "pip install 'scikit-image>=0.20' scikit-learn."
    ) from error


def _ground(random, photographs):
  """Returns a window of one of the photographs: float32 [SIZE, SIZE, 3]."""
  photograph = _photograph(*photographs[random.integers(len(photographs))])
  sides = photograph.shape[:2]
  side = random.integers(_LEAST_WINDOW, min(sides) + 1)
  top, left = (random.integers(0, each - side + 1) for each in sides)
  window = Image.fromarray(photograph[top : top + side, left : left + side])
  resized = window.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
  ground = np.asarray(resized, np.float32)
  return ground[:, :: 1 - 2 * random.integers(2)].copy()


def _scene(split, images, labels, key):
  ground = functools.partial(_ground, photographs=PHOTOGRAPHS[split])
  return scenes.draw(
    images, labels, key, scenes.Style(HEIGHTS, COUNTS, ground, scenes.lighter)
  )


def plan() -> Plan:
  """Returns the scenes, as many as `SCENES` says."""
  return scenes.plan_of(
    'photo_scenes', 'scikit-image and scikit-learn', SCENES, _scene
  )


def ensure(dataset_dir: str | os.PathLike) -> None:
  """Writes the scenes to `dataset_dir`, unless they are there already.

  They are always the same with one version of the libraries. The folder
  appears whole or not at all.
  """
  writer.ensure(plan, dataset_dir, FILE_PATTERN)
