"""The Inception recipe: golden values, windows, colours, ranges."""

import colorsys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import inception_preprocessing as inception
from tests import golden

SIZES = [(300, 400), (500, 375), (224, 224), (180, 640)]


def evaluate(size=299, **options):
  return lambda image, _: inception.preprocess_image(
    image, size, size, **options
  )


def train(size=32, **options):
  return lambda image, seed: inception.preprocess_image(
    image, size, size, True, seed=seed, **options
  )


def compare(got, seed):
  want = np.load(golden.DATA / 'preprocessing.npz')
  np.testing.assert_allclose(
    got[::16, ::16], want[f'inception/{seed}'], atol=1e-6
  )
  np.testing.assert_allclose(
    [got.mean(), got.std()], want[f'inception/{seed}/mean_std'], atol=2e-6
  )


@pytest.mark.parametrize('seed', range(4))
def test_golden(run, seed):
  compare(run(evaluate(), golden.photo(seed, *SIZES[seed])), seed)


@pytest.mark.parametrize('dtype', [tf.uint8, tf.float32])
def test_golden_with_a_static_size(dtype):
  with tf.Graph().as_default(), tf.Session() as session:
    image = tf.constant(golden.photo(1, *SIZES[1]))
    image = tf.image.convert_image_dtype(image, dtype)
    compare(session.run(inception.preprocess_for_eval(image, 299, 299)), 1)


@pytest.mark.parametrize('dtype', [np.float16, np.float64, np.uint16])
def test_other_dtypes(run, dtype):
  image = golden.photo(0, 40, 50)
  scaled = (
    image.astype(dtype) * 257
    if dtype == np.uint16
    else (image / 255).astype(dtype)
  )
  np.testing.assert_allclose(
    run(evaluate(32), scaled), run(evaluate(32), image), atol=2e-3
  )


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('recipe', [evaluate, train])
def test_floats_outside_of_0_to_1_are_refused(run, recipe, dtype):
  """Those of a decoded image, or of one that is normalised already."""
  recipe, image = recipe(32), golden.photo(0, 40, 50)
  for wrong in (
    image.astype(dtype),
    (image / 127.5 - 1).astype(dtype),
    np.full((40, 50, 3), np.nan, dtype),
  ):
    with pytest.raises(
      tf.errors.InvalidArgumentError,
      match=(r'floats must lie in \[0, 1\].*uint8 pixels .*divide them by 255'),
    ):
      run(recipe, wrong)
  for right in (image / 255).astype(dtype), np.eye(9, dtype=dtype)[..., None]:
    assert np.isfinite(run(recipe, right)).all()


def test_whole_image(run):
  image = golden.photo(0, 32, 32)
  got = run(evaluate(32, central_fraction=1.0), image)
  np.testing.assert_allclose(got, image / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize('fast_mode', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (3, 500), (60, 45)])
def test_train_range(run, fast_mode, size):
  image = golden.photo(0, *size)
  recipe = train(fast_mode=fast_mode)
  outputs = np.array([run(recipe, image, (0, i)) for i in range(20)])
  assert outputs.shape == (20, 32, 32, 3) and outputs.dtype == np.float32
  assert np.isfinite(outputs).all()
  assert -1 <= outputs.min() and outputs.max() <= 1
  assert len({o.tobytes() for o in outputs}) == 20


@pytest.mark.parametrize('fast_mode', [False, True])
def test_the_seed_fixes_the_bits(run, fast_mode):
  image, recipe = golden.photo(1, 60, 80), train(fast_mode=fast_mode)
  first = [run(recipe, image, (1, i)) for i in range(8)]
  for i, want in enumerate(first):
    np.testing.assert_array_equal(want, run(recipe, image, (1, i)))
  with tf.Graph().as_default(), tf.Session() as session:
    again = session.run(train(fast_mode=fast_mode)(tf.constant(image), [1, 3]))
  np.testing.assert_array_equal(first[3], again)


def test_no_seed_draws_anew(run):
  def recipe(image, _):
    return inception.preprocess_for_train(image, 32, 32)

  image = golden.photo(1, 60, 80)
  assert np.abs(run(recipe, image) - run(recipe, image)).max() > 0.05


def test_without_augmentation_it_is_a_resize(run):
  image = golden.photo(0, 32, 32)
  got = run(train(random_crop=False, flip=False, color=False), image)
  np.testing.assert_allclose(got, image / 127.5 - 1, atol=1e-6)


def windows(run, shape, count=300, **options):
  def sample(image, seed):
    return inception.sample_window(tf.shape(image), seed, **options)

  image = np.zeros(shape, np.uint8)
  return np.array([run(sample, image, (7, i)) for i in range(count)])


def test_windows_keep_to_area_and_aspect(run):
  y, x, h, w = windows(run, (300, 400, 3)).T
  assert y.min() >= 0 and (y + h).max() <= 300
  assert x.min() >= 0 and (x + w).max() <= 400
  area, aspect = h * w / 120000, w / h
  assert 0.099 < area.min() < 0.15 and 0.9 < area.max() <= 1
  assert 0.74 < aspect.min() < 0.8 and 1.28 < aspect.max() < 1.35
  assert len(set(y)) > 100 and len(set(x)) > 100


def test_windows_meet_the_box(run):
  box = [[[0.8, 0.8, 1.0, 1.0]]]
  y, x, h, w = windows(
    run, (100, 100, 3), 100, bbox=box, min_object_covered=0.5
  ).T
  covered = (y + h - np.maximum(y, 80)) * (x + w - np.maximum(x, 80))
  assert covered.min() >= 0.45 * 400


def test_no_box_is_the_whole_image(run):
  got = windows(run, (100, 100, 3), 50, bbox=np.zeros((1, 0, 4), np.float32))
  assert len({tuple(window) for window in got}) > 40


def test_half_of_the_images_are_mirrored(run):
  image = np.arange(0, 256, 4, np.uint8)[None, :, None] * np.ones(
    (64, 1, 3), np.uint8
  )
  recipe = train(16, color=False)
  rising = [run(recipe, image, (9, i))[0, [0, -1], 0] for i in range(200)]
  assert 75 < sum(first < last for first, last in rising) < 125


def distorted(run, color, fast_mode, count=200):
  def recipe(image, seed):
    return inception.distort_color(image, seed, fast_mode)

  image = np.full((1, 1, 3), color, np.float32)
  return np.array([run(recipe, image, (3, i))[0, 0] for i in range(count)])


def test_brightness_range(run):
  # A grey has no saturation, so only brightness changes it in fast mode.
  change = distorted(run, (0.5, 0.5, 0.5), True) - 0.5
  assert np.ptp(change, axis=1).max() < 1e-6
  assert -32 / 255 <= change.min() < -0.11 and 0.11 < change.max() <= 32 / 255


@pytest.mark.parametrize('fast_mode', [True, False])
def test_hue_moves_only_in_slow_mode(run, fast_mode):
  colors = distorted(run, (0.6, 0.4, 0.4), fast_mode)
  hues = np.array([colorsys.rgb_to_hsv(*map(float, c))[0] for c in colors])
  hues = (hues + 0.5) % 1 - 0.5
  if fast_mode:
    assert np.abs(hues).max() < 1e-3
  else:
    assert -0.201 < hues.min() < -0.17 and 0.17 < hues.max() < 0.201


def test_all_orders_and_methods_are_drawn(run):
  image = golden.photo(0, 40, 40)
  still = train(random_crop=False, flip=False, color=False, fast_mode=False)
  outputs = {run(still, image, (0, i)).tobytes() for i in range(60)}
  assert len(outputs) == 4
  # Each order holds each distortion once.
  assert {tuple(sorted(order)) for order in inception._ORDERS} == {
    tuple(sorted(inception._DISTORTIONS))
  }


@pytest.mark.parametrize('fast_mode', [True, False])
def test_grey_images(run, fast_mode):
  grey = golden.photo(0, 60, 80)[..., :1]
  repeated = np.repeat(grey, 3, 2)
  options = {'fast_mode': fast_mode}
  for recipe in evaluate(32, **options), train(32, **options):
    np.testing.assert_allclose(run(recipe, grey), run(recipe, repeated))
  for recipe in (
    evaluate(32, use_grayscale=True),
    train(32, use_grayscale=True, **options),
  ):
    one = run(recipe, grey)
    assert one.shape == (32, 32, 1) and one.std() > 0.1
    np.testing.assert_allclose(run(recipe, repeated), one, atol=1e-5)


def test_the_output_has_a_static_shape():
  with tf.Graph().as_default():
    image = tf.placeholder(tf.uint8, [None, None, 1])
    for is_training in False, True:
      for grey, channels in (False, 3), (True, 1):
        output = inception.preprocess_image(
          image, 20, 30, is_training, grey, fast_mode=False
        )
        assert output.shape.as_list() == [20, 30, channels]


def test_int32_images_are_refused():
  with pytest.raises(ValueError, match='uint8 pixels'):
    inception.preprocess_for_eval(np.zeros((9, 9, 3), np.int32), 8, 8)
