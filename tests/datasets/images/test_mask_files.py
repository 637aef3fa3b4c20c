"""Mask files of every kind as class ids, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from datasets.images import mask_files
from datasets.images.image_files import BadImage

IDS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
TABLE = mask_files.Rule(
  255,
  colours={(0, 0, 0): 0, (0, 0, 9): 1, (9, 0, 0): 2, (255, 255, 255): 255},
  names={(0, 0, 9): 'sea'},
)
COLOURS = np.zeros((256, 3), np.uint8)
for colour, label in TABLE.colours.items():
  COLOURS[label] = colour


def encoded(image, form='png', **options):
  data = io.BytesIO()
  image.save(data, form, **options)
  return data.getvalue()


def palette(ids, colours=COLOURS):
  image = Image.new('P', ids.shape[::-1])
  image.putdata(ids.ravel().tolist())
  image.putpalette(colours.ravel().tolist())
  return image


def refused(data, rule, words):
  with pytest.raises(BadImage) as caught:
    mask_files.decode(data, rule)
  assert words in str(caught.value), str(caught.value)


def test_encode():
  image = Image.open(io.BytesIO(mask_files.encode(IDS)))
  assert (image.mode, image.format) == ('L', 'PNG')
  np.testing.assert_array_equal(np.asarray(image), IDS)


@pytest.mark.parametrize(
  'data',
  [
    mask_files.encode(IDS),
    encoded(palette(IDS)),
    encoded(Image.fromarray(IDS), 'bmp'),
    encoded(Image.fromarray(IDS), 'tiff'),
    encoded(Image.fromarray(IDS.astype(np.uint16))),
    encoded(Image.fromarray(np.stack([IDS] * 3, 2))),
    encoded(Image.fromarray(np.stack([IDS, np.full_like(IDS, 255)], 2), 'LA')),
  ],
  ids=['grey', 'palette', 'bmp', 'tiff', '16 bits', 'three', 'opaque'],
)
def test_values(data):
  found = mask_files.decode(data, mask_files.Rule(255))
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, IDS)


@pytest.mark.parametrize('colours', [2, 4, 16])
def test_palettes_of_few_bits(colours):
  """Pillow writes 1, 2 or 4 bits a pixel where the palette is small."""
  ids = np.arange(30).reshape(5, 6).astype(np.uint8) % colours
  data = encoded(palette(ids, COLOURS[:colours]))
  assert data[24] == {2: 1, 4: 2, 16: 4}[colours]
  np.testing.assert_array_equal(mask_files.decode(data, mask_files.Rule()), ids)


def test_one_bit():
  ids = np.arange(12).reshape(3, 4) % 3 % 2
  data = encoded(Image.fromarray(ids.astype(bool)))
  np.testing.assert_array_equal(mask_files.decode(data, mask_files.Rule()), ids)


@pytest.mark.parametrize(
  'image',
  [
    Image.fromarray(COLOURS[IDS]),
    palette(IDS),
    palette(
      np.array([[0, 5, 6], [6, 7, 0]], np.uint8),
      COLOURS[[0, 0, 0, 0, 0, 1, 2, 255]],
    ),
    Image.fromarray(COLOURS[IDS]).convert('RGBA'),
  ],
  ids=['RGB', 'palette', 'other places', 'opaque'],
)
@pytest.mark.parametrize('form', ['png', 'bmp', 'gif'])
def test_colours(image, form):
  if form != 'png' and image.mode == 'RGBA':
    image = image.convert('RGB')
  found = mask_files.decode(encoded(image, form), TABLE)
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, IDS)


def test_colours_of_a_large_table():
  random = np.random.RandomState(0)
  colours = np.unique(random.randint(0, 256, (200, 3)), axis=0)
  ids = random.randint(0, len(colours), (40, 50))
  rule = mask_files.Rule(
    colours={tuple(map(int, colour)): i for i, colour in enumerate(colours)}
  )
  data = encoded(Image.fromarray(colours[ids].astype(np.uint8)))
  np.testing.assert_array_equal(mask_files.decode(data, rule), ids)


def test_chosen_values():
  rule = mask_files.Rule(7, (0, 255, 30))
  given = np.array([[0, 255], [30, 7], [255, 0]], np.uint8)
  np.testing.assert_array_equal(
    mask_files.decode(mask_files.encode(given), rule), [[0, 1], [2, 7], [1, 0]]
  )
  # A value that is a class goes before the ignore label.
  np.testing.assert_array_equal(
    mask_files.decode(
      mask_files.encode(given[:1]), mask_files.Rule(255, (0, 255))
    ),
    [[0, 1]],
  )
  refused(
    mask_files.encode(np.array([[0, 8, 9]], np.uint8)),
    rule,
    'has the values 8, 9, which --mask_values=0,255,30 does not name',
  )


def test_orientation():
  exif = Image.Exif()
  exif[0x0112] = 6
  data = encoded(Image.fromarray(IDS), exif=exif)
  np.testing.assert_array_equal(
    mask_files.decode(data, mask_files.Rule(255)), np.rot90(IDS, -1)
  )


STRANGE = COLOURS[IDS].copy()
STRANGE[1] = [(0, 0, 10), (0, 0, 10), (1, 2, 3)]
FLOATS = Image.fromarray(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
  'data,rule,words',
  [
    (
      encoded(Image.fromarray(STRANGE)),
      TABLE,
      'has the colour 0,0,10 in 2 pixels (the first at column 0, row 1), and 1 '
      'other such colours, which --color_table does not name; the nearest it '
      'names is 0,0,9, sea: add the colour',
    ),
    (
      encoded(Image.fromarray(COLOURS[IDS])),
      mask_files.Rule(),
      'has colours (0,0,0 9,0,0 0,0,9 255,255,255), and nothing says which '
      'class each is: give --color_table, a CSV file with the lines name,r,g,b',
    ),
    (
      encoded(
        Image.fromarray(
          np.random.RandomState(0).randint(0, 256, (9, 9, 3)).astype(np.uint8)
        )
      ),
      mask_files.Rule(),
      ' and 75 more)',
    ),
    (
      encoded(Image.fromarray(IDS), 'jpeg'),
      mask_files.Rule(),
      'is a JPEG, whose '
      'compression changes ids and colours: export the masks again as PNG',
    ),
    (encoded(Image.fromarray(IDS), 'webp'), TABLE, 'is a WebP, whose'),
    (
      encoded(palette(IDS), 'gif'),
      mask_files.Rule(),
      'is a GIF, in whose palette '
      'programs change the places: export the masks as PNG, or give',
    ),
    (
      encoded(Image.fromarray(IDS.astype(np.uint16) * 257)),
      mask_files.Rule(),
      'has the value 65,535, and ids are below 256',
    ),
    (
      encoded(FLOATS, 'tiff'),
      mask_files.Rule(),
      'of the mode F: export the masks',
    ),
    (
      encoded(
        Image.fromarray(IDS), 'tiff', save_all=True, append_images=[FLOATS]
      ),
      mask_files.Rule(),
      'holds 2 images',
    ),
    (
      encoded(Image.fromarray(np.stack([IDS] * 4, 2))),
      TABLE,
      'has transparent parts, whose class is unknown: save it without',
    ),
    (b'', mask_files.Rule(), 'is empty'),
    (b'GIF8', mask_files.Rule(), 'is no image'),
    (
      mask_files.encode(np.zeros((90, 90), np.uint8))[:60],
      mask_files.Rule(),
      'is damaged',
    ),
  ],
)
def test_refused(data, rule, words):
  refused(data, rule, words)


def test_a_mask_that_is_too_large():
  with pytest.raises(BadImage, match='has 3x2 = 6 pixels, more than'):
    mask_files.decode(
      mask_files.encode(IDS), mask_files.Rule(255), max_pixels=5
    )


@pytest.mark.parametrize(
  'form, colours', [('png', 21), ('png', 256), ('bmp', 256), ('tiff', 256)]
)
def test_a_palette_is_read_without_a_pixel(tmp_path, form, colours):
  table = np.arange(3 * colours, dtype=np.uint32).reshape(-1, 3) % 251
  path = tmp_path / 'a'
  path.write_bytes(encoded(palette(np.minimum(IDS, colours - 1), table), form))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(ImageFile.ImageFile, 'load', None)
    found = mask_files.read_palette(str(path))
  np.testing.assert_array_equal(found[:colours], table)


def test_no_palette(tmp_path):
  (tmp_path / 'a').write_bytes(mask_files.encode(IDS))
  assert mask_files.read_palette(str(tmp_path / 'a')) is None


def test_read(tmp_path):
  (tmp_path / 'a.png').write_bytes(mask_files.encode(IDS))
  (tmp_path / 'b.png').write_bytes(b'')
  np.testing.assert_array_equal(
    mask_files.read(str(tmp_path / 'a.png'), 'a', mask_files.Rule()), IDS
  )
  for name, words in (
    ('b.png', 'has a mask, B, that is empty'),
    ('c.png', 'has a mask, B, that cannot be read: No such file'),
  ):
    with pytest.raises(BadImage, match=words):
      mask_files.read(str(tmp_path / name), 'B', mask_files.Rule())
