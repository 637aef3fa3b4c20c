"""The registry, and what all its recipes have in common."""

import ast
import doctest
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import (
  cifar_preprocessing,
  imagenet_preprocessing,
  preprocessing_factory,
  vgg_preprocessing,
)
from preprocessing import preprocessing_utils as utils
from tests import golden

NAMES = sorted(preprocessing_factory.PREPROCESSING)


def given(name):
  """The options that a recipe has to be given."""
  return (
    {'per_pixel_mean': np.full((32, 32, 1), 0.25)}
    if preprocessing_factory.needs_mean(name)
    else {}
  )


def get(name, is_training=False, size=32, grey=False, **options):
  fn = preprocessing_factory.get_preprocessing(name, is_training, grey)
  return lambda image, seed: fn(
    image, size, size, seed=seed, **given(name), **options
  )


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('is_training', [False, True])
def test_every_recipe(run, name, is_training):
  image = golden.photo(0, 40, 50)
  for grey, channels in (False, 3), (True, 1):
    recipe = get(name, is_training, grey=grey)
    outputs = [run(recipe, image, (0, i)) for i in range(4)]
    assert outputs[0].shape == (32, 32, channels)
    assert outputs[0].dtype == np.float32
    np.testing.assert_array_equal(outputs[0], run(recipe, image, (0, 0)))
    different = len({o.tobytes() for o in outputs})
    most = {'unaugmented': 1, 'flip': 2}.get(name, 4)
    assert different >= min(3, most) if is_training else different == 1
    assert different <= most


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_inside_a_parallel_map(name):
  image = golden.photo(0, 40, 50)
  fn = preprocessing_factory.get_preprocessing(name, True)

  def outputs():
    with tf.Graph().as_default(), tf.Session() as session:
      batches = (
        tf.data.Dataset.range(8)
        .map(
          lambda i: fn(
            tf.constant(image), 24, 24, seed=tf.stack([7, i]), **given(name)
          ),
          num_parallel_calls=2,
        )
        .batch(8)
      )
      iterator = tf.data.make_one_shot_iterator(batches)
      return session.run(iterator.get_next())

  first = outputs()
  np.testing.assert_array_equal(first, outputs())
  assert len({o.tobytes() for o in first}) == {'unaugmented': 1, 'flip': 2}.get(
    name, 8
  )


def test_digits_are_never_mirrored_and_keep_a_black_background(run):
  image = np.zeros((8, 8, 1), np.uint8)
  image[1:7, 1:3] = 255
  recipe = get('digits', True)
  for i in range(60):
    got = run(recipe, image, (0, i))
    across = (got + 1).sum((0, 2))
    assert (across * np.arange(32)).sum() / across.sum() < 14
    assert got.min() == -1 and got.max() == 1
  np.testing.assert_array_equal(
    run(get('digits'), image)[..., 0],
    run(
      lambda image, _: cifar_preprocessing.preprocess_for_eval(
        image, 32, 32, normalization='scale'
      ),
      image,
    )[..., 0],
  )


def test_unaugmented_and_flip(run):
  image = golden.photo(0, 32, 32)
  want = image / 127.5 - 1
  seen = set()
  for i in range(8):
    np.testing.assert_allclose(
      run(get('unaugmented', True), image, (0, i)), want, atol=1e-5
    )
    got = run(get('flip', True), image, (0, i))
    mirrored = not np.allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(
      got, want[:, ::-1] if mirrored else want, atol=1e-5
    )
    seen.add(mirrored)
  assert seen == {False, True}
  for name in 'unaugmented', 'flip':
    np.testing.assert_allclose(run(get(name), image), want, atol=1e-5)


def test_those_that_need_a_mean():
  needing = [name for name in NAMES if preprocessing_factory.needs_mean(name)]
  assert needing == ['cifar_less_mean', 'keras_cifar']
  with pytest.raises(ValueError, match="Did you mean 'keras_cifar'"):
    preprocessing_factory.needs_mean('kerascifar')
  fn = preprocessing_factory.get_preprocessing('keras_cifar', False)
  with pytest.raises(ValueError, match='need per_pixel_mean'):
    fn(np.zeros((9, 9, 3), np.uint8), 9, 9)


def test_keras_cifar(run):
  """Shifted by up to a tenth, its edges repeated, less the mean."""
  image = golden.photo(0, 32, 32)
  recipe, moves = get('keras_cifar', True), set()
  padded = np.pad(image, [(3, 3), (3, 3), (0, 0)], 'edge') / 255 - 0.25
  windows = {
    (y, x, flip): padded[y : y + 32, x : x + 32][:, ::flip]
    for y in range(7)
    for x in range(7)
    for flip in (1, -1)
  }
  for i in range(40):
    got = run(recipe, image, (1, i))
    (move,) = (
      move
      for move, window in windows.items()
      if np.allclose(got, window, atol=1e-5)
    )
    moves.add(move)
  for side, places in zip(zip(*moves, strict=True), (7, 7, 2), strict=True):
    assert len(set(side)) == places


def test_options_override_those_of_the_registry(run):
  image = golden.photo(0, 32, 32)
  got = run(get('digits', True, shift=0, normalization='standardize'), image)
  want = run(get('cifar'), image)
  np.testing.assert_array_equal(got, want)


def test_one_set_of_options_serves_training_and_evaluation(run):
  image = golden.photo(0, 32, 32)
  np.testing.assert_array_equal(
    run(get('cifar', padding=2), image), run(get('cifar'), image)
  )


# Options under which a recipe's output is linear in the augmented image, and
# what takes it back to 0..255.
LINEAR = {
  'vgg': ({}, lambda x: x + vgg_preprocessing.MEAN_RGB),
  'inception': ({'color': False}, lambda x: (x + 1) * 127.5),
  **dict.fromkeys(
    imagenet_preprocessing.SOURCES,
    ({'normalization': 'tf'}, lambda x: (x + 1) * 127.5),
  ),
  'cifar': ({'normalization': 'scale'}, lambda x: (x + 1) * 127.5),
  'digits': ({}, lambda x: (x + 1) * 127.5),
  'cifar_less_mean': ({}, lambda x: (x + 0.25) * 255),
  'keras_cifar': ({}, lambda x: (x + 0.25) * 255),
  'unaugmented': ({}, lambda x: (x + 1) * 127.5),
  'flip': ({}, lambda x: (x + 1) * 127.5),
}


@pytest.mark.parametrize('name', NAMES)
def test_augment_is_given_levels_and_what_it_returns_is_used(run, name):
  options, levels = LINEAR[name]
  image, seen = golden.photo(0, 40, 50), []

  def invert(image, seed):
    seen.append((image.dtype, image.shape.as_list(), seed.dtype))
    return 255 - image + tf.cast(seed[1], tf.float32) / 8

  plain = get(name, True, **options)
  augmented = get(name, True, **options, augment=invert)
  for i in (0, 3):
    want = 255 - levels(run(plain, image, (5, i))) + i / 8
    got = levels(run(augmented, image, (5, i)))
    assert want.min() > -1 and want.max() > 100
    # Inception's output ends at white.
    np.testing.assert_allclose(
      got, np.minimum(want, 255) if name == 'inception' else want, atol=2e-3
    )
  assert seen == [(tf.float32, [32, 32, 3], tf.int64)]
  np.testing.assert_array_equal(
    run(get(name, augment=invert), image), run(get(name), image)
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'options',
  [
    {'random_erasing': 1.0},
    {'rand_augment_layers': 1, 'rand_augment_magnitude': 20.0},
  ],
)
@pytest.mark.parametrize('name', NAMES)
def test_further_augmentation(run, name, options):
  """In training alone, and by the seed."""
  image, plain = golden.photo(0, 40, 50), get(name, True)
  recipe, again = (get(name, True, **options) for _ in range(2))
  changed = 0
  for i in range(8):
    got = run(recipe, image, (1, i))
    assert got.shape == (32, 32, 3) and got.dtype == np.float32
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got, run(again, image, (1, i)))
    changed += not np.array_equal(got, run(plain, image, (1, i)))
  assert changed > 4
  np.testing.assert_array_equal(
    run(get(name, **options), image), run(get(name), image)
  )


@pytest.mark.parametrize('name', NAMES)
def test_erased_is_a_part_of_what_the_recipe_gives(run, name):
  image, plain = golden.photo(0, 40, 50), get(name, True)
  erased = get(name, True, random_erasing=1.0)
  for i in range(4):
    want, got = (run(recipe, image, (2, i)) for recipe in (plain, erased))
    hit = (got != want).any(2)
    assert 0 < hit.mean() < 0.5 and (got[hit] == 0).all()


def test_how_strong_rand_augment_is(run):
  """It arrives: a stronger one changes more, and so does a second layer."""
  image, plain = golden.photo(0, 40, 50), get('digits', True)
  moved = []
  for magnitude in 3.0, 30.0:
    recipe = get(
      'digits', True, rand_augment_layers=1, rand_augment_magnitude=magnitude
    )
    moved.append(
      np.mean(
        [
          np.abs(run(recipe, image, (0, i)) - run(plain, image, (0, i)))
          for i in range(40)
        ]
      )
    )
  assert moved[1] > 2 * moved[0]
  more = get('digits', True, rand_augment_layers=2, rand_augment_magnitude=30.0)
  assert any(
    (run(recipe, image, (0, i)) != run(more, image, (0, i))).any()
    for i in range(8)
  )
  with pytest.raises(ValueError, match='magnitude is 31'):
    run(
      get('vgg', True, rand_augment_layers=1, rand_augment_magnitude=31), image
    )


@pytest.mark.parametrize('grey', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_none_of_it_leaves_the_bits(run, name, grey):
  image, plain = golden.photo(0, 40, 50), get(name, True, grey=grey)
  none = get(
    name,
    True,
    grey=grey,
    rand_augment_layers=0,
    rand_augment_magnitude=30.0,
    random_erasing=0.0,
  )
  for i in range(4):
    np.testing.assert_array_equal(
      run(none, image, (1, i)), run(plain, image, (1, i))
    )


@pytest.mark.parametrize(
  'name,nearest',
  [('cifarnet', 'cifar'), ('Inception', 'inception'), ('vgg_16', 'vgg')],
)
def test_unknown_names(name, nearest):
  with pytest.raises(
    ValueError,
    match=(
      f"Unknown preprocessing '{name}'. Did you mean '{nearest}'\\? "
      'Valid: caffe, cifar, cifar_less_mean, digits, flip, inception, '
      'keras_cifar, keras_v2, timm_bicubic, timm_bicubic_875, torchvision, '
      'torchvision_232, unaugmented, vgg.'
    ),
  ):
    preprocessing_factory.get_preprocessing(name, False)


@pytest.mark.parametrize('is_training', [False, True])
def test_unknown_options(is_training):
  with pytest.raises(
    TypeError,
    match=(
      "Unknown preprocessing option 'resize_side'. Did you mean "
      "'resize_side_m..'\\? Valid: augment, flip, resize_side_max, "
      'resize_side_min.'
    ),
  ):
    get('vgg', is_training, resize_side=9)(np.zeros((9, 9, 3), np.uint8), None)


@pytest.mark.parametrize(
  'shape', [None, [None, None, None], [9, 9], [9, 9, 4], [2, 9, None, 3]]
)
@pytest.mark.parametrize('name', NAMES)
def test_bad_shapes(name, shape):
  with tf.Graph().as_default():
    image = tf.placeholder(tf.uint8, shape)
    with pytest.raises(ValueError, match='one image at a time.*set_shape'):
      get(name)(image, None)


def test_training_takes_one_image():
  with pytest.raises(ValueError, match='one image at a time'):
    get('cifar', True)(np.zeros((2, 9, 9, 3), np.uint8), None)


@pytest.mark.parametrize('grey', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_a_batch_is_evaluated_as_its_images_are(run, name, grey):
  """Of any size; of that of `unresized` nothing is left but a crop."""
  recipe = get(name, grey=grey)
  whole = preprocessing_factory.unresized(name, 32, 32)
  for size in whole, (40, 50):
    images = np.stack([golden.photo(i, *size) for i in range(2)])
    with tf.Graph().as_default() as graph:
      batch = recipe(tf.constant(images), None)
      types = {operation.type for operation in graph.get_operations()}
      one = tf.placeholder(tf.uint8, [None, None, 3])
      single = recipe(one, None)
      with tf.Session() as session:
        found = session.run(batch)
        wanted = [session.run(single, {one: image}) for image in images]
    if name == 'cifar':  # its mean is summed in another order
      np.testing.assert_allclose(found, wanted, atol=1e-5)
    else:
      np.testing.assert_array_equal(found, wanted)
    if size == whole:
      assert not types & {'ResizeBilinear', 'GatherV2'}


def test_unresized_whatever_the_size():
  for size in (1, 32, 197, 224, 299, 513):
    for name in NAMES:
      height, width = preprocessing_factory.unresized(name, size, size + 1)
      with tf.Graph().as_default() as graph:
        get_sized = preprocessing_factory.get_preprocessing(name, False)
        image = tf.zeros([height, width, 3], tf.uint8)
        options = {'per_pixel_mean': 0.25} if given(name) else {}
        found = get_sized(image, size, size + 1, **options)
        assert found.shape.as_list() == [size, size + 1, 3]
        types = {operation.type for operation in graph.get_operations()}
        assert not types & {'ResizeBilinear', 'GatherV2'}, (name, size)


@pytest.mark.parametrize('seed', [3, [1, 2, 3], [0.5, 1.0]])
def test_bad_seeds(seed):
  with pytest.raises(ValueError, match='seed is .* two integers'):
    get('vgg', True)(np.zeros((9, 9, 3), np.uint8), seed)


def test_bad_output_size():
  with pytest.raises(ValueError, match='0 x 0 is not positive'):
    get('vgg', size=0)(np.zeros((9, 9, 3), np.uint8), None)


def test_draws_differ_by_name_and_by_either_word_of_the_seed(run):
  def draw(_, seed):
    return tf.stack(
      [utils.draw(seed, name) for name in ('flip', 'x', 'y', 'resize_side')]
    )

  seeds = [(0, i) for i in range(200)] + [(i, 0) for i in range(1, 200)]
  values = np.array([run(draw, np.zeros((1, 1, 3)), seed) for seed in seeds])
  assert len(set(values.ravel())) == values.size
  assert 0 <= values.min() and values.max() < 1
  assert np.abs(values.mean(0) - 0.5).max() < 0.06
  # Draws of one image are independent, and so are neighbouring images.
  assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.2
  assert abs(np.corrcoef(values[:199, 0], values[1:200, 0])[0, 1]) < 0.2


def test_seeds_of_64_bits(run):
  with tf.Graph().as_default(), tf.Session() as session:
    low, high = session.run(
      [
        utils.draw(utils.as_seed(seed), 'x')
        for seed in ([1, 2], [1 + 2**40, 2])
      ]
    )
  assert low != high


def test_the_window_is_what_decode_and_crop_jpeg_takes(run):
  image = golden.photo(0, 120, 160)
  with tf.Graph().as_default(), tf.Session() as session:
    jpeg = tf.image.encode_jpeg(image)
    window = utils.place_window(
      tf.constant([120, 160, 3]), 50, 70, utils.as_seed([3, 4])
    )
    whole, part, again = session.run(
      [
        utils.crop(tf.image.decode_jpeg(jpeg, channels=3), window),
        tf.image.decode_and_crop_jpeg(jpeg, window, channels=3),
        window,
      ]
    )
  # At its rim the part lacks the neighbours that colours are smoothed with.
  np.testing.assert_array_equal(whole[1:-1, 1:-1], part[1:-1, 1:-1])
  np.testing.assert_allclose(whole, part, atol=24)
  assert tuple(again[2:]) == (50, 70)


def test_the_docstring_example():
  with tf.Graph().as_default():
    results = doctest.testmod(preprocessing_factory)
  assert results.attempted == 6 and not results.failed


def test_it_imports_nothing_else_of_ours():
  """That imports change nothing global is in tests/test_house.py."""
  others = {'nets', 'datasets', 'metrics', 'engine', 'tf_slim'}
  paths = [*pathlib.Path(preprocessing_factory.__file__).parent.glob('*.py')]
  assert len(paths) > 5
  for path in paths:
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
      names = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module]
      assert not {name.split('.')[0] for name in names} & others, path
