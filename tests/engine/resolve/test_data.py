"""The data of a run: what config.json says of them, and whether others fit."""

import re
import shutil

import numpy as np
import pytest

from datasets import dataset_factory
from engine.config.scripts import TrainConfig
from engine.resolve import data
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
NAMES = list(builders.COLOURS)


def flowers(folder, split='train'):
  return dataset_factory.get_dataset('flowers', split, str(folder))


def config_of(folder):
  return TrainConfig(
    dataset_name='flowers',
    dataset_dir=str(folder),
    eval_split_name='validation',
    labels_offset=0,
  )


def facts(folder):
  config, dataset = config_of(folder), flowers(folder)
  return {
    'dataset_name': 'flowers',
    'dataset_dir': str(folder),
    'dataset_split_name': 'train',
    **data.facts(config, dataset, data.splits_of(config, dataset)),
  }


def test_facts(colours):
  found = facts(colours)
  assert (found['num_classes'], found['class_names']) == (5, NAMES)
  assert {
    split: facts['examples'] for split, facts in found['data'].items()
  } == {'train': 80, 'validation': 23}
  assert found['data']['train'].keys() == {'examples', 'checksum'}


def test_a_cache_that_cannot_be_written_is_told(colours, tmp_path, capsys):
  """The records are found all the same."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    (tmp_path / 'file').write_text('')
    dataset = data.open_split(config_of(colours))
    told = capsys.readouterr().out
  assert dataset.num_samples == 80
  assert told.startswith(
    f'note: {tmp_path}/file/slim-resnets/offsets cannot be written ('
  )
  assert 'or name a folder for caches by XDG_CACHE_HOME.' in told


def test_facts_of_masks(tmp_path):
  """What writes predictions back goes with the run, where it is not theirs."""
  ids = np.resize(np.array([0, 1], np.uint8), (8, 8))
  for values in ((7, 26), ()):
    folder = tmp_path / str(len(values))
    builders.write_masks(
      folder,
      ('road', 'car'),
      source_values=values,
      train=[builders.mask_record(1, ids)],
    )
    dataset = dataset_factory.get_dataset('tfrecord', 'train', str(folder))
    config = TrainConfig(labels_offset=0)
    found = data.facts(config, dataset, data.facts_of(dataset))
    assert found.get('source_values', []) == [*values]
    assert ('source_values' in found) == bool(values)


def test_without_an_evaluation_split(colours, workplace):
  folder = shutil.copytree(colours, workplace / 'a')
  for path in folder.glob('*validation*'):
    path.unlink()
  assert facts(folder)['data'].keys() == {'train'}


@pytest.mark.parametrize(
  'run, found',
  [
    ({}, ''),
    ({'num_classes': 5, 'class_names': NAMES}, ''),
    ({'num_classes': 6}, '6 classes, not 5'),
    ({'class_names': ['red', 'blue']}, "class 1 'blue', not 'green'"),
    ({'class_names': NAMES[1:], 'labels_offset': 1}, ''),
    ({'class_names': list('01234')}, ''),
    ({'class_names': list('1234'), 'labels_offset': 1}, ''),
    ({'class_names': list('1234')}, "class 0 '1', not 'red'"),
  ],
)
def test_other_classes(colours, run, found):
  assert data.other_classes(run, flowers(colours)) == found


def test_classes_without_names(colours, workplace):
  folder = shutil.copytree(colours, workplace / 'a')
  (folder / 'labels.txt').unlink()
  run = {'num_classes': 5, 'class_names': NAMES}
  assert data.other_classes(run, flowers(folder)) == ''


def test_other_examples():
  now = {'train': {'examples': 8, 'checksum': 'files:ab'}}
  for then, found in (
    ({}, ''),
    ({'examples': 8, 'checksum': 'files:ab'}, ''),
    (
      {'examples': 8, 'checksum': 'files:cd'},
      'the checksum files:cd of the split train, not files:ab',
    ),
    ({'examples': 8, 'checksum': 'records:cd'}, ''),
    (
      {'examples': 1000, 'checksum': 'records:cd'},
      '1,000 examples in the split train, not 8',
    ),
  ):
    run = {'data': {'train': then} if then else {'test': 0}}
    assert data.other_examples(run, now) == found
  assert data.other_examples({}, now) == ''


def evaluate(run, folder, split='validation'):
  data.check_evaluated(run, config_of(folder), flowers(folder, split), 'CKPT')


def test_data_of_the_same_classes_may_be_evaluated(colours, workplace, capsys):
  run = facts(colours)
  evaluate(run, colours)
  evaluate(run, builders.write_colours(workplace / 'b', 10, 5))
  evaluate({}, colours)
  assert capsys.readouterr().out == ''


def test_other_classes_are_not_evaluated(colours, workplace):
  folder = shutil.copytree(colours, workplace / 'b')
  labels = folder / 'labels.txt'
  labels.write_text(labels.read_text().replace('green', 'lime'))
  with pytest.raises(
    ValueError,
    match=re.escape(
      f'CKPT was trained on other classes than those of {folder}: class 1 '
      "'green', not 'lime'. Name data with the same classes, in the same "
      'order, by --dataset_dir and --dataset_name, or train on these.'
    ),
  ):
    evaluate(facts(colours), folder)


def test_numbers_are_taken_for_names(colours, capsys):
  run = {**facts(colours), 'class_names': list('01234')}
  evaluate(run, colours)
  assert capsys.readouterr().out == (
    'note: CKPT knows its classes by their numbers. They are taken for those '
    f'of {colours}, in their order.\n'
  )


@pytest.mark.parametrize('split', ['validation', 'train'])
def test_data_that_were_converted_anew_in_place(
  colours, workplace, capsys, split
):
  """Of a split that the run does not know, the training split tells."""
  folder = shutil.copytree(colours, workplace / 'b')
  run = facts(folder)
  builders.write_colours(folder, 10, 5)
  counts = {'train': (80, 10), 'validation': (23, 5)}
  then, now = counts[split]
  if split == 'train':
    del run['data']['validation']
  evaluate(run, folder)
  assert capsys.readouterr().out == (
    f'note: {folder} has changed since CKPT was trained, with {then} examples '
    f'in the split {split}, not {now}. Images of the training may now be in '
    'another split, and the metrics too good.\n'
  )


def test_a_run_that_knows_none_of_its_splits(colours, capsys):
  """As a config.json that somebody has changed."""
  run = {**facts(colours), 'data': {'other': {'examples': 1, 'checksum': ''}}}
  evaluate(run, colours)
  del run['dataset_split_name']
  evaluate(run, colours)
  assert capsys.readouterr().out == ''


def test_copies_are_the_same(colours, workplace):
  copy = shutil.copytree(colours, workplace / 'b')
  assert data.are_same(flowers(colours), flowers(copy))
  assert not data.are_same(flowers(colours), flowers(copy, 'validation'))
  other = builders.write_colours(workplace / 'c', 10, 5)
  assert not data.are_same(flowers(colours), flowers(other))
