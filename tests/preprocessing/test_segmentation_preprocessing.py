"""Image and mask stay aligned, by their very values; sizes, seeds, errors.

The images tell where their pixels were: red is the column, green the row
and blue 200. The masks are random, so that only the right pixel fits.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import inception_preprocessing, vgg_preprocessing
from preprocessing import preprocessing_factory as factory
from preprocessing import segmentation_preprocessing as dense
from preprocessing.encoded import Encoded
from tests import golden

BLUE, IGNORED = 200, 250
LEVELS = {
  'vgg': lambda x: x + np.float32(vgg_preprocessing.MEAN_RGB),
  'inception': lambda x: (x + 1) * 127.5,
}


def places(height, width, seed=0):
  """Returns image and mask in one: uint8 [height, width, 4]."""
  y, x = np.mgrid[:height, :width]
  mask = np.random.RandomState(seed).randint(0, 250, y.shape)
  return np.stack([x, y, np.full_like(x, BLUE), mask], -1).astype(np.uint8)


def recipe(height=33, width=41, name='vgg', is_training=True, **options):
  options = {'ignore_label': IGNORED, **options}
  fn = factory.get_segmentation_preprocessing(name, is_training)
  return lambda both, seed: fn(
    both[..., :3], both[..., 3:], height, width, seed=seed, **options
  )


def content(image, mask, name='vgg'):
  """Returns levels and mask of what is no padding, which is checked."""
  levels = LEVELS[name](image)
  inside = np.abs(levels[..., 2] - BLUE) < 1
  np.testing.assert_array_equal(mask == IGNORED, ~inside)
  np.testing.assert_array_equal(image[~inside], 0)
  rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
  part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
  assert inside[part].all()  # one rectangle
  return levels[part], mask[part], (rows[0], columns[0])


@pytest.mark.parametrize('name', ['vgg', 'inception'])
@pytest.mark.parametrize('size', [(50, 70), (20, 120), (25, 30), (1, 60)])
def test_alignment(run, size, name):
  both, fn = places(*size), recipe(name=name, scale_factor_step_size=0)
  seen = set()
  for i in range(40):
    image, mask = run(fn, both, (3, i))
    assert image.dtype == np.float32 and mask.dtype == np.int32
    levels, mask, _ = content(image, mask, name)
    x, y = levels[..., 0], levels[..., 1]
    # Half way between two pixels either is the nearest.
    rows, columns = (
      [np.rint(place + move).astype(int) for move in (-0.01, 0.01)]
      for place in (y, x)
    )
    assert np.any(
      [mask == both[row, column, 3] for row in rows for column in columns],
      axis=0,
    ).all()
    steps = np.diff(x, axis=1)
    for bend in np.diff(x, 2, axis=1), np.diff(y, 2, axis=0):
      assert np.abs(bend).max(initial=0) < 2e-3  # a straight line
    assert 0.45 < abs(steps.mean()) < 2.2
    seen.add((steps.mean() > 0, levels.shape[:2] == (33, 41)))
  # Mirrored and not; small images fill the output when enlarged at most.
  assert {flipped for flipped, _ in seen} == {False, True}
  assert (size[0] == 1) == (not any(filled for _, filled in seen))


def test_at_scale_1_no_pixel_changes(run):
  both, fn = places(90, 120), recipe(min_scale_factor=1, max_scale_factor=1)
  corners = set()
  for i in range(60):
    levels, mask, offset = content(*run(fn, both, (1, i)))
    assert levels.shape == (33, 41, 3) and offset == (0, 0)
    where = np.rint(levels).astype(int)
    np.testing.assert_allclose(levels, where, atol=1e-4)
    np.testing.assert_array_equal(mask, both[where[..., 1], where[..., 0], 3])
    corners.add((where[..., 1].min(), where[..., 0].min()))
  y, x = np.array([*corners]).T
  assert len(corners) > 55
  # Anywhere in the 58 x 80 places, with equal odds.
  assert y.min() < 8 and y.max() > 49 and abs(y.mean() - 28.5) < 8
  assert x.min() < 10 and x.max() > 69 and abs(x.mean() - 39.5) < 11


def test_a_small_image_lies_anywhere(run):
  both, fn = places(21, 31), recipe(min_scale_factor=0.5, max_scale_factor=0.5)
  offsets = []
  for i in range(120):
    levels, _, offset = content(*run(fn, both, (2, i)))
    assert levels.shape == (11, 16, 3)  # the corners are those of the image
    assert sorted(levels[0, [0, -1], 0].round(3)) == [0, 30]
    assert list(levels[[0, -1], 0, 1].round(3)) == [0, 20]
    offsets.append(offset)
  top, left = np.array(offsets).T
  assert (set(top), set(left)) == (set(range(23)), set(range(26)))


@pytest.mark.parametrize('is_training', [True, False])
@pytest.mark.parametrize('label', [-1, 0, 255, 300])
def test_the_padding_has_the_ignore_label(run, label, is_training):
  both = np.full((5, 5, 4), 100, np.uint8)
  _, mask = run(
    recipe(12, 12, is_training=is_training, ignore_label=label), both
  )
  assert set(mask.ravel()) == {label, 100}


def test_scales(run):
  def draw(**options):
    def sample(_, seed):
      return dense.sample_scale(seed, **options)

    return np.array(
      [run(sample, np.zeros((1, 1, 1)), (0, i)) for i in range(200)]
    )

  steps, counts = np.unique(draw(), return_counts=True)
  np.testing.assert_array_equal(steps, [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])
  assert counts.min() > 12
  tenths = draw(
    min_scale_factor=0.4, max_scale_factor=0.7, scale_factor_step_size=0.1
  )  # (0.7 - 0.4) / 0.1 < 3
  np.testing.assert_allclose(np.unique(tenths), [0.4, 0.5, 0.6, 0.7], rtol=1e-6)
  anything = draw(scale_factor_step_size=0)
  assert len(set(anything)) == 200 and 0.5 <= anything.min() < 0.55
  assert 1.95 < anything.max() < 2 and abs(anything.mean() - 1.25) < 0.1


@pytest.mark.parametrize('scale', [0.5, 0.75, 1.25, 2.0])
def test_the_scale_is_that_drawn(run, scale):
  both = places(101, 141)
  fn = recipe(65, 65, min_scale_factor=scale, max_scale_factor=scale)
  levels, _, _ = content(*run(fn, both, (1, 1)))
  step = np.abs(np.diff(levels[..., 0], axis=1)).mean()
  assert step == pytest.approx(1 / scale, rel=0.01)


def test_values_are_those_of_tensorflows_resize(run):
  """Enlarged twice and cut, as DeepLab resizes: the corners on the corners."""
  image = golden.photo(0, 40, 50)
  both = np.concatenate([image, places(40, 50)[..., 3:]], -1)
  fn = recipe(79, 99, min_scale_factor=2, max_scale_factor=2, flip=False)
  got, mask = run(fn, both)
  want, labels = run(
    lambda both, _: (
      tf.image.resize_bilinear(both[None], [79, 99], align_corners=True),
      tf.image.resize_nearest_neighbor(
        both[None], [79, 99], align_corners=True
      ),
    ),
    both,
  )
  np.testing.assert_allclose(LEVELS['vgg'](got), want[0, ..., :3], atol=1e-3)
  np.testing.assert_array_equal(mask, labels[0, ..., 3])


# Height, width, range -> the size, by DeepLab's formula.
RANGES = [
  ((50, 70), (100, None, 1), (100, 140)),
  ((50, 70), (100, 120, 1), (85, 120)),  # 85.7
  ((70, 50), (25, None, 1), (35, 25)),
  ((50, 70), (100, 150, 16), (113, 145)),  # 140 is rounded up, 150 down to 145
  ((50, 70), (100, 130, 16), (97, 129)),  # 92.1
  ((50, 70), (None, 35, 1), (25, 35)),
  ((50, 70), (None, 100, 1), (50, 70)),
  ((50, 70), (None, 100, 8), (57, 73)),
  ((1, 400), (None, 10, 1), (1, 10)),
  ((375, 500), (513, None, 1), (513, 684)),  # float32 would lose a row
]


@pytest.mark.parametrize('size, sides, want', RANGES)
def test_the_size_in_a_range(graph, size, sides, want):
  with tf.Session() as session:
    found = dense.Range(*sides).size(tf.constant(size))
    assert tuple(session.run(found)) == want


def test_no_range():
  assert dense.Range.of(None, None, 16) is None
  assert dense.Range.of(8, None, None) == (8, None, 1)


@pytest.mark.parametrize('is_training', [True, False])
def test_resized_first(run, is_training):
  """Image bilinearly, mask to the nearest; what follows sees the result."""
  both = np.concatenate([golden.photo(0, 40, 50), places(40, 50)[..., 3:]], -1)
  sides = dense.Range(60, None)
  image, labels = run(
    lambda both, _: (
      tf.image.resize_bilinear(both[None], [60, 75], align_corners=True),
      tf.image.resize_nearest_neighbor(
        both[None], [60, 75], align_corners=True
      ),
    ),
    both,
  )
  scaled = {'min_scale_factor': 1, 'max_scale_factor': 1, 'flip': False}
  sizes = [(60, 75), *[(None, None)][: not is_training]]
  for size in sizes:
    fn = recipe(*size, 'vgg', is_training, resize_to=sides, **scaled)
    got, mask = run(fn, both)
    np.testing.assert_allclose(LEVELS['vgg'](got), image[0, ..., :3], atol=1e-3)
    np.testing.assert_array_equal(mask, labels[0, ..., 3])


def test_half_of_the_images_are_mirrored(run):
  both = places(40, 50)
  for flip, low, high in (True, 75, 125), (False, 0, 0):
    fn = recipe(9, 9, flip=flip, min_scale_factor=1)
    ends = [run(fn, both, (9, i))[0][0, [0, -1], 0] for i in range(200)]
    assert low <= sum(first > last for first, last in ends) <= high


def test_the_seed_fixes_the_bits(run):
  both, fn = places(50, 60), recipe(photometric=1.0)
  first = run(fn, both, (1, 2))
  for again in (
    run(fn, both, (1, 2)),
    run(recipe(photometric=1.0), both, (1, 2)),
  ):
    for one, other in zip(first, again, strict=True):
      np.testing.assert_array_equal(one, other)
  assert all(
    (first[1] != run(fn, both, seed)[1]).mean() > 0.5
    for seed in [(1, 3), (2, 2), (2, 1)]
  )


def test_photometric_distortion_changes_the_image_alone(run):
  image = golden.photo(1, 40, 50)
  both = np.concatenate([image, places(40, 50)[..., 3:]], -1)
  plain, half, full = (
    recipe(
      49,
      65,
      photometric=strength,
      flip=False,
      min_scale_factor=1,
      max_scale_factor=1,
    )
    for strength in (0.0, 0.5, 1.0)
  )
  for i in range(5):
    (image, mask), (middle, second), (far, third) = (
      run(fn, both, (4, i)) for fn in (plain, half, full)
    )
    np.testing.assert_array_equal(mask, second)
    np.testing.assert_array_equal(mask, third)
    assert 0 < (mask == IGNORED).mean() < 1
    for distorted in middle, far:
      np.testing.assert_array_equal(distorted[mask == IGNORED], 0)
    np.testing.assert_allclose(middle, (image + far) / 2, atol=1e-3)
    shape = (40, 50, 3)
    want = run(
      lambda both, seed: (
        255
        * inception_preprocessing.distort_color(
          tf.cast(both[..., :3], tf.float32) / 255, seed, False
        )
      ),
      both,
      (4, i),
    )
    inside = mask != IGNORED
    np.testing.assert_allclose(
      LEVELS['vgg'](far)[inside].reshape(shape), want, atol=1e-2
    )
    assert np.abs(far - image).max() > 5


@pytest.mark.parametrize('name', ['vgg', 'inception'])
def test_evaluation_at_the_own_size(run, name):
  for size in (50, 70), (1, 1), (513, 7):
    both = places(*size)
    both[..., :3] = golden.photo(0, *size)
    image, mask = run(recipe(None, None, name, False), both)
    np.testing.assert_allclose(LEVELS[name](image), both[..., :3], atol=1e-4)
    np.testing.assert_array_equal(mask, both[..., 3])
    assert mask.dtype == np.int32


def test_evaluation_of_a_given_size_is_the_centre(run):
  both = places(50, 31)
  image, mask = run(recipe(33, 41, 'vgg', False), both)
  levels, mask, offset = content(image, mask)
  assert offset == (0, 5)
  np.testing.assert_allclose(levels, both[8:41, :, :3], atol=1e-4)
  np.testing.assert_array_equal(mask, both[8:41, :, 3])


@pytest.mark.parametrize('form', ['png', 'jpeg'])
@pytest.mark.parametrize('is_training', [True, False])
def test_encoded_images(form, is_training):
  """A JPEG's window has other colours at its rim, see test_encoded."""
  image = golden.photo(0, 60, 80)
  fn = factory.get_segmentation_preprocessing('vgg', is_training)
  with tf.Graph().as_default(), tf.Session() as session:
    data = getattr(tf.image, f'encode_{form}')(image)
    mask, seed = places(60, 80)[..., 3], tf.placeholder(tf.int32, [2])
    one, other = (
      fn(each, mask, 33, 41, seed=seed)
      for each in (
        Encoded(data),
        tf.io.decode_image(data, 3, expand_animations=False),
      )
    )
    for i in range(10):
      (got, labels), (want, same) = session.run([one, other], {seed: (0, i)})
      np.testing.assert_array_equal(labels, same)
      np.testing.assert_allclose(got, want, atol=0 if form == 'png' else 30)
      assert np.abs(got - want).mean() < 1


def test_shapes_and_grey_images():
  with tf.Graph().as_default(), tf.Session() as session:
    grey = golden.photo(0, 40, 50)[..., :1]
    image = tf.placeholder_with_default(grey, [None, None, 1])
    mask = tf.placeholder_with_default(grey[..., 0], [None, None])
    for name, mean in ('vgg', vgg_preprocessing.MEAN_GREY), ('inception', 0):
      for is_training in True, False:
        one, three = (
          factory.get_segmentation_preprocessing(name, is_training, gray)(
            image, mask, 20, 30, seed=[1, 1], max_scale_factor=1.0
          )
          for gray in (True, False)
        )
        for (out, labels), channels in (one, 1), (three, 3):
          assert out.shape.as_list() == [20, 30, channels]
          assert labels.shape.as_list() == [20, 30]
        (one, labels), (three, _) = session.run([one, three])
        first = three[..., :1] + (mean and vgg_preprocessing.MEAN_RGB[0] - mean)
        inside = labels != 255
        np.testing.assert_allclose(one[inside], first[inside], atol=1e-3)
      own, labels = factory.get_segmentation_preprocessing(name, False)(
        image, mask, None, None
      )
      assert own.shape.as_list() == [None, None, 3]
      assert labels.shape.as_list() == [None, None]


def test_inside_a_parallel_map():
  both = places(40, 50)

  def outputs():
    with tf.Graph().as_default(), tf.Session() as session:
      batches = (
        tf.data.Dataset.range(8)
        .map(
          tf.autograph.experimental.do_not_convert(
            lambda i: recipe()(tf.constant(both), tf.stack([7, i]))
          ),
          num_parallel_calls=2,
        )
        .batch(8)
      )
      return session.run(tf.data.make_one_shot_iterator(batches).get_next())

  (first, labels), (second, again) = outputs(), outputs()
  np.testing.assert_array_equal(first, second)
  np.testing.assert_array_equal(labels, again)
  assert len({mask.tobytes() for mask in labels}) == 8


def test_a_mask_of_another_size_is_an_error_when_it_runs():
  for is_training, size in (True, 9), (False, 9), (False, None):
    with tf.Graph().as_default(), tf.Session() as session:
      mask = tf.placeholder_with_default(np.zeros((12, 11), 'u1'), [None] * 2)
      output = factory.get_segmentation_preprocessing('vgg', is_training)(
        np.zeros((12, 10, 3), np.uint8), mask, size, size
      )
      with pytest.raises(
        tf.errors.InvalidArgumentError, match='mask has.*12 11.*image.*12 10'
      ):
        session.run(output)


def test_unknown_names():
  with pytest.raises(
    ValueError,
    match=(
      "Unknown preprocessing of dense labels 'inceptoin'. Did you mean "
      "'inception'\\? Valid: caffe, inception, keras_v2, timm_bicubic, "
      'timm_bicubic_875, torchvision, torchvision_232, vgg.'
    ),
  ):
    factory.get_segmentation_preprocessing('inceptoin', True)
  with pytest.raises(ValueError, match="Unknown.*'cifar'.*Valid: caffe, inc"):
    factory.get_segmentation_preprocessing('cifar', False)
  with pytest.raises(
    ValueError, match='normalization.*Valid: caffe, inception'
  ):
    dense.preprocess_for_eval(
      np.zeros((9, 9, 3), 'u1'), np.zeros((9, 9), 'u1'), normalization='tf'
    )


IMAGE, MASK = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8)


@pytest.mark.parametrize(
  'options, match',
  [
    ({'min_scale_factor': 0}, 'min_scale_factor 0 and .*must be positive'),
    ({'min_scale_factor': 3}, 'min_scale_factor 3 .* 2.0 .*in this order'),
    ({'scale_factor_step_size': -1}, 'step_size -1 must not be negative'),
    ({'photometric': 2}, 'photometric is 2; .*from 0'),
    ({'photometric': -1}, 'photometric is -1; .*from 0'),
    ({'height': 0}, 'output size 0 x 9 is not positive'),
    ({'height': None}, 'output size None x 9 .*height and width'),
    ({'mask': MASK.astype(np.int32)}, 'uint8 class ids.* is int32'),
    ({'mask': np.zeros((9, 9, 3), np.uint8)}, 'class ids.*channels=1'),
    ({'image': IMAGE.astype(np.float32)}, 'decoded uint8 pixels'),
    ({'seed': 3}, 'two integers'),
  ],
)
def test_bad_arguments(options, match):
  fn = factory.get_segmentation_preprocessing('vgg', True)
  with pytest.raises(ValueError, match=match):
    fn(**{'image': IMAGE, 'mask': MASK, 'height': 9, 'width': 9, **options})


@pytest.mark.parametrize('is_training', [True, False])
def test_unknown_options(is_training):
  fn = factory.get_segmentation_preprocessing('vgg', is_training)
  with pytest.raises(
    TypeError,
    match=(
      "Unknown preprocessing option 'max_scale'. Did you mean "
      "'max_scale_factor'\\? Valid: flip, ignore_label, max_scale_factor, "
      'min_scale_factor, normalization, photometric, resize_to, '
      'scale_factor_step_size.'
    ),
  ):
    fn(IMAGE, MASK, 9, 9, max_scale=2)
