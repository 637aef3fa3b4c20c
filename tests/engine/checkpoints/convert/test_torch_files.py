"""State dicts of PyTorch, without code."""

import importlib.util
import pickle

import numpy as np
import pytest

from engine.checkpoints.convert import torch_files


def error(path):
  with pytest.raises(ValueError) as raised:
    torch_files.read(str(path))
  assert str(raised.value).startswith(str(path))
  return str(raised.value)


def test_without_torch(tmp_path, monkeypatch):
  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    'find_spec',
    lambda name: None if name == 'torch' else find(name),
  )
  (tmp_path / 'w.pth').write_bytes(b'PK')
  assert 'not installed: pip install torch' in error(tmp_path / 'w.pth')


class TestWithTorch:
  """With PyTorch, in `make test-torch`."""

  @pytest.fixture(autouse=True)
  def torch(self):
    return pytest.importorskip('torch')

  @pytest.mark.parametrize('legacy', [False, True])
  @pytest.mark.parametrize('inside', [None, 'state_dict', 'model'])
  def test_values(self, torch, tmp_path, legacy, inside):
    values = {'conv1.weight': torch.arange(4.0), 'n': torch.tensor(3)}
    values['half'] = torch.tensor([1.5, -2.5], dtype=torch.bfloat16)
    held = {inside: values, 'epoch': 3} if inside else values
    path = tmp_path / 'w.pth'
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    found = torch_files.read(str(path)).values
    assert found.keys() == values.keys()
    np.testing.assert_array_equal(found['conv1.weight'], [0, 1, 2, 3])
    np.testing.assert_array_equal(found['half'], np.float32([1.5, -2.5]))

  def test_data_parallel(self, torch, tmp_path):
    torch.save({'module.a': torch.ones(1)}, tmp_path / 'w.pth')
    assert [*torch_files.read(str(tmp_path / 'w.pth')).values] == ['a']

  def test_code(self, torch, tmp_path):
    class Bad:
      def __reduce__(self):
        return open, (str(tmp_path / 'harm'), 'w')

    torch.save({'a': Bad()}, tmp_path / 'w.pth', pickle_module=pickle)
    assert 'holds more than weights' in error(tmp_path / 'w.pth')
    assert not (tmp_path / 'harm').exists()

  def test_no_state_dict(self, torch, tmp_path):
    torch.save([torch.ones(1)], tmp_path / 'w.pth')
    assert 'no state dict' in error(tmp_path / 'w.pth')
    torch.save({'a': 'text'}, tmp_path / 'w.pth')
    assert "has 'a', which is no tensor" in error(tmp_path / 'w.pth')

  def test_cut_off(self, torch, tmp_path):
    torch.save({'a': torch.ones(1000)}, tmp_path / 'w.pth')
    data = (tmp_path / 'w.pth').read_bytes()
    (tmp_path / 'w.pth').write_bytes(data[: len(data) // 2])
    assert 'cut off or damaged' in error(tmp_path / 'w.pth')
