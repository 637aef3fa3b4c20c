"""Only regular files are read, and files are written whole or not at all."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import threading

import pytest

from datasets import files


def test_text_is_utf_8(tmp_path):
  path = tmp_path / 'a.txt'
  with files.atomic(path) as file:
    file.write('薔薇\n')
    assert not path.exists()
  assert path.read_bytes() == '薔薇\n'.encode()
  assert os.listdir(tmp_path) == ['a.txt']


def test_line_ends_as_they_are_asked_for(tmp_path):
  with files.atomic(tmp_path / 'a.csv', newline='') as file:
    file.write('a\r\nb')
  assert (tmp_path / 'a.csv').read_bytes() == b'a\r\nb'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_file_as_it_was(tmp_path, error):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'before')
  with pytest.raises(error), files.atomic(str(path), 'wb') as file:
    file.write(b'after')
    raise error
  assert path.read_bytes() == b'before'
  assert os.listdir(tmp_path) == ['a.bin']


def test_a_file_that_cannot_be_written(tmp_path):
  with pytest.raises(OSError), files.atomic(tmp_path / 'no' / 'a'):
    pass
  assert os.listdir(tmp_path) == []


def test_writers_at_one_time_do_not_meet(tmp_path):
  path, together = tmp_path / 'a', threading.Barrier(8)

  def write(number):
    with files.atomic(path) as file:
      together.wait(20)
      file.write(str(number) * 10_000)
      together.wait(20)

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(write, range(8)))
  found = path.read_text()
  assert len(found) == 10_000 and len({*found}) == 1
  assert os.listdir(tmp_path) == ['a']


def test_a_copy(tmp_path):
  """It takes the place of an older one, and keeps its name."""
  (tmp_path / 'a').write_bytes(b'new\r\n')
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'folder/a').write_text('older')
  files.copy_into(tmp_path / 'a', tmp_path / 'folder')
  assert (tmp_path / 'folder/a').read_bytes() == b'new\r\n'
  assert os.listdir(tmp_path / 'folder') == ['a']


def test_the_name_is_of_the_process(tmp_path):
  with files.atomic(tmp_path / 'a'):
    (name,) = os.listdir(tmp_path)
  assert name.startswith(f'a.{os.getpid()}-') and name.endswith('.tmp')


def test_a_disk_that_is_full():
  with (
    pytest.raises(ValueError, match='The disk of /d is full. Make room.'),
    files.disk_errors('/d', 'Make room.'),
  ):
    raise OSError(28, 'No space left on device')


@pytest.mark.parametrize(
  'module', ['files', 'label_kinds', 'limits', 'progress', 'suggestions']
)
def test_no_tensorflow_is_imported(module):
  """So that flags are parsed before it starts."""
  code = (
    f'import sys, datasets.{module}; '
    'print({"tensorflow", "numpy", "PIL"} & {*sys.modules})'
  )
  found = subprocess.run(
    [sys.executable, '-c', code],
    cwd=os.path.dirname(os.path.dirname(files.__file__)),
    capture_output=True,
    text=True,
    check=True,
  )
  assert found.stdout == 'set()\n'


def test_regular_files_are_opened(tmp_path):
  (tmp_path / 'a').write_bytes(b'bytes')
  (tmp_path / 'link').symlink_to('a')
  for name in 'a', 'link':
    files.check_regular(tmp_path / name)
    assert files.read_bytes(tmp_path / name) == b'bytes'
  files.check_regular(tmp_path / 'nowhere')
  files.check_regular('gs://bucket/a')
  with pytest.raises(FileNotFoundError):
    files.open_regular(tmp_path / 'nowhere')


def _socket(path):
  with socket.socket(socket.AF_UNIX) as opened:
    opened.bind(os.fspath(path))


@pytest.mark.parametrize(
  'make, kind',
  [
    (os.mkdir, 'a folder'),
    (os.mkfifo, 'a pipe'),
    (_socket, 'a socket'),
    (lambda path: os.symlink('/dev/zero', path), 'a device'),
  ],
)
def test_nothing_else_is(tmp_path, monkeypatch, make, kind):
  monkeypatch.chdir(tmp_path)  # a socket's name is short
  make('a')
  for use in files.check_regular, files.open_regular, files.read_bytes:
    with pytest.raises(ValueError) as error:
      use('a')
    assert str(error.value) == (
      f'a is {kind}, and no file: put a file in its place, or name another.'
    )


def test_a_pipe_that_takes_the_place_of_a_file(tmp_path, monkeypatch):
  """Between the look at it and its opening."""
  os.mkfifo(tmp_path / 'a')
  monkeypatch.setattr(files, 'check_regular', lambda path: None)
  with pytest.raises(files.Irregular):
    files.open_regular(tmp_path / 'a')
