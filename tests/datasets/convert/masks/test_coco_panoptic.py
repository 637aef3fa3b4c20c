"""COCO's panoptic segmentation as masks."""

import re
import shutil

import numpy as np
import pytest

from datasets.convert.masks import coco_panoptic
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources
from tests.datasets.convert.masks.sources import SEGMENTS, panoptic, segments


def plan(root, **options):
  return coco_panoptic.plan(str(root), Options(**options))


@pytest.mark.parametrize('inner', ['annotations', '.'])
def test_classes(tmp_path, inner):
  panoptic(tmp_path, inner=inner)
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
      numbers, _ = segments(seed)
      np.testing.assert_array_equal(mask, np.vectorize(labels.get)(numbers))
  described = sources.written(found, tmp_path / 'new')
  assert described.splits['train'].examples_per_class == (2, 2, 2)


def test_a_segment_that_is_not_listed(tmp_path):
  panoptic(tmp_path, listed={5: 1, 300: 92, 70_001: 184})
  count = (segments(1)[0] == 16_777_215).sum()
  assert f'has the colour 255,255,255 in {count} pixels' in (
    sources.problems(plan(tmp_path))
  )
  assert 'panoptic_train2017.json does not name: put back the file' in (
    sources.problems(plan(tmp_path))
  )


@pytest.mark.parametrize(
  'listed, words',
  [
    ({5: 7}, 'the category 7, which has no name: repair it there'),
    ({1 << 24: 1}, 'the segment 16777216, which is no colour'),
    ({-1: 1}, 'the segment -1, which is no colour'),
    ({'5': 1}, 'it.segments_info[0].id is "5", and should be a whole number'),
  ],
)
def test_bad_annotations(tmp_path, listed, words):
  panoptic(tmp_path, listed=listed)
  assert words in sources.problems(plan(tmp_path))


def test_a_mask_that_is_missing(tmp_path):
  panoptic(tmp_path)
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
  panoptic(tmp_path)
  damage(tmp_path)
  words = words.replace('{}', str(tmp_path))
  with pytest.raises(ValueError, match=re.escape(words)):
    plan(tmp_path, **options)
