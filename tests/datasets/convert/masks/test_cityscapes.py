"""Cityscapes in the layout of its archives."""

import re
import shutil

import numpy as np
import pytest

from datasets import class_names, dataset_factory
from datasets.convert.masks import cityscapes
from datasets.images import mask_files
from datasets.writing.plan import Options
from tests.datasets.convert.masks import sources


def refused(source, words, options=sources.OPTIONS):
  with pytest.raises(ValueError, match=re.escape(words)):
    cityscapes.plan(str(source), options)


@pytest.mark.parametrize('form', ['labelIds', 'labelTrainIds'])
@pytest.mark.parametrize('inner', ['', 'archive/cityscapes'])
def test_train_ids(tmp_path, form, inner):
  root = tmp_path / inner
  ids = {
    **sources.cityscapes(root, form),
    **sources.cityscapes(root, form, ['train_extra'], 'gtCoarse'),
  }
  plan = cityscapes.plan(str(tmp_path), sources.OPTIONS)
  assert [*plan.splits] == ['train', 'val', 'train_coarse']
  assert plan.name == 'cityscapes' and plan.ignore_label == 255
  assert plan.class_names == [*class_names.CITYSCAPES]
  assert plan.notes == (f'The masks are those named *_{form}.png.',)
  found = {
    name.removeprefix(inner).lstrip('/'): mask
    for split in plan.splits
    for name, mask in sources.masks(plan, split).items()
  }
  assert found.keys() == ids.keys()
  for name, mask in found.items():
    np.testing.assert_array_equal(mask, sources.trained(ids[name]))


def test_back_to_label_ids(tmp_path):
  """What is kept with the data maps masks to what they were."""
  ids = sources.cityscapes(tmp_path)
  plan = cityscapes.plan(str(tmp_path), sources.OPTIONS)
  assert sources.written(plan, tmp_path / 'new').source_values == (
    *range(7, 9),
    *range(11, 14),
    17,
    *range(19, 29),
    *range(31, 34),
  )
  dataset = dataset_factory.get_dataset(
    'cityscapes', 'train', str(tmp_path / 'new')
  )
  assert dataset.num_classes == 19
  for name, mask in sources.masks(plan, 'train').items():
    counts = mask != 255
    back = mask_files.to_source(
      np.where(counts, mask, 0), dataset.source_values
    )
    np.testing.assert_array_equal(back[counts], ids[name][counts])
    assert np.isin(ids[name][~counts], (0, 15, 29)).all()


def test_records_of_deeplab_have_the_values_too():
  known = dataset_factory.registered('cityscapes')
  assert known.source_values == class_names.CITYSCAPES_IDS


def test_another_ignore_label(tmp_path):
  sources.cityscapes(tmp_path)
  plan = cityscapes.plan(str(tmp_path), Options(ignore_label=19))
  found = np.unique([*sources.masks(plan, 'train').values()])
  assert found.tolist() == [0, 13, 18, 19]


def test_parts_that_are_left_out(tmp_path):
  sources.cityscapes(tmp_path)
  shutil.rmtree(tmp_path / 'leftImg8bit/val')
  plan = cityscapes.plan(str(tmp_path), sources.OPTIONS)
  assert [*plan.splits] == ['train', 'validation']
  assert plan.notes[1:] == (
    f'There is no {tmp_path}/leftImg8bit/val, so val is left out.',
  )


def no_masks(root):
  for path in root.glob('gtFine/train/bonn/*_labelIds.png'):
    path.unlink()


def one_mask_less(root):
  (root / 'gtFine/train/bonn/bonn_000001_000019_gtFine_labelIds.png').unlink()


def one_image_less(root):
  (root / 'leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png').unlink()


@pytest.mark.parametrize(
  'damage, words',
  [
    (
      lambda root: shutil.rmtree(root / 'leftImg8bit'),
      'has no leftImg8bit beside gtFine, in no folder inside of it either. '
      'Unpack the archives of the dataset into one folder',
    ),
    (
      lambda root: shutil.rmtree(root / 'leftImg8bit/train'),
      'has nothing to train on: there should be leftImg8bit/train and',
    ),
    (
      no_masks,
      'not each of them has masks named *_labelIds.png or *_labelTrainIds.png',
    ),
    (
      one_mask_less,
      '1 of 2 files of {}/leftImg8bit/train have no partner of the same name '
      'in {}/gtFine/train: leftImg8bit/train/bonn/bonn_000001_000019_left',
    ),
    (one_image_less, '1 of 2 files of {}/gtFine/val have no partner'),
  ],
)
def test_what_is_missing(tmp_path, damage, words):
  sources.cityscapes(tmp_path)
  damage(tmp_path)
  refused(tmp_path, words.replace('{}', str(tmp_path)))


@pytest.mark.parametrize(
  'options, words',
  [
    (Options(ignore_label=None), 'cityscapes has pixels that are of no class'),
    (Options(ignore_label=3), '--ignore_label=3 is one of the 19 classes of'),
    (Options(labels_file='a'), 'cityscapes knows its classes: leave out'),
    (Options(mask_values=(0, 1)), 'cityscapes knows its classes: leave out'),
  ],
)
def test_flags_that_do_not_go_with_it(tmp_path, options, words):
  sources.cityscapes(tmp_path)
  refused(tmp_path, words, options)


def test_an_unknown_id(tmp_path):
  sources.cityscapes(tmp_path)
  path = 'gtFine/train/bonn/bonn_000000_000019_gtFine_labelIds.png'
  sources.save(tmp_path / path, sources.mask((7, 34, 90)))
  assert sources.problems(cityscapes.plan(str(tmp_path), sources.OPTIONS)) == (
    'leftImg8bit/train/bonn/bonn_000000_000019_leftImg8bit.png has a mask, '
    f"{path}, that has the values 34, 90, which the list of Cityscapes' label "
    'ids does not name: put back the file as the dataset has it'
  )
