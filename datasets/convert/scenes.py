"""The embedded datasets for segmentation: scenes of handwritten digits.

Each shows several of the digits of `datasets.convert.digits`, enlarged,
turned and coloured, on a ground; the mask says of each pixel which digit's ink
it is, exactly. No digit of a test scene is in a train scene. Those of
`digit_scenes`, here, have a textured ground.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.convert import digits
from datasets.images import image_files
from datasets.label_kinds import SEGMENTATION
from datasets.writing import writer
from datasets.writing.plan import Item, Plan

FILE_PATTERN = 'digit_scenes_%s.tfrecord'
NAMES = ('background', *digits.NAMES)
SCENES = {'train': 2000, 'test': 200}
SIZE = 97  # pixels of a side of a scene
HEIGHTS = (24, 48)  # of a digit, in pixels
COUNTS = (3, 6)  # digits of a scene
TURN = 10  # degrees, at the most, either way

IGNORE_LABEL = 255  # no pixel has it
_SEED = 8
_PLACES = 40  # tried for a digit before it is made smaller
_CONTRAST = 90  # of ink and ground in luminance, of 255
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_NEAR = 0.1  # ink that no other digit's may touch, of 1


class Style(NamedTuple):
  """What scenes look like.

  Fields:
    heights: the least and the greatest of a digit, in pixels.
    counts: the least and the greatest number of digits.
    ground: returns a background, float32 [size, size, 3] of about 0 to 255,
      of random numbers.
    colour: returns an ink, float32 [3], of random numbers and of the ground
      that it covers, float32 [pixels, 3].
  """

  heights: tuple[int, int]
  counts: tuple[int, int]
  ground: Callable[[np.random.Generator], np.ndarray]
  colour: Callable[[np.random.Generator, np.ndarray], np.ndarray]


class _Scene(NamedTuple):
  """A scene: the bytes of its PNG, and its mask, uint8 [size, size]."""

  png: bytes
  mask: np.ndarray


def _noise(random, cells):
  """Returns smooth colours of about -1 to 1: float32 [SIZE, SIZE, 3]."""
  coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
  smooth = coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
  return np.asarray(smooth, np.float32) / 127.5 - 1


def _waves(random):
  """Returns stripes of one direction and width: float32 [SIZE, SIZE, 1]."""
  angle, length = random.uniform(0, np.pi), random.uniform(8, 40)
  across, down = np.cos(angle) / length, np.sin(angle) / length
  place = np.arange(SIZE, dtype=np.float32) * 2 * np.pi
  return np.sin(
    place[:, None] * down + place * across + random.uniform(0, 2 * np.pi)
  ).astype(np.float32)[..., None]


def _ground(random):
  """Returns a background: float32 [SIZE, SIZE, 3] of about 0 to 255."""
  ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
  base, right, down = random.normal(0, [[0], [22], [22]], (3, 3)).astype('f')
  base += random.uniform(20, 130, 3).astype('f')
  ground = base + ramp[:, None, None] * down + ramp[:, None] * right
  for cells, most in ((3, 45), (8, 25), (32, 14)):
    ground += np.float32(random.uniform(0, most)) * _noise(random, cells)
  if random.random() < 0.5:
    ground += _waves(random) * random.normal(0, 12, 3).astype('f')
  grain = random.standard_normal((SIZE, SIZE, 1), np.float32)
  return ground + grain * np.float32(random.uniform(1, 7))


def _enlarged(image, height, angle):
  """Returns a digit's ink, 0 to 1, in an image cut to what is near it."""
  side = round(height * 10 / 8)  # with a pixel of paper on each side
  ink = Image.fromarray(np.pad(image, 1).astype(np.float32) / 16).resize(
    (side, side), Image.Resampling.BICUBIC
  )
  ink = np.asarray(ink.rotate(angle, Image.Resampling.BICUBIC, expand=True))
  rows, columns = (np.flatnonzero((ink > _NEAR).any(axis)) for axis in (1, 0))
  return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(random, image, taken, heights):
  """Returns a digit's ink and the region it goes to, where none is taken."""
  tallest = heights[1]
  while tallest >= heights[0]:
    height = random.integers(heights[0], tallest + 1)
    ink = _enlarged(image, height, random.uniform(-TURN, TURN))
    for _ in range(_PLACES):
      top, left = (
        random.integers(0, free - side + 1)
        for free, side in zip(taken.shape, ink.shape, strict=True)
      )
      region = (
        slice(top, top + ink.shape[0]),
        slice(left, left + ink.shape[1]),
      )
      if not (taken[region] & (ink > _NEAR)).any():
        return ink, region, height
    tallest = height - 1
  return None


def lighter(random: np.random.Generator, ground: np.ndarray) -> np.ndarray:
  """Returns a colour that is lighter than the ground below it; see `Style`."""
  colours = random.uniform(0, 255, (16, 3)).astype(np.float32)
  contrast = colours @ _LUMINANCE - (ground @ _LUMINANCE).mean()
  return colours[np.argmax(np.minimum(contrast, _CONTRAST))]


def draw(
  images: np.ndarray, labels: np.ndarray, key: list[int], style: Style
) -> _Scene:
  """Draws one scene of some of the digits; `key` fixes it."""
  random = np.random.default_rng(key)
  scene = style.ground(random)
  mask = np.zeros(scene.shape[:2], np.uint8)
  taken = np.zeros(mask.shape, bool)
  low, high = style.counts
  for index in random.integers(
    len(images), size=random.integers(low, high + 1)
  ):
    found = _place(random, images[index], taken, style.heights)
    if found is None:
      continue
    ink, region, height = found
    soft = np.clip((ink - 0.5) * (height / 8) + 0.5, 0, 1)[..., None]
    below = scene[region]
    scene[region] = below + soft * (
      style.colour(random, below[ink > 0.5])
      + 0.15 * (below - below.mean((0, 1)))
      - below
    )
    mask[region][ink > 0.5] = labels[index] + 1
    taken[region] |= ink > _NEAR
  image = Image.fromarray(np.clip(np.round(scene), 0, 255).astype(np.uint8))
  return _Scene(image_files.encode(image, 'png', compress_level=2), mask)


def _scene(images, labels, key):
  return draw(images, labels, key, Style(HEIGHTS, COUNTS, _ground, lighter))


def _item(name, scene):
  scene = functools.cache(scene)
  return Item(name, None, lambda: scene().png, read_mask=lambda: scene().mask)


def plan_of(
  name: str,
  source: str,
  counts: Mapping[str, int],
  draw_one: Callable[[str, np.ndarray, np.ndarray, list[int]], _Scene],
) -> Plan:
  """Returns so many scenes of each split, drawn when they are read.

  Args:
    name: of the dataset.
    source: where its images come from.
    counts: the number of scenes of each split.
    draw_one: returns a scene of a split, of that split's digits and of the
      key that fixes it.
  """
  splits = {}
  for split, (_, images, labels) in digits.parts().items():
    splits[split] = [
      _item(
        f'{split} scene {i}',
        functools.partial(
          draw_one, split, images, labels, [_SEED, len(splits), i]
        ),
      )
      for i in range(counts[split])
    ]
  return Plan(source, list(NAMES), splits, name, SEGMENTATION, IGNORE_LABEL)


def plan() -> Plan:
  """Returns the scenes, as many as `SCENES` says."""
  return plan_of(
    'digit_scenes',
    'scikit-learn',
    SCENES,
    lambda split, images, labels, key: _scene(images, labels, key),
  )


def ensure(dataset_dir: str | os.PathLike) -> None:
  """Writes the scenes to `dataset_dir`, unless they are there already.

  They are always the same. The folder appears whole or not at all.
  """
  writer.ensure(plan, dataset_dir, FILE_PATTERN)
