"""The registry of data sets, and the files it finds."""
import re

import pytest

from datasets import dataset_factory, dataset_utils

# Name -> (files of one split, that split, classes).
FILES = {
    'digits': (['digits_test.tfrecord'], 'test', 10),
    'cifar10': (['cifar10_train.tfrecord'], 'train', 10),
    'flowers': (['flowers_validation_00000-of-00002.tfrecord',
                 'flowers_validation_00001-of-00002.tfrecord'], 'validation',
                5),
    'imagenet': ([f'train-{i:05}-of-01024' for i in range(3)], 'train', 1001),
    'mnist': (['mnist_test.tfrecord'], 'test', 10),
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache' / 'slim-resnets'


def test_every_name_is_tested():
  assert FILES.keys() == dataset_factory.DATASETS.keys()


@pytest.mark.parametrize('name', FILES)
def test_files_are_found_and_sorted(tmp_path, name):
  files, split, classes = FILES[name]
  for file in [*reversed(files), 'other.tfrecord', 'labels.md']:
    (tmp_path / file).touch()
  dataset = dataset_factory.get_dataset(name, split, str(tmp_path))
  assert dataset == dataset_factory.Dataset(
      name, split, tuple(str(tmp_path / file) for file in files), classes,
      None)


@pytest.mark.parametrize('name', FILES)
def test_splits_do_not_share_files(tmp_path, name):
  specification = dataset_factory.get_specification(name)
  for split in specification.splits:
    (tmp_path / (specification.file_pattern.replace('*', '0') % split)).touch()
  found = [dataset_factory.get_dataset(name, split, str(tmp_path)).data_sources
           for split in specification.splits]
  assert len(found) == 2 and [len(files) for files in found] == [1, 1]
  assert found[0] != found[1]


def test_labels(tmp_path):
  (tmp_path / 'mnist_test.tfrecord').touch()
  dataset_utils.write_label_file({0: 'naught', 1: 'one'}, tmp_path)
  dataset = dataset_factory.get_dataset('mnist', 'test', str(tmp_path))
  assert dataset.labels_to_names == {0: 'naught', 1: 'one'}


def test_file_pattern(tmp_path):
  for file in ('my-train.rec', 'mnist_train.tfrecord'):
    (tmp_path / file).touch()
  dataset = dataset_factory.get_dataset('mnist', 'train', str(tmp_path),
                                        'my-%s.*')
  assert dataset.data_sources == (str(tmp_path / 'my-train.rec'),)


def test_digits_make_themselves(cache):
  dataset = dataset_factory.get_dataset('digits', 'train')
  assert dataset.data_sources == (
      str(cache / 'digits' / 'digits_train.tfrecord'),)
  assert dataset.labels_to_names[3] == 'three'


def test_nothing_is_made_in_a_folder_of_the_user(tmp_path):
  with pytest.raises(ValueError, match='There is no file'):
    dataset_factory.get_dataset('digits', 'train', str(tmp_path / 'mine'))
  assert not (tmp_path / 'mine').exists()


def test_default_dir(cache):
  assert dataset_factory.default_dir('digits') == str(cache / 'digits')
  assert not cache.exists()


@pytest.mark.parametrize('name', sorted(FILES.keys() - {'digits'}))
def test_missing_dir(name):
  with pytest.raises(ValueError, match=f'--dataset_name={name} needs '
                     '--dataset_dir, the folder of its TFRecords'):
    dataset_factory.get_dataset(
        name, dataset_factory.DATASETS[name].splits[0])


@pytest.mark.parametrize('name, hint', [
    ('digit', r' Did you mean digits\?'), ('flower', r' Did you mean flowers'),
    ('cifar', r' Did you mean cifar10\?'), ('zzz', r"'zzz'\. The data sets")])
def test_unknown_name(name, hint):
  with pytest.raises(ValueError, match=f'no data set named {name!r}'
                     '.*The data sets are: digits, cifar10, flowers') as error:
    dataset_factory.get_dataset(name, 'train')
  assert re.search(hint, str(error.value))


def test_unknown_split():
  with pytest.raises(ValueError, match="The data set digits has no split "
                     "'validation'; it has train and test"):
    dataset_factory.get_dataset('digits', 'validation')


def test_no_files(tmp_path):
  (tmp_path / 'mnist_test.tfrecord').touch()
  with pytest.raises(ValueError) as error:
    dataset_factory.get_dataset('mnist', 'train', str(tmp_path))
  assert str(error.value) == (
      f'There is no file {tmp_path}/mnist_train.tfrecord: is '
      f'--dataset_dir={tmp_path} the folder of the TFRecords of mnist, split '
      'train?')


def test_suggestions_are_flags():
  from engine import config
  for name, specification in dataset_factory.DATASETS.items():
    config.TrainConfig(dataset_name=name, **specification.suggestions)


def test_folder_with_glob_characters(tmp_path):
  folder = tmp_path / 'run [1]'
  folder.mkdir()
  (folder / 'mnist_test.tfrecord').touch()
  dataset = dataset_factory.get_dataset('mnist', 'test', str(folder))
  assert dataset.data_sources == (str(folder / 'mnist_test.tfrecord'),)
