"""Images as files: their sizes, their windows, and what is refused."""

import functools
import io
import resource
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from preprocessing import imagenet_preprocessing, preprocessing_factory
from preprocessing.encoded import Encoded
from tests import golden

HEIGHT, WIDTH = 37, 53
MAX_PIXELS = 10_000
# A JPEG's colours are smoothed across the rim of a window, where the decoder
# has no neighbours. That is a quarter of the step between two colours, and
# these images have large ones: levels apart, at the most.
RIM = 64


def file(form, mode='RGB', height=HEIGHT, width=WIDTH, **options):
  """The bytes of an image file; Pillow's names of formats and modes."""
  data, image = io.BytesIO(), golden.photo(0, height, width)
  image = (
    Image.fromarray(image[..., 0].astype(np.uint16) * 257)
    if mode == 'I;16'
    else Image.fromarray(image).convert(mode)
  )
  image.save(data, form, **options)
  return data.getvalue()


def top_down(height=HEIGHT, width=WIDTH):
  """A BMP whose first row is the upper one: its height is negative."""
  image = golden.photo(0, height, width)[..., ::-1]
  rows = np.pad(image.reshape(height, -1), [(0, 0), (0, -width * 3 % 4)])
  return (
    struct.pack(
      '<2sIIIIiiHHIIiiII',
      b'BM',
      54 + rows.size,
      0,
      54,
      40,
      width,
      -height,
      1,
      24,
      0,
      rows.size,
      0,
      0,
      0,
      0,
    )
    + rows.tobytes()
  )


def kind(*arguments, **options):
  return functools.partial(file, *arguments, **options)


KINDS = {
  'JPEG': kind('jpeg'),
  'grey JPEG': kind('jpeg', 'L'),
  'CMYK JPEG': kind('jpeg', 'CMYK'),
  'progressive JPEG': kind('jpeg', progressive=True),
  'JPEG without subsampling': kind('jpeg', subsampling=0),
  **{
    f'{mode} PNG': kind('png', mode)
    for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16')
  },
  'GIF': kind('gif'),
  'BMP': kind('bmp'),
  'grey BMP': kind('bmp', 'L'),
  'BMP from top to bottom': top_down,
}
FILES = {name: make() for name, make in KINDS.items()}
PLAIN = ['JPEG', 'RGB PNG', 'GIF', 'BMP']


class Reader:
  """Runs an `Encoded` of fed bytes."""

  def __init__(self):
    self._graph = tf.Graph()
    with self._graph.as_default():
      self._data = tf.placeholder(tf.string, [])
      self._window = tf.placeholder_with_default([0, 0, 1, 1], [4])
      encoded = Encoded(self._data, MAX_PIXELS)
      part = encoded.pixels(lambda shape: self._window)
      self._outputs = {
        'size': encoded.size,
        'pixels': encoded.pixels(),
        'part': part,
        'unbounded': Encoded(self._data).size,
        'whole': tf.io.decode_image(
          self._data, channels=3, expand_animations=False
        ),
      }
      self.static = encoded.pixels().shape, part.shape
    self.session = tf.Session(graph=self._graph)

  def __call__(self, data, *names, window=(0, 0, 1, 1)):
    found = self.session.run(
      [self._outputs[name] for name in names],
      {self._data: data, self._window: window},
    )
    return found if len(names) > 1 else found[0]


@pytest.fixture(scope='module')
def read():
  reader = Reader()
  yield reader
  reader.session.close()


@pytest.mark.parametrize('name', FILES)
def test_size_and_pixels(read, name):
  data = FILES[name]
  size, unbounded, pixels, whole = read(
    data, 'size', 'unbounded', 'pixels', 'whole'
  )
  with Image.open(io.BytesIO(data)) as image:
    assert tuple(size) == tuple(unbounded) == image.size[::-1]
  assert size.dtype == np.int32 and pixels.dtype == np.uint8
  assert pixels.shape == (HEIGHT, WIDTH, 3)
  np.testing.assert_array_equal(pixels, whole)


def test_a_bmp_from_top_to_bottom_is_the_right_way_up(read):
  np.testing.assert_array_equal(
    read(top_down(), 'pixels'), read(file('bmp'), 'pixels')
  )


@pytest.mark.parametrize(
  'window',
  [
    (0, 0, HEIGHT, WIDTH),
    (0, 0, 1, 1),
    (HEIGHT - 1, WIDTH - 1, 1, 1),
    (5, 7, 20, 30),
    (16, 16, 16, 16),
    (3, 0, 1, WIDTH),
    (0, 31, HEIGHT, 2),
  ],
)
@pytest.mark.parametrize('name', FILES)
def test_windows(read, name, window):
  whole, part = read(FILES[name], 'pixels', 'part', window=window)
  y, x, height, width = window
  whole = whole[y : y + height, x : x + width]
  assert part.shape == (height, width, 3) and part.dtype == np.uint8
  if 'JPEG' in name:
    np.testing.assert_array_equal(part[1:-1, 1:-1], whole[1:-1, 1:-1])
    np.testing.assert_allclose(part.astype(int), whole, atol=RIM)
  else:
    np.testing.assert_array_equal(part, whole)


def test_static_shapes(read):
  for shape in read.static:
    assert shape.as_list() == [None, None, 3]


def refused(read, data, *names, **options):
  """Asserts that the bytes are refused; returns what is said of them."""
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    read(data, *names, **options)
  return str(error.value)


@pytest.mark.parametrize('name', PLAIN)
def test_windows_outside_of_the_image(read, name):
  for window in (0, 0, HEIGHT + 1, 1), (0, WIDTH, 1, 1), (-1, 0, 2, 2):
    refused(read, FILES[name], 'part', window=window)


@pytest.mark.parametrize(
  'data',
  [
    b'',
    b'\xff',
    b'\0' * 99,
    b'<html>404</html>',
    b'RIFF....WEBPVP8 ',
    b'GIF',
    b'BM',
    b'\xff\xd8\xff',
    b'\x89PNG',
  ],
)
def test_no_image(read, data):
  for name in 'size', 'pixels', 'part':
    refused(read, data, name)


@pytest.mark.parametrize('name', PLAIN)
def test_cut_short(read, name):
  """Never with an error of Python's, wherever the header ends."""
  data = FILES[name]
  for length in (*range(60), len(data) // 2, len(data) - 2):
    for part in 'pixels', 'part':
      refused(read, data[:length], part)


@pytest.mark.parametrize('missing', [1, 2, 10, 300])
def test_a_jpeg_that_is_cut_short_is_bad_in_every_window(read, missing):
  """Also in those above the cut, which could be decoded."""
  data = FILES['JPEG'][:-missing]
  for window in (0, 0, 1, 1), (0, 0, 8, 8), (0, 0, HEIGHT, WIDTH):
    refused(read, data, 'part', window=window)


def test_what_follows_a_jpeg_does_not_matter(read):
  """Cameras leave things there."""
  data = FILES['JPEG'] + b'more'
  whole, part = read(data, 'pixels', 'part', window=(5, 7, 20, 30))
  np.testing.assert_array_equal(part, whole[5:25, 7:37])


def test_a_gif_whose_frame_is_smaller_than_its_canvas(read):
  """The canvas is what the header tells, the frame what is decoded."""
  data = bytearray(FILES['GIF'])
  data[6:10] = struct.pack('<HH', 99, 88)
  size, pixels, part = read(
    bytes(data), 'size', 'pixels', 'part', window=(0, 0, HEIGHT, WIDTH)
  )
  assert tuple(size) == (88, 99) and pixels.shape == (HEIGHT, WIDTH, 3)
  np.testing.assert_array_equal(part, pixels)
  with tf.Graph().as_default(), tf.Session() as session:
    whole = Encoded(tf.constant(bytes(data))).pixels(
      lambda shape: tf.stack([0, 0, shape[0], shape[1]])
    )
    np.testing.assert_array_equal(session.run(whole), pixels)


@pytest.mark.parametrize('name', FILES)
def test_too_many_pixels(read, name):
  data = KINDS[name](height=100, width=101)
  text = refused(read, data, 'size')
  assert 'The image has' in text and '10100' in text
  for part in 'pixels', 'part':
    refused(read, data, part)
  assert tuple(read(data, 'unbounded')) == (100, 101)
  assert read(KINDS[name](height=100, width=100), 'pixels').shape == (
    100,
    100,
    3,
  )


def claim(name, side):
  """A file whose header tells `side` x `side` pixels."""
  data = bytearray(FILES[name])
  if name == 'JPEG':
    at = data.index(b'\xff\xc0') + 5
    data[at : at + 4] = struct.pack('>HH', side, side)
  elif name == 'RGB PNG':
    data[16:24] = struct.pack('>II', side, side)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
  elif name == 'GIF':
    data[6:10] = struct.pack('<HH', side, side)
  else:
    data[18:26] = struct.pack('<ii', side, side)
  return bytes(data)


@pytest.mark.parametrize('name', PLAIN)
def test_a_bomb_is_refused_before_it_is_decoded(read, name):
  data = claim(name, 50_000)
  assert tuple(read(data, 'unbounded')) == (50_000, 50_000)
  memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  begin = time.perf_counter()
  for part in 'size', 'pixels', 'part':
    assert '2500000000' in refused(read, data, part)
  assert time.perf_counter() - begin < 1
  grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
  assert grown < 200_000  # kilobytes, of the 7.5 million of its pixels


def test_negative_sizes(read):
  """A PNG's header has room for them; their product is positive."""
  data = bytearray(FILES['RGB PNG'])
  data[16:24] = b'\xff' * 8
  for part in 'pixels', 'part':
    refused(read, bytes(data), part)


def test_inside_a_parallel_map(read):
  names = list(FILES)
  with tf.Graph().as_default(), tf.Session() as session:
    images = (
      tf.data.Dataset.from_tensor_slices([FILES[name] for name in names])
      .repeat(8)
      .map(
        lambda data: Encoded(data, MAX_PIXELS).pixels(
          lambda shape: tf.stack([2, 3, shape[0] - 4, shape[1] - 6])
        ),
        num_parallel_calls=8,
      )
      .batch(8 * len(names))
    )
    found = session.run(tf.data.make_one_shot_iterator(images).get_next())
  window = (2, 3, HEIGHT - 4, WIDTH - 6)
  for i, image in enumerate(found):
    np.testing.assert_array_equal(
      image, read(FILES[names[i % len(names)]], 'part', window=window)
    )


# The recipes.


FAST = 'vgg', 'inception', 'cifar', 'torchvision', 'caffe'


@pytest.mark.parametrize(
  'grey', [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
    for name in sorted(preprocessing_factory.PREPROCESSING)
  ],
)
def test_every_recipe_takes_it(name, is_training, grey):
  """For its pixels; what is cropped from a JPEG differs at the rim."""
  fn = preprocessing_factory.get_preprocessing(name, is_training, grey)
  if preprocessing_factory.needs_mean(name):
    fn = functools.partial(fn, per_pixel_mean=0.5)
  with tf.Graph().as_default(), tf.Session() as session:
    data, seed = tf.placeholder(tf.string, []), tf.placeholder(tf.int64, [2])
    pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
    pixels.set_shape([None, None, 3])
    both = [
      fn(each, 24, 28, seed=seed) for each in (Encoded(data, 10**6), pixels)
    ]
    assert both[0].shape.as_list() == [24, 28, 1 if grey else 3]

    def outputs(form):
      return zip(
        *(
          session.run(
            both, {data: file(form, height=90, width=130), seed: (3, i)}
          )
          for i in range(6)
        ),
        strict=True,
      )

    for form in ('png', 'gif', 'bmp'):
      np.testing.assert_array_equal(*outputs(form))
    got, want = map(np.array, outputs('jpeg'))
  levels = {  # of one of 0..255; a saturation of up to 1.5 moves them apart
    'vgg': 1,
    'inception': 1.5 / 127.5,
    **dict.fromkeys(imagenet_preprocessing.SOURCES, 1 / 57),
    'caffe': 1,
    'keras_v2': 1 / 127.5,
  }
  if is_training and name in levels:
    np.testing.assert_allclose(got, want, atol=RIM * levels[name])
    assert (got == want).mean() > 0.5
  else:
    np.testing.assert_array_equal(got, want)


def test_a_recipe_without_a_seed_reads_one_window():
  """The two ways of decoding must not draw a window each."""
  fn = preprocessing_factory.get_preprocessing('vgg', True)
  with tf.Graph().as_default(), tf.Session() as session:
    for name in ('JPEG', 'RGB PNG'):
      image = fn(Encoded(tf.constant(FILES[name])), 16, 16)
      assert session.run(image).shape == (16, 16, 3)
