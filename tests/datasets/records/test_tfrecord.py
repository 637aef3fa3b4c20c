"""TFRecord files read by number, against TensorFlow's own reader."""

import concurrent.futures
import contextlib
import os
import pathlib
import struct
import types

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from datasets.records import tfrecord

RECORDS = [b'first', b'', b'third' * 100, b'\0' * 7]


def _write(path, records=RECORDS):
  with tf.io.TFRecordWriter(os.fspath(path)) as writer:
    for record in records:
      writer.write(record)
  return str(path)


def _read(reader, order):
  return [reader.read(int(i)) for i in order]


def _flip(path, at):
  data = bytearray(pathlib.Path(path).read_bytes())
  data[at] ^= 1
  pathlib.Path(path).write_bytes(data)


def _starts(records):
  """Returns where the header of each record begins, and the file's end."""
  return np.cumsum([0] + [12 + len(record) + 4 for record in records]).tolist()


@pytest.fixture
def shards(tmp_path):
  """Four files: one with empty records, one empty, one of zeros, one random."""
  random = np.random.RandomState(0)
  return [
    _write(tmp_path / f'{i}.tfrecord', records)
    for i, records in enumerate(
      [RECORDS, [], [b'', b''], [random.bytes(n) for n in (1, 1000, 70000)]]
    )
  ]


def test_same_as_tensorflow(shards):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    record = tf.compat.v1.data.make_one_shot_iterator(
      tf.data.TFRecordDataset(shards)
    ).get_next()
    reader = tfrecord.Reader(shards)
    assert len(reader) == 9
    for i in range(len(reader)):
      assert reader.read(i) == session.run(record)
    with pytest.raises(tf.errors.OutOfRangeError):
      session.run(record)


def test_offsets(tmp_path):
  path = _write(tmp_path / 'a')
  found, damage = tfrecord.find_records(path)
  assert found.dtype == np.int64 and damage == ''
  starts = _starts(RECORDS)
  assert starts[-1] == os.path.getsize(path)
  np.testing.assert_array_equal(
    found,
    [
      (start + 12, len(record))
      for start, record in zip(starts[:-1], RECORDS, strict=True)
    ],
  )


def test_headers_alone_are_read(tmp_path, monkeypatch):
  """Of a file with holes for records; what is read is counted."""
  path, length = tmp_path / 'a', 5_000_000
  header = struct.pack('<Q', length)
  header += struct.pack('<I', tfrecord.masked_crc(header))
  with open(path, 'wb') as file:
    for i in range(100):
      file.seek(i * (length + 16))
      file.write(header)
    file.truncate(100 * (length + 16))
  done, pread = [], os.pread

  def counted(*arguments):
    done.append(pread(*arguments))
    return done[-1]

  monkeypatch.setattr(os, 'pread', counted)
  found, damage = tfrecord.find_records(str(path))
  assert damage == '' and found[:, 1].tolist() == [length] * 100
  assert found[:, 0].tolist() == [i * (length + 16) + 12 for i in range(100)]
  assert done == [header] * 100


def test_without_reading_at_an_offset(shards, monkeypatch):
  """As in file systems and on systems that cannot."""
  os.truncate(shards[3], os.path.getsize(shards[3]) - 1)
  expected = tfrecord.Reader(shards)
  monkeypatch.delattr(os, 'pread')
  reader = tfrecord.Reader(shards)
  assert reader.damages == expected.damages != []
  assert reader.counts == expected.counts
  assert _read(reader, range(8)) == [
    *RECORDS,
    b'',
    b'',
    *_read(expected, [6, 7]),
  ]


def test_progress(shards):
  """A step for each file."""
  begun, done = [], []

  @contextlib.contextmanager
  def progress(*arguments):
    begun.append(arguments)
    yield types.SimpleNamespace(update=done.append)

  tfrecord.Reader(shards, progress=progress)
  assert begun == [(4, 0, 'indexing')] and done == [1] * 4


def test_empty_file(tmp_path):
  path = _write(tmp_path / 'a', [])
  found, damage = tfrecord.find_records(path)
  assert found.shape == (0, 2) and damage == ''
  assert len(tfrecord.Reader([path])) == 0
  assert len(tfrecord.Reader([])) == 0


def test_masked_crc_of_a_header(tmp_path):
  data = pathlib.Path(_write(tmp_path / 'a', [b'abc'])).read_bytes()
  assert tfrecord.masked_crc(data[:8]) == int.from_bytes(data[8:12], 'little')
  assert tfrecord.masked_crc(b'abc') == int.from_bytes(data[15:], 'little')


RANDOM = np.random.RandomState(1).bytes(300_000)


@pytest.mark.parametrize(
  'records',
  [[], [b''], RECORDS, [b'x'] * 1000, [RANDOM, b'', RANDOM[:65536]]],
  ids=['none', 'empty', 'some', 'many', 'large'],
)
def test_write(tmp_path, records):
  """The bytes that TensorFlow writes, and what is said of them is true."""
  written = tfrecord.write(tmp_path / 'ours', iter(records))
  data = (tmp_path / 'ours').read_bytes()
  assert data == pathlib.Path(_write(tmp_path / 'theirs', records)).read_bytes()
  assert written == (len(records), len(data), google_crc32c.value(data))
  dataset = tf.data.TFRecordDataset([str(tmp_path / 'ours')])
  assert list(dataset.as_numpy_iterator()) == records


def test_write_over_a_file(tmp_path):
  tfrecord.write(str(tmp_path / 'a'), RECORDS)
  assert tfrecord.write(str(tmp_path / 'a'), [b'1']).size == 17
  assert _read(tfrecord.Reader([str(tmp_path / 'a')]), [0]) == [b'1']


def test_name(shards):
  reader = tfrecord.Reader(shards)
  assert [reader.name(i) for i in (0, 3, 4, 5, 6, 8)] == [
    f'record {i} of {shards[shard]}'
    for i, shard in ((0, 0), (3, 0), (0, 2), (1, 2), (0, 3), (2, 3))
  ]


@pytest.mark.parametrize(
  'size, records, message',
  [
    (5, 0, 'at byte 0 of 5, after 0 records, there is no record'),
    (12, 0, 'record 0 ends at byte 21, the file at 12'),
    (20, 0, 'record 0 ends at byte 21, the file at 20'),
    (22, 1, 'at byte 21 of 22, after 1 records'),
    (-1, 3, 'cut short: record 3 ends at byte'),
    (-5, 3, 'cut short: record 3 ends at byte'),
  ],
)
def test_truncated(tmp_path, size, records, message):
  path = _write(tmp_path / 'a')
  os.truncate(path, size % os.path.getsize(path))
  reader = tfrecord.Reader([path])
  (damage,) = reader.damages
  assert message in damage and path in damage
  assert damage.endswith('Convert or copy it again.')
  assert _read(reader, range(len(reader))) == RECORDS[:records]


def test_truncated_between_records_is_a_shorter_file(tmp_path):
  path = _write(tmp_path / 'a')
  os.truncate(path, _starts(RECORDS)[2])
  reader = tfrecord.Reader([path])
  assert len(reader) == 2 and reader.damages == []


def test_garbage(tmp_path):
  path = tmp_path / 'a'
  path.write_text('This is no TFRecord file, but a text.\n')
  records, damage = tfrecord.find_records(str(path))
  assert records.shape == (0, 2)
  assert damage == (
    f'{path} is not a TFRecord file, or is damaged: at byte 0 of 38, after 0 '
    'records, there is no record. Convert or copy it again.'
  )


@pytest.mark.parametrize('field', [0, 8], ids=['length', 'checksum'])
def test_flipped_bit_in_a_header(tmp_path, field):
  path = _write(tmp_path / 'a')
  start = _starts(RECORDS)[2]
  _flip(path, start + field)
  records, damage = tfrecord.find_records(path)
  assert len(records) == 2
  assert f'at byte {start} of {_starts(RECORDS)[-1]}, after 2 rec' in damage


def test_damages_of_several_files(shards):
  """What is before the damage is read, what is behind it is not."""
  random = _read(tfrecord.Reader(shards), [6, 7])
  _flip(shards[0], _starts(RECORDS)[1])
  os.truncate(shards[3], os.path.getsize(shards[3]) - 1)
  reader = tfrecord.Reader(shards)
  assert [damage.split()[0] for damage in reader.damages] == [
    shards[0],
    shards[3],
  ]
  assert 'after 1 records' in reader.damages[0]
  assert 'is cut short: record 2 ends at byte' in reader.damages[1]
  assert _read(reader, range(len(reader))) == [b'first', b'', b'', *random]
  assert reader.name(3) == f'record 0 of {shards[3]}'


@pytest.mark.parametrize('where', ['data', 'checksum'])
def test_flipped_bit_in_a_record_costs_that_record(shards, where):
  whole = tfrecord.Reader(shards)
  expected = np.array(_read(whole, range(9)), object)
  start, length = tfrecord.find_records(shards[0]).records[2]
  _flip(shards[0], start + (10 if where == 'data' else length))
  reader = tfrecord.Reader(shards)
  with pytest.raises(
    ValueError,
    match=f'record 2 of {shards[0]} is damaged: its checksum does not fit',
  ):
    reader.read(2)
  others = [0, 1, 3, 4, 5, 6, 7, 8]
  assert _read(reader, others) == expected[others].tolist()


def test_file_cut_after_the_scan(tmp_path):
  path = _write(tmp_path / 'a')
  reader = tfrecord.Reader([path])
  os.truncate(path, _starts(RECORDS)[-1] - 2)
  assert reader.read(2) == RECORDS[2]
  with pytest.raises(ValueError, match='record 3 of .* is damaged'):
    reader.read(3)


def test_missing_file(tmp_path):
  for cache in (None, str(tmp_path / 'cache')):
    with pytest.raises((ValueError, FileNotFoundError), match='nowhere'):
      tfrecord.find_records(str(tmp_path / 'nowhere'), cache)


@pytest.fixture
def scans(monkeypatch):
  """The paths that are scanned, in order."""
  done = []
  scan = tfrecord._scan
  monkeypatch.setattr(
    tfrecord, '_scan', lambda path: done.append(path) or scan(path)
  )
  return done


def test_cache_is_used(tmp_path, scans):
  path, cache = _write(tmp_path / 'a'), str(tmp_path / 'deep' / 'cache')
  first = tfrecord.find_records(path, cache)
  again = tfrecord.find_records(path, cache)
  np.testing.assert_array_equal(again.records, first.records)
  assert scans == [path] and again.damage == ''
  assert len(os.listdir(cache)) == 1  # and nothing unfinished beside it
  assert _read(tfrecord.Reader([path], cache), range(4)) == RECORDS
  assert scans == [path]


def test_cache_is_not_shared_by_files(tmp_path, scans):
  paths = [
    _write(tmp_path / name, records)
    for name, records in (('a', [b'abcd']), ('b', [b'', b'']))
  ]
  for path in paths:  # of one time of change
    os.utime(path, ns=(0, 10**18))
  reader = tfrecord.Reader(paths, str(tmp_path / 'cache'))
  assert sorted(scans) == paths and len(reader) == 3


def test_cache_is_renewed_by_another_size(tmp_path, scans):
  path, cache = _write(tmp_path / 'a'), str(tmp_path / 'cache')
  tfrecord.find_records(path, cache)
  time = os.stat(path).st_mtime_ns
  _write(path, [b'longer' * 1000])
  os.utime(path, ns=(time, time))
  assert tfrecord.find_records(path, cache).records.tolist() == [[12, 6000]]
  assert scans == [path, path]


def test_cache_is_renewed_by_another_time(tmp_path, scans):
  path, cache = _write(tmp_path / 'a', [b'0123456789' * 2]), str(tmp_path / 'c')
  tfrecord.find_records(path, cache)
  time = os.stat(path).st_mtime_ns
  _write(path, [b'ab', b'cd'])  # of the same size
  os.utime(path, ns=(time, time + 1000))
  assert tfrecord.find_records(path, cache).records.tolist() == [
    [12, 2],
    [30, 2],
  ]
  assert scans == [path, path]


@pytest.mark.parametrize('size', [0, 3, 40, -8])
def test_broken_cache_is_scanned_again(tmp_path, scans, size):
  path, cache = _write(tmp_path / 'a'), tmp_path / 'cache'
  expected = tfrecord.find_records(path, str(cache))
  (file,) = cache.iterdir()
  os.truncate(file, size % os.path.getsize(file))
  np.testing.assert_array_equal(
    tfrecord.find_records(path, str(cache)).records, expected.records
  )
  assert scans == [path, path]
  tfrecord.find_records(path, str(cache))  # repaired
  assert scans == [path, path]


def test_damaged_file_is_not_cached(tmp_path):
  path, cache = _write(tmp_path / 'a'), tmp_path / 'cache'
  os.truncate(path, 30)
  for _ in range(2):
    records, damage = tfrecord.find_records(path, str(cache))
    assert len(records) == 1 and 'is damaged' in damage
  assert not cache.exists() or not os.listdir(cache)


def test_other_file_systems(tmp_path):
  path = 'file://' + _write(tmp_path / 'a')
  reader = tfrecord.Reader([path], str(tmp_path / 'cache'))
  assert _read(reader, range(4)) == RECORDS
  assert reader.name(1) == f'record 1 of {path}'


def test_many_files_from_many_threads(tmp_path):
  """More files than are kept open, so that they are closed while in use."""
  count = 150
  expected = [f'{i}-{j}'.encode() * 50 for i in range(count) for j in range(3)]
  paths = [
    _write(tmp_path / f'{i:03}', expected[3 * i : 3 * i + 3])
    for i in range(count)
  ]
  reader = tfrecord.Reader(paths)
  assert len(reader) == 450
  before = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc') else 0

  def read(seed):
    order = np.random.RandomState(seed).permutation(450)
    return all(
      data == expected[i]
      for i, data in zip(order, _read(reader, order), strict=True)
    )

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert all(pool.map(read, range(16)))
  if before:
    assert len(os.listdir('/proc/self/fd')) <= before + 64


def test_cache_that_cannot_be_written(tmp_path, scans):
  path = str(tmp_path / 'a.tfrecord')
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(b'abc')
  (tmp_path / 'cache').write_text('a file where the folder should be')
  cache = str(tmp_path / 'cache')
  for _ in range(2):
    found = tfrecord.find_records(path, cache)
    assert found.records.tolist() == [[12, 3]] and found.damage == ''
  assert scans == [path]  # at least this process knows it
  reader = tfrecord.Reader([path], cache)
  assert reader.read(0) == b'abc'
  assert reader.notes == [
    f'{cache} cannot be written (File exists), so that every start looks for '
    'the records of 1 of 1 files again: free the disk, or name a folder for '
    'caches by XDG_CACHE_HOME.'
  ]
  assert tfrecord.Reader([path], str(tmp_path / 'other')).notes == []


def test_key(tmp_path):
  """Of the files in their order, their sizes and times of change."""
  paths = [
    _write(tmp_path / name, records)
    for name, records in (('a', RECORDS), ('b', RECORDS))
  ]
  keys = [
    tfrecord.Reader(paths).key(),
    tfrecord.Reader(paths[::-1]).key(),
    tfrecord.Reader(paths[:1]).key(),
  ]
  assert tfrecord.Reader(paths).key() == keys[0]
  os.utime(paths[1], ns=(0, 10**18))
  keys.append(tfrecord.Reader(paths).key())
  _write(paths[1], [b'1'])
  os.utime(paths[1], ns=(0, 10**18))
  keys.append(tfrecord.Reader(paths).key())
  assert len({*keys}) == 5
