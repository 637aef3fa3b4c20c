"""Whether a run that is resumed still has the data that it was begun with."""

import json
import re
import shutil

import pytest

from datasets import dataset_factory
from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.resolve import data
from engine.training import same_data
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
CURE = 'name another --train_dir for a new run, or restore the data.'
ACCEPT = 'pass --accept_changes to resume with the new data, '


def opened(folder, split, **flags):
  config = TrainConfig(
    dataset_name='flowers',
    dataset_dir=str(folder),
    eval_split_name=split,
    labels_offset=0,
    train_dir='run',
    **flags,
  )
  dataset = dataset_factory.get_dataset('flowers', 'train', str(folder))
  return config, dataset, data.splits_of(config, dataset)


@pytest.fixture
def folder(colours, workplace):
  """The data of the run in the folder 'run', to be changed."""
  copy = shutil.copytree(colours, workplace / 'data')
  (workplace / 'run').mkdir()
  config, dataset, splits = opened(copy, 'validation')
  runs.write(config, 'run', **data.facts(config, dataset, splits))
  (workplace / 'run/model.ckpt-3.index').touch()
  return copy


def resume(folder, split='validation', **flags):
  same_data.check(*opened(folder, split, **flags))


def refused(text, *arguments, **flags):
  with pytest.raises(
    ValueError,
    match=re.escape(f'The run in run was begun with other data: {text}') + '$',
  ):
    resume(*arguments, **flags)


def evaluated(workplace):
  (workplace / 'run/evaluations.csv').write_text('step,loss\n2,0.5\n')


def test_the_same_data_elsewhere(folder, workplace):
  evaluated(workplace)
  resume(folder)
  resume(folder.rename(workplace / 'moved'))


def test_other_classes(folder):
  labels = folder / 'labels.txt'
  labels.write_text(labels.read_text().replace('red', 'rose'))
  for accept in False, True:
    refused(f"class 0 'red', not 'rose': {CURE}", folder, accept_changes=accept)


def test_other_examples_to_train_on(folder):
  """As after more images; the user may want that."""
  shard = folder / 'flowers_train_00001-of-00002.tfrecord'
  shutil.copy(folder / 'flowers_train_00000-of-00002.tfrecord', shard)
  found = json.loads(open('run/config.json').read())['data']['train']
  now = opened(folder, 'validation')[2]['train']
  refused(
    f'the checksum {found["checksum"]} of the split train, not '
    f'{now["checksum"]}: {ACCEPT}{CURE}',
    folder,
  )
  resume(folder, accept_changes=True)
  shard.unlink()
  shard.with_name('flowers_train_00000-of-00002.tfrecord').rename(
    folder / 'flowers_train_00000-of-00001.tfrecord'
  )
  refused(f'80 examples in the split train, not 40: {ACCEPT}{CURE}', folder)


MIXED = ', and best/ and evaluations.csv would mix both'


def test_another_evaluation_split(folder, workplace):
  """Where there are no evaluations, none are mixed."""
  resume(folder, 'train')
  evaluated(workplace)
  for accept in False, True:
    refused(
      f'eval_split_name=validation, not train{MIXED}: {CURE}',
      folder,
      'train',
      accept_changes=accept,
    )


def test_other_examples_to_evaluate_on(folder, workplace):
  shutil.copy(
    folder / 'flowers_train_00000-of-00002.tfrecord',
    folder / 'flowers_validation_00000-of-00001.tfrecord',
  )
  resume(folder)
  evaluated(workplace)
  refused(f'23 examples in the split validation, not 40{MIXED}: {CURE}', folder)
  builders.write_colours(folder, 10, 23)
  refused(f'80 examples in the split train, not 10: {ACCEPT}{CURE}', folder)


def test_no_run(folder, workplace):
  """Without a checkpoint there is nothing to resume."""
  (workplace / 'run/model.ckpt-3.index').unlink()
  builders.write_colours(folder, 10, 5)
  resume(folder)


def test_a_run_of_an_older_version(folder, workplace):
  """It knows its classes alone, and the name of its evaluation split."""
  evaluated(workplace)
  path = workplace / 'run/config.json'
  run = json.loads(path.read_text())
  del run['data']
  path.write_text(json.dumps(run))
  builders.write_colours(folder, 10, 5)
  resume(folder)
  refused(
    f'eval_split_name=validation, not train{MIXED}: {CURE}', folder, 'train'
  )
