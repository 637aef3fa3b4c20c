"""Folders that appear whole, or not at all."""

import pytest

from datasets.writing import folders


@pytest.mark.parametrize('existed', [False, True])
def test_of_two_at_once_the_first_stays(tmp_path, existed):
  folder = tmp_path / 'data'
  if existed:
    folder.mkdir()
  with (
    pytest.raises(ValueError, match='exists and is not empty'),
    folders.new_folder(folder, 'last') as slow,
  ):
    (slow / 'last').write_text('slow')
    with folders.new_folder(folder, 'last') as fast:
      (fast / 'last').write_text('fast')
  assert [path.read_text() for path in folder.iterdir()] == ['fast']
  assert [*tmp_path.iterdir()] == [folder]
