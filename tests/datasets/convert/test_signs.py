"""SIGNS, from its two HDF5 files, by themselves and by the script."""

import io
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

import download_and_convert_data
from datasets import dataset_factory
from datasets.convert import signs
from datasets.records import description
from datasets.records.examples import Examiner
from datasets.records.tfrecord import Reader
from datasets.writing.plan import Options
from tests import builders

SIZES = {'train': 7, 'test': 6}


def arrays(split):
  """What a file holds, by its keys there."""
  random = np.random.RandomState(SIZES[split])
  shape = (SIZES[split], 64, 64, 3)
  return {
    f'{split}_set_x': random.randint(0, 256, shape).astype(np.uint8),
    f'{split}_set_y': np.arange(SIZES[split])[::-1] % 6,
    'list_classes': np.arange(6),
  }


def write(folder, **changes):
  """Writes both files; `changes` replace an array, or leave it out: None."""
  folder.mkdir(parents=True, exist_ok=True)
  for split in SIZES:
    with h5py.File(folder / f'{split}_signs.h5', 'w') as file:
      for key, values in {**arrays(split), **changes}.items():
        if values is not None and not key.startswith(
          {'train': 'test', 'test': 'train'}[split]
        ):
          file[key] = values
  return str(folder)


def refused(folder):
  with pytest.raises(ValueError) as caught:
    signs.plan(str(folder), Options())
  assert str(folder) in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize('inner', ['', 'datasets'])
def test_images_and_labels(tmp_path, inner):
  write(tmp_path / inner)
  plan = signs.plan(str(tmp_path), Options())
  assert (plan.name, plan.source) == ('signs', str(tmp_path))
  assert plan.class_names == ['0', '1', '2', '3', '4', '5']
  assert list(plan.splits) == ['train', 'test']
  for split, items in plan.splits.items():
    images, labels, _ = arrays(split).values()
    assert [item.label for item in items] == labels.tolist()
    for item, image in zip(items, images, strict=True):
      decoded = Image.open(io.BytesIO(item.read()))
      assert (decoded.format, decoded.mode) == ('PNG', 'RGB')
      np.testing.assert_array_equal(decoded, image)
  assert plan.splits['test'][2].name == 'image 2 of test_signs.h5'


def test_missing(tmp_path):
  assert 'none does not exist.' in refused(tmp_path / 'none')
  write(tmp_path)
  assert 'is a file; --source should be a folder here.' in refused(
    tmp_path / 'train_signs.h5'
  )
  (tmp_path / 'test_signs.h5').unlink()
  assert refused(tmp_path) == (
    f'{tmp_path} has no train_signs.h5 and test_signs.h5. Is it the folder '
    'of these two files?'
  )


@pytest.mark.parametrize(
  'change',
  [
    lambda data: b'',
    lambda data: b'no HDF5',
    lambda data: data[:-1],
    lambda data: data[:1000],
    lambda data: data[:600] + bytes(200),
  ],
)
def test_damaged(tmp_path, change):
  path = tmp_path / 'test_signs.h5'
  write(tmp_path)
  path.write_bytes(change(path.read_bytes()))
  assert refused(tmp_path) == (
    f'{path} is cut off, damaged, or another file: it should be HDF5 with '
    'the arrays test_set_x, test_set_y, list_classes. Copy it again.'
  )


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'train_set_y': None}, 'train_signs.h5 is cut off, damaged, or another'),
    ({'train_set_x/of': [0]}, 'the arrays train_set_x, train_set_y, list_'),
    (
      {'train_set_x': np.zeros((7, 64, 64, 3), np.float32)},
      'train_signs.h5: train_set_x is float32 of the shape (7, 64, 64, 3); it '
      'should be uint8 of the shape (n, 64, 64, 3). Is it another file',
    ),
    (
      {'test_set_x': np.zeros((6, 64, 32, 3), np.uint8)},
      'test_signs.h5: test_set_x is uint8 of the shape (6, 64, 32, 3);',
    ),
    (
      {'test_set_x': np.uint8(1)},
      'test_signs.h5: test_set_x is uint8 of the shape (); it should be',
    ),
    ({'test_set_x': h5py.Empty('u1')}, ' of the shape (); it should be uint8'),
    (
      {'test_set_y': [0, 1, 2]},
      'test_signs.h5 has 6 images, 3 labels and 6 classes; it should have a '
      'label for each image, and 6 classes. Is it another file',
    ),
    ({'list_classes': [0, 1]}, '7 labels and 2 classes;'),
    (
      {'train_set_y': [0, 5, 6, 0, -1, 0, 0]},
      'train_signs.h5: label 2 is 6; it should be 0 to 5. Copy the file',
    ),
  ],
)
def test_another_file(tmp_path, changes, words):
  if 'train_set_x/of' in changes:  # a group where an array should be
    changes = {'train_set_x': None, **changes}
  assert words in refused(write(tmp_path, **changes))


def convert(**flags):
  return builders.call(
    download_and_convert_data,
    dataset_name='signs',
    dataset_dir='signs',
    **flags,
  )


@pytest.mark.parametrize('packed', [False, True])
def test_by_the_script(tmp_path, monkeypatch, packed):
  """What is read back equals what was in the files, bit by bit."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  source = write(tmp_path / 'source' / 'datasets')
  if packed:
    with zipfile.ZipFile('signs.zip', 'w') as file:
      for split in SIZES:
        file.write(f'{source}/{split}_signs.h5', f'data/{split}_signs.h5')
    source = 'signs.zip'
  printed = convert(source=source)
  assert (printed.status, printed.err) == (0, '')
  found = description.read('signs')
  assert found.smallest == found.largest == (64, 64)
  assert found.splits['train'].examples_per_class == (2, 1, 1, 1, 1, 1)
  assert dataset_factory.name_of('signs') == 'signs'
  examiner = Examiner(range(6))
  for split in SIZES:
    images, labels, _ = arrays(split).values()
    dataset = dataset_factory.get_dataset('signs', split, 'signs')
    assert dataset.labels_to_names == dict(enumerate('012345'))
    reader = Reader(dataset.data_sources)
    assert len(reader) == SIZES[split]
    for example in map(examiner, map(reader.read, range(len(reader)))):
      number = int(example.filename.split()[1])
      assert example.label == labels[number]
      np.testing.assert_array_equal(example.image, images[number])


def test_mistakes_of_the_script(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  builders.refused(convert(), 'signs needs --source', 'no public address')
  builders.refused(convert(source='none'), 'none does not exist', '--source')
  (tmp_path / 'source').mkdir()
  builders.refused(convert(source='source'), 'train_signs.h5 and test_signs.h5')
  assert not (tmp_path / 'signs').exists()
