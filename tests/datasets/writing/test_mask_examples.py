"""Examples with masks: what is counted, written and refused."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets.images import image_files, mask_files
from datasets.images.image_files import BadImage
from datasets.records import description, tfrecord
from datasets.writing import writer
from datasets.writing.plan import Item, Plan

CLASSES = ['background', 'cat', 'dog']
PATTERN = '%s-*'


def records(path):
  reader = tfrecord.Reader([str(path)])
  return [
    tf.train.Example.FromString(reader.read(i)).features.feature
    for i in range(len(reader))
  ]


def item(name, mask, size=None):
  mask = np.asarray(mask, np.uint8)
  height, width = size or mask.shape
  data = image_files.encode(Image.new('RGB', (width, height), 'red'), 'png')
  return Item(name, None, lambda: data, read_mask=lambda: mask)


def plan(train, validation=((0, 1),), ignore_label=255, classes=CLASSES):
  return Plan(
    'SOURCE',
    classes,
    {
      'train': [item(f't{i}', [mask]) for i, mask in enumerate(train)],
      'validation': [
        item(f'v{i}', [mask]) for i, mask in enumerate(validation)
      ],
    },
    'tfrecord',
    'segmentation',
    ignore_label,
  )


def write(tmp_path, plan, **options):
  notes = []
  found, left_out = writer.write(
    plan, tmp_path / 'new', PATTERN, note=notes.append, **options
  )
  assert description.read(str(tmp_path / 'new')) == found
  return found, left_out, notes


def refused(tmp_path, plan, words, **options):
  with pytest.raises(ValueError) as caught:
    write(tmp_path, plan, **options)
  assert str(caught.value).startswith(words), str(caught.value)
  assert not list(tmp_path.iterdir())


def test_counts(tmp_path):
  """Over several files: pixels, images a class is in, and ignored ones."""
  found, left_out, notes = write(
    tmp_path,
    plan([(0, 0, 1, 255), (0, 1, 1, 1), (255, 255, 0, 0), (2, 2, 2, 2)]),
    num_shards=3,
  )
  split = found.splits['train']
  assert len(split.files) == 3 and split.examples == 4
  assert split.examples_per_class == (3, 2, 1)
  assert split.pixels_per_class == (5, 4, 4)
  assert split.ignored_pixels == 3
  assert found.splits['validation'].pixels_per_class == (1, 1, 0)
  assert (found.task, found.ignore_label) == ('segmentation', 255)
  assert left_out == notes == []


@pytest.mark.parametrize(
  'ignore_label,images,pixels,ignored',
  [
    (0, (0, 2, 1), (0, 3, 1), 4),
    (1, (3, 0, 1), (4, 0, 1), 3),
    (None, (3, 2, 1), (4, 3, 1), 0),
  ],
)
def test_ignore_label_within_the_classes(
  tmp_path, ignore_label, images, pixels, ignored
):
  """Pixels of the ignore label are no pixels of a class."""
  found, _, _ = write(
    tmp_path, plan([(0, 0, 1), (0, 1, 1), (2, 0)], ignore_label=ignore_label)
  )
  split = found.splits['train']
  assert split.examples_per_class == images
  assert split.pixels_per_class == pixels
  assert split.ignored_pixels == ignored


def test_wholly_ignored(tmp_path):
  found, _, notes = write(
    tmp_path, plan([(0, 1), (255, 255), (255,)], [(255, 255)])
  )
  assert notes == [
    'All pixels of 3 masks are ignored, so nothing is learnt '
    'from them: t1, t2, v0.'
  ]
  assert found.splits['train'].examples == 3


@pytest.mark.parametrize(
  'train,ignore_label,words',
  [
    (
      [(1, 1)],
      255,
      "The masks of train of SOURCE have one class only, 1 'cat', "
      'so that there is nothing to tell apart, and nothing to learn. Add masks '
      'with another class.',
    ),
    (
      [(0, 255)],
      255,
      'The masks of train of SOURCE have one class only, 0 '
      "'background', and pixels of 255, which is ignored, so that there "
      'is nothing to tell apart, and nothing to learn. Add masks with another '
      'class; or, if 255 stands for one, give the values in the order of the '
      'classes: --mask_values=0,255.',
    ),
    (
      [(0, 1), (0, 0)],
      0,
      'The masks of train of SOURCE have one class only, 1 '
      "'cat', and pixels of 0, which is ignored, so that there is "
      'nothing to tell apart, and nothing to learn. Add masks with another '
      'class; or, if 0 stands for one, set another --ignore_label, or -1 for '
      'none.',
    ),
    ([(255, 255)], 255, 'The masks of train of SOURCE have no class at all'),
  ],
)
def test_one_class(tmp_path, train, ignore_label, words):
  refused(tmp_path, plan(train, ignore_label=ignore_label), words)


def test_another_size(tmp_path):
  bad = plan([(0, 1), (0, 2)])
  bad.splits['train'].append(item('big', [(0, 1)], (3, 4)))
  words = (
    'big of SOURCE has a mask of 2x1 pixels for an image of 4x3: '
    'export both in one size, enlarging masks by nearest neighbour '
    'only. Repair or remove it; --skip_bad_examples=1 leaves 1 such out.'
  )
  refused(tmp_path, bad, words)
  found, left_out, _ = write(tmp_path, bad, skip=1)
  assert found.splits['train'].examples == 2
  assert found.splits['train'].pixels_per_class == (2, 1, 1)
  assert left_out == [words.partition(' Repair')[0]]


@pytest.mark.parametrize(
  'mask,ignore_label,words',
  [
    (
      (0, 3, 255, 9),
      255,
      't1 of SOURCE has 3, 9 in its mask; the classes are '
      '0 to 2, and 255 is ignored: ',
    ),
    (
      (0, 255),
      None,
      't1 of SOURCE has 255 in its mask; the classes are 0 to 2,'
      ' and none is ignored: set --ignore_label=255 if that is not a class',
    ),
  ],
)
def test_values_out_of_range(tmp_path, mask, ignore_label, words):
  refused(tmp_path, plan([(0, 1), mask], ignore_label=ignore_label), words)


def test_a_mask_that_cannot_be_read(tmp_path):
  def read():
    raise BadImage('has a mask, M, that is torn')

  bad = plan([(0, 1)])
  good = bad.splits['train'][0]
  bad.splits['train'].append(Item('torn', None, good.read, read_mask=read))
  refused(tmp_path, bad, 'torn of SOURCE has a mask, M, that is torn. Repair')


def test_masks_stay_as_they_are(tmp_path):
  """Each record's mask is that of its name, whatever the order."""
  random = np.random.RandomState(0)
  expected = {
    f'p{i}': random.randint(0, 3, (5, 7)).astype(np.uint8) for i in range(20)
  }
  items = [item(name, mask) for name, mask in expected.items()]
  write(
    tmp_path,
    Plan('SOURCE', CLASSES, {'train': items}, 'tfrecord', 'segmentation', 255),
    num_shards=4,
    threads=3,
    seed=5,
  )
  found = {}
  for path in (tmp_path / 'new').glob('train-*'):
    for features in records(path):
      found[features['image/filename'].bytes_list.value[0].decode()] = (
        mask_files.decode(
          features['image/segmentation/class/encoded'].bytes_list.value[0],
          mask_files.Rule(),
        )
      )
  assert found.keys() == expected.keys()
  for name, mask in expected.items():
    np.testing.assert_array_equal(found[name], mask)
