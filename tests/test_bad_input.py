"""A mistake of the user's: exit status 1, and one line that says the cure.

Bad records are in engine/tasks/classification/test_examples.py.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from datasets import dataset_utils
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def flags(colours):
  return builders.fast(colours)


@pytest.mark.parametrize(
  'wrong,words',
  [
    (
      {'model_name': 'resnet_v2_tin'},
      ("'resnet_v2_tin'", 'Did you mean resnet_v2_tiny', 'resnet_v1_200'),
    ),
    ({'dataset_name': 'digit'}, ("'digit'", 'Did you mean digits', 'cifar10')),
    (
      {'dataset_split_name': 'test'},
      ('flowers', "'test'", 'train and validation'),
    ),
    (
      {'optimizer': 'momentun'},
      ('--optimizer=momentun', 'Did you mean momentum?', 'rmsprop'),
    ),
    (
      {'learning_rate_decay_type': 'cosinus'},
      ('--learning_rate_decay_type=cosinus', 'Did you mean cosine?'),
    ),
    (
      {'learning_rate_decay_type': 'piecewise'},
      ('--learning_rate_boundaries', 'such as'),
    ),
    ({'evaluate_every': 'often'}, ('--evaluate_every=often', '5epochs')),
    ({'evaluate_every': '0'}, ('--evaluate_every=0', 'more than 0')),
    (
      {'early_stopping_patience': 2},
      ('--early_stopping_patience', '--evaluate_every'),
    ),
    ({'plateau_patience': 2}, ('--plateau_patience', '--evaluate_every')),
    ({'profile_steps': '3'}, ('--profile_steps=3', '20,30')),
    ({'batch_size': 81}, ('81 examples', 'lower --batch_size', 'split train')),
    ({'num_micro_batches': 3}, ('--num_micro_batches=3', '8 examples')),
    ({'num_epochs': 0}, ('--num_epochs=0', 'above 0')),
    ({'preprocessing_name': 'vggg'}, ("'vggg'", 'vgg', 'inception')),
    ({'batch_size': -1}, ('--batch_size=-1', 'at least 1')),
    ({'batch_size': 'many'}, ('batch_size', 'many', '--help')),
    ({'learning_rate': 'nan'}, ('--learning_rate=nan', 'above 0')),
    ({'train_image_size': 0}, ('--train_image_size=0', 'at least 1')),
    ({'labels_offset': 4}, ('--labels_offset=4', '5 classes')),
    ({'bach_size': 8}, ('bach_size', '--help')),
    (
      {'dataset_dir': 'nowhere'},
      ('nowhere/flowers_train*.tfrecord', '--dataset_dir'),
    ),
    (
      {'checkpoint_path': 'nothing.ckpt'},
      ('nothing.ckpt', '--checkpoint_path'),
    ),
  ],
)
def test_a_wrong_flag(wrong, words, flags):
  builders.refused(builders.train(**{**flags, **wrong}), *words)


def test_nothing_is_written_for_a_wrong_flag(flags, workplace):
  builders.train(**{**flags, 'model_name': 'resnet'})
  assert list(workplace.iterdir()) == []


def test_missing_dataset_dir(flags):
  flags.pop('dataset_dir')
  builders.refused(
    builders.train(**flags), '--dataset_name=flowers', '--dataset_dir'
  )


def test_an_argument_that_is_no_flag(flags):
  builders.refused(
    builders.train('batch_size=3', **flags), "'batch_size=3'", '--'
  )


def test_train_dir_is_a_file(flags, workplace):
  (workplace / 'run').write_text('precious')
  assert builders.train(**flags).err == (
    'error: --train_dir=run is a file; it must be a folder.\n'
  )
  assert (workplace / 'run').read_text() == 'precious'


def test_records_that_are_none(flags, workplace):
  (workplace / 'data').mkdir()
  (workplace / 'data/flowers_train_0.tfrecord').write_text('<html>' * 9)
  builders.refused(
    builders.train(**{**flags, 'dataset_dir': 'data'}),
    'data/flowers_train_0.tfrecord',
    'not a TFRecord',
    'again',
  )


def test_an_empty_record_file(flags, workplace):
  (workplace / 'data').mkdir()
  (workplace / 'data/flowers_train_0.tfrecord').touch()
  builders.refused(
    builders.train(**{**flags, 'dataset_dir': 'data'}),
    'data/flowers_train_0.tfrecord',
    'no records',
  )


@pytest.mark.slow
def test_the_script_itself_says_one_line(workplace):
  """In a process of its own, whose stderr has TensorFlow's lines too."""
  (workplace / 'data').mkdir()
  path = workplace / 'data/flowers_train_0.tfrecord'
  dataset_utils.write_tfrecord(path, [builders.colour_example(0, 0)])
  path.write_bytes(path.read_bytes()[:-7])
  result = subprocess.run(
    [
      sys.executable,
      ROOT / 'train_image_classifier.py',
      '--dataset_name=flowers',
      '--dataset_dir=data',
    ],
    env={k: v for k, v in os.environ.items() if k != 'TF_CPP_MIN_LOG_LEVEL'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert (result.returncode, result.stdout) == (1, '')
  assert result.stderr == (
    'error: data/flowers_train_0.tfrecord is cut short: record 0 ends at '
    f'byte {path.stat().st_size + 7}, the file at {path.stat().st_size}. '
    'Convert or copy it again. --skip_bad_examples=1 leaves it out.\n'
  )
