"""Records that are bad: named, counted, left out, and what stands for them."""

import concurrent.futures
import io
import itertools
import os
import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import dataset_factory, dataset_utils
from datasets.records import examples

CLASSES = 5


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _pixels(number, size=8):
  return (
    np.random.RandomState(number)
    .randint(0, 256, (size, size, 3))
    .astype(np.uint8)
  )


def _image(number, form='png', size=8):
  data = io.BytesIO()
  Image.fromarray(_pixels(number, size)).save(data, form)
  return data.getvalue()


def _record(number, **features):
  """A good record; features are replaced by values, or left out by None."""
  example = dataset_utils.image_to_tfexample(
    _image(number),
    b'png',
    8,
    8,
    number % CLASSES,
    {'image/filename': f'Bild {number}.png'.encode()},
  )
  for name, value in features.items():
    name = {
      'data': 'image/encoded',
      'label': 'image/class/label',
      'filename': 'image/filename',
    }[name]
    del example.features.feature[name]
    if value is not None:
      example.features.feature[name].CopyFrom(dataset_utils._feature(value))
  return dataset_utils.serialize(example)


def _huge_png():
  """A small file whose header claims 20,000 x 20,000 pixels."""
  data = bytearray(_image(0))
  data[16:24] = struct.pack('>II', 20_000, 20_000)
  data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
  return bytes(data)


JPEG = _image(1, 'jpeg', 32)
NO_IMAGE = 'holds an image that is no image, or is damaged'
BAD = {  # name: (the record, what is said of it)
  'no proto': (b'\xff' * 50, 'is no tf.train.Example'),
  'text': (b'hello, world', 'is no tf.train.Example'),
  'empty': (b'', 'has no single value of image/encoded'),
  'no image': (_record(0, data=None), 'has no single value of image/encoded'),
  'two images': (
    _record(0, data=[_image(0)] * 2),
    'has no single value of image/encoded',
  ),
  'image of integers': (
    _record(0, data=[1, 2]),
    'has no single value of image/encoded',
  ),
  'no label': (
    _record(0, label=None),
    'has no single value of image/class/label',
  ),
  'empty label': (
    _record(0, label=[]),
    'has no single value of image/class/label',
  ),
  'two labels': (
    _record(0, label=[0, 1]),
    'has no single value of image/class/label',
  ),
  'label as text': (
    _record(0, label=b'0'),
    'has no single value of image/class/label',
  ),
  'label as float': (
    _record(0, label=1.0),
    'has no single value of image/class/label',
  ),
  'label below': (
    _record(0, label=-1),
    'has the label -1, which is not in 0 to 4, with --labels_offset=0',
  ),
  'label above': (
    _record(0, label=5),
    'has the label 5, which is not in 0 to 4',
  ),
  'label far above': (
    _record(0, label=2**63 - 1),
    'has the label 9223372036854775807, which is not in 0',
  ),
  'empty image': (_record(0, data=b''), 'holds an image that is empty'),
  'text for an image': (_record(0, data=b'<html>'), NO_IMAGE),
  'JPEG cut short': (
    _record(0, data=JPEG[:-200]),
    'holds an image that is damaged, or is no JPEG',
  ),
  'PNG cut short': (
    _record(0, data=_image(0)[:-30]),
    'holds an image that is damaged, or is no JPEG',
  ),
  'bomb': (
    _record(0, data=_huge_png()),
    'holds an image that has more than 178,956,970 pixels: shrink it',
  ),
}
CURE = ': repair or remove it, or convert the data again.'


def _write(tmp_path, records, name='a.tfrecord'):
  path = tmp_path / name
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in records:
      writer.write(record)
  return str(path)


def _open(*paths, classes=CLASSES, **options):
  dataset = dataset_factory.make_dataset(
    'flowers', 'train', list(paths), classes, None
  )
  return examples.Examples(dataset, **options)


def _good(count):
  return [_record(i) for i in range(count)]


def _flip(path, at):
  data = bytearray(pathlib.Path(path).read_bytes())
  data[at] ^= 1
  pathlib.Path(path).write_bytes(data)


def _resolve(found, indices):
  """Reads again, as long as bad ones were found, in whatever thread."""
  while True:
    records, numbers = found.read_many(indices)
    found.examine(numbers)
    if all(found.stand_in(number) == number for number in numbers.tolist()):
      return records, numbers


def test_good_records(tmp_path):
  paths = [
    _write(tmp_path, _good(4), 'a'),
    _write(tmp_path, [], 'b'),
    _write(tmp_path, [_record(9)], 'c'),
  ]
  found = _open(*paths)
  assert len(found) == 5 and found.classes == 5
  for index, number in enumerate([0, 1, 2, 3, 9]):
    label, data, image, filename = found.example(index)
    assert (label, data) == (number % 5, _image(number))
    assert filename == f'Bild {number}.png'
    assert image.dtype == np.uint8
    assert image.tolist() == _pixels(number).tolist()
  assert not found.examine(range(5)) and found.left_out == []


def test_read_many_in_the_order_asked(tmp_path):
  found = _open(_write(tmp_path, _good(5)))
  records, numbers = found.read_many(np.array([4, 0, 2, 0]))
  assert records.dtype == object and records.shape == (4,)
  assert records.tolist() == [_record(i) for i in (4, 0, 2, 0)]
  assert numbers.dtype == np.int64 and numbers.tolist() == [4, 0, 2, 0]
  records, numbers = found.read_many([])
  assert records.shape == numbers.shape == (0,)


@pytest.mark.parametrize(
  'filename, expected',
  [
    (None, ''),
    (b'', ''),
    ('Käse'.encode(), 'Käse'),
    (b'a\xff', 'a\ufffd'),
    (7, ''),
  ],
)
def test_filenames(tmp_path, filename, expected):
  found = _open(_write(tmp_path, [_record(0, filename=filename)]))
  assert found.example(0).filename == expected


@pytest.mark.parametrize('form', ['jpeg', 'gif', 'bmp'])
def test_other_formats(tmp_path, form):
  found = _open(_write(tmp_path, [_record(0, data=_image(0, form))]))
  assert found.example(0).image.shape == (8, 8, 3)


@pytest.mark.parametrize('record, reason', BAD.values(), ids=BAD)
def test_a_bad_record(tmp_path, record, reason):
  path = _write(tmp_path, [*_good(2), record, _record(3)])
  found = _open(path)
  assert found.example(1).label == 1
  with pytest.raises(ValueError) as error:
    found.examine(range(4))
  start, end = (
    f'record 2 of {path} {reason}',
    (f'{CURE} --skip_bad_examples=1 leaves it out.'),
  )
  assert str(error.value).startswith(start) and str(error.value).endswith(end)
  found = _open(path, skip=1)
  assert found.examine(range(4)) and not found.examine(range(4))
  (sentence,) = found.left_out
  assert sentence.startswith(start) and sentence.endswith(CURE)
  assert found.example(2) is None
  assert found.example(3).label == 3
  assert found.read_many(range(4))[1].tolist() == [0, 1, 3, 3]


def test_labels_offset(tmp_path):
  """The label is said as it was written."""
  path = _write(tmp_path, _good(3))
  found = _open(path, labels_offset=1)
  assert found.classes == 4 and found.example(1).label == 1
  with pytest.raises(
    ValueError,
    match='record 0 of .* has the label 0, which '
    'is not in 1 to 4, with --labels_offset=1: repair',
  ):
    found.example(0)


def test_too_many_pixels(tmp_path):
  path = _write(tmp_path, _good(3))
  assert _open(path, max_pixels=64).example(0).label == 0
  with pytest.raises(
    ValueError,
    match='record 1 of .* holds an image that '
    'has 8x8 = 64 pixels, more than --max_image_pixels=63: '
    'shrink it, or raise the limit: repair',
  ):
    _open(path, max_pixels=63).example(1)


def _data_at(number):
  """Where the bytes of a record begin in a file of good ones."""
  return sum(len(_record(i)) + 16 for i in range(number)) + 12


def test_a_checksum(tmp_path):
  path = _write(tmp_path, _good(4))
  _flip(path, _data_at(1) + 30)
  for read in (
    lambda found: found.read_many([0, 1]),
    lambda found: found.example(1),
    lambda found: found.examine([2, 1]),
  ):
    with pytest.raises(ValueError) as error:
      read(_open(path))
    assert str(error.value) == (
      f'record 1 of {path} is damaged: its checksum does not fit. Convert or '
      'copy the file again. --skip_bad_examples=1 leaves it out.'
    )
    read(_open(path, skip=1))
  found = _open(path)
  for _ in range(2):  # as two threads do: no stand-in for what was refused
    with pytest.raises(ValueError, match=f'record 1 of {path} is damaged'):
      found.read_many([1])
  found = _open(path, skip=1)
  records, numbers = found.read_many([0, 1, 2])  # seen without examining
  assert numbers.tolist() == [0, 2, 2] and len(found.left_out) == 1
  assert records.tolist() == [_record(i) for i in (0, 2, 2)]


@pytest.mark.parametrize(
  'damage, left, words',
  [
    ('cut', 3, 'is cut short: record 3 ends at byte'),
    ('header', 2, 'is not a TFRecord file, or is damaged: at byte'),
    ('text', 0, 'is not a TFRecord file, or is damaged: at byte 0'),
  ],
)
def test_a_damaged_file(tmp_path, damage, left, words):
  """Its records before the damage are good; its end counts as one."""
  bad, good = _write(tmp_path, _good(4), 'a'), _write(tmp_path, _good(2), 'b')
  if damage == 'cut':
    os.truncate(bad, os.path.getsize(bad) - 3)
  elif damage == 'header':
    _flip(bad, _data_at(2) - 12)
  else:
    pathlib.Path(bad).write_text('no TFRecord, but a text of some length')
  with pytest.raises(ValueError) as error:
    _open(bad, good)
  assert str(error.value).startswith(f'{bad} {words}')
  assert str(error.value).endswith(
    'Convert or copy it again. --skip_bad_examples=1 leaves it out.'
  )
  found = _open(bad, good, skip=1)
  assert len(found) == left + 2
  assert found.left_out[0].startswith(f'{bad} {words}')
  assert found.read_many(range(len(found)))[0].tolist() == [
    *_good(left),
    *_good(2),
  ]
  assert not found.examine(range(len(found))) and len(found.left_out) == 1


def test_one_good_record_before_the_damage(tmp_path):
  path = _write(tmp_path, _good(2))
  os.truncate(path, _data_at(1))
  found = _open(path, skip=1)
  assert len(found) == 1 and found.example(0).label == 0
  _flip(path, _data_at(0))
  with pytest.raises(
    ValueError, match='No record is good: record 0 of .* is d'
  ):
    _open(path, skip=2).example(0)


@pytest.mark.parametrize('skip', [0, 1, 2])
def test_one_too_many(tmp_path, skip):
  path = _write(tmp_path, [_record(0), b'', b'', _record(3), b'', _record(5)])
  found = _open(path, skip=skip)
  with pytest.raises(ValueError) as error:
    found.examine(range(6))
  text = f'record {[1, 2, 4][skip]} of {path} has no single value'
  assert str(error.value).startswith(text)
  assert str(error.value).endswith(
    f'again. --skip_bad_examples={skip + 1} leaves '
    f'{["it", "2 such", "3 such"][skip]} out.'
  )
  found = _open(path, skip=3)
  assert found.examine(range(6))
  assert [sentence.split()[1] for sentence in found.left_out] == list('124')


def test_a_damaged_file_and_a_bad_record(tmp_path):
  """Both count."""
  path = _write(tmp_path, [_record(0), b'', _record(2), _record(3)])
  os.truncate(path, os.path.getsize(path) - 1)
  with pytest.raises(
    ValueError, match='record 1 of .*--skip_bad_examples=2 leaves 2 such out.'
  ):
    _open(path, skip=1).examine(range(3))
  found = _open(path, skip=2)
  assert found.examine(range(3)) and len(found.left_out) == 2


def test_a_bad_record_counts_once(tmp_path):
  found = _open(_write(tmp_path, [_record(0), b'', _record(2)]), skip=1)
  for _ in range(3):
    assert found.examine([1, 1]) == (_ == 0)
    assert found.example(1) is None
  assert len(found.left_out) == 1


MIXED = [
  _record(0),
  b'',
  b'x',
  _record(3),
  _record(4, label=9),
  _record(5),
  _record(6, data=b''),
  b'',
]
STAND_INS = [0, 3, 3, 3, 5, 5, 0, 0]  # the end wraps


def test_stand_ins(tmp_path):
  found = _open(_write(tmp_path, MIXED), skip=5)
  records, numbers = _resolve(found, range(8))
  assert numbers.tolist() == STAND_INS
  assert records.tolist() == [MIXED[i] for i in STAND_INS]
  assert [found.stand_in(i) for i in range(8)] == STAND_INS
  assert len(found.left_out) == 5


@pytest.mark.parametrize(
  'order', list(itertools.permutations(range(8)))[::2999]
)
def test_stand_ins_whatever_the_order_of_discovery(tmp_path, order):
  found = _open(_write(tmp_path, MIXED), skip=5)
  for index in order:
    assert _resolve(found, [index])[1].tolist() == [STAND_INS[index]]
  assert found.read_many(range(8))[1].tolist() == STAND_INS


def test_stand_ins_with_checksums(tmp_path):
  """Those are found in reading, the others in examining; both are passed."""
  path = _write(tmp_path, _good(3) + [b''])
  _flip(path, _data_at(2))
  found = _open(path, skip=2)
  assert _resolve(found, [1, 2, 3])[1].tolist() == [1, 0, 0]


def test_threads(tmp_path):
  records = [b'' if i % 7 in (2, 3) else _record(i) for i in range(100)]
  expected = [i + {2: 2, 3: 1}.get(i % 7, 0) for i in range(100)]
  path = _write(tmp_path, records)
  for seed in range(3):
    found = _open(path, skip=records.count(b''))
    order = np.random.RandomState(seed).permutation(400) % 100
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      parts = np.split(order, 40)
      for part, (_, numbers) in zip(
        parts,
        pool.map(lambda part, found=found: _resolve(found, part), parts),
        strict=True,
      ):
        assert numbers.tolist() == [expected[i] for i in part]
    assert len(found.left_out) == len({*found.left_out}) == records.count(b'')


def test_all_are_bad(tmp_path):
  path = _write(tmp_path, [b''] * 3)
  found = _open(path, skip=99)
  for _ in range(2):  # and it does not look for a good one for ever
    with pytest.raises(
      ValueError,
      match='No record is good: record . of '
      f'{path} has no single value of image/encoded',
    ):
      _resolve(found, range(3))


def test_all_checksums_are_bad(tmp_path):
  path = _write(tmp_path, _good(2))
  for number in range(2):
    _flip(path, _data_at(number))
  found = _open(path, skip=2)
  for _ in range(2):
    with pytest.raises(
      ValueError, match='No record is good: record 1 of .* is damaged'
    ):
      found.read_many([0])


def test_no_records(tmp_path):
  path = _write(tmp_path, [])
  for skip in (0, 9):
    with pytest.raises(ValueError) as error:
      _open(path, skip=skip)
    assert str(error.value) == (
      f'The train split of flowers has no records: {path} are empty.'
    )


def test_nothing_but_damage(tmp_path):
  (tmp_path / 'a').write_text('no TFRecord, but a text of some length')
  with pytest.raises(
    ValueError, match='No record is good: .* is not a TFRecord'
  ):
    _open(str(tmp_path / 'a'), skip=9)


def test_key(tmp_path):
  """Another one for other records."""
  paths = [_write(tmp_path, _good(n), str(n)) for n in (1, 2)]
  assert _open(paths[0]).key() == _open(paths[0]).key()
  assert (
    len({_open(paths[0]).key(), _open(paths[1]).key(), _open(*paths).key()})
    == 3
  )
