"""COCO's panoptic segmentation as masks."""

import re
import shutil

import numpy as np
import pytest

from datasets.convert.masks import coco_panoptic
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources

CATEGORIES = [
  {'id': 1, 'name': 'person', 'isthing': 1},
  {'id': 184, 'name': 'tree-merged', 'isthing': 0},
  {'id': 92, 'name': 'banner', 'isthing': 0},
]
# The numbers of the segments, and their categories; 0 is none.
SEGMENTS = {5: 1, 300: 92, 70_001: 184, 16_777_215: 1}


def png(seed):
  """Returns the number of the segment of each pixel, and that as colours."""
  numbers = np.array([0, *SEGMENTS])[sources.mask(range(5), seed)]
  return numbers, np.stack(
    [numbers & 255, numbers >> 8 & 255, numbers >> 16], -1
  ).astype(np.uint8)


def write(root, parts=('train', 'val'), inner='annotations', segments=SEGMENTS):
  for part in parts:
    name = f'panoptic_{part}2017'
    images, annotations = [], []
    for seed in (1, 2):
      sources.image(root / f'{part}2017/{seed}.jpg', seed)
      sources.save(root / inner / name / f'{seed}.png', png(seed)[1])
      height, width = sources.SIZE
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
            for number, category in segments.items()
          ],
        }
      )
    sources.write_json(
      root / 'annotations' / f'{name}.json',
      {'images': images, 'annotations': annotations, 'categories': CATEGORIES},
    )


def plan(root, **options):
  return coco_panoptic.plan(str(root), Options(**options))


@pytest.mark.parametrize('inner', ['annotations', '.'])
def test_classes(tmp_path, inner):
  write(tmp_path, inner=inner)
  found = plan(tmp_path)
  assert found.class_names == ['person', 'banner', 'tree-merged']
  assert found.source_values == (1, 92, 184) and found.ignore_label == 255
  labels = {
    0: 255,
    **{
      number: found.source_values.index(category)
      for number, category in SEGMENTS.items()
    },
  }
  for split in ('train', 'val'):
    for seed, mask in enumerate(sources.masks(found, split).values(), 1):
      numbers, _ = png(seed)
      np.testing.assert_array_equal(mask, np.vectorize(labels.get)(numbers))
  described = sources.written(found, tmp_path / 'new')
  assert described.splits['train'].examples_per_class == (2, 2, 2)


def test_a_segment_that_is_not_listed(tmp_path):
  write(tmp_path, segments={5: 1, 300: 92, 70_001: 184})
  count = (png(1)[0] == 16_777_215).sum()
  assert f'has the colour 255,255,255 in {count} pixels' in (
    sources.problems(plan(tmp_path))
  )
  assert 'panoptic_train2017.json does not name: put back the file' in (
    sources.problems(plan(tmp_path))
  )


@pytest.mark.parametrize(
  'segments, words',
  [
    ({5: 7}, 'the category 7, which has no name: repair it there'),
    ({1 << 24: 1}, 'the segment 16777216, which is no colour'),
    ({-1: 1}, 'the segment -1, which is no colour'),
    ({'5': 1}, 'it.segments_info[0].id is "5", and should be a whole number'),
  ],
)
def test_bad_annotations(tmp_path, segments, words):
  write(tmp_path, segments=segments)
  assert words in sources.problems(plan(tmp_path))


def test_a_mask_that_is_missing(tmp_path):
  write(tmp_path)
  (tmp_path / 'annotations/panoptic_train2017/2.png').unlink()
  assert sources.problems(plan(tmp_path)) == (
    'train2017/2.jpg has a mask, 2.png, that cannot be read: No such file or '
    'directory'
  )


def twice(root):
  path = root / 'annotations/panoptic_train2017.json'
  text = path.read_text()
  path.write_text(text.replace('"image_id": 2', '"image_id": 1'))


@pytest.mark.parametrize(
  'damage, options, words',
  [
    (
      lambda root: shutil.rmtree(root / 'annotations/panoptic_val2017'),
      {},
      'There is no folder {}/annotations/panoptic_val2017 with the PNGs of '
      '{}/annotations/panoptic_val2017.json: unpack panoptic_val2017.zip',
    ),
    (
      twice,
      {},
      'does not have one annotation for each of 2 images: 1.jpg, 2.jpg. Put',
    ),
    (lambda root: None, {'ignore_label': None}, 'pixels that are of no class'),
    (lambda root: None, {'ignore_label': 1}, 'is one of the 3 classes of coco'),
  ],
)
def test_bad_sources(tmp_path, damage, options, words):
  write(tmp_path)
  damage(tmp_path)
  words = words.replace('{}', str(tmp_path))
  with pytest.raises(ValueError, match=re.escape(words)):
    plan(tmp_path, **options)
