"""The colours of masks, and the sheet that shows them."""

import numpy as np
import pytest
from PIL import Image

from datasets.images import overlays
from datasets.images.overlays import CELL, IGNORED, Row
from tests import builders

STEP = CELL + 16 + 8  # from a row of images to the next
NAMES = ('background', 'a', 'b')


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def voc_colour(label):
  """The colour map as the development kit of PASCAL VOC words it."""
  red = green = blue = 0
  for bit in range(8):
    red |= (label >> 0 & 1) << (7 - bit)
    green |= (label >> 1 & 1) << (7 - bit)
    blue |= (label >> 2 & 1) << (7 - bit)
    label >>= 3
  return [red, green, blue]


def test_palette():
  found = overlays.palette(256)
  assert found.dtype == np.uint8
  assert found.tolist() == [voc_colour(label) for label in range(256)]
  assert len({*map(tuple, found.tolist())}) == 256
  # person, train and the borders, as everybody has them
  assert found[[0, 15, 19, 255]].tolist() == [
    [0, 0, 0],
    [192, 128, 128],
    [128, 192, 0],
    [224, 224, 192],
  ]
  np.testing.assert_array_equal(overlays.palette(21), found[:21])


@pytest.mark.parametrize('ignore_label', [255, 0, 3, None])
def test_colour(ignore_label):
  mask = builders.noise_mask(0, 9, 7, [0, 1, 3, 255])
  found = overlays.colour(mask, ignore_label)
  assert found.dtype == np.uint8
  expected = [
    [
      list(IGNORED) if value == ignore_label else voc_colour(value)
      for value in row
    ]
    for row in mask.tolist()
  ]
  assert found.tolist() == expected


@pytest.mark.parametrize(
  'ignore_label, transparent, alpha',
  [(255, 0, 0.55), (0, 0, 0.55), (None, 1, 0.2), (255, None, 1.0), (3, 0, 0.0)],
)
def test_blend(ignore_label, transparent, alpha):
  mask = builders.noise_mask(0, 9, 7, [0, 1, 3, 255])
  image = builders.noise_image(1, 9, 7)
  found = overlays.blend(image, mask, ignore_label, alpha, transparent)
  assert found.dtype == np.uint8
  for row, column in np.ndindex(9, 7):
    value, pixel = int(mask[row, column]), image[row, column].astype(float)
    colour = IGNORED if value == ignore_label else voc_colour(value)
    expected = (
      pixel @ [0.299, 0.587, 0.114] * (1 - alpha) + np.array(colour) * alpha
    )
    if value == transparent != ignore_label:
      expected = pixel
    assert np.abs(found[row, column] - expected).max() <= 0.51


def plain(colour, height=24, width=24):
  return np.full((height, width, 3), colour, np.uint8)


def ids(value, height=24, width=24):
  return np.full((height, width), value, np.uint8)


def drawn(folder, rows, names=NAMES, ignore_label=255):
  overlays.draw(folder / 'sheet.png', rows, names, ignore_label)
  image = Image.open(folder / 'sheet.png')
  assert (image.format, image.mode) == ('PNG', 'RGB')
  return np.asarray(image)


def cell(sheet, left, top, height=CELL):
  return sheet[top : top + height, left : left + CELL]


def test_an_image_and_its_masks_side_by_side(tmp_path):
  half = ids(1)
  half[:, 12:] = 255
  row = Row(plain((200, 200, 200)), [ids(0), ids(2), half], 'x')
  sheet = drawn(tmp_path, [row])
  step = CELL + 2
  assert (cell(sheet, 8, 8) == 200).all()
  assert (cell(sheet, 8 + step, 8) == 200).all()  # the background
  grey = 200 * 0.45
  assert (
    cell(sheet, 8 + 2 * step, 8)
    == (round(grey), round(grey + 0.55 * 128), round(grey))
  ).all()
  both = cell(sheet, 8 + 3 * step, 8)
  assert (
    both[:, : CELL // 2] == (round(grey + 0.55 * 128), round(grey), round(grey))
  ).all()
  assert (both[:, CELL // 2 :] == round(grey + 0.55 * 224)).all()
  assert sheet.shape[1] == 16 + 4 * CELL + 6


def test_without_a_background_every_class_is_coloured(tmp_path):
  sheet = drawn(tmp_path, [Row(plain((200, 0, 0)), [ids(0)])], ('road', 'sky'))
  assert (cell(sheet, 8 + CELL + 2, 8) == round(200 * 0.299 * 0.45)).all()


def test_a_background_that_is_ignored_is_grey(tmp_path):
  sheet = drawn(tmp_path, [Row(plain((0, 0, 0)), [ids(0)])], NAMES, 0)
  assert (cell(sheet, 8 + CELL + 2, 8) == round(0.55 * 224)).all()


@pytest.mark.parametrize(
  'rows, across, down', [(1, 1, 1), (4, 4, 1), (5, 4, 2), (24, 4, 6)]
)
def test_rows_stand_side_by_side(tmp_path, rows, across, down):
  sheet = drawn(
    tmp_path, [Row(plain((i * 10, 5, 5)), [ids(0)], 'x') for i in range(rows)]
  )
  wide = 2 * CELL + 2 + 16
  assert sheet.shape[1] == across * wide
  for i in range(rows):
    left, top = 8 + i % across * wide, 8 + i // across * STEP
    for at in (left, left + CELL + 2):
      assert (cell(sheet, at, top) == (i * 10, 5, 5)).all()
  assert sheet.shape[0] == 8 + down * STEP + 8 + 16 + 8


def test_wide_images_leave_no_room_above_them(tmp_path):
  rows = [
    Row(plain((9, 9, 9), 100, 400), [ids(1, 100, 400)]),
    Row(plain((9, 9, 9), 10, 200), [ids(1, 10, 200)]),
  ]
  sheet = drawn(tmp_path, rows)
  assert (cell(sheet, 8, 8, CELL // 4) == 9).all()
  # The second is in the middle of a grey cell.
  found = cell(sheet, 8 + 2 * CELL + 2 + 16, 8, CELL // 4)[:, 0, 0]
  high = round(CELL / 20)
  assert found.tolist() == ([255] * 19 + [9] * high + [255] * 19)


def test_ids_are_not_mixed_when_a_mask_is_made_smaller(tmp_path):
  mask = builders.noise_mask(0, 500, 500, [1, 2])
  sheet = drawn(tmp_path, [Row(plain((0, 0, 0), 500, 500), [mask])])
  found = {*map(tuple, cell(sheet, 8 + CELL + 2, 8).reshape(-1, 3).tolist())}
  assert found == {(70, 0, 0), (0, 70, 0)}


def test_the_legend_has_what_occurs(tmp_path):
  mask = ids(1)
  mask[0, 0], mask[5, 5] = 255, 77
  sheet = drawn(tmp_path, [Row(plain((0, 0, 0)), [ids(1), mask], 'x')])
  legend = sheet[8 + STEP :]
  found = {*map(tuple, legend.reshape(-1, 3).tolist())}
  assert {tuple(voc_colour(1)), tuple(voc_colour(77)), IGNORED} <= found
  assert tuple(voc_colour(2)) not in found
  assert (legend < 60).all(-1).sum() > 100  # the names


def test_titles_and_captions(tmp_path):
  bare = drawn(tmp_path, [Row(plain((9, 9, 9)), [ids(0)])])
  row = Row(plain((9, 9, 9)), [ids(0)], 'caption', ['one', 'two'])
  sheet = drawn(tmp_path, [row])
  assert sheet.shape[0] == bare.shape[0] + 16
  assert (bare[8 + CELL : 8 + CELL + 16] == 255).all()
  titles = sheet[8 + CELL : 8 + CELL + 16]
  for left in (8, 8 + CELL + 2):
    assert (titles[:, left : left + 40] < 100).any()
  assert (titles[:, left - 60 : left] == 255).all()
  assert (sheet[8 + CELL + 16 : 8 + CELL + 32] < 100).any()


def test_wrong_pixels(tmp_path):
  """Are red on pale grey, the last in their row, and in the legend."""
  wrong = np.zeros((24, 24), bool)
  wrong[:, :12] = True
  row = Row(plain((100, 100, 100)), [ids(0)], 'x', wrong=wrong)
  sheet = drawn(tmp_path, [row])
  assert sheet.shape[1] == 16 + 3 * CELL + 4
  found = cell(sheet, 8 + 2 * (CELL + 2), 8)
  assert (found[:, : CELL // 2] == overlays.WRONG).all()
  assert (found[:, CELL // 2 :] == 178).all()
  legend = sheet[8 + STEP :].reshape(-1, 3).tolist()
  assert list(overlays.WRONG) in legend
  bare = drawn(tmp_path, [row._replace(wrong=None)])
  assert list(overlays.WRONG) not in bare.reshape(-1, 3).tolist()


def test_a_wrong_pixel_of_a_large_image_is_seen(tmp_path):
  wrong = np.zeros((4 * CELL, 4 * CELL), bool)
  wrong[5] = True
  image = plain((100, 100, 100), *wrong.shape)
  row = Row(image, [ids(0, *wrong.shape)], wrong=wrong)
  sheet = drawn(tmp_path, [row])
  red, green, _ = cell(sheet, 8 + 2 * (CELL + 2), 8)[1].astype(int).T
  assert (red > green + 20).all()


@pytest.mark.parametrize('caption', ['薔薇' * 200, 'x' * 9999, 'a\n\tb', ''])
def test_any_caption(tmp_path, caption):
  sheet = drawn(tmp_path, [Row(plain((0, 0, 0)), [ids(0)], caption)])
  assert (sheet[:, -8:] == 255).all()


def test_nothing_to_draw(tmp_path):
  with pytest.raises(ValueError, match='There are no images to draw'):
    overlays.draw(tmp_path / 'sheet.png', [], NAMES)


def test_a_folder_that_is_not_there(tmp_path):
  with pytest.raises(ValueError, match='Writing to .*none failed'):
    overlays.draw(
      tmp_path / 'none' / 'x.png', [Row(plain((0, 0, 0)), [ids(0)])], NAMES
    )
