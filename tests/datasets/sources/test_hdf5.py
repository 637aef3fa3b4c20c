"""HDF5 files that somebody crafted: no other file is read, nor too much."""

import os

import h5py
import numpy as np
import pytest

from datasets.sources import hdf5

SECRET = b'the password is swordfish, and nobody should see it.'


@pytest.fixture
def secret(tmp_path):
  """A file of the user, and the same in HDF5."""
  path = tmp_path / 'secret'
  path.write_bytes(SECRET)
  with h5py.File(tmp_path / 'secret.h5', 'w') as file:
    file['x'] = np.frombuffer(SECRET, np.uint8)
  return path


def refused(path, keys=('x',), **options):
  with pytest.raises(ValueError) as caught:
    hdf5.read_arrays(path, keys, **options)
  assert str(path) in str(caught.value) and 'sword' not in str(caught.value)
  return str(caught.value)


def test_numbers(tmp_path):
  path = tmp_path / 'a.h5'
  expected = [np.arange(5), np.zeros((2, 0), np.float32), np.uint8(3)]
  with h5py.File(path, 'w') as file:
    for key, values in zip('xyz', expected, strict=True):
      file[key] = values
    file['packed'] = np.ones(9)
  for found, values in zip(
    hdf5.read_arrays(path, 'xyz'), expected, strict=True
  ):
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def external_storage(file, secret):
  file.create_dataset(
    'x', (len(SECRET),), 'u1', external=[(str(secret), 0, len(SECRET))]
  )


def external_link(file, secret):
  file['x'] = h5py.ExternalLink(f'{secret}.h5', 'x')


def soft_link(file, secret):
  file['inner'] = h5py.ExternalLink(f'{secret}.h5', '/')
  file['x'] = h5py.SoftLink('/inner/x')


def virtual(file, secret):
  layout = h5py.VirtualLayout((len(SECRET),), 'u1')
  layout[:] = h5py.VirtualSource(f'{secret}.h5', 'x', (len(SECRET),))
  file.create_virtual_dataset('x', layout)


def variable_length(file, secret):
  file.create_dataset('x', (3,), h5py.vlen_dtype(np.uint8))


def references(file, secret):
  file.create_dataset('x', (3,), h5py.ref_dtype)


def text(file, secret):
  file['x'] = 'text'


def compound(file, secret):
  file['x'] = np.zeros(3, [('a', 'u1'), ('b', 'f4')])


@pytest.mark.parametrize(
  'craft, words',
  [
    (external_storage, 'x lies in other files. It could do harm'),
    (external_link, 'x is a link.'),
    (soft_link, 'x is a link.'),
    (virtual, 'x lies in other files.'),
    (variable_length, 'x holds object, not numbers.'),
    (references, 'x holds object, not numbers.'),
    (text, 'x holds object, not numbers.'),
    (compound, 'not numbers.'),
  ],
)
def test_crafted(tmp_path, secret, craft, words):
  path = tmp_path / 'a.h5'
  with h5py.File(path, 'w') as file:
    craft(file, secret)
  assert words in refused(path)


def test_a_key_behind_a_link(tmp_path, secret):
  """A key is a name at the top, and no way through a link."""
  path = tmp_path / 'a.h5'
  with h5py.File(path, 'w') as file:
    file['inner'] = h5py.ExternalLink(f'{secret}.h5', '/')
  assert 'damaged, or another file' in refused(path, ['inner/x'])


def test_larger_than_is_read(tmp_path):
  """Sizes are compared before anything is read: here are 8 TB of zeros."""
  path = tmp_path / 'a.h5'
  with h5py.File(path, 'w') as file:
    file.create_dataset('x', (1000,), 'u1')
    file.create_dataset('y', (10**12,), 'f8', chunks=(1000,))
  assert path.stat().st_size < 10_000
  assert 'y has the shape (1000000000000,)' in refused(path, 'xy')
  assert 'more than 999 bytes' in refused(path, most_bytes=999)
  assert len(hdf5.read_arrays(path, 'x', 1000)[0]) == 1000


def test_a_fifo(tmp_path):
  os.mkfifo(tmp_path / 'a.h5')
  assert 'is no regular file' in refused(tmp_path / 'a.h5')
