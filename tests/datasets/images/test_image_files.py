"""Images of every kind: what TensorFlow then decodes is what people see."""

import concurrent.futures
import io
import re
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets.images import image_files

HEIGHT, WIDTH = 23, 17
SIGNATURE = b'\x89PNG\r\n\x1a\n'


@pytest.fixture(scope='module')
def decoder():
  return image_files.Decoder()


def _noise(*shape, kind='u1', seed=0):
  high = np.iinfo(kind).max + 1
  return (
    np.random.RandomState(seed)
    .randint(0, high, (HEIGHT, WIDTH, *shape))
    .astype(kind)
  )


RGB = Image.fromarray(_noise(3))
GREY = Image.fromarray(_noise(seed=1))
ALPHA = Image.fromarray(_noise(seed=2))
PALETTE = RGB.quantize(16)
GREY16 = Image.fromarray(_noise(kind='<u2', seed=3))
# Smooth, as JPEG likes it, and unlike itself when it is turned or mirrored.
SMOOTH = Image.fromarray(
  np.stack(
    np.broadcast_arrays(
      np.linspace(0, 255, HEIGHT)[:, None],
      np.linspace(255, 0, WIDTH)[None],
      np.full((1, 1), 90),
    ),
    -1,
  ).astype(np.uint8)
)


def _with_alpha(image, alpha):
  image = image.copy()
  image.putalpha(alpha)
  return image


def _encode(image, form, **options):
  data = io.BytesIO()
  image.copy().save(data, form, **options)  # Pillow notes some in the image
  return data.getvalue()


def _turn(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  return exif


def _chunk(kind, data):
  return (
    struct.pack('>I', len(data))
    + kind
    + data
    + struct.pack('>I', zlib.crc32(kind + data))
  )


def _png(pixels, depth, colour, *chunks, size=None):
  """A PNG of what Pillow does not write; `size` is its header's claim."""
  pixels = np.asarray(pixels)
  width, height = size or (pixels.shape[1], pixels.shape[0])
  rows = b''.join(b'\0' + row.tobytes() for row in pixels)
  header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
  return b''.join(
    [
      SIGNATURE,
      _chunk(b'IHDR', header),
      *chunks,
      _chunk(b'IDAT', zlib.compress(rows)),
      _chunk(b'IEND', b''),
    ]
  )


def _shown(data):
  """The image as Pillow shows it, upright, on white, in 8 bits."""
  image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
  if image.mode.startswith('I;16'):
    return np.repeat((np.asarray(image) >> 8)[..., None], 3, 2)
  white = Image.new('RGBA', image.size, 'white')
  white.alpha_composite(image.convert('RGBA'))
  return np.asarray(white.convert('RGB'))


def _accepted(data, decoder, tolerance=0):
  """Returns the image, whose every field is true."""
  found = image_files.standard(data, decoder)
  image = Image.open(io.BytesIO(found.data))
  assert found.format.decode() == image.format.lower().replace('mpo', 'jpeg')
  assert (found.width, found.height) == image.size
  pixels = decoder(found.data)
  assert pixels.dtype == np.uint8
  assert pixels.shape == (found.height, found.width, 3)
  expected = _shown(data).astype(int)
  np.testing.assert_allclose(pixels, expected, rtol=0, atol=tolerance)
  if found.channels == 1:
    assert np.ptp(pixels, axis=2).max() == 0
  else:
    assert found.channels == 3
  return found


def _refused(data, decoder, *words, **options):
  with pytest.raises(image_files.BadImage) as error:
    image_files.standard(data, decoder, **options)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


OPAQUE = Image.new('L', RGB.size, 255)
KEPT = {  # PNG and JPEG files whose bytes stay, and their channels
  'grey': (_encode(GREY, 'png'), 1),
  'RGB': (_encode(RGB, 'png'), 3),
  '1 bit': (_encode(GREY.convert('1'), 'png'), 1),
  'palette': (_encode(PALETTE, 'png'), 3),
  'palette, all opaque': (
    _encode(PALETTE, 'png', transparency=b'\xff' * 16),
    3,
  ),
  'RGBA': (_encode(_with_alpha(RGB, 255), 'png'), 3),
  'LA': (_encode(Image.merge('LA', (GREY, OPAQUE)), 'png'), 1),
  '4 bits': (_png(_noise()[:, :9], 4, 0, size=(WIDTH, HEIGHT)), 1),
  '16-bit grey': (_encode(GREY16, 'png'), 1),
  '16-bit RGB': (_png(_noise(3, kind='>u2'), 16, 2), 3),
  '16-bit RGBA': (
    _png(_noise(4, kind='>u2') | np.array([0, 0, 0, 0xFFFF], '>u2'), 16, 6),
    3,
  ),
  'gamma': (_png(_noise(3), 8, 2, _chunk(b'gAMA', b'\0\1\x86\xa0')), 3),
  'APNG of one frame': (_encode(RGB, 'png', save_all=True), 3),
  'upright': (_encode(RGB, 'png', exif=_turn(1)), 3),
  'no orientation': (_encode(RGB, 'png', exif=_turn(9)), 3),
  'NULs behind it': (_encode(RGB, 'png') + b'\0' * 7, 3),
}


@pytest.mark.parametrize('data, channels', KEPT.values(), ids=KEPT)
def test_png_that_stays(decoder, data, channels):
  found = _accepted(data, decoder)
  assert found == (data, b'png', HEIGHT, WIDTH, channels, 1)


CMYK = _encode(SMOOTH.convert('CMYK'), 'jpeg', quality=95, subsampling=0)
JPEGS = {
  'plain': (_encode(SMOOTH, 'jpeg'), 3),
  'grey': (_encode(SMOOTH.convert('L'), 'jpeg'), 1),
  'progressive': (_encode(SMOOTH, 'jpeg', progressive=True), 3),
  'RGB inside': (_encode(RGB, 'jpeg', keep_rgb=True), 3),
  'CMYK': (CMYK, 3),
  'MPO': (_encode(SMOOTH, 'mpo', save_all=True, append_images=[RGB]), 3),
  'upright': (_encode(SMOOTH, 'jpeg', exif=_turn(1)), 3),
  'no orientation': (_encode(SMOOTH, 'jpeg', exif=_turn(0)), 3),
  'garbage behind it': (_encode(SMOOTH, 'jpeg') + b'garbage', 3),
  'NULs behind it': (_encode(SMOOTH, 'jpeg') + b'\0' * 99, 3),
  'another behind it': (_encode(SMOOTH, 'jpeg') * 2, 3),
}


@pytest.mark.parametrize('data, channels', JPEGS.values(), ids=JPEGS)
def test_jpeg_that_stays(decoder, data, channels):
  found = _accepted(data, decoder, tolerance=5)  # their IDCTs differ
  assert found[:-1] == (data, b'jpeg', HEIGHT, WIDTH, channels)


def _adobe_marker(data):
  at = data.index(b'\xff\xee\0\x0eAdobe')
  return slice(at, at + 16)


def test_cmyk_with_another_transform(decoder):
  """YCCK, which Pillow reads and does not write."""
  data, at = bytearray(CMYK), _adobe_marker(CMYK).stop - 1
  assert data[at] == 0
  data[at] = 2
  assert _accepted(bytes(data), decoder, tolerance=12).data == data


def test_cmyk_without_adobe(decoder):
  """TensorFlow takes each ink for its opposite, people do not."""
  marker = _adobe_marker(CMYK)
  data = CMYK[: marker.start] + CMYK[marker.stop :]
  assert _shown(data).tolist() == _shown(CMYK).tolist()
  assert np.abs(decoder(data).astype(int) - _shown(data)).max() > 200
  found = _accepted(data, decoder, tolerance=10)
  assert found.data != data
  assert found[1:] == (b'jpeg', HEIGHT, WIDTH, 3, 1)


TRANSPARENT = {
  'RGBA': _encode(_with_alpha(RGB, ALPHA), 'png'),
  'RGBA, all': _encode(_with_alpha(RGB, 0), 'png'),
  'LA': _encode(Image.merge('LA', (GREY, ALPHA)), 'png'),
  'a colour of RGB': _encode(RGB, 'png', transparency=RGB.getpixel((3, 2))),
  'a grey': _encode(GREY, 'png', transparency=GREY.getpixel((3, 2))),
  '1 bit': _encode(GREY.convert('1'), 'png', transparency=0),
  'an entry of a palette': _encode(PALETTE, 'png', transparency=3),
  'entries of a palette': _encode(
    PALETTE, 'png', transparency=bytes(range(0, 256, 16))
  ),
  '16-bit RGBA': _png(_noise(4, kind='>u2'), 16, 6),
  '16-bit LA': _png(_noise(2, kind='>u2'), 16, 4),
  'turned': _encode(_with_alpha(RGB, ALPHA), 'png', exif=_turn(6)),
}


@pytest.mark.parametrize('data', TRANSPARENT.values(), ids=TRANSPARENT)
def test_transparent_png_is_laid_on_white(decoder, data):
  found = _accepted(data, decoder)
  assert found.data != data and found.format == b'png' and found.channels == 3
  assert Image.open(io.BytesIO(found.data)).mode == 'RGB'
  again = image_files.standard(found.data, decoder)
  assert again == found


def test_on_white_by_hand(decoder):
  pixels = np.array(
    [[[10, 20, 30, 0], [10, 20, 30, 255], [10, 20, 30, 51], [0, 0, 0, 128]]],
    np.uint8,
  )
  found = image_files.standard(_encode(Image.fromarray(pixels), 'png'), decoder)
  assert decoder(found.data).tolist() == [
    [[255, 255, 255], [10, 20, 30], [206, 208, 210], [127, 127, 127]]
  ]


@pytest.mark.parametrize('orientation', range(2, 9))
@pytest.mark.parametrize(
  'image, form, tolerance',
  [
    (SMOOTH, 'jpeg', 12),
    (SMOOTH.convert('L'), 'jpeg', 6),
    (SMOOTH.convert('CMYK'), 'jpeg', 12),
    (RGB, 'png', 0),
    (GREY16, 'png', 0),
    (PALETTE, 'png', 0),
    (RGB, 'tiff', 0),
  ],
  ids=lambda value: getattr(value, 'mode', value),
)
def test_orientation(decoder, orientation, image, form, tolerance):
  data = _encode(image, form, exif=_turn(orientation))
  found = _accepted(data, decoder, tolerance)
  assert found.data != data
  assert found.format == (b'jpeg' if form == 'jpeg' else b'png')
  upright = orientation < 5
  assert (found.height, found.width) == (
    (HEIGHT, WIDTH) if upright else (WIDTH, HEIGHT)
  )
  assert found.channels == (1 if image.mode in ('L', 'I;16') else 3)
  # Whoever does look at EXIF must not turn it once more.
  assert Image.open(io.BytesIO(found.data)).getexif().get(0x0112, 1) == 1
  others = [_shown(_encode(image, form, exif=_turn(i))) for i in range(1, 9)]
  pixels = decoder(found.data).astype(int)
  assert [
    i
    for i, other in enumerate(others, 1)
    if other.shape == pixels.shape and np.abs(pixels - other).max() <= tolerance
  ] == [orientation]


def test_orientation_of_an_mpo(decoder):
  data = _encode(
    SMOOTH, 'mpo', save_all=True, append_images=[RGB], exif=_turn(6)
  )
  found = _accepted(data, decoder, tolerance=12)
  assert (found.format, found.height, found.width) == (b'jpeg', WIDTH, HEIGHT)
  assert Image.open(io.BytesIO(found.data)).format == 'JPEG'


LAB = Image.fromarray(_noise(3), 'LAB')
CONVERTED = {  # file: channels
  'gif': (_encode(PALETTE, 'gif'), 3),
  'gif, transparent': (_encode(_with_alpha(RGB, ALPHA), 'gif'), 3),
  'gif, grey': (_encode(GREY.convert('1'), 'gif'), 1),
  'webp': (_encode(RGB, 'webp', lossless=True), 3),
  'webp, lossy': (_encode(SMOOTH, 'webp'), 3),
  'webp, transparent': (
    _encode(_with_alpha(RGB, ALPHA), 'webp', lossless=True),
    3,
  ),
  'webp, turned': (_encode(RGB, 'webp', lossless=True, exif=_turn(6)), 3),
  'bmp': (_encode(RGB, 'bmp'), 3),
  'bmp, grey': (_encode(GREY, 'bmp'), 1),
  'bmp, palette': (_encode(PALETTE, 'bmp'), 3),
  'bmp, 1 bit': (_encode(GREY.convert('1'), 'bmp'), 1),
  'ppm': (_encode(RGB, 'ppm'), 3),
  'pgm': (_encode(GREY, 'ppm'), 1),
  'tiff': (_encode(RGB, 'tiff'), 3),
  'tiff, LZW': (_encode(RGB, 'tiff', compression='tiff_lzw'), 3),
  'tiff, JPEG inside': (_encode(SMOOTH, 'tiff', compression='jpeg'), 3),
  'tiff, grey': (_encode(GREY, 'tiff'), 1),
  'tiff, 1 bit': (_encode(GREY.convert('1'), 'tiff', compression='group4'), 1),
  'tiff, palette': (_encode(PALETTE, 'tiff'), 3),
  'tiff, transparent': (_encode(_with_alpha(RGB, ALPHA), 'tiff'), 3),
  'tiff, LA': (_encode(Image.merge('LA', (GREY, ALPHA)), 'tiff'), 3),
  'tiff, 16 bits': (_encode(GREY16, 'tiff'), 1),
  'tiff, CMYK': (_encode(RGB.convert('CMYK'), 'tiff'), 3),
  'tiff, YCbCr': (_encode(RGB.convert('YCbCr'), 'tiff'), 3),
  'tiff, LAB': (_encode(LAB, 'tiff'), 3),
}


@pytest.mark.parametrize('data, channels', CONVERTED.values(), ids=CONVERTED)
def test_other_formats_become_png(decoder, data, channels):
  found = _accepted(data, decoder)
  assert found.data.startswith(SIGNATURE)
  assert (found.format, found.channels) == (b'png', channels)
  assert {found.height, found.width} == {HEIGHT, WIDTH}


def test_16_bits_keep_their_high_byte(decoder):
  grey = np.array([[0, 255, 256, 0x12FF, 0xFF00, 0xFFFF]], np.uint16)
  for form in ('png', 'tiff'):
    found = _accepted(_encode(Image.fromarray(grey), form), decoder)
    assert decoder(found.data)[0, :, 0].tolist() == [0, 0, 1, 0x12, 255, 255]


MANY = {
  form: _encode(
    RGB, form, save_all=True, append_images=[SMOOTH, RGB.rotate(180)]
  )
  for form in ('gif', 'png', 'webp', 'tiff')
}


@pytest.mark.parametrize('form', MANY)
def test_animations_and_stacks(decoder, form):
  _refused(
    MANY[form],
    decoder,
    'holds 3 images, an animation or a stack: keep one of them',
  )


@pytest.mark.parametrize('mode', 'IF')
def test_32_bits(decoder, mode):
  _refused(
    _encode(GREY.convert(mode), 'tiff'),
    decoder,
    f'has 32-bit pixels (mode {mode})',
    'save it with 8 or 16 bits',
  )


def test_empty(decoder):
  _refused(b'', decoder, 'is empty')


@pytest.mark.parametrize(
  'data',
  [
    b'hello\n',
    b'\0' * 500,
    b'<!DOCTYPE html><html>404</html>',
    b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    b'\xff\xd8\xff',
    SIGNATURE,
    b'PK\3\4' + b'x' * 90,
    np.random.RandomState(0).bytes(3000),
  ],
  ids=['text', 'zeros', 'HTML', 'SVG', 'JPEG', 'PNG', 'ZIP', 'random'],
)
def test_no_image(decoder, data):
  _refused(data, decoder, 'is no image, or is damaged')


@pytest.mark.parametrize(
  'data, exact',
  [
    (JPEGS['plain'][0], True),
    (JPEGS['progressive'][0], True),
    (JPEGS['grey'][0], True),
    (CMYK, True),
    (KEPT['RGB'][0], True),
    (KEPT['palette'][0], True),
    (TRANSPARENT['RGBA'], True),
    (_encode(SMOOTH, 'jpeg', exif=_turn(6)), True),
    (_encode(SMOOTH, 'jpeg', exif=_turn(3), progressive=True), True),
    (MANY['png'], True),
    *(
      (CONVERTED[name][0], False)
      for name in ('gif', 'webp', 'bmp', 'ppm', 'tiff', 'tiff, LZW')
    ),
  ],
)
def test_cut_short(decoder, data, exact):
  """Refused; elsewhere than in JPEG and PNG, or the pixels are all there."""
  whole = None
  for size in {*range(0, len(data), 23), *range(len(data) - 14, len(data))}:
    try:
      with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found = image_files.standard(data[:size], decoder)
    except image_files.BadImage:
      continue
    assert not exact, size
    if whole is None:
      whole = decoder(image_files.standard(data, decoder).data)
    np.testing.assert_array_equal(decoder(found.data), whole, str(size))


def test_flipped_bits_in_a_png(decoder):
  data = _encode(RGB.quantize(4), 'png')
  for bit in range(8 * len(data)):
    broken = bytearray(data)
    broken[bit // 8] ^= 1 << bit % 8
    _refused(bytes(broken), decoder)


@pytest.mark.parametrize(
  'data',
  [
    *(value[0] for value in (JPEGS['plain'], KEPT['RGB'], *CONVERTED.values())),
    *MANY.values(),
  ],
  ids=['jpeg', 'png', *CONVERTED, *(f'{form}, many' for form in MANY)],
)
def test_damage_is_refused_or_survived(decoder, data):
  """Pillow's readers raise all kinds of errors; none comes through."""
  random, bad = np.random.RandomState(0), 0
  for count in [1, 2, 8] * 15:
    broken = bytearray(data)
    for at in random.randint(0, random.choice([60, len(data)]), count):
      broken[at] = random.randint(256)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      try:
        image_files.standard(bytes(broken), decoder, max_pixels=10**6)
      except image_files.BadImage:
        bad += 1
  assert bad


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize(
  'size, words',
  [
    ((50_000, 50_000), 'has more than 178,956,970 pixels: shrink it'),
    ((2**31 - 1, 1), 'has more than 178,956,970 pixels: shrink it'),
    (
      (9460, 9459),
      'has 9460x9459 = 89,482,140 pixels, more than '
      '--max_image_pixels=89478485: shrink it, or raise the limit',
    ),
  ],
)
def test_bomb(decoder, size, words):
  """Refused for what the header claims, before anything is decoded."""
  data = _png(np.zeros((4, 4)), 8, 0, size=size)
  assert len(data) < 100
  _refused(data, decoder, words)


@pytest.mark.parametrize('form', ['png', 'jpeg', 'gif', 'bmp', 'tiff', 'webp'])
def test_just_above_the_limit(decoder, form):
  data = _encode(SMOOTH, form)
  pixels = HEIGHT * WIDTH
  assert image_files.standard(data, decoder, max_pixels=pixels).height == HEIGHT
  _refused(
    data,
    decoder,
    f'has 17x23 = 391 pixels, more than '
    f'--max_image_pixels={pixels - 1}: shrink it, or raise the limit',
    max_pixels=pixels - 1,
  )


def test_the_name_says_nothing(decoder):
  """A PNG is a PNG, whatever its file is called."""
  for data, form in ((KEPT['RGB'][0], b'png'), (JPEGS['plain'][0], b'jpeg')):
    assert image_files.standard(data, decoder).format == form


@pytest.mark.parametrize(
  'data', [b'', b'text', KEPT['RGB'][0][:-20], CONVERTED['tiff'][0]]
)
def test_decoder_refuses(decoder, data):
  with pytest.raises(
    image_files.BadImage,
    match=re.escape('is damaged, or is no JPEG, PNG, GIF or BMP image'),
  ):
    decoder(data)


def test_decoder_of_animations(decoder):
  """Of TFRecords of others: the first frame, as TensorFlow's graph sees it."""
  assert decoder(MANY['gif']).shape == (HEIGHT, WIDTH, 3)


def test_threads(decoder):
  data = [
    _encode(_with_alpha(Image.fromarray(_noise(3, seed=i)), ALPHA), 'png')
    for i in range(40)
  ]
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda one: image_files.standard(one, decoder), data))
  assert found == [image_files.standard(one, decoder) for one in data]
