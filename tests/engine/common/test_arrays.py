"""Arrays that are written row by row are NumPy's own."""

import numpy as np
import pytest

from engine.common.arrays import RowWriter


def written(path, batches):
  with open(path, 'wb') as file:
    rows = RowWriter(file)
    for batch in batches:
      rows.append(batch)
    rows.finish()
  return rows.shape


@pytest.mark.parametrize('dtype', [np.float32, np.int64])
@pytest.mark.parametrize('shape', [(), (5,), (3, 2, 4)])
def test_numpy_reads_it(tmp_path, dtype, shape):
  random = np.random.default_rng(0)
  batches = [
    random.integers(0, 100, (count, *shape)).astype(dtype)
    for count in (4, 4, 1)
  ]
  path = tmp_path / 'a.npy'
  assert written(path, batches) == (9, *shape)
  for mode in None, 'r':
    found = np.load(path, mmap_mode=mode)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.concatenate(batches))


def test_an_array_without_rows(tmp_path):
  assert written(tmp_path / 'a.npy', []) == ()


def test_rows_of_another_kind(tmp_path):
  first = np.zeros([2, 3], np.float32)
  for other in np.zeros([2, 4], np.float32), np.zeros([2, 3], np.float64):
    with pytest.raises(ValueError, match='one array holds one kind'):
      written(tmp_path / 'a.npy', [first, other])
