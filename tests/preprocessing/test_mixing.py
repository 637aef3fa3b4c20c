"""Random erasing, mixup and CutMix: values, ranges and distributions."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import mixing
from tests import golden

MIXERS = [mixing.mixup, mixing.cutmix]
ERASED = -7.0


def erase(probability=1.0, value=ERASED, **options):
  return lambda image, seed: mixing.random_erasing(
    image, seed, probability, value=value, **options
  )


def photo(height, width):
  return golden.photo(0, height, width).astype(np.float32)


def erased_windows(run, shape, count=400, **options):
  """Returns int [count, 4], (y, x, height, width) of what was erased."""
  recipe, image = erase(**options), np.ones((*shape, 2), np.float32)
  windows = []
  for i in range(count):
    hit = run(recipe, image, (5, i)) == ERASED
    (y, x, _), (end_y, end_x, _) = (
      f(np.argwhere(hit), 0) for f in (np.min, np.max)
    )
    assert hit[y : end_y + 1, x : end_x + 1].all()
    assert hit.sum() == 2 * (end_y + 1 - y) * (end_x + 1 - x)
    windows.append((y, x, end_y + 1 - y, end_x + 1 - x))
  return np.array(windows)


def test_areas_and_aspects_cover_their_ranges(run):
  y, x, h, w = erased_windows(run, (200, 250), area_range=(0.02, 0.2)).T
  area, aspect = h * w / 50000, np.log(h / w)
  assert 0.019 < area.min() < 0.024 and 0.19 < area.max() < 0.205
  assert area.mean() == pytest.approx(0.11, abs=0.01)
  # Uniform in the logarithm: a quarter of the images in each quarter.
  low, high = math.log(0.3), math.log(3.3)
  assert low - 0.05 < aspect.min() and aspect.max() < high + 0.05
  counts = np.histogram(aspect, np.linspace(low - 0.05, high + 0.05, 5))[0]
  assert counts.sum() == 400 and 60 < counts.min() and counts.max() < 140
  for place in y / (200 - h), x / (250 - w):
    assert place.min() < 0.03 and place.max() > 0.97
    assert place.mean() == pytest.approx(0.5, abs=0.07)


def test_the_aspect_is_height_by_width_and_places_are_independent(run):
  y, x = erased_windows(
    run, (60, 60), 200, area_range=(0.1, 0.1), aspect_ratio_range=(1.0, 1.0)
  ).T[:2]
  h, w = erased_windows(
    run, (60, 60), 5, area_range=(0.02, 0.02), aspect_ratio_range=(2.0, 2.0)
  ).T[2:]
  assert set(h) == {12} and set(w) == {6}
  assert abs(np.corrcoef(y, x)[0, 1]) < 0.25


def test_a_rectangle_that_does_not_fit_is_clipped(run):
  h, w = erased_windows(run, (40, 50), 40, area_range=(1.0, 1.0)).T[2:]
  assert ((h == 40) | (w == 50)).all()
  assert (h < 40).any() and (w < 50).any()
  windows = erased_windows(
    run, (40, 40), 5, area_range=(1.0, 1.0), aspect_ratio_range=(1.0, 1.0)
  )
  assert (windows == (0, 0, 40, 40)).all()


@pytest.mark.parametrize(
  'probability,low,high', [(0.0, 0, 0), (0.25, 70, 130), (1.0, 400, 400)]
)
def test_the_probability(run, probability, low, high):
  image, recipe = photo(8, 8), erase(probability)
  outputs = [run(recipe, image, (1, i)) for i in range(400)]
  assert low <= sum((o == ERASED).any() for o in outputs) <= high
  for output in outputs:
    np.testing.assert_array_equal(
      output[output != ERASED], image[output != ERASED]
    )


def test_values(run):
  image = photo(30, 40)
  for value in -1.5, [1.0, 2.0, 3.0]:
    recipe = erase(value=value, area_range=(0.2, 0.3))
    got = run(recipe, image)
    changed = (got != image).all(2)
    assert 0.15 < changed.mean() < 0.35
    np.testing.assert_array_equal(
      got[changed], np.broadcast_to(value, (changed.sum(), 3))
    )


def test_noise_has_the_mean_and_deviation_of_the_channels(run):
  image = photo(200, 220) * np.float32([0.1, 1, 2]) - np.float32([9, 0, 99])
  recipe = erase(value=None, area_range=(0.3, 0.3))
  got = run(recipe, image)
  noise = got[(got != image).all(2)]
  assert len(noise) == pytest.approx(0.3 * 200 * 220, rel=0.02)
  np.testing.assert_allclose(noise.mean(0), image.mean((0, 1)), rtol=0.1)
  np.testing.assert_allclose(noise.std(0), image.std((0, 1)), rtol=0.05)
  assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.05
  np.testing.assert_array_equal(got, run(recipe, image))
  assert not np.array_equal(got, run(recipe, image, (0, 1)))


@pytest.mark.parametrize('value', [0.0, None])
@pytest.mark.parametrize('size', [(1, 1, 3), (1, 1, 1), (3, 90, 3), (90, 2, 5)])
def test_odd_sizes(run, size, value):
  image, recipe = np.ones(size, np.float32), erase(value=value)
  for i in range(20):
    got = run(recipe, image, (0, i))
    assert got.shape == size and got.dtype == np.float32
    assert np.isfinite(got).all()


@pytest.mark.slow
def test_erasing_in_a_parallel_map_is_fixed_by_the_seed(run):
  image = photo(24, 32)
  with tf.Graph().as_default(), tf.Session() as session:
    batches = (
      tf.data.Dataset.range(32)
      .map(
        lambda i: mixing.random_erasing(
          tf.constant(image), tf.stack([7, i]), 0.5, value=None
        ),
        num_parallel_calls=4,
      )
      .batch(32)
      .repeat()
    )
    assert tf.data.get_output_shapes(batches).as_list() == [None, 24, 32, 3]
    iterator = tf.data.make_one_shot_iterator(batches).get_next()
    first, again = session.run(iterator), session.run(iterator)
  np.testing.assert_array_equal(first, again)
  assert 8 < len({o.tobytes() for o in first}) < 28
  # Another graph, one image at a time: the same bits.
  recipe = erase(0.5, None)
  for i in range(8):
    np.testing.assert_allclose(run(recipe, image, (7, i)), first[i], rtol=1e-5)


@pytest.mark.parametrize(
  'options,message',
  [
    ({'probability': 1.5}, 'probability is 1.5; .* from 0 to 1'),
    ({'area_range': (0.3, 0.2)}, r'area_range is \(0.3, 0.2\); .* in this ord'),
    ({'area_range': (0, 2)}, r'area_range is \(0, 2\)'),
    ({'aspect_ratio_range': (0, 2)}, 'aspect_ratio_range .* above 0'),
    ({'aspect_ratio_range': (3, 2)}, 'aspect_ratio_range .* in this order'),
  ],
)
def test_bad_erasing_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    mixing.random_erasing(np.zeros((9, 9, 3), np.float32), [0, 0], **options)


@pytest.mark.parametrize(
  'image', [np.zeros((9, 9, 3), np.uint8), np.zeros((2, 9, 9, 3), np.float32)]
)
def test_bad_images_are_refused(image):
  with pytest.raises(ValueError, match='one float32 image .*after the pre'):
    mixing.random_erasing(image, [0, 0])


class Mixer:
  """mixup or cutmix of one fed batch, its sizes statically unknown."""

  def __init__(self, function, images, labels, **options):
    with tf.Graph().as_default() as graph:
      self.seed = tf.placeholder(tf.int32, [2])
      self.images = tf.placeholder(
        images.dtype, [None, None, None, images.shape[3]]
      )
      self.labels = tf.placeholder(labels.dtype, [None, labels.shape[1]])
      self.output = function(self.images, self.labels, self.seed, **options)
    self.feed = {self.images: images, self.labels: labels}
    self.session = tf.Session(graph=graph)

  def __call__(self, *seed):
    return self.session.run(self.output, {**self.feed, self.seed: seed})


def batch(size, height=20, width=30, channels=3, dtype=np.float32):
  """Returns images without two equal values, and one-hot labels."""
  shape = size, height, width, channels
  images = np.arange(np.prod(shape)).reshape(shape) / 100 - 5
  return images.astype(dtype), np.eye(size, 7, dtype=dtype)


def weights(function, alpha, count=1000):
  """Returns the label weight of the image itself for `count` seeds."""
  mixer = Mixer(function, *batch(2, 16, 20, 1, np.float64), alpha=alpha)
  return np.array([mixer(3, i)[1][0, 0] for i in range(count)])


@pytest.mark.slow
@pytest.mark.parametrize('alpha', [0.05, 0.2, 1.0, 8.0])
def test_mixup_weights_are_of_the_beta_distribution(alpha):
  kept = weights(mixing.mixup, alpha)
  assert np.isfinite(kept).all() and 0 <= kept.min() and kept.max() <= 1
  assert kept.mean() == pytest.approx(0.5, abs=0.05)
  assert kept.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.1)
  assert len(set(kept)) > 600
  if alpha == 1:
    counts = np.histogram(kept, 5, (0, 1))[0]
    assert 150 < counts.min() and counts.max() < 250


@pytest.mark.parametrize('alpha', [1e-30, 1e-4, 1e8])
@pytest.mark.parametrize('function', MIXERS)
def test_extreme_alphas(function, alpha):
  kept = weights(function, alpha, 40)
  assert np.isfinite(kept).all() and 0 <= kept.min() and kept.max() <= 1
  if alpha < 1:
    # A rectangle as large as the image is cut off, so cutmix keeps a part.
    both = {0.0, 1.0} if function is mixing.mixup else {1.0}
    assert both <= {round(k, 6) for k in kept}
  elif function is mixing.mixup:
    np.testing.assert_allclose(kept, 0.5, atol=1e-3)


@pytest.mark.parametrize('size', [2, 5])
def test_mixup_values(size):
  images, labels = batch(size)
  mixer = Mixer(mixing.mixup, images, labels)
  for i in range(20):
    mixed, mixed_labels = mixer(0, i)
    kept = mixed_labels[0, 0]
    for before, after in (images, mixed), (labels, mixed_labels):
      want = kept * before + (1 - kept) * np.roll(before, -1, 0)
      np.testing.assert_allclose(after, want, atol=1e-4)
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize('size', [2, 5])
def test_cutmix_values(size):
  images, labels = batch(size)
  mixer = Mixer(mixing.cutmix, images, labels)
  others, mixed_some = np.roll(images, -1, 0), 0
  for i in range(100):
    mixed, mixed_labels = mixer(0, i)
    pasted = (mixed == others).all(3)
    assert (pasted | (mixed == images).all(3)).all()
    # The same rectangle in all images.
    assert (pasted == pasted[:1]).all()
    rows, columns = pasted[0].any(1), pasted[0].any(0)
    np.testing.assert_array_equal(pasted[0], rows[:, None] & columns)
    for line in rows, columns:
      assert np.abs(np.diff(line.astype(int))).sum() <= 2
    kept = 1 - pasted[0].mean()
    mixed_some += 0 < kept < 1
    np.testing.assert_allclose(
      mixed_labels,
      kept * labels + (1 - kept) * np.roll(labels, -1, 0),
      atol=1e-6,
    )
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)
  assert mixed_some > 90


def test_cutmix_places_and_areas():
  images, labels = batch(2, 50, 60)
  mixer = Mixer(mixing.cutmix, images, labels)
  pasted = np.array(
    [(mixer(4, i)[0][0] == images[1]).all(2) for i in range(500)]
  )
  # Of a uniform part p, sqrt(p) - p / 4 of each side is in the image, the
  # centre being anywhere in it; the mean of its square is 77 / 240.
  assert pasted.mean() == pytest.approx(77 / 240, abs=0.03)
  often = pasted.mean(0)
  # Corners are reached, the middle most often, no side is preferred.
  for corner in often[0, 0], often[0, -1], often[-1, 0], often[-1, -1]:
    assert 0.08 < corner < 0.25
  assert often.max() < 0.65 and often[20:30, 25:35].min() > 0.35
  assert np.abs(often - often[::-1, ::-1]).mean() < 0.05
  # Rectangles have the image's aspect where they are not cut off.
  free = pasted[
    ~pasted[:, [0, -1]].any((1, 2))
    & ~pasted[:, :, [0, -1]].any((1, 2))
    & pasted.any((1, 2))
  ]
  h, w = free.any(2).sum(1), free.any(1).sum(1)
  assert len(free) > 50 and np.abs(h * 60 / 50 - w).max() <= 1.2


def test_cutmix_rows_and_columns_are_independent():
  images, labels = batch(2, 30, 30)
  mixer = Mixer(mixing.cutmix, images, labels)
  pasted = [(mixer(6, i)[0][0] == images[1]).all(2) for i in range(200)]
  centres = [np.argwhere(p).mean(0) for p in pasted if p.any()]
  assert abs(np.corrcoef(np.transpose(centres))[0, 1]) < 0.25


@pytest.mark.parametrize('function', MIXERS)
def test_the_seed_fixes_the_bits_of_a_batch(function):
  images, labels = batch(4)
  mixer, other = (Mixer(function, images, labels, alpha=1.0) for _ in range(2))
  first = [mixer(1, i) for i in range(8)]
  for i, want in enumerate(first):
    for got in mixer(1, i), other(1, i):
      np.testing.assert_array_equal(got[0], want[0])
      np.testing.assert_array_equal(got[1], want[1])
  assert len({images.tobytes() for images, _ in first}) == 8


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('function', MIXERS)
def test_a_batch_of_one_comes_back_as_it_is(function, dtype):
  images, labels = batch(1, dtype=dtype)
  mixer = Mixer(function, images, labels)
  for i in range(5):
    got = mixer(0, i)
    assert got[0].dtype == got[1].dtype == dtype
    np.testing.assert_array_equal(got[0], images)
    np.testing.assert_array_equal(got[1], labels)


@pytest.mark.parametrize('function', MIXERS)
def test_images_of_one_pixel_and_soft_labels(function):
  images, _ = batch(3, 1, 1, 1)
  labels = np.float32([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])
  mixer = Mixer(function, images, labels)
  for i in range(20):
    mixed, mixed_labels = mixer(0, i)
    assert mixed.shape == images.shape and np.isfinite(mixed).all()
    assert 0 <= mixed_labels.min() and mixed_labels.max() <= 1
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)


def test_one_of_both_with_equal_odds():
  images, labels = batch(4)
  alphas = {'mixup_alpha': 0.7, 'cutmix_alpha': 1.0}
  mixer, again = (Mixer(mixing.mix, images, labels, **alphas) for _ in range(2))
  each = [
    Mixer(mixing.mixup, images, labels, alpha=0.7),
    Mixer(mixing.cutmix, images, labels, alpha=1.0),
  ]
  chosen = []
  for i in range(200):
    got = mixer(3, i)
    same = [np.array_equal(got[0], one(3, i)[0]) for one in each]
    assert sum(same) == 1
    chosen.append(same.index(True))
    np.testing.assert_array_equal(got[1], each[chosen[-1]](3, i)[1])
    np.testing.assert_array_equal(got[0], again(3, i)[0])
  assert 75 < sum(chosen) < 125


@pytest.mark.parametrize(
  'alphas,function',
  [
    ({'mixup_alpha': 0.4}, mixing.mixup),
    ({'cutmix_alpha': 0.4}, mixing.cutmix),
  ],
)
def test_one_alone(alphas, function):
  images, labels = batch(3)
  mixer = Mixer(mixing.mix, images, labels, **alphas)
  alone = Mixer(function, images, labels, alpha=0.4)
  for i in range(5):
    for got, want in zip(mixer(0, i), alone(0, i), strict=True):
      np.testing.assert_array_equal(got, want)


def test_neither():
  images, labels = batch(3)
  got = Mixer(mixing.mix, images, labels, mixup_alpha=0.0, cutmix_alpha=0.0)(
    0, 1
  )
  np.testing.assert_array_equal(got[0], images)
  np.testing.assert_array_equal(got[1], labels)


@pytest.mark.parametrize('function', MIXERS)
def test_mixing_in_a_parallel_map(function):
  images, labels = batch(4)
  with tf.Graph().as_default(), tf.Session() as session:
    batches = tf.data.Dataset.range(8).map(
      lambda i: function(
        tf.constant(images), tf.constant(labels), tf.stack([i, 0])
      ),
      num_parallel_calls=4,
    )
    assert [s.as_list() for s in tf.data.get_output_shapes(batches)] == [
      [4, 20, 30, 3],
      [4, 7],
    ]
    iterator = tf.data.make_one_shot_iterator(batches.batch(8).repeat())
    following = iterator.get_next()
    first, again = session.run(following), session.run(following)
  for one, two in zip(first, again, strict=True):
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize('function', MIXERS)
def test_bad_batches_are_refused(function):
  images, labels = batch(2)
  for alpha in 0, -1.0, math.inf, math.nan:
    with pytest.raises(ValueError, match=f'alpha is {alpha}.*must be above 0'):
      function(images, labels, [0, 0], alpha)
  for bad in images[0], images.astype(np.uint8):
    with pytest.raises(ValueError, match='float images .*after the batches'):
      function(bad, labels, [0, 0])
  for bad in np.int64([0, 1]), labels.astype(np.int32):
    with pytest.raises(ValueError, match='float labels .*tf.one_hot'):
      function(images, bad, [0, 0])
  with pytest.raises(ValueError, match='two integers'):
    function(images, labels, 3)
