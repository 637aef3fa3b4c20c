"""Folders that results can be written to."""

import os
import re

import pytest

from engine.common import files


def refused(path, why):
  with pytest.raises(
    ValueError,
    match=re.escape(
      f'The results cannot be written to {path}: {why}. Change that, or name '
      'another folder with --eval_dir.'
    ),
  ):
    files.check_folder(path, 'eval_dir')


def test_a_folder_that_can_be_written(tmp_path):
  files.check_folder(tmp_path, 'eval_dir')
  files.check_folder(tmp_path / 'a/b', 'eval_dir')
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('name', ['file', 'file/a/b'])
def test_a_file_in_its_way(tmp_path, name):
  (tmp_path / 'file').touch()
  refused(tmp_path / name, f'{tmp_path}/file is no folder')


def test_a_link_to_nothing_in_its_way(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path / 'gone')
  refused(tmp_path / 'link/a', f'{tmp_path}/link is no folder')


def test_no_rights(tmp_path, monkeypatch):
  """Which root has nevertheless."""
  monkeypatch.setattr(os, 'access', lambda path, _: path != str(tmp_path))
  refused(tmp_path / 'a', f'nothing can be written to {tmp_path}')
