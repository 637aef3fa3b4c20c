"""Files that are read while the caller does something else."""

import contextlib
import pathlib
import threading
import types

import numpy as np
import pytest

from engine.common import console
from engine.input import image_files
from tests import builders


@pytest.fixture
def paths(tmp_path):
  """Images of five colours, of which the third is damaged."""
  found = [tmp_path / f'{name}.png' for name in builders.COLOURS]
  for label, path in enumerate(found):
    builders.colour_image(label, label, size=8 + label).save(path)
  found[2].write_bytes(found[2].read_bytes()[:60])
  return [str(path) for path in found]


def test_the_order_is_that_of_the_names(paths, capsys):
  """Whoever is ready first; a bad file is told in its place."""
  last = threading.Event()

  def prepare(pixels):
    if pixels.shape[0] == 12:
      last.set()
    assert last.wait(60)
    return pixels.shape

  found = image_files.read(paths, prepare, ahead=4)
  assert next(found) == (paths[0], (8, 8, 3))
  assert next(found)[0] == paths[1]
  assert capsys.readouterr().err == ''
  assert [path for path, _ in found] == paths[3:]
  assert capsys.readouterr().err == f'error: {paths[2]} is damaged.\n'


def test_reading_overlaps(paths):
  """What comes next is prepared before it is asked for, and no more."""
  prepared = []
  second = threading.Event()

  def prepare(pixels):
    prepared.append(pixels.shape[0])
    if pixels.shape[0] == 9:
      second.set()

  found = image_files.read(paths, prepare)
  next(found)
  assert second.wait(60)
  assert prepared == [8, 9]


def test_pixels_and_bytes(paths):
  image = np.asarray(builders.colour_image(1, 1, size=9))
  ((_, pixels),) = image_files.read(paths[1:2], lambda pixels: pixels)
  np.testing.assert_array_equal(pixels, image)
  ((path, data),) = image_files.read(paths[1:2])
  with open(path, 'rb') as file:
    assert data == file.read()


def test_an_error_of_the_caller_ends_the_reading(paths):
  with pytest.raises(ZeroDivisionError):
    for _ in image_files.read(paths, lambda pixels: 1 / 0, ahead=4):
      pass


def test_a_bar_counts_all_files(paths, monkeypatch):
  seen = []

  @contextlib.contextmanager
  def progress(total, unit):
    yield types.SimpleNamespace(update=lambda: seen.append((total, unit)))

  monkeypatch.setattr(console, 'progress', progress)
  assert len([*image_files.read(paths)]) == 4
  assert seen == [(5, 'image')] * 5


def test_frames_are_in_their_order(tmp_path):
  """Numbers count as numbers, in the names of folders too."""
  names = [
    'a2/frame2.png',
    'a2/frame10.JPG',
    'a10/01.png',
    'a10/1.png',
    'a10/clip 1 of 2 frame 9.png',
    'a10/clip 1 of 2 frame 10.png',
    'a10/clip 2 of 2 frame 1.png',
    'b.png',
    'b².png',
  ]
  for name in reversed(names):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  (tmp_path / 'notes 1.txt').touch()
  found = image_files.find([str(tmp_path)])
  assert found.missing == []
  relative = [str(pathlib.Path(f).relative_to(tmp_path)) for f in found.files]
  assert relative == names


@pytest.mark.parametrize('name', ["it's.mp4", 'clip.MOV'])
def test_a_video_is_none_of_images(tmp_path, name, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pathlib.Path(name).write_bytes(b'video')
  pathlib.Path('a.png').touch()
  found = image_files.find([name, 'a.png'])
  assert found.files == ['a.png']
  (sentence,) = found.missing
  made = {
    "it's.mp4": """mkdir 'it'"'"'s' && ffmpeg -i 'it'"'"'s.mp4' """
    """'it'"'"'s/%06d.png'""",
    'clip.MOV': 'mkdir clip && ffmpeg -i clip.MOV clip/%06d.png',
  }
  assert sentence == (
    f'{name} is a video: make a folder of its frames, and name that: '
    f'{made[name]}'
  )
  with pytest.raises(ValueError, match='is a video'):
    image_files.find([name])
