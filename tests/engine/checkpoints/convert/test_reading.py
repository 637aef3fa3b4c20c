"""Files are known by how they begin."""

import hashlib
import io
import zipfile

import numpy as np
import pytest

from engine.checkpoints import contents
from engine.checkpoints.contents import SHADOW
from engine.checkpoints.convert import reading
from tests.builders import write_checkpoint
from tests.engine.checkpoints.convert import sources

ARRAYS = {'conv1_conv/bias': np.arange(3, dtype=np.float32)}


def error(path):
  with pytest.raises(ValueError) as raised:
    reading.read(str(path))
  return str(raised.value)


@pytest.mark.parametrize(
  ('name', 'write', 'form'),
  [
    ('w.h5', sources.write_legacy, 'HDF5'),
    ('w.safetensors', sources.write_safetensors, 'safetensors'),
    ('w.npz', lambda path, arrays: np.savez(path, **arrays), '.npz'),
  ],
)
def test_files_are_known_by_how_they_begin(tmp_path, name, write, form):
  write(tmp_path / name, ARRAYS)
  path = tmp_path / name
  path = path.rename(tmp_path / 'renamed.bin')
  found = reading.read(str(path))
  assert (found.path, found.format) == (str(path), form)
  np.testing.assert_array_equal(
    found.values['conv1_conv/bias'], ARRAYS['conv1_conv/bias']
  )
  assert reading.digests(found) == {
    'renamed.bin': hashlib.sha256(path.read_bytes()).hexdigest()
  }


def test_keras_archives(tmp_path):
  sources.write_legacy(tmp_path / 'w.h5', ARRAYS)
  with zipfile.ZipFile(tmp_path / 'w', 'w') as archive:
    archive.write(tmp_path / 'w.h5', 'model.weights.h5')
  assert [*reading.read(str(tmp_path / 'w')).values] == [*ARRAYS]


@pytest.mark.parametrize('version', [1, 2])
def test_checkpoints(save, version):
  path = save('net.ckpt', version=version)
  found = reading.read(path)
  assert found.format == reading.SLIM
  assert {name: [*v.shape] for name, v in found.values.items()} == (
    contents.read(path).model
  )
  assert all((value == 1).all() for value in found.values.values())
  folder = path.rpartition('/')[0]
  assert reading.read(folder).values.keys() == found.values.keys()
  files = {
    1: ['net.ckpt'],
    2: ['net.ckpt.data-00000-of-00001', 'net.ckpt.index'],
  }
  assert [*reading.digests(found)] == files[version]
  if version == 2:
    assert reading.read(f'{path}.index').path == path


def test_moving_averages_where_there_is_nothing_else(tmp_path):
  one, two = np.float32([1]), np.float32([2])
  values = {'a': one, f'a{SHADOW}': two, f'b{SHADOW}': two, 'a/Momentum': one}
  write_checkpoint(str(tmp_path / 'w.ckpt'), values)
  found = reading.read(str(tmp_path / 'w.ckpt')).values
  assert found == {'a': one, 'b': two}


@pytest.mark.parametrize('data', [b'', b'text of no kind', b'{"a": 1}' * 9])
def test_unknown_files(tmp_path, data):
  (tmp_path / 'w').write_bytes(data)
  assert 'is no file of weights that is known here' in error(tmp_path / 'w')


def test_unknown_archives(tmp_path):
  with zipfile.ZipFile(tmp_path / 'w', 'w') as archive:
    archive.writestr('readme.txt', 'text')
  assert 'is no file of weights' in error(tmp_path / 'w')
  data = (tmp_path / 'w').read_bytes()
  (tmp_path / 'w').write_bytes(data[:-10])
  assert 'a zip that is cut off' in error(tmp_path / 'w')


def test_what_is_not_there(tmp_path):
  assert '--source' in error(tmp_path / 'absent.h5')


def test_objects_in_npz(tmp_path):
  np.savez(tmp_path / 'w.npz', a=np.array([{}], object))
  assert "has 'a': its header is damaged" in error(tmp_path / 'w.npz')


def test_sizes_in_npz(tmp_path, monkeypatch):
  np.savez(tmp_path / 'w.npz', **ARRAYS)
  monkeypatch.setattr(reading, 'MOST_BYTES', 4)
  assert 'or 4 bytes' in error(tmp_path / 'w.npz')


def test_npz_whose_header_claims_more(tmp_path):
  data = io.BytesIO()
  np.save(data, np.zeros(4, np.float32))
  with zipfile.ZipFile(tmp_path / 'w.npz', 'w') as archive:
    archive.writestr('a.npy', data.getvalue().replace(b'(4,)', b'(9,)'))
  assert 'its header says 36' in error(tmp_path / 'w.npz')


def test_an_archive_of_damaged_bytes(tmp_path):
  path = tmp_path / 'w.npz'
  np.savez_compressed(path, a=np.arange(10_000))
  data = bytearray(path.read_bytes())
  for i in range(len(data) // 3, len(data) // 3 + 40):
    data[i] ^= 0xFF
  path.write_bytes(data)
  with pytest.raises(ValueError, match='get it again from where it was made'):
    reading.read(str(path))
