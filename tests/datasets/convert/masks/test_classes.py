"""Which classes masks have: what is read for it, and when that ends."""

import time

import pytest
from PIL import Image

from datasets.convert.masks import classes
from datasets.convert.masks.pairs import Pair
from datasets.images import mask_files
from tests.datasets.convert.masks import sources


def paletted(folder, count, colours):
  """Writes masks of one number, in colours that take turns."""
  folder.mkdir()
  pairs = []
  for i in range(count):
    image = Image.new('P', (3, 2), 1)
    image.putpalette([0, 0, 0, *colours[i % len(colours)]])
    path = folder / f'{i}.png'
    image.save(path)
    pairs.append(Pair((f'{i}.jpg', ''), (f'{i}.png', str(path))))
  return pairs


def counted(monkeypatch):
  """Returns a list to which each mask whose pixels are read is added."""
  seen, used = [], mask_files.used_colours

  def watched(data, *arguments):
    seen.append(data)
    time.sleep(0.01)
    return used(data, *arguments)

  monkeypatch.setattr(mask_files, 'used_colours', watched)
  return seen


def test_the_first_contradiction_ends_the_reading(monkeypatch, tmp_path):
  pairs = paletted(tmp_path / 'a', 60, [(9, 0, 0), (0, 9, 0)])
  seen = counted(monkeypatch)
  with pytest.raises(
    ValueError, match='1 is the colour 9,0,0 in 0.png and 0,9,0 in 1.png'
  ):
    classes.find(pairs, sources.OPTIONS, 's')
  assert len(seen) < 40


def test_pixels_are_not_read_where_all_palettes_are_one(monkeypatch, tmp_path):
  pairs = paletted(tmp_path / 'a', 4, [(9, 0, 0)])
  seen = counted(monkeypatch)
  assert classes.find(pairs, sources.OPTIONS, 's').class_names == [
    'class 0',
    'class 1',
  ]
  assert not seen
