"""Which images are on the sheet, and where."""

import warnings

import numpy as np
import pytest
from PIL import Image

from datasets.images import contact_sheet
from datasets.images.contact_sheet import CELL, Shown
from datasets.verifying import samples
from tests import builders

NAMES = tuple(builders.COLOURS)
STEP = CELL + 8, CELL + 40  # from a cell to the next: across, down


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def plain(colour, height=20, width=20):
  return np.full((height, width, 3), colour, np.uint8)


def drawn(folder, shown):
  contact_sheet.draw(folder / 'sheet.png', shown)
  return np.asarray(Image.open(folder / 'sheet.png'))


def cell(sheet, number):
  """The pixels of a cell, without its caption."""
  left, top = 8 + number % 8 * STEP[0], 8 + number // 8 * STEP[1]
  return sheet[top : top + CELL, left : left + CELL]


def caption(sheet, number):
  left, top = 8 + number % 8 * STEP[0], 8 + number // 8 * STEP[1]
  return sheet[top + CELL : top + STEP[1] - 8, left : left + CELL]


@pytest.mark.parametrize('size', [1, 20, CELL, 500])
def test_a_cell_has_the_colour_of_its_image(tmp_path, size):
  colours = [(i * 10, 255 - i * 10, i) for i in range(20)]
  sheet = drawn(
    tmp_path, [Shown(plain(colour, size, size), 'x') for colour in colours]
  )
  assert sheet.shape == (8 + 3 * STEP[1], 8 + 8 * STEP[0], 3)
  for number, colour in enumerate(colours):
    assert (cell(sheet, number) == colour).all()
  assert (cell(sheet, 20) == 255).all()


@pytest.mark.parametrize(
  'height, width, high, wide',
  [
    (10, 400, 3, 128),
    (400, 10, 128, 3),
    (1, 1000, 1, 128),
    (2, 1, 128, 64),
    (1000, 500, 128, 64),
  ],
)
def test_proportions_are_kept(tmp_path, height, width, high, wide):
  found = cell(
    drawn(tmp_path, [Shown(plain((255, 0, 0), height, width), '')]), 0
  )
  red = (found == (255, 0, 0)).all(-1)
  assert red.sum() == high * wide
  rows, columns = np.nonzero(red)
  assert abs(rows.min() - (CELL - 1 - rows.max())) <= 1  # in the middle
  assert abs(columns.min() - (CELL - 1 - columns.max())) <= 1
  assert (found[~red] == 224).all()


def test_small_images_are_enlarged_without_blur(tmp_path):
  image = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8
  )
  found = cell(drawn(tmp_path, [Shown(image, '')]), 0)
  assert np.array_equal(found, image.repeat(64, 0).repeat(64, 1))


def test_one_row_is_as_wide_as_its_images(tmp_path):
  sheet = drawn(tmp_path, [Shown(plain(9), 'x')] * 3)
  assert sheet.shape == (8 + STEP[1], 8 + 3 * STEP[0], 3)


@pytest.mark.parametrize(
  'name',
  [
    '',
    'x' * 1000,
    '$x_1$',
    '$\\frac{',
    '_^{}%&#~',
    '薔薇の花' * 50,
    'ñ é ü عربى 🌹',
    'two\nlines\ttab\0',
    '\ud800',
    'W' * 17,
    'i' * 60,
  ],
)
def test_any_name_is_written_below_its_image_alone(tmp_path, name):
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    sheet = drawn(
      tmp_path, [Shown(plain(9), name, name), Shown(plain(9), '', '')]
    )
  bare = drawn(tmp_path, [Shown(plain(9), '', '')] * 2)
  assert (caption(sheet, 0) != 255).any() == bool(name)
  left, right = 8, 8 + CELL
  sheet = sheet.copy()
  sheet[8 + CELL :, left:right] = 255  # its caption
  differs = (sheet != bare).any((0, 2))
  assert not differs[: left - 1].any() and not differs[right + 1 :].any()


def test_mathematics_is_text(tmp_path):
  one, other = (
    drawn(tmp_path, [Shown(plain(9), name)]) for name in ('$a$', 'a')
  )
  assert (caption(one, 0) < 128).sum() > (caption(other, 0) < 128).sum()


def test_both_lines_are_drawn(tmp_path):
  whole = caption(drawn(tmp_path, [Shown(plain(9), 'one', 'two')]), 0)
  title = caption(drawn(tmp_path, [Shown(plain(9), 'one')]), 0)
  detail = caption(drawn(tmp_path, [Shown(plain(9), '', 'two')]), 0)
  assert np.array_equal(np.minimum(title, detail), whole)
  assert (title != 255).any() and (detail != 255).any()


def test_long_names_are_on_two_lines_and_then_cut():
  face = contact_sheet.font()
  assert contact_sheet.wrap('7 cat', face) == ['7 cat']
  assert contact_sheet.wrap('', face) == ['']
  lines = contact_sheet.wrap('is 2 Staffordshire bull terrier', face)
  assert lines == ['is 2 Staffordshire bull', 'terrier']
  first, last = contact_sheet.wrap('99 % sure: 8 ' + 'x' * 60, face)
  assert first == '99 % sure: 8' and last.endswith('x…')
  assert len(contact_sheet.wrap('a fence ' * 20, face)) == 2


def test_all_rows_have_room_for_the_longest_caption(tmp_path):
  long = 'German short-haired pointer'
  sheet = drawn(
    tmp_path, [Shown(plain(9), long, long), *[Shown(plain(9), 'a')] * 8]
  )
  assert sheet.shape[0] == 8 + 2 * (STEP[1] + 2 * 14)


def test_a_heading_begins_a_row(tmp_path):
  red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
  sheet = drawn(
    tmp_path,
    [
      *[Shown(plain(red), 'x', heading='train: x')] * 9,
      Shown(plain(green), 'y', heading='train: y'),
      Shown(plain(blue), 'z', heading='test'),
    ],
  )
  head = 22
  assert sheet.shape == (8 + 4 * STEP[1] + 3 * head, 8 + 8 * STEP[0], 3)
  tops = [8 + head, 8 + head + STEP[1]]
  tops += [tops[1] + head + STEP[1], tops[1] + 2 * (head + STEP[1])]
  for top, colour in zip(tops, (red, red, green, blue), strict=True):
    assert (sheet[top : top + CELL, 8 : 8 + CELL] == colour).all()
  for top in tops[0], *tops[2:]:
    assert (sheet[top - head + 3 : top, 8:60] < 128).any()
  assert (sheet[tops[1] - 4 : tops[1]] == 255).all()


def test_classes_have_headings_where_they_are_few(tmp_path):
  builders.write_colours(tmp_path, 40, 20)
  paths = {
    split: sorted(map(str, tmp_path.glob(f'*_{split}_*')))
    for split in ('train', 'validation')
  }
  shown = samples.pick_images(paths, NAMES, count=40)
  assert [p.heading for p in shown][::4] == [
    f'{split}: {i} {name}'
    for split in ('train', 'validation')
    for i, name in enumerate(NAMES)
  ]
  shown = samples.pick_images(paths, NAMES, count=20)
  assert [p.heading for p in shown] == ['train'] * 10 + ['validation'] * 10


def test_nothing_to_draw(tmp_path):
  with pytest.raises(ValueError, match='no images'):
    contact_sheet.draw(tmp_path / 'sheet.png', [])


def test_a_folder_that_is_not_there(tmp_path):
  with pytest.raises(ValueError, match='Writing to .*none failed'):
    contact_sheet.draw(tmp_path / 'none' / 'sheet.png', [Shown(plain(9), '')])


def test_from_the_records_to_the_sheet(tmp_path):
  builders.write_colours(tmp_path, 20, 10)
  paths = {
    split: sorted(map(str, tmp_path.glob(f'*_{split}_*')))
    for split in ('train', 'validation')
  }
  shown = samples.pick_images(paths, NAMES, count=10)
  sheet = drawn(tmp_path, [each._replace(heading='') for each in shown])
  assert [p.title.split()[1] for p in shown] == [*NAMES, *NAMES]
  for number, name in enumerate(NAMES * 2):
    mean = cell(sheet, number).mean((0, 1))
    assert np.abs(mean - builders.COLOURS[name]).max() < 10
