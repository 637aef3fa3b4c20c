"""What follows from converted weights."""

import pytest

from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.resolve import weights

CONVERTED = {
  'model_name': 'resnet_v1_50',
  'task': 'classification',
  'root_block': '7x7_symmetric',
  'batch_norm_epsilon': 1.001e-5,
  'preprocessing_name': 'caffe',
  'train_image_size': 224,
  'labels_offset': 1,
  'num_classes': 1001,
}
TRAINED = {**CONVERTED, 'dataset_name': 'imagenet'}


def test_what_is_converted():
  assert runs.is_converted(CONVERTED)
  assert not runs.is_converted(TRAINED)
  assert not runs.is_converted({})


@pytest.mark.parametrize(
  ('given', 'labels', 'offset', 'num_classes'),
  [
    (None, 1001, 1, 1001),
    (None, 1000, 0, 1000),
    (None, 5, 1, 1001),
    (0, 1001, 0, 1000),
    (2, 1000, 2, 1002),
  ],
)
def test_labels_follow_the_data(given, labels, offset, num_classes):
  run = weights.with_labels(CONVERTED, given, labels)
  assert (run['labels_offset'], run['num_classes']) == (offset, num_classes)


def test_labels_of_a_training_stay():
  assert weights.with_labels(TRAINED, 0, 1000) is TRAINED
  bare = {k: v for k, v in CONVERTED.items() if k != 'num_classes'}
  assert weights.with_labels(bare, None, 1000) is bare


def test_as_those_of_tf_slim():
  assert tuple(weights.released(CONVERTED)) == (1000, 224, 1)
  assert weights.released({}) is None
  assert weights.released({'task': 'segmentation', 'num_classes': 4}) is None
  bare = {'train_image_size': 299}
  assert tuple(weights.released(bare)) == (0, 299, 0)


def adopted(**flags):
  return weights.adopt(weights.with_network(TrainConfig(**flags)))


@pytest.fixture
def start(monkeypatch):
  """start(run): the folder 'start' has that config.json."""

  def found(run):
    monkeypatch.setattr(weights.locate, 'find', lambda path, tells: path)
    monkeypatch.setattr(weights.locate, 'run_of', lambda path: run)

  return found


def test_the_network_of_the_start(start):
  start(CONVERTED)
  given = adopted(checkpoint_path='start')
  assert given.model_name == 'resnet_v1_50'
  assert given.root_block == '7x7_symmetric'
  assert given.batch_norm_epsilon == 1.001e-5
  assert weights.source_of(given) == CONVERTED


def test_the_network_of_a_training(start):
  """What makes its values is taken over, and its preprocessing is not."""
  start(TRAINED)
  given = adopted(checkpoint_path='start')
  assert given.model_name == 'resnet_v1_50'
  given = adopted(checkpoint_path='start', model_name='resnet_v1_50')
  assert given.root_block == '7x7_symmetric'
  assert weights.source_of(given) == {}


def test_flags_count(start, capsys):
  start(CONVERTED)
  given = adopted(checkpoint_path='start', root_block='7x7')
  assert given.root_block == '7x7'
  assert (
    'note: --root_block=7x7, where the weights of start were trained with '
    '7x7_symmetric: their values are others.'
  ) in capsys.readouterr().out
  with pytest.raises(ValueError, match='leave --model_name out') as error:
    adopted(checkpoint_path='start', model_name='resnet_v2_50')
  assert '--model_name=resnet_v2_50 contradicts' in str(error.value)
  assert 'says model_name=resnet_v1_50' in str(error.value)


def test_a_training_of_another_network(start):
  """Its weights may fit nevertheless, or another error says why not."""
  start(TRAINED)
  given = adopted(checkpoint_path='start', model_name='resnet_v2_50')
  assert given.model_name == 'resnet_v2_50' and given.root_block is None


def test_no_start():
  given = adopted()
  assert given == TrainConfig(model_name='resnet_v2_50')
  assert weights.source_of(given) == {}
