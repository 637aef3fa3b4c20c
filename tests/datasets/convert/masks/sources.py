"""Small datasets in the layouts of large ones, and what is made of them."""

import json
import pathlib

import numpy as np
from PIL import Image

from datasets.images import image_files
from datasets.writing import writer
from datasets.writing.plan import Options, Plan

SIZE = HEIGHT, WIDTH = (8, 11)


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


# Cityscapes.

# Of label ids: unlabeled, road, a bridge, a car, a caravan and a bicycle.
LABEL_IDS = (0, 7, 15, 26, 29, 33)
TRAIN_IDS = {7: 0, 26: 13, 33: 18}


def cityscapes(root, form='labelIds', parts=('train', 'val'), truth='gtFine'):
  """Writes two images of a city for each part; returns their label ids."""
  found = {}
  for part in parts:
    for seed in range(2):
      name = f'{part}/bonn/bonn_00000{seed}_000019'
      image(root / f'leftImg8bit/{name}_leftImg8bit.png', seed)
      ids = mask(LABEL_IDS, seed)
      found[f'leftImg8bit/{name}_leftImg8bit.png'] = ids
      shown = ids if form == 'labelIds' else trained(ids)
      save(root / f'{truth}/{name}_{truth}_{form}.png', shown)
      # What lies beside them in the archives.
      save(root / f'{truth}/{name}_{truth}_instanceIds.png', ids)
      write_json(root / f'{truth}/{name}_{truth}_polygons.json', {})
  return found


def trained(ids):
  """Returns the train ids of label ids."""
  table = np.full(256, 255, np.uint8)
  table[[*TRAIN_IDS]] = [*TRAIN_IDS.values()]
  return table[ids]


# ADE20K.

ADE_VALUES = (0, 1, 12, 150)


def ade20k(root):
  """Writes two images of each part."""
  for part in ('training', 'validation'):
    for seed in range(2):
      name = f'{part}/ADE_{part[:5]}_0000000{seed}'
      image(root / f'images/{name}.jpg', seed)
      save(root / f'annotations/{name}.png', mask(ADE_VALUES, seed))


# COCO's instances.

CATEGORIES = [{'id': 18, 'name': 'dog'}, {'id': 3, 'name': 'car'}]
LEFT = [[0, 0, 4, 0, 4, HEIGHT, 0, HEIGHT]]  # 4 columns
CORNER = [[0, 0, 2, 0, 2, 2, 0, 2]]  # 2x2, within it
BAR = [[2, 4, 9, 4, 9, 5, 2, 5]]  # a row of 7, over the edge of it
# The last two columns, as run lengths.
RIGHT = {'size': [HEIGHT, WIDTH], 'counts': [HEIGHT * (WIDTH - 2), HEIGHT * 2]}


def an_object(category, region, image=1, **values):
  return {
    'id': 70 + category,
    'image_id': image,
    'category_id': category,
    'segmentation': region,
    'iscrowd': 0,
    **values,
  }


def instances(root, objects, images=3, parts=('train',), categories=CATEGORIES):
  """Writes images 1 to 3 of each part, with the objects."""
  for part in parts:
    for number in range(1, images + 1):
      image(root / f'{part}2017/{number}.jpg', number)
    write_json(
      root / f'annotations/instances_{part}2017.json',
      {
        'images': [
          {
            'id': number,
            'file_name': f'{number}.jpg',
            'height': HEIGHT,
            'width': WIDTH,
          }
          for number in range(1, images + 1)
        ],
        'annotations': objects,
        'categories': categories,
      },
    )


# COCO's panoptic segmentation.

THINGS_AND_STUFF = [
  {'id': 1, 'name': 'person', 'isthing': 1},
  {'id': 184, 'name': 'tree-merged', 'isthing': 0},
  {'id': 92, 'name': 'banner', 'isthing': 0},
]
# The numbers of the segments, and their categories; 0 is none.
SEGMENTS = {5: 1, 300: 92, 70_001: 184, 16_777_215: 1}


def segments(seed):
  """Returns the number of the segment of each pixel, and that as colours."""
  numbers = np.array([0, *SEGMENTS])[mask(range(5), seed)]
  return numbers, np.stack(
    [numbers & 255, numbers >> 8 & 255, numbers >> 16], -1
  ).astype(np.uint8)


def panoptic(
  root, parts=('train', 'val'), inner='annotations', listed=SEGMENTS
):
  for part in parts:
    name = f'panoptic_{part}2017'
    images, annotations = [], []
    for seed in (1, 2):
      image(root / f'{part}2017/{seed}.jpg', seed)
      save(root / inner / name / f'{seed}.png', segments(seed)[1])
      height, width = SIZE
      images.append(
        {
          'id': seed,
          'file_name': f'{seed}.jpg',
          'height': height,
          'width': width,
        }
      )
      annotations.append(
        {
          'image_id': seed,
          'file_name': f'{seed}.png',
          'segments_info': [
            {'id': number, 'category_id': category, 'iscrowd': 0}
            for number, category in listed.items()
          ],
        }
      )
    write_json(
      root / 'annotations' / f'{name}.json',
      {
        'images': images,
        'annotations': annotations,
        'categories': THINGS_AND_STUFF,
      },
    )
