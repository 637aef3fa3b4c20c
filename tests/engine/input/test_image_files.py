"""Files that are read while the caller does something else."""

import threading

import numpy as np
import pytest

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
