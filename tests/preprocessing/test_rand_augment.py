"""RandAugment: each transformation against Pillow, and how they are drawn."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image, ImageEnhance, ImageOps

from preprocessing import rand_augment as ra
from tests import golden

# What Pillow is called with at a part m of the largest magnitude, with the
# sign, and by how much it may differ. Pillow cuts off the fraction of an
# enhanced or stretched level (1), and rounds the luma, the mean luma and the
# smoothed image (0.5 each, times a change of up to 0.9).
PILLOW = {
  'identity': (lambda p, m, s: p, 0),
  'autocontrast': (lambda p, m, s: ImageOps.autocontrast(p), 1.01),
  'equalize': (lambda p, m, s: ImageOps.equalize(p), 0),
  'solarize': (lambda p, m, s: ImageOps.solarize(p, 256 * (1 - m)), 0),
  'posterize': (lambda p, m, s: ImageOps.posterize(p, 8 - round(4 * m)), 0),
  'color': (
    lambda p, m, s: ImageEnhance.Color(p).enhance(1 + 0.9 * m * s),
    1.5,
  ),
  'contrast': (
    lambda p, m, s: ImageEnhance.Contrast(p).enhance(1 + 0.9 * m * s),
    2,
  ),
  'brightness': (
    lambda p, m, s: ImageEnhance.Brightness(p).enhance(1 + 0.9 * m * s),
    1.01,
  ),
  'sharpness': (
    lambda p, m, s: ImageEnhance.Sharpness(p).enhance(1 + 0.9 * m * s),
    1.5,
  ),
}


def affine(*matrix):
  return lambda p: p.transform(
    p.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
  )


GEOMETRY = {
  'rotate': lambda p, m, s: p.rotate(30 * m * s, Image.Resampling.BILINEAR),
  'shear_x': lambda p, m, s: affine(1, 0.3 * m * s, 0, 0, 1, 0)(p),
  'shear_y': lambda p, m, s: affine(1, 0, 0, 0.3 * m * s, 1, 0)(p),
  'translate_x': lambda p, m, s: affine(
    1, 0, round(150 / 331 * m * s * p.width), 0, 1, 0
  )(p),
  'translate_y': lambda p, m, s: affine(
    1, 0, 0, 0, 1, round(150 / 331 * m * s * p.height)
  )(p),
}


def sample_images():
  """Yields uint8 images of 3 channels and of 1."""
  photo = golden.photo(0, 40, 50)
  flat = np.full((20, 30, 3), (10, 200, 77), np.uint8)
  for image in (
    photo,
    photo // 3 + 60,
    golden.photo(1, 23, 17),
    flat,
    photo[:3, :4],
    photo[:2, :3],
    photo[:1, :9],
    photo[:1, :1],
  ):
    yield image
    yield image[..., :1]


def with_pillow(function, image, magnitude, sign):
  pillow = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
  output = np.asarray(function(pillow, magnitude / 30, sign), float)
  return output.reshape(image.shape)


def transform(name, magnitude, sign=1, **options):
  return lambda image, _: ra.transform(image, name, magnitude, sign, **options)


def augment(**options):
  return lambda image, seed: ra.rand_augment(image, seed, **options)


def test_the_transformations_of_the_paper():
  assert len(ra.OPERATIONS) == 14
  assert set(ra.OPERATIONS) == {*PILLOW, *GEOMETRY}


@pytest.mark.parametrize('magnitude', [0, 13.5, 30])
@pytest.mark.parametrize('name', PILLOW)
def test_levels_are_those_of_pillow(run, name, magnitude):
  function, tolerance = PILLOW[name]
  for sign in (1, -1) if ra.OPERATIONS[name][2] else (1,):
    recipe = transform(name, magnitude, sign)
    for image in sample_images():
      if name == 'color' and image.shape[2] == 1:
        want = image
      else:
        want = with_pillow(function, image, magnitude, sign)
      got = run(recipe, image)
      assert got.dtype == np.float32
      assert 0 <= got.min() and got.max() <= 255
      np.testing.assert_allclose(got, want, rtol=0, atol=tolerance + 1e-3)


@pytest.mark.parametrize('magnitude', [0, 30])
@pytest.mark.parametrize('name', GEOMETRY)
def test_places_are_those_of_pillow(run, name, magnitude):
  for sign in 1, -1:
    recipe = transform(name, magnitude, sign, fill=77)
    cover = transform(name, magnitude, sign, fill=0)
    for image in sample_images():
      got = run(recipe, image)
      want = with_pillow(GEOMETRY[name], image, magnitude, sign)
      # What part of an output pixel comes from the image. At its edge
      # Pillow repeats the border and TensorFlow mixes it with the fill.
      inside = run(cover, np.full_like(image, 255)) / 255
      whole = inside > 0.9999
      np.testing.assert_allclose(got[whole], want[whole], rtol=0, atol=1.01)
      assert (got[inside == 0] == 77).all()
      if magnitude == 0:
        assert whole.all()
      elif image.shape == (40, 50, 3):
        assert 0.4 < whole.mean() < 0.96 and (inside == 0).mean() > 0.02


@pytest.mark.parametrize('name', ra.OPERATIONS)
def test_fractions_of_levels(run, name):
  whole, recipe = golden.photo(0, 32, 40).astype(np.float32), transform(name, 9)
  image = np.clip(whole + 0.25, 0, 255)
  got = run(recipe, image)
  assert got.shape == image.shape and 0 <= got.min() and got.max() <= 255
  # All but the few levels that solarize's threshold now falls above.
  change = np.abs(got - run(recipe, whole))
  assert np.quantile(change, 0.99) <= 1
  # From outside of 0..255 levels are moved in: what a bicubic resize gives.
  wild = (image - 100) * 3
  np.testing.assert_array_equal(
    run(recipe, wild), run(recipe, np.clip(wild, 0, 255))
  )


def test_rounding_errors_are_not_stretched(run):
  image = 90 + np.random.RandomState(0).uniform(0, 1e-3, (9, 9, 3)).astype(
    np.float32
  )
  np.testing.assert_array_equal(run(transform('autocontrast', 9), image), image)


def test_uint8_and_float32_give_the_same(run):
  image, recipe = golden.photo(0, 24, 32), augment(layers=1)
  for i in range(20):
    np.testing.assert_array_equal(
      run(recipe, image, (0, i)), run(recipe, image.astype(np.float32), (0, i))
    )


@pytest.fixture
def digits(monkeypatch):
  """Transformations that write down which they are, to the base of 14."""
  monkeypatch.setattr(
    ra,
    'OPERATIONS',
    {
      name: (lambda image, amount, _, i=i: image * 14 + i, (0, 1), False)
      for i, name in enumerate(ra.OPERATIONS)
    },
  )


def test_all_have_equal_odds_in_each_layer(run, digits):
  recipe = augment(layers=2)
  codes = np.array(
    [run(recipe, np.zeros((1, 1, 1), np.uint8), (3, i)) for i in range(1400)],
    int,
  ).ravel()
  for layer in codes // 14, codes % 14:
    counts = np.bincount(layer, minlength=14)
    assert len(counts) == 14 and 60 < counts.min() and counts.max() < 145
  # Layers are independent: most of the 196 pairs occur.
  assert len(set(codes)) > 180


def test_the_signs_have_equal_odds_whatever_is_drawn(run, monkeypatch):
  monkeypatch.setattr(
    ra,
    'OPERATIONS',
    {
      name: (
        lambda image, amount, _, i=i: image + 9 * i + amount,
        (0, 30),
        True,
      )
      for i, name in enumerate(ra.OPERATIONS)
    },
  )
  recipe = augment(layers=1, magnitude=2)
  got = np.array(
    [run(recipe, np.full((1, 1, 1), 9, np.uint8), (3, i)) for i in range(400)],
    int,
  ).ravel()
  assert set(got) == {9 + 9 * i + sign for i in range(14) for sign in (-2, 2)}
  assert 160 < (got % 9 == 2).sum() < 240


def test_only_what_is_drawn_is_computed(run, monkeypatch):
  computed = []

  def note(image, name):
    computed.append(name)
    return image

  monkeypatch.setattr(
    ra,
    'OPERATIONS',
    {
      name: (
        lambda image, *_, name=name: tf.py_func(
          lambda x: note(x, name), [image], tf.float32
        ),
        (0, 0),
        False,
      )
      for name in ra.OPERATIONS
    },
  )
  recipe = augment(layers=3)
  for i in range(10):
    run(recipe, np.zeros((2, 2, 3), np.uint8), (0, i))
  assert len(computed) == 30 and len(set(computed)) > 5


def test_the_seed_fixes_the_bits(run):
  image, recipe = golden.photo(1, 24, 32), augment()
  first = [run(recipe, image, (1, i)) for i in range(12)]
  for i, want in enumerate(first):
    np.testing.assert_array_equal(want, run(recipe, image, (1, i)))
  assert len({o.tobytes() for o in first}) > 9
  with tf.Graph().as_default(), tf.Session() as session:
    again = session.run(augment()(tf.constant(image), [1, 3]))
  np.testing.assert_array_equal(first[3], again)


def test_a_layer_leaves_those_before_it_alone(run):
  image = golden.photo(1, 24, 32)
  one, two = augment(layers=1), augment(layers=2)
  same = [
    np.array_equal(run(one, image, (0, i)), run(two, image, (0, i)))
    for i in range(60)
  ]
  # The second layer is the identity, or as good as that, now and then.
  assert 0 < sum(same) < 30


def test_no_layers(run):
  image = golden.photo(1, 24, 32)
  np.testing.assert_array_equal(run(augment(layers=0), image), image)


@pytest.mark.parametrize('channels', [1, 3])
def test_odd_sizes(run, channels):
  recipe = augment(layers=1, magnitude=30)
  for size in (1, 1), (2, 1), (3, 200), (33, 31):
    image = golden.photo(0, *size)[..., :channels]
    for i in range(40):
      got = run(recipe, image, (0, i))
      assert got.shape == image.shape and got.dtype == np.float32
      assert 0 <= got.min() and got.max() <= 255


@pytest.mark.parametrize('shape', [[24, 32, 3], [None, 32, 1]])
def test_the_static_shape_stays(shape):
  with tf.Graph().as_default():
    image = tf.placeholder(tf.uint8, shape)
    output = ra.rand_augment(image, [0, 0], layers=1)
    assert output.shape.as_list() == shape and output.dtype == tf.float32


@pytest.mark.slow
def test_inside_a_parallel_map():
  image = golden.photo(0, 24, 32)

  with tf.Graph().as_default(), tf.Session() as session:
    # A constant image would be folded through every transformation.
    images = tf.data.Dataset.from_tensors(image).repeat(32)
    batches = (
      tf.data.Dataset.zip((tf.data.Dataset.range(32), images))
      .map(
        lambda i, image: ra.rand_augment(image, tf.stack([7, i])),
        num_parallel_calls=4,
      )
      .batch(32)
      .repeat()
    )
    iterator = tf.data.make_one_shot_iterator(batches).get_next()
    first = session.run(iterator)
    np.testing.assert_array_equal(first, session.run(iterator))
  assert len({o.tobytes() for o in first}) > 25


@pytest.mark.parametrize(
  'options,message',
  [
    ({'magnitude': -1}, 'magnitude is -1; it must be from 0.* to 30'),
    ({'magnitude': 30.5}, 'magnitude is 30.5'),
    ({'magnitude': float('nan')}, 'magnitude is nan'),
    ({'layers': -1}, 'layers is -1; .* must be 0 or more'),
  ],
)
def test_bad_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    ra.rand_augment(np.zeros((9, 9, 3), np.uint8), [0, 0], **options)


def test_unknown_transformations_are_refused():
  image = np.zeros((9, 9, 3), np.uint8)
  with pytest.raises(
    ValueError,
    match=(
      "Unknown transformation 'colour'. Did you mean 'color'\\? Valid: auto"
    ),
  ):
    ra.transform(image, 'colour')
  with pytest.raises(ValueError, match='magnitude is 31'):
    ra.transform(image, 'color', 31)


@pytest.mark.parametrize(
  'image,message',
  [
    (np.zeros((9, 9, 3), np.int64), 'takes uint8, float32 images'),
    (np.zeros((9, 9, 4), np.uint8), 'height, width, 1 or 3'),
    (np.zeros((9, 1), np.uint8), 'height, width, 1 or 3'),
    (np.zeros((2, 9, 9, 3), np.uint8), 'one image at a time'),
  ],
)
def test_bad_images_are_refused(image, message):
  with pytest.raises(ValueError, match=message):
    ra.rand_augment(image, [0, 0])
