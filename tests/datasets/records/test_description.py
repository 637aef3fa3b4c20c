"""dataset.json: read as it was written, and refused where it is not so."""

import copy
import dataclasses
import json
import os

import pytest

from datasets.records import description, tfrecord
from datasets.records.description import Description, Split

TRAIN = Split(
  {
    'train-00000-of-00002': tfrecord.Written(2, 90, 2**32 - 1),
    'train-00001-of-00002': tfrecord.Written(1, 45, 0),
  },
  (1, 2, 0),
)
DATA = Description(
  'tfrecord',
  ('Käse: Gouda', '猫', ''),
  3,
  (8, 9),
  (30, 20),
  {
    'train': TRAIN,
    'test': Split({'test': tfrecord.Written(0, 0, 7)}, (0, 0, 0)),
  },
)


@pytest.fixture
def folder(tmp_path):
  description.write(DATA, tmp_path)
  return str(tmp_path)


def _refused(folder, *words):
  """The error names the file, the part and the cure."""
  with pytest.raises(ValueError) as error:
    description.read(folder)
  path = os.path.join(folder, 'dataset.json')
  assert str(error.value).startswith(f'{path} is not as the converter wrote it')
  assert str(error.value).endswith('Restore it, or convert the data again.')
  assert len(str(error.value)) < len(path) + 300
  for word in words:
    assert word in str(error.value)


def test_round_trip(folder):
  assert description.exists(folder)
  assert description.read(folder) == DATA
  assert DATA.splits['train'].examples == 3
  assert os.listdir(folder) == ['dataset.json']


def test_what_is_written(tmp_path):
  description.write(DATA, str(tmp_path))
  text = (tmp_path / 'dataset.json').read_text('utf-8')
  assert text.endswith('}\n') and len(text.splitlines()) > 20
  assert json.loads(text) == {
    'version': 1,
    'num_classes': 3,
    'name': 'tfrecord',
    'class_names': ['Käse: Gouda', '猫', ''],
    'channels': 3,
    'smallest': [8, 9],
    'largest': [30, 20],
    'splits': {
      'train': {
        'examples': 3,
        'examples_per_class': [1, 2, 0],
        'files': {
          'train-00000-of-00002': {
            'records': 2,
            'size': 90,
            'crc32c': 4294967295,
          },
          'train-00001-of-00002': {'records': 1, 'size': 45, 'crc32c': 0},
        },
      },
      'test': {
        'examples': 0,
        'examples_per_class': [0, 0, 0],
        'files': {'test': {'records': 0, 'size': 0, 'crc32c': 7}},
      },
    },
  }


# Data of segmentation say a little more.

SEEN = Split(TRAIN.files, (3, 2, 0), (300, 20, 0), 7)
DENSE = Description(
  'tfrecord',
  ('background', 'a', 'b'),
  3,
  (8, 9),
  (30, 20),
  {'train': SEEN},
  'segmentation',
  255,
)


@pytest.fixture
def dense(tmp_path):
  description.write(DENSE, tmp_path)
  return str(tmp_path)


@pytest.mark.parametrize('ignore_label', [255, 0, 2, None])
def test_round_trip_of_segmentation(tmp_path, ignore_label):
  data = dataclasses.replace(DENSE, ignore_label=ignore_label)
  description.write(data, tmp_path)
  assert description.read(str(tmp_path)) == data
  assert data.splits['train'].examples == 3
  values = json.loads((tmp_path / 'dataset.json').read_text('utf-8'))
  assert (values['task'], values['ignore_label']) == (
    'segmentation',
    ignore_label,
  )
  train = values['splits']['train']
  assert train.pop('files').keys() == TRAIN.files.keys()
  assert train == {
    'examples': 3,
    'examples_per_class': [3, 2, 0],
    'pixels_per_class': [300, 20, 0],
    'ignored_pixels': 7,
  }


def test_source_values(dense):
  """They are kept where they are not the labels, and else not written."""
  for values in ((7, 26, 255), ()):
    data = dataclasses.replace(DENSE, source_values=values)
    description.write(data, dense)
    assert description.read(dense) == data
    with open(os.path.join(dense, 'dataset.json'), encoding='utf-8') as file:
      assert json.load(file).get('source_values', []) == [*values]


@pytest.mark.parametrize(
  'values', [[1, 2], [1, 2, 2], [1, 2, 256], [1, 2, -1], [1, 2, '3'], 'abc', 5]
)
def test_source_values_that_are_none(dense, values):
  _change(dense, lambda found: found.update(source_values=values))
  _refused(dense, 'source_values ')


def test_other_data_are_of_classification(folder):
  found = description.read(folder)
  assert (found.task, found.ignore_label) == ('classification', None)
  assert found.splits['train'].pixels_per_class == ()
  _change(folder, lambda values: values.update(task='classification'))
  assert description.read(folder) == DATA


WRONG_MASKS = {
  ('task',): [1, None, 'detection', ['segmentation'], {}, ''],
  ('ignore_label',): [-1, 256, 1.0, True, '255', [255]],
  ('splits', 'train', 'pixels_per_class'): [
    7,
    None,
    [],
    [1, 2],
    [1, 2, -3],
    [1, 2, 3.0],
  ],
  ('splits', 'train', 'ignored_pixels'): [-1, 1.0, True, None, '7'],
}


@pytest.mark.parametrize('path', WRONG_MASKS, ids='.'.join)
def test_a_part_of_segmentation_that_is_wrong(dense, path):
  with open(os.path.join(dense, 'dataset.json'), encoding='utf-8') as file:
    right = json.load(file)
  for value in WRONG_MASKS[path]:
    values = copy.deepcopy(right)
    part = values
    for key in path[:-1]:
      part = part[key]
    part[path[-1]] = value
    _change(dense, lambda old, new=values: (old.clear(), old.update(new)))
    _refused(dense, f': {path[-1]} is ')


@pytest.mark.parametrize(
  'change',
  [{'examples': 4}, {'examples': 2}, {'examples_per_class': [4, 0, 0]}],
)
def test_masks_that_do_not_add_up(dense, change):
  _change(dense, lambda values: values['splits']['train'].update(change))
  _refused(dense, 'do not add up')


def test_more_classes_than_a_mask_tells_apart(dense):
  names = [f'c{i}' for i in range(257)]
  _change(
    dense, lambda values: values.update(class_names=names, num_classes=257)
  )
  _refused(dense, 'num_classes is 257, and a mask tells 256 apart')


def test_further_fields_are_passed_over(folder):
  _change(folder, lambda values: values.update(more=[1]))
  assert description.read(folder) == DATA


def _change(folder, change):
  path = os.path.join(folder, 'dataset.json')
  with open(path, encoding='utf-8') as file:
    values = json.load(file)
  change(values)
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(values, file)


SPLIT = ('splits', 'train')
FILE = (*SPLIT, 'files', 'train-00001-of-00002')
NUMBERS = [-1, 1.0, True, '1', None, [1], {}, float('nan'), float('inf')]
LISTS = [
  7,
  'ab',
  None,
  {},
  [1.0, 2],
  [True, 2],
  [-1, 2],
  ['1', 2],
  [[1], 2],
  [float('nan'), 2],
]
WRONG = {
  ('version',): [*NUMBERS, 0],
  ('name',): [1, None, ['a'], {}],
  ('num_classes',): [*NUMBERS, 2, 10**30],
  ('class_names',): [
    7,
    'abc',
    None,
    {},
    [],
    ['a'],
    ['a', 'b', 3],
    ['a', 'b', None],
    ['a', 'b', ['c']],
  ],
  ('channels',): [*NUMBERS, 0, 2, 4],
  ('smallest',): [*LISTS, [], [1], [1, 2, 3]],
  ('largest',): [*LISTS, [], [1], [1, 2, 3]],
  ('splits',): [7, None, [], {}, 'train'],
  SPLIT: [7, None, [], 'x'],
  (*SPLIT, 'examples_per_class'): [*LISTS, [], [3], [1, 2], [1, 2, 0, 0]],
  (*SPLIT, 'files'): [
    7,
    None,
    [],
    {},
    *(
      {name: {'records': 3, 'size': 9, 'crc32c': 1}}
      for name in (
        '../x',
        '/etc/passwd',
        'a/b',
        'a/..',
        '',
        '.',
        '..',
        'a\0b',
        'a/',
      )
    ),
  ],
  FILE: [7, None, [], {}, 'x'],
  **{(*FILE, field): NUMBERS for field in ('records', 'size', 'crc32c')},
}


@pytest.mark.parametrize('path', WRONG, ids='.'.join)
def test_a_part_that_is_wrong(folder, path):
  with open(os.path.join(folder, 'dataset.json'), encoding='utf-8') as file:
    right = json.load(file)
  for value in (*WRONG[path], 'left out'):
    values = copy.deepcopy(right)
    part = values
    for key in path[:-1]:
      part = part[key]
    if value == 'left out':
      del part[path[-1]]
    else:
      part[path[-1]] = value
    _change(folder, lambda old, new=values: (old.clear(), old.update(new)))
    if (path, value) == (SPLIT, 'left out'):
      assert list(description.read(folder).splits) == ['test']
    elif (path, value) == (FILE, 'left out'):
      _refused(folder, 'do not add up')
    else:
      part = 'records' if (path, value) == (FILE, {}) else path[-1]
      _refused(folder, f': {part} is ')


@pytest.mark.parametrize(
  'path, value',
  [
    ((*SPLIT, 'examples'), 4),
    ((*SPLIT, 'examples'), -3),
    ((*SPLIT, 'examples'), 10**400),
    ((*SPLIT, 'examples_per_class'), [1, 2, 1]),
    ((*SPLIT, 'examples_per_class'), [10**400, 0, 0]),
    ((*FILE, 'records'), 2),
    ((*FILE, 'records'), 10**30),
  ],
)
def test_numbers_that_do_not_add_up(folder, path, value):
  def change(values):
    for key in path[:-1]:
      values = values[key]
    values[path[-1]] = value

  _change(folder, change)
  _refused(
    folder,
    'the examples of the split train, those of its classes and '
    'the records of its files do not add up',
  )


@pytest.mark.parametrize('version', [2, 99, 10**20])
def test_a_later_version(folder, version):
  """Said first, whatever else may have changed."""
  _change(
    folder, lambda values: (values.clear(), values.update(version=version))
  )
  _refused(
    folder,
    f'version is {version}, written by a later release, and '
    'this one knows version 1',
  )


@pytest.mark.parametrize(
  'data',
  [
    b'',
    b'no JSON',
    b'{',
    b'[]',
    b'7',
    b'null',
    b'"text"',
    b'NaN',
    b'{"a": 1',
    b'\xff\xfe{}',
    '{"version": "ä"}'.encode('latin-1'),
    b'\0' * 40,
    b'[' * 100_000,
    b'{"version":' * 100_000,
    b'9' * 100_000,
    b'{"version": 1e999}',
    b'{"version": ' + b'9' * 5000 + b'}',
    b'{"version": ' + b'[' * 900 + b']' * 900 + b'}',
  ],
  ids=lambda data: data[:12].decode('latin-1'),
)
def test_no_description(folder, data):
  with open(os.path.join(folder, 'dataset.json'), 'wb') as file:
    file.write(data)
  assert description.exists(folder)
  _refused(folder)


def test_no_file(tmp_path):
  assert not description.exists(str(tmp_path))
  with pytest.raises(ValueError) as error:
    description.read(str(tmp_path))
  assert str(error.value) == f'There is no file {tmp_path}/dataset.json.'


def test_a_folder_of_that_name(tmp_path):
  (tmp_path / 'dataset.json').mkdir()
  with pytest.raises(ValueError, match='dataset.json is a folder, and no file'):
    description.read(str(tmp_path))


@pytest.fixture
def files(folder):
  for name, written in TRAIN.files.items():
    with open(os.path.join(folder, name), 'wb') as file:
      file.write(b'x' * written.size)
  return [os.path.join(folder, name) for name in TRAIN.files]


def test_files_as_they_were_written(folder, files):
  description.check_files(TRAIN, folder)


@pytest.mark.parametrize('number', [0, 1])
def test_a_missing_file(folder, files, number):
  os.remove(files[number])
  with pytest.raises(ValueError) as error:
    description.check_files(TRAIN, folder)
  assert str(error.value) == (
    f'{files[number]} is missing, which dataset.json names: copy it again, '
    'or convert the data again.'
  )


@pytest.mark.parametrize('size', [0, 44, 46])
def test_a_file_of_another_size(folder, files, size):
  os.truncate(files[1], size)
  with pytest.raises(ValueError) as error:
    description.check_files(TRAIN, folder)
  assert str(error.value) == (
    f'{files[1]} has {size} bytes; 45 were written: it is cut short or was '
    'changed. Copy it again, or convert the data again.'
  )
