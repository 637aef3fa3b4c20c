"""Arrays in files, which are no larger than the file."""

import os

import numpy as np
import pytest

from datasets import arrays, files


@pytest.mark.parametrize(
  'array',
  [
    np.zeros(()),
    np.arange(3, dtype='>i4'),
    np.zeros((0, 2), np.int64),
    np.arange(24, dtype=np.float16).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([[True, False]]),
  ],
)
@pytest.mark.parametrize('version', [(1, 0), (2, 0), (3, 0)])
def test_read(tmp_path, array, version):
  with open(tmp_path / 'a.npy', 'wb') as file:
    np.lib.format.write_array(file, array, version)
  found = arrays.read(tmp_path / 'a.npy')
  assert (found.dtype, found.shape) == (array.dtype, array.shape)
  np.testing.assert_array_equal(found, array)


def header(text):
  return b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text


@pytest.mark.parametrize(
  'data, words',
  [
    (b'', 'it does not begin as a file of NumPy does'),
    (b'PK\x03\x04' * 9, 'it does not begin as a file of NumPy does'),
    (b'\x93NUMPY\x09\x00' + b' ' * 99, 'it does not begin as a file of NumPy'),
    (
      header(b"{'descr': '|O', 'fortran_order': False, 'shape': (), }\n"),
      'its',
    ),
    (
      header(
        b"{'descr': '<f4', 'fortran_order': False, "
        b"'shape': (100000000, 1000000, 3), }\n"
      ),
      'it has 0 bytes of values, and its header says 1,200,000,000,000,000',
    ),
    (
      header(b"{'descr': '<f7', 'fortran_order': False, 'shape': (1,), }\n"),
      'its type <f7 is unknown',
    ),
    (header(b"{'descr': " + b'(' * 9999), 'its header is damaged'),
    (header(b"{'descr': '<f4', 'a"), 'its header is damaged'),
  ],
)
def test_what_is_refused(tmp_path, data, words):
  path = tmp_path / 'a.npy'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=words):
    arrays.read(path)


def test_only_files(tmp_path):
  os.mkfifo(tmp_path / 'a.npy')
  with pytest.raises(files.Irregular):
    arrays.read(tmp_path / 'a.npy')
