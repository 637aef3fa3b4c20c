"""Label files, examples and the cache's folder."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from datasets import dataset_utils


def test_cache_dir(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  assert dataset_utils.cache_dir() == tmp_path / 'slim-resnets'
  assert not (tmp_path / 'slim-resnets').exists()  # asking makes nothing


@pytest.mark.parametrize('value', [None, ''])
def test_cache_dir_of_a_home(monkeypatch, tmp_path, value):
  monkeypatch.setenv('HOME', str(tmp_path))
  if value is None:
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  else:
    monkeypatch.setenv('XDG_CACHE_HOME', value)
  assert dataset_utils.cache_dir() == tmp_path / '.cache' / 'slim-resnets'


PLAIN = {
  'image/encoded': ('bytes_list', [b'\x89PNG']),
  'image/format': ('bytes_list', [b'png']),
  'image/class/label': ('int64_list', [7]),
  'image/height': ('int64_list', [8]),
  'image/width': ('int64_list', [9]),
}


def _features(example):
  """Returns {name: (kind, values)}."""
  kinds = {
    name: feature.WhichOneof('kind')
    for name, feature in example.features.feature.items()
  }
  return {
    name: (
      kind,
      kind and list(getattr(example.features.feature[name], kind).value),
    )
    for name, kind in kinds.items()
  }


def test_image_to_tfexample():
  example = dataset_utils.image_to_tfexample(b'\x89PNG', b'png', 8, 9, 7)
  assert _features(example) == PLAIN


def test_numbers_of_numpy():
  example = dataset_utils.image_to_tfexample(
    b'\x89PNG', b'png', np.int64(8), np.int32(9), np.uint8(7)
  )
  assert _features(example) == PLAIN


def test_further_features():
  example = dataset_utils.image_to_tfexample(
    b'\x89PNG',
    b'png',
    8,
    9,
    7,
    {
      'bytes': b'a',
      'list of bytes': [b'a', b''],
      'int': -3,
      'ints': [1, 2],
      'float': 0.5,
      'floats': [0.5, 0.25],
      'none': [],
      'image/width': 6,
    },
  )
  assert _features(example) == {
    **PLAIN,
    'bytes': ('bytes_list', [b'a']),
    'list of bytes': ('bytes_list', [b'a', b'']),
    'int': ('int64_list', [-3]),
    'ints': ('int64_list', [1, 2]),
    'float': ('float_list', [0.5]),
    'floats': ('float_list', [0.5, 0.25]),
    'none': (None, None),
    'image/width': ('int64_list', [6]),
  }


@pytest.mark.parametrize('dtype', [tf.int64, tf.float32, tf.string])
def test_an_empty_list_is_of_any_type(dtype):
  """An image without boxes has no labels of boxes, which are integers."""
  example = dataset_utils.image_to_tfexample(b'', b'png', 1, 1, 0, {'box': []})
  found = tf.io.parse_single_example(
    example.SerializeToString(), {'box': tf.io.VarLenFeature(dtype)}
  )
  assert found['box'].shape == (0,)


def test_serialize():
  """By the names of the features: not as it happens in this process."""
  for number in range(20):
    example = dataset_utils.image_to_tfexample(
      b'x', b'png', 1, 1, 1, {f'{number}-{i}': [i] for i in range(9)}
    )
    names = sorted(example.features.feature)
    data = dataset_utils.serialize(example)
    assert tf.train.Example.FromString(data) == example
    at = [data.index(name.encode()) for name in names]
    assert len(names) == 14 and at == sorted(at)


def test_write_tfrecord(tmp_path):
  examples = [
    dataset_utils.image_to_tfexample(b'x' * n, b'jpg', n, n, n)
    for n in range(3)
  ]
  path = tmp_path / 'a.tfrecord'
  dataset_utils.write_tfrecord(path, iter(examples))
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    record = tf.compat.v1.data.make_one_shot_iterator(
      tf.data.TFRecordDataset([str(path)])
    ).get_next()
    for example in examples:
      assert session.run(record) == dataset_utils.serialize(example)


def test_label_file_round_trip(tmp_path):
  names = {
    2: 'Käse: Gouda',
    0: 'tabby, cat',
    4: '猫',
    1: 'x' * 300,
    3: '',
    **{label: str(label) for label in range(5, 12)},
  }
  dataset_utils.write_label_file(names, tmp_path)
  lines = (tmp_path / 'labels.txt').read_text('utf-8').splitlines()
  assert lines[:5] == [
    '0:tabby, cat',
    '1:' + 'x' * 300,
    '2:Käse: Gouda',
    '3:',
    '4:猫',
  ]
  assert lines[5:] == [f'{label}:{label}' for label in range(5, 12)]
  found = dataset_utils.read_label_file(str(tmp_path))
  assert found == names and list(found) == list(range(12))


def test_label_file_of_another_name(tmp_path):
  assert not dataset_utils.has_labels(str(tmp_path))
  dataset_utils.write_label_file({0: 'a'}, tmp_path, 'names.txt')
  assert not dataset_utils.has_labels(str(tmp_path))
  assert dataset_utils.has_labels(tmp_path, 'names.txt')
  assert dataset_utils.read_label_file(tmp_path, 'names.txt') == {0: 'a'}


def test_label_file_of_other_hands(tmp_path):
  """Written on Windows, with a mark, spaces and empty lines, in any order."""
  pathlib.Path(tmp_path, 'labels.txt').write_bytes(
    b'\xef\xbb\xbf1: daisy \r\n\r\n 0 :rose\r\n  \r\n02:tulip'
  )
  found = dataset_utils.read_label_file(tmp_path)
  assert list(found.items()) == [(0, 'rose'), (1, 'daisy'), (2, 'tulip')]


def test_empty_label_file(tmp_path):
  dataset_utils.write_label_file({}, tmp_path)
  assert dataset_utils.read_label_file(tmp_path) == {}


@pytest.mark.parametrize(
  'text, number, line',
  [
    ('0:a\ndaisy\n', 2, 'daisy'),
    ('0:a\n\n\none:b\n', 4, 'one:b'),
    ('-1:a\n', 1, '-1:a'),
    ('1.0:a\n', 1, '1.0:a'),
    (':a\n', 1, ':a'),
    ('0:a\n1:b\n0:c\n', 3, '0:c'),
    ('0:a\n00:a\n', 2, '00:a'),
    ('0:a\n1\n', 2, '1'),
    ('0:a\n²:b\n', 2, '²:b'),
    ('٠:a\n', 1, '٠:a'),
    ('0:a\n1234567890:b\n', 2, '1234567890:b'),
    ('0:a\n' + 'x' * 300, 2, 'x' * 80),
  ],
)
def test_label_file_with_a_bad_line(tmp_path, text, number, line):
  path = tmp_path / 'labels.txt'
  path.write_text(text, 'utf-8')
  with pytest.raises(
    ValueError,
    match=f"{path}, line {number}: '{line}' should be a new label and a name",
  ):
    dataset_utils.read_label_file(tmp_path)


@pytest.mark.parametrize(
  'text, gap, most',
  [
    ('1:a\n', 0, 1),
    ('1:a\n2:b\n', 0, 2),
    ('0:a\n1:b\n3:c\n', 2, 3),
    ('0:a\n999999999:b\n', 1, 999999999),
  ],
)
def test_label_file_with_a_gap(tmp_path, text, gap, most):
  (tmp_path / 'labels.txt').write_text(text)
  with pytest.raises(ValueError) as error:
    dataset_utils.read_label_file(tmp_path)
  assert str(error.value) == (
    f'{tmp_path}/labels.txt has no line for label {gap}, but one for {most}: '
    'labels count from 0 without gaps.'
  )


@pytest.mark.parametrize(
  'data', ['0:Käse\n'.encode('latin-1'), '0:a\n'.encode('utf-16')]
)
def test_label_file_that_is_not_utf_8(tmp_path, data):
  (tmp_path / 'labels.txt').write_bytes(data)
  with pytest.raises(ValueError) as error:
    dataset_utils.read_label_file(tmp_path)
  assert str(error.value).startswith(
    f'{tmp_path}/labels.txt is not UTF-8 text ('
  )
  assert str(error.value).endswith('): save it as UTF-8.')


def test_label_file_of_binary_data(tmp_path):
  """Says which line, and no more of it than can be read."""
  (tmp_path / 'labels.txt').write_bytes(b'\0\1\2' * 5000)
  with pytest.raises(ValueError, match='line 1: ') as error:
    dataset_utils.read_label_file(tmp_path)
  assert len(str(error.value)) < 600 and '\0' not in str(error.value)


def test_image_seg_to_tfexample():
  """DeepLab's features, and more; see FACTS."""
  found = dataset_utils.image_seg_to_tfexample(
    b'JPEG',
    b'jpeg',
    b'a.jpg',
    np.int32(7),
    np.int32(9),
    3,
    b'PNG',
    {'more': 1.5},
  ).features.feature
  assert {
    key: [
      *(
        value.bytes_list.value
        or value.int64_list.value
        or value.float_list.value
      )
    ]
    for key, value in found.items()
  } == {
    'image/encoded': [b'JPEG'],
    'image/format': [b'jpeg'],
    'image/filename': [b'a.jpg'],
    'image/height': [7],
    'image/width': [9],
    'image/channels': [3],
    'image/segmentation/class/encoded': [b'PNG'],
    'image/segmentation/class/format': [b'png'],
    'more': [1.5],
  }
