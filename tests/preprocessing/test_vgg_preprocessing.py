"""The VGG recipe: golden values, windows, scales, grey images, sizes."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import preprocessing_utils as utils
from preprocessing import vgg_preprocessing as vgg
from tests import golden

SIZES = [(300, 400), (500, 375), (224, 224), (180, 640)]


def evaluate(size=224, **options):
  return lambda image, _: vgg.preprocess_image(image, size, size, **options)


def train(size=224, **options):
  return lambda image, seed: vgg.preprocess_image(
    image, size, size, True, seed=seed, **options
  )


@pytest.mark.parametrize('seed', range(4))
def test_golden(run, seed):
  want = np.load(golden.DATA / 'preprocessing.npz')
  got = run(evaluate(), golden.photo(seed, *SIZES[seed]))
  np.testing.assert_allclose(got[::16, ::16], want[f'vgg/{seed}'], atol=2e-5)
  np.testing.assert_allclose(
    [got.mean(), got.std()], want[f'vgg/{seed}/mean_std'], atol=1e-4
  )


@pytest.mark.parametrize('size', SIZES + [(57, 31), (1, 1), (640, 300)])
def test_resize_and_crop_has_the_bits_of_resize_then_crop(run, size):
  image = golden.photo(0, *size)
  resized = [size[0] * 2 // 3 + 9, size[1] * 3 // 2 + 4]

  def both(image, _):
    whole = utils.resize(image, *resized)
    return whole[3:9, 2:5], utils.resize_and_crop(
      image, tf.constant(resized), tf.constant([3, 2]), 6, 3
    )

  want, got = run(both, image)
  assert got.dtype == np.float32
  np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('half_pixel_centers', [False, True])
@pytest.mark.parametrize('size', SIZES + [(57, 31), (1, 1)])
def test_resize_has_the_bits_of_resizing_bytes(
  run, size, half_pixel_centers, channels
):
  def both(image, _):
    image = image[..., :channels]
    return tf.image.resize_bilinear(
      image[None], [224, 200], half_pixel_centers=half_pixel_centers
    )[0], utils.resize(image, 224, 200, half_pixel_centers)

  want, got = run(both, golden.photo(0, *size))
  np.testing.assert_array_equal(got, want)


def test_eval_crops_the_centre(run):
  image = np.zeros((256, 512, 3), np.uint8)
  image[:, 256:] = 200
  got = run(evaluate(), image)
  np.testing.assert_allclose(
    got[:, :112], -np.tile(vgg.MEAN_RGB, (224, 112, 1)), atol=1e-4
  )
  np.testing.assert_allclose(
    got[0, 112], 200 - np.array(vgg.MEAN_RGB), atol=1e-4
  )


@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (3, 500), (500, 3), (1, 10000)])
def test_odd_sizes_keep_their_colour(run, is_training, size):
  image = np.full((*size, 3), (10, 20, 30), np.uint8)
  got = run((train if is_training else evaluate)(64), image)
  want = np.subtract((10, 20, 30), vgg.MEAN_RGB)
  np.testing.assert_allclose(got, np.broadcast_to(want, (64, 64, 3)), atol=1e-4)


@pytest.mark.parametrize('height,width', [(512, 512), (300, 600), (600, 90)])
@pytest.mark.parametrize('is_training', [False, True])
def test_an_output_above_the_resize_side(run, height, width, is_training):
  image = golden.photo(0, 300, 400)
  got = run(
    lambda image, seed: vgg.preprocess_image(
      image, height, width, is_training, seed=seed
    ),
    image,
  )
  assert got.shape == (height, width, 3)
  # The image still fills it: nothing is padding.
  assert got.std() > 50


def test_a_large_output_uses_all_of_the_shorter_side(run):
  got = run(
    evaluate(448),
    np.arange(100, dtype=np.uint8)[:, None, None]
    * np.ones((1, 130, 3), np.uint8),
  )
  assert got[0, 0, 0] == pytest.approx(-vgg.MEAN_RGB[0], abs=1e-4)
  assert got[-1, 0, 0] == pytest.approx(99 - vgg.MEAN_RGB[0], abs=1e-3)


def windows(run, shape, count=300, **options):
  image = np.zeros(shape, np.uint8)

  def sample(image, seed):
    return vgg.sample_window(tf.shape(image), 224, 224, seed, **options)

  return np.array([run(sample, image, (5, i)) for i in range(count)])


@pytest.mark.parametrize('shape', [(300, 400, 3), (1200, 900, 3)])
def test_windows_cover_the_range_of_sides(run, shape):
  y, x, h, w = windows(run, shape).T
  assert (y >= 0).all() and (x >= 0).all()
  assert (y + h <= shape[0]).all() and (x + w <= shape[1]).all()
  np.testing.assert_array_equal(h, w)
  side = 224 * min(shape[:2]) / h
  # A window is whole pixels: that blurs the side by this much.
  blur = 512 / h.min()
  assert 256 - blur < side.min() < 262 and 506 < side.max() < 512 + blur
  assert side.mean() == pytest.approx(384, abs=15)
  # Places are uniform over what the window leaves free.
  for place in y / (shape[0] - h), x / (shape[1] - w):
    assert place.min() < 0.05 and place.max() > 0.95
    assert place.mean() == pytest.approx(0.5, abs=0.06)


def test_equal_sides_fix_the_scale(run):
  h, w = windows(
    run, (512, 600, 3), 20, resize_side_min=256, resize_side_max=256
  ).T[2:]
  assert set(h) == set(w) == {448}


def test_train_resizes_its_window(run):
  image = golden.photo(1, 300, 400)
  got = run(train(flip=False), image, (1, 2))
  y, x, h, w = run(
    lambda image, seed: vgg.sample_window(tf.shape(image), 224, 224, seed),
    image,
    (1, 2),
  )
  want = run(
    lambda image, _: utils.resize(image, 224, 224), image[y : y + h, x : x + w]
  )
  np.testing.assert_allclose(got, want - np.float32(vgg.MEAN_RGB), atol=1e-4)


def test_the_seed_fixes_the_bits(run):
  image, recipe = golden.photo(1, 60, 80), train(32)
  first = run(recipe, image, (1, 2))
  np.testing.assert_array_equal(first, run(recipe, image, (1, 2)))
  other = [run(recipe, image, seed) for seed in [(1, 3), (2, 2), (2, 1)]]
  assert all(np.abs(first - o).max() > 1 for o in other)
  # Another graph, int64 and a list: the same bits.
  for seed in [1, 2], np.int64([1, 2]):
    with tf.Graph().as_default(), tf.Session() as session:
      again = session.run(train(32)(tf.constant(image), seed))
    np.testing.assert_array_equal(first, again)


def test_no_seed_draws_anew(run):
  def recipe(image, _):
    return vgg.preprocess_for_train(image, 32, 32)

  image = golden.photo(1, 60, 80)
  assert np.abs(run(recipe, image) - run(recipe, image)).max() > 1


def test_half_of_the_images_are_mirrored(run):
  image = np.arange(0, 256, 4, np.uint8)[None, :, None] * np.ones(
    (64, 1, 3), np.uint8
  )
  for flip, low, high in (True, 75, 125), (False, 200, 200):
    recipe = train(16, flip=flip)
    ends = [run(recipe, image, (9, i))[0, [0, -1], 0] for i in range(200)]
    assert low <= sum(first < last for first, last in ends) <= high


@pytest.mark.parametrize('recipe', [evaluate, train])
def test_grey_images(run, recipe):
  grey = golden.photo(0, 60, 80)[..., :1]
  repeated = np.repeat(grey, 3, 2)
  got = run(recipe(32), grey)
  np.testing.assert_array_equal(got, run(recipe(32), repeated))
  one = run(recipe(32, use_grayscale=True), grey)
  assert one.shape == (32, 32, 1)
  np.testing.assert_allclose(
    one, got[..., :1] + vgg.MEAN_RGB[0] - vgg.MEAN_GREY, atol=1e-4
  )
  np.testing.assert_allclose(
    run(recipe(32, use_grayscale=True), repeated), one, atol=1e-4
  )
  assert pytest.approx(117.37, abs=0.01) == vgg.MEAN_GREY


def test_the_output_has_a_static_shape():
  with tf.Graph().as_default():
    image = tf.placeholder(tf.uint8, [None, None, 1])
    for is_training in False, True:
      for grey, channels in (False, 3), (True, 1):
        output = vgg.preprocess_image(image, 20, 30, is_training, grey)
        assert output.shape.as_list() == [20, 30, channels]
        assert output.dtype == tf.float32


@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize(
  'pixels',
  [
    tf.zeros_initializer()([9, 9, 3], dtype=tf.float32),
    np.zeros((9, 9, 3), np.int64),
  ],
  ids=['float32', 'int64'],
)
def test_scaled_images_are_refused(pixels, is_training):
  with pytest.raises(ValueError, match='decoded uint8 pixels'):
    vgg.preprocess_image(np.asarray(pixels), 8, 8, is_training)


def test_bad_sides_are_refused():
  with pytest.raises(ValueError, match='resize_side_min 300.*swap'):
    vgg.preprocess_for_train(
      np.zeros((9, 9, 3), np.uint8),
      8,
      8,
      resize_side_min=300,
      resize_side_max=256,
    )
