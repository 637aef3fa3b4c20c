"""The default folder of a run tells two datasets of one name apart."""

import re
import shutil

import pytest

from datasets import dataset_factory
from engine.config import runs
from engine.config.scripts import EvalConfig, TrainConfig
from engine.resolve import data, places
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
PLAIN = 'runs/resnet_v1_tiny-flowers'


@pytest.fixture
def begin(workplace):
  """begin(folder): what begins a run on the data there; returns its folder."""

  def run(folder):
    config = TrainConfig(
      model_name='resnet_v1_tiny',
      dataset_name='flowers',
      dataset_dir=str(folder),
      eval_split_name='validation',
      labels_offset=0,
    )
    path = places.to_train(config)
    dataset = dataset_factory.get_dataset('flowers', 'train', str(folder))
    facts = data.facts(config, dataset, data.splits_of(config, dataset))
    (workplace / path).mkdir(parents=True, exist_ok=True)
    runs.write(config, path, **facts)
    return path

  return run


def evaluated(folder):
  return places.to_evaluate(
    EvalConfig(model_name='resnet_v1_tiny', dataset_dir=str(folder)).replace(
      dataset_name='flowers'
    )
  )


def test_two_datasets_of_one_name(begin, colours, workplace, capsys):
  other = builders.write_colours(workplace / 'b/flowers', 10, 5)
  assert begin(colours) == PLAIN
  assert begin(colours) == PLAIN
  assert capsys.readouterr().out == ''
  second = begin(other)
  assert re.fullmatch(PLAIN + '-[0-9a-f]{8}', second)
  assert capsys.readouterr().out == (
    f'note: {PLAIN} holds a run of other data (80 examples in the split '
    f'train, not 10), so that of these is in {second}.\n'
  )
  assert begin(other) == second
  assert (evaluated(colours), evaluated(other)) == (PLAIN, second)
  # Which follows the data.
  moved = shutil.move(other, workplace / 'c')
  assert begin(moved) == evaluated(moved) == second
  # And the first run may go.
  shutil.rmtree(PLAIN)
  assert begin(moved) == second
  assert begin(colours) == PLAIN


def test_data_converted_anew_begin_a_new_run(begin, colours, workplace):
  folder = shutil.copytree(colours, workplace / 'data')
  assert begin(folder) == PLAIN
  builders.write_colours(folder, 10, 5)
  with pytest.raises(
    ValueError,
    match=re.escape(
      f'{PLAIN} holds a run of other data (80 examples in the split train, '
      'not 10). Train on these, or name a run with --checkpoint_path.'
    ),
  ):
    evaluated(folder)
  assert begin(folder) == evaluated(folder) != PLAIN


def test_other_names_of_classes(begin, colours, workplace):
  folder = shutil.copytree(colours, workplace / 'data')
  assert begin(folder) == PLAIN
  labels = folder / 'labels.txt'
  labels.write_text(labels.read_text().replace('red', 'rose'))
  assert begin(folder) != PLAIN


def test_a_run_of_an_older_version(colours, workplace):
  """Its classes tell, and they are the same."""
  config = TrainConfig(
    model_name='resnet_v1_tiny', dataset_name='flowers', dataset_dir=colours
  )
  (workplace / PLAIN).mkdir(parents=True)
  names = list(builders.COLOURS)
  runs.write(config, PLAIN, num_classes=5, class_names=names)
  assert places.to_train(config) == PLAIN
  runs.write(config, PLAIN, num_classes=5, class_names=names[::-1])
  assert places.to_train(config) != PLAIN


def test_a_dataset_of_a_name(begin, colours, workplace):
  """tfrecord in a folder `flowers` has the name of the dataset flowers."""
  begin(colours)
  other = shutil.copytree(colours, workplace / 'a/flowers')
  config = TrainConfig(
    model_name='resnet_v1_tiny', dataset_name='tfrecord', dataset_dir=str(other)
  )
  assert places.to_train(config).startswith(f'{PLAIN}-')
