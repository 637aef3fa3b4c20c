"""ADE20K in the layout of its archive."""

import re
import shutil

import numpy as np
import pytest

from datasets import class_names, dataset_factory
from datasets.convert.masks import ade20k
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources

INFO = 'Idx\tRatio\tTrain\tVal\tName\n'


def plan(source, ignore_label=255, **options):
  return ade20k.plan(str(source), Options(ignore_label=ignore_label, **options))


@pytest.mark.parametrize('inner', ['', 'ADEChallengeData2016'])
def test_classes(tmp_path, inner):
  sources.ade20k(tmp_path / inner)
  found = plan(tmp_path)
  assert [*found.splits] == ['train', 'val'] and found.name == 'ade20k'
  assert found.class_names == [*class_names.ADE20K[1:]]
  assert found.source_values == (*range(1, 151),)
  assert found.notes == (
    '0 is no class in ADE20K: its pixels are ignored (255).',
  )
  for seed, mask in enumerate(sources.masks(found, 'val').values()):
    expected = sources.mask(sources.ADE_VALUES, seed) - 1  # 0 becomes 255
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize('label, name', [(0, 'ignored'), (None, 'count')])
def test_deeplabs_form(tmp_path, label, name):
  """151 classes; with their values as they are, they need no table back."""
  sources.ade20k(tmp_path)
  found = plan(tmp_path, label)
  assert found.class_names == [*class_names.ADE20K]
  assert found.ignore_label == label and name in found.notes[0]
  for seed, mask in enumerate(sources.masks(found, 'train').values()):
    np.testing.assert_array_equal(mask, sources.mask(sources.ADE_VALUES, seed))
  described = sources.written(found, tmp_path / 'new')
  ignored = described.splits['train'].ignored_pixels
  assert (ignored > 0) == (label == 0)
  known = dataset_factory.get_specification('ade20k', str(tmp_path / 'new'))
  assert (known.num_classes, known.ignore_label) == (151, label)


def test_names_of_the_file(tmp_path):
  """The first word names a class, and a set of one's own has its own."""
  sources.ade20k(tmp_path)
  (tmp_path / ade20k.INFO).write_text(
    f'{INFO}1\t0.1\t5\t2\twall, side  \n\n2\t0.2\t5\t2\tdoor;gate\n'
    '3\t0.3\t5\t2\twall\n'
  )
  found = plan(tmp_path)
  assert found.class_names == ['wall (1)', 'door', 'wall (3)']
  assert 'has the values 12, 150, which objectInfo150.txt does not name' in (
    sources.problems(found)
  )


@pytest.mark.parametrize(
  'text, words',
  [
    (b'1\ta\n3\tb\n', "line 2: '3\\tb' should begin with 2, the next number"),
    (b'1\ta\n2 b\n', "line 2: '2 b' should begin with 2"),
    (b'1\ta\n2\t , b\n', 'line 2: '),
    (b'1\ta\n', 'names 1 classes; it should name 2 to 255.'),
    (b'1\t\xff\n', 'is not UTF-8 text: save it as UTF-8.'),
  ],
)
def test_names_that_are_none(tmp_path, text, words):
  sources.ade20k(tmp_path)
  (tmp_path / ade20k.INFO).write_bytes(text)
  with pytest.raises(ValueError, match=re.escape(f'{ade20k.INFO}')) as error:
    plan(tmp_path)
  assert words in str(error.value)


@pytest.mark.parametrize(
  'damage, options, words',
  [
    (
      lambda root: shutil.rmtree(root / 'annotations'),
      {},
      'has no images/training beside annotations/training',
    ),
    (
      lambda root: shutil.rmtree(root / 'annotations/validation'),
      {},
      'There is no folder {}/annotations/validation. Add it',
    ),
    (
      lambda root: (root / 'images/training/ADE_train_00000001.jpg').unlink(),
      {},
      '1 of 2 files of {}/annotations/training have no partner of the same '
      'name in {}/images/training: annotations/training/ADE_train_00000001',
    ),
    (lambda root: None, {'ignore_label': 7}, 'is one of the 150 classes of'),
    (lambda root: None, {'color_table': 'a'}, 'ade20k knows its classes'),
  ],
)
def test_bad_sources(tmp_path, damage, options, words):
  sources.ade20k(tmp_path)
  damage(tmp_path)
  with pytest.raises(ValueError) as error:
    plan(tmp_path, **options)
  assert words.replace('{}', str(tmp_path)) in str(error.value)
