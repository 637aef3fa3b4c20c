"""Label files, examples and the cache's folder."""
import pathlib

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


def test_image_to_tfexample():
  example = dataset_utils.image_to_tfexample(b'\x89PNG', b'png', 8, 9, 7)
  features = example.features.feature
  assert {name: (feature.WhichOneof('kind'), list(
      getattr(feature, feature.WhichOneof('kind')).value))
          for name, feature in features.items()} == {
      'image/encoded': ('bytes_list', [b'\x89PNG']),
      'image/format': ('bytes_list', [b'png']),
      'image/class/label': ('int64_list', [7]),
      'image/height': ('int64_list', [8]),
      'image/width': ('int64_list', [9])}


def test_write_tfrecord(tmp_path):
  examples = [dataset_utils.image_to_tfexample(b'x' * n, b'jpg', n, n, n)
              for n in range(3)]
  path = tmp_path / 'a.tfrecord'
  dataset_utils.write_tfrecord(path, iter(examples))
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    record = tf.compat.v1.data.make_one_shot_iterator(
        tf.data.TFRecordDataset([str(path)])).get_next()
    for example in examples:
      assert tf.train.Example.FromString(session.run(record)) == example


def test_label_file_round_trip(tmp_path):
  names = {2: 'Käse: Gouda', 0: 'tabby, cat', 10: '猫', 1: 'x' * 300, 5: ''}
  dataset_utils.write_label_file(names, tmp_path)
  lines = (tmp_path / 'labels.txt').read_text('utf-8').splitlines()
  assert lines == ['0:tabby, cat', '1:' + 'x' * 300, '2:Käse: Gouda', '5:',
                   '10:猫']
  assert dataset_utils.read_label_file(str(tmp_path)) == names


def test_label_file_of_another_name(tmp_path):
  assert not dataset_utils.has_labels(str(tmp_path))
  dataset_utils.write_label_file({0: 'a'}, tmp_path, 'names.txt')
  assert not dataset_utils.has_labels(str(tmp_path))
  assert dataset_utils.has_labels(tmp_path, 'names.txt')
  assert dataset_utils.read_label_file(tmp_path, 'names.txt') == {0: 'a'}


def test_label_file_of_other_hands(tmp_path):
  """Written on Windows, with spaces and empty lines."""
  pathlib.Path(tmp_path, 'labels.txt').write_bytes(
      b'0: daisy \r\n\r\n 1 :rose\r\n  \r\n02:tulip')
  assert dataset_utils.read_label_file(tmp_path) == {
      0: 'daisy', 1: 'rose', 2: 'tulip'}


@pytest.mark.parametrize('text, number, line', [
    ('0:a\ndaisy\n', 2, 'daisy'),
    ('0:a\n\n\none:b\n', 4, 'one:b'),
    ('-1:a\n', 1, '-1:a'),
    ('1.0:a\n', 1, '1.0:a'),
    (':a\n', 1, ':a'),
    ('0:a\n1:b\n0:c\n', 3, '0:c'),
    ('0:a\n00:a\n', 2, '00:a'),
])
def test_label_file_with_a_bad_line(tmp_path, text, number, line):
  path = tmp_path / 'labels.txt'
  path.write_text(text)
  with pytest.raises(ValueError, match=f"{path}, line {number}: '{line}' "
                     'should be a new label and a name'):
    dataset_utils.read_label_file(tmp_path)
