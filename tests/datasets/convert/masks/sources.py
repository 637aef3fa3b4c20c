"""Small datasets in the layouts of large ones, and what is made of them."""

import json
import pathlib

import numpy as np
from PIL import Image

from datasets.images import image_files
from datasets.writing import writer
from datasets.writing.plan import Options, Plan

SIZE = (8, 11)  # height, width


def save(path: pathlib.Path, pixels: np.ndarray) -> None:
  """Writes an image, and its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)


def image(path: pathlib.Path, seed: int = 0, size=SIZE) -> None:
  """Writes a noisy image."""
  save(path, np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


def mask(values, seed: int = 0, size=SIZE) -> np.ndarray:
  """Returns a mask of which every value takes up a part."""
  values = np.array(values, np.uint8)
  found = np.random.default_rng(seed).choice(values, size)
  found.flat[: len(values)] = values
  return found


def write_json(path: pathlib.Path, values) -> None:
  """Writes a JSON file, and its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(values), 'utf-8')


def masks(plan: Plan, split: str) -> dict[str, np.ndarray]:
  """Returns the masks of a split by the names of the images."""
  return {item.name: item.read_mask() for item in plan.splits[split]}


def problems(plan: Plan) -> str:
  """Returns what is wrong with the masks of train, in a text."""
  found = []
  for item in plan.splits[next(iter(plan.splits))]:
    try:
      item.read_mask()
    except image_files.BadImage as bad:
      found.append(f'{item.name} {bad}')
  return '\n'.join(found)


def written(plan: Plan, folder: pathlib.Path):
  """Writes a plan; returns what dataset.json says."""
  return writer.write(plan, folder, '%s-*', threads=1)[0]


OPTIONS = Options()
