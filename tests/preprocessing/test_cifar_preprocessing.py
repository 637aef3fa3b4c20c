"""The recipe for small images: moves, flips, rotations, normalisations."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import cifar_preprocessing as cifar
from tests import golden

PLAIN = {'padding': 0, 'flip': False, 'normalization': 'scale'}


def evaluate(size=32, **options):
  return lambda image, _: cifar.preprocess_image(image, size, size, **options)


def train(size=32, **options):
  return lambda image, seed: cifar.preprocess_image(
    image, size, size, True, seed=seed, **options
  )


def spot(size, *places):
  """Returns a black image with one white pixel at each place."""
  image = np.zeros((size, size, 3), np.uint8)
  for y, x in places:
    image[y, x] = 255
  return image


def test_standardize(run):
  image = golden.photo(0, 32, 32)
  got = run(evaluate(), image)
  np.testing.assert_allclose(
    got, (image - image.mean()) / image.std(), atol=1e-4
  )
  for i in range(5):
    got = run(train(), image, (0, i))
    assert got.mean() == pytest.approx(0, abs=1e-4)
    assert got.std() == pytest.approx(1, abs=1e-4)


def test_scale(run):
  image = golden.photo(0, 32, 32)
  for recipe in evaluate(normalization='scale'), train(**PLAIN):
    np.testing.assert_allclose(run(recipe, image), image / 127.5 - 1, atol=1e-5)


def test_subtract_mean(run):
  image = golden.photo(0, 32, 32)
  for mean in golden.photo(1, 32, 32).astype(float), [10.0, 20.0, 30.0]:
    options = {'normalization': 'subtract_mean', 'per_pixel_mean': mean}
    got = run(evaluate(**options), image)
    np.testing.assert_allclose(got, image - np.array(mean), atol=1e-4)
    got = run(train(**{**PLAIN, **options}), image)
    np.testing.assert_allclose(got, image - np.array(mean), atol=1e-4)


def test_share_less_mean(run):
  image, mean = golden.photo(0, 32, 32), golden.photo(1, 32, 32) / 255
  options = {'normalization': 'share_less_mean', 'per_pixel_mean': mean}
  for recipe in evaluate(**options), train(**{**PLAIN, **options}):
    np.testing.assert_allclose(
      run(recipe, image), image / 255 - mean, atol=1e-6
    )


def test_the_mean_is_stretched_like_the_image(run):
  image = golden.photo(0, 20, 30)
  options = {'normalization': 'share_less_mean', 'per_pixel_mean': image / 255}
  assert np.abs(run(evaluate(**options), image)).max() < 1e-5
  assert np.abs(run(evaluate(**options), image[::-1])).max() > 0.1


def test_the_edge_is_repeated(run):
  image = np.full((32, 32, 3), 255, np.uint8)
  recipe = {
    repeat: train(**PLAIN | {'padding': 4}, repeat_edge=repeat)
    for repeat in (False, True)
  }
  lowest = {
    repeat: {run(each, image, (0, i)).min() for i in range(8)}
    for repeat, each in recipe.items()
  }
  assert lowest[True] == {1} and -1 in lowest[False]


@pytest.mark.parametrize(
  'options,reach',
  [
    ({'padding': 4}, 4),
    ({'padding': 0, 'shift': 0.1}, 3),
    ({'padding': 1, 'shift': 0.05}, 3),
    ({'padding': 0}, 0),
  ],
)
def test_moves_cover_their_range(run, options, reach):
  recipe = train(**{**PLAIN, **options})
  image = spot(32, (16, 16))
  moves = []
  for i in range(250):
    got = run(recipe, image, (2, i))
    (place,) = np.argwhere(got[..., 0] == 1)
    moves.append(place - 16)
    assert (got == -1).sum() == 3 * (32 * 32 - 1)
  every = set(range(-reach, reach + 1))
  assert {y for y, _ in moves} == {x for _, x in moves} == every
  assert np.abs(np.mean(moves, 0)).max() < 0.6


def test_half_of_the_images_are_mirrored(run):
  image = spot(32, (16, 4))
  recipe = train(normalization='scale')
  places = [
    np.argwhere(run(recipe, image, (4, i))[..., 0] == 1)[0, 1]
    for i in range(200)
  ]
  assert 75 < sum(x > 16 for x in places) < 125
  assert set(places) <= {*range(9), *range(23, 32)}


def test_small_images_fill_the_output_evenly(run):
  image = golden.photo(0, 8, 8)
  got = run(evaluate(normalization='scale'), image)
  assert got.shape == (32, 32, 3)
  # Pixel centres correspond, so a mirrored image gives a mirrored output.
  np.testing.assert_allclose(
    run(evaluate(normalization='scale'), image[::-1, ::-1]),
    got[::-1, ::-1],
    atol=1e-5,
  )
  np.testing.assert_allclose(
    got[:2, :2], np.tile(image[0, 0] / 127.5 - 1, (2, 2, 1)), atol=1e-5
  )


@pytest.mark.parametrize('size', [(1, 1), (3, 500), (33, 31)])
@pytest.mark.parametrize('recipe', [evaluate, train])
def test_odd_sizes(run, size, recipe):
  got = run(recipe(), golden.photo(0, *size))
  assert got.shape == (32, 32, 3) and np.isfinite(got).all()


def test_rotation(run):
  image = spot(33, (16, 26))
  recipe = train(33, **PLAIN, rotation=30)
  angles = []
  for i in range(150):
    got = run(recipe, image, (6, i))[..., 0] + 1
    y, x = np.tensordot(np.indices((33, 33)), got, 2) / got.sum() - 16
    assert np.hypot(y, x) == pytest.approx(10, abs=0.3)
    angles.append(np.degrees(np.arctan2(y, x)))
  assert -31 < min(angles) < -27 and 27 < max(angles) < 31


def test_zoom(run):
  image = spot(33, (16, 26), (16, 6))
  image[12:21] = image[16]
  recipe = train(33, **PLAIN, zoom=0.2)
  radii = []
  for i in range(150):
    line = run(recipe, image, (6, i))[16, :, 0] + 1
    np.testing.assert_allclose(line, line[::-1], atol=1e-4)
    radii.append((line * np.abs(np.arange(33) - 16)).sum() / line.sum())
  assert 7.9 < min(radii) < 8.3 and 11.7 < max(radii) < 12.1


def test_the_seed_fixes_the_bits(run):
  options = {'rotation': 10, 'zoom': 0.1}
  image, recipe = golden.photo(1, 20, 30), train(**options)
  first = run(recipe, image, (1, 2))
  np.testing.assert_array_equal(first, run(recipe, image, (1, 2)))
  assert np.abs(first - run(recipe, image, (1, 3))).max() > 0.5
  with tf.Graph().as_default(), tf.Session() as session:
    again = session.run(train(**options)(tf.constant(image), [1, 2]))
  np.testing.assert_array_equal(first, again)


def test_an_option_leaves_the_other_draws_alone(run):
  image = golden.photo(1, 32, 32)
  for i in range(8):
    plain = run(train(flip=False), image, (0, i))
    maybe_flipped = run(train(), image, (0, i))
    assert np.array_equal(plain, maybe_flipped) or np.allclose(
      plain, maybe_flipped[:, ::-1], atol=1e-5
    )


@pytest.mark.parametrize('recipe', [evaluate, train])
def test_grey_images(run, recipe):
  grey = golden.photo(0, 32, 32)[..., :1]
  repeated = np.repeat(grey, 3, 2)
  np.testing.assert_array_equal(run(recipe(), grey), run(recipe(), repeated))
  one = run(recipe(use_grayscale=True), grey)
  assert one.shape == (32, 32, 1)
  np.testing.assert_array_equal(run(recipe(use_grayscale=True), repeated), one)


def test_the_output_has_a_static_shape():
  with tf.Graph().as_default():
    image = tf.placeholder(tf.uint8, [None, None, 3])
    for is_training in False, True:
      output = cifar.preprocess_image(image, 20, 30, is_training, rotation=5)
      assert output.shape.as_list() == [20, 30, 3]


@pytest.mark.parametrize(
  'options,message',
  [
    ({'padding': -1}, 'padding -1'),
    ({'zoom': 1.0}, 'zoom must be below 1'),
    ({'normalization': 'standardise'}, "mean 'standardize'.*subtract_mean"),
    ({'normalization': 'subtract_mean'}, 'share_less_mean need per_pixel'),
    ({'per_pixel_mean': [0, 0, 0]}, "'standardize' do not go together"),
    (
      {'normalization': 'subtract_mean', 'per_pixel_mean': np.zeros((8, 8))},
      r'\(8, 8\); the image has \(32, 32, 3\)',
    ),
  ],
)
def test_bad_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    train(**options)(np.zeros((32, 32, 3), np.uint8), [0, 0])


def test_float_images_are_refused():
  with pytest.raises(ValueError, match='decoded uint8 pixels'):
    evaluate()(np.zeros((32, 32, 3), np.float32), None)
