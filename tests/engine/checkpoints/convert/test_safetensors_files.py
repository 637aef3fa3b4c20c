"""Arrays of .safetensors, and damaged headers."""

import json

import numpy as np
import pytest

from engine.checkpoints.convert import safetensors_files
from tests.engine.checkpoints.convert import sources

ARRAYS = {
  'a': np.arange(6, dtype=np.float32).reshape(2, 3),
  'b': np.array([1.5, -2], np.float16),
  'c': np.array(3, np.int64),
  'd': np.zeros((0, 4), np.float64),
}


def write(path, header, data=b''):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  path.write_bytes(len(text).to_bytes(8, 'little') + text + data)
  return str(path)


def error(path):
  with pytest.raises(ValueError) as raised:
    safetensors_files.read(path)
  said = str(raised.value)
  assert said.startswith(path) and 'get it again' in said
  return said


def entry(begin, end, shape=(1,), dtype='F32'):
  return {'dtype': dtype, 'shape': [*shape], 'data_offsets': [begin, end]}


def test_values(tmp_path):
  path = sources.write_safetensors(tmp_path / 'w', ARRAYS, {'format': 'pt'})
  found = safetensors_files.read(path)
  assert found.format == 'safetensors'
  assert found.values.keys() == ARRAYS.keys()
  for name, value in ARRAYS.items():
    assert found.values[name].dtype == value.dtype
    np.testing.assert_array_equal(found.values[name], value)


def test_bfloat16(tmp_path):
  """1 is 0x3f80, -2.5 is 0xc020, infinity 0x7f80."""
  data = np.array([0x3F80, 0xC020, 0x7F80], '<u2').tobytes()
  path = write(tmp_path / 'w', {'a': entry(0, 6, [3], 'BF16')}, data)
  found = safetensors_files.read(path).values['a']
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, [1, -2.5, np.inf])


def test_padded_header(tmp_path):
  text = json.dumps({'a': entry(0, 4)}).encode() + b'    '
  path = write(tmp_path / 'w', text, np.float32(2).tobytes())
  assert safetensors_files.read(path).values['a'] == [2]


@pytest.mark.parametrize(
  ('header', 'size', 'words'),
  [
    ({'a': entry(0, 8)}, 8, '8 bytes of a, whose shape [1] of F32 takes 4'),
    ({'a': entry(0, 4)}, 3, 'a at the bytes [0, 4], and 3 bytes'),
    ({'a': entry(-4, 0)}, 4, 'a at the bytes [-4, 0]'),
    ({'a': entry(4, 0)}, 4, 'a at the bytes [4, 0]'),
    ({'a': entry(0, 4), 'b': entry(0, 4)}, 4, 'overlaps another array'),
    ({'a': entry(0, 4), 'b': entry(8, 12)}, 12, 'has a gap before'),
    ({'a': entry(0, 4)}, 6, '2 bytes that belong to no array'),
    ({'a': entry(0, 4, dtype='F8')}, 4, "unknown type 'F8'"),
    ({'a': entry(0, 4, [-1, -1])}, 4, 'the shape [-1, -1]'),
    ({'a': entry(0, 4, [1.0])}, 4, 'wrong header for a: it.shape[0] is 1.0'),
    ({'a': {'dtype': 'F32', 'shape': [1]}}, 4, 'it.data_offsets is null'),
    ({'a': [1]}, 4, 'wrong header for a: it is [1]'),
    ([1], 4, 'damaged header'),
    (b'{"a": {}, "a": {}}', 4, 'damaged header: it has "a" twice'),
    (b'{"a"', 0, 'damaged header'),
    (b'{\xff', 0, 'damaged header: it is not UTF-8'),
    ({'a\nb': entry(0, 4)}, 4, r"named 'a\nb'"),
    ({'a': entry(0, 4, [1 << 62, 1 << 62])}, 4, 'takes'),
  ],
)
def test_wrong_headers(tmp_path, header, size, words):
  assert words in error(write(tmp_path / 'w', header, b'\0' * size))


@pytest.mark.parametrize('length', [1 << 62, 1 << 20])
def test_header_longer_than_the_file(tmp_path, length):
  path = tmp_path / 'w'
  path.write_bytes(length.to_bytes(8, 'little') + b'{}')
  assert 'cut off' in error(str(path))


def test_header_that_is_too_long(tmp_path, monkeypatch):
  monkeypatch.setattr(safetensors_files, '_MOST_HEADER', 8)
  path = sources.write_safetensors(tmp_path / 'w', ARRAYS)
  assert 'at most 8 are read' in error(path)


@pytest.mark.parametrize('size', [0, 5, 8, 30])
def test_cut_off(tmp_path, size):
  path = sources.write_safetensors(tmp_path / 'w', ARRAYS)
  with open(path, 'r+b') as file:
    file.truncate(size)
  error(path)


def test_more_than_is_read(tmp_path, monkeypatch):
  path = sources.write_safetensors(tmp_path / 'w', ARRAYS)
  monkeypatch.setattr(safetensors_files, 'MOST_ARRAYS', 3)
  assert '4 arrays' in error(path)
  monkeypatch.setattr(safetensors_files, 'MOST_BYTES', 10)
  monkeypatch.setattr(safetensors_files, 'MOST_ARRAYS', 9)
  assert 'at most 10 are read' in error(path)
