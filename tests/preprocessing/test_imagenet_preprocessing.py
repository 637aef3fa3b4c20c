"""The recipes of other libraries, beside Pillow and Keras, on photographs."""

import importlib.resources
import io

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from preprocessing import imagenet_preprocessing as imagenet
from preprocessing import preprocessing_factory, vgg_preprocessing
from preprocessing import segmentation_preprocessing as dense
from preprocessing.encoded import Encoded
from tests import golden

MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])
# Of the shorter side and the crop, of 224 pixels; the method.
TORCH = {
  'torchvision': (256, Image.Resampling.BILINEAR),
  'torchvision_232': (232, Image.Resampling.BILINEAR),
  'timm_bicubic': (235, Image.Resampling.BICUBIC),
  'timm_bicubic_875': (256, Image.Resampling.BICUBIC),
}
# Photograph -> the size it is given, None for its own.
PHOTOS = {
  ('sklearn', 'datasets/images/china.jpg'): None,  # 427 x 640
  ('skimage', 'data/astronaut.png'): (1024, 681),
  ('skimage', 'data/coffee.png'): (301, 437),
  ('sklearn', 'datasets/images/flower.jpg'): (149, 100),  # to be enlarged
  ('skimage', 'data/rocket.jpg'): (67, 501),
}


def photos():
  """Returns photographs, uint8, of several sizes."""
  found = []
  for (package, name), size in PHOTOS.items():
    with importlib.resources.files(package).joinpath(name).open('rb') as file:
      image = Image.open(file).convert('RGB')
    if size:
      image = image.resize(size[::-1], Image.Resampling.LANCZOS)
    found.append(np.asarray(image))
  return found


def as_torchvision(image, side, resample, size=224):
  """Resize and CenterCrop of torchvision, by Pillow; uint8."""
  height, width = image.shape[:2]
  if width <= height:
    resized = side, int(side * height / width)
  else:
    resized = int(side * width / height), side
  image = Image.fromarray(image).resize(resized, resample)
  left, top = (int(round((length - size) / 2)) for length in resized)
  return np.asarray(image.crop((left, top, left + size, top + size)))


def get(name, size=224, is_training=False, grey=False, **options):
  fn = preprocessing_factory.get_preprocessing(name, is_training, grey)
  return lambda image, seed: fn(image, size, size, seed=seed, **options)


def masked(name):
  """What an image with a mask is given."""
  return lambda image, _: dense.normalized(image, normalization=name)


def levels(prepared):
  """Returns 0..255 of what torchvision's normalization gave."""
  return (prepared * DEVIATION + MEAN) * 255


@pytest.mark.parametrize('name', TORCH)
def test_pillow(run, name):
  recipe = get(name)
  for image in photos():
    difference = np.abs(
      levels(run(recipe, image)) - as_torchvision(image, *TORCH[name])
    )
    assert difference.mean() < 0.02 and difference.max() < 1.01


@pytest.mark.parametrize(
  'name,size,side', [('torchvision', 288, 329), ('timm_bicubic', 256, 269)]
)
def test_the_side_grows_with_the_output(run, name, size, side):
  image = photos()[0]
  want = as_torchvision(image, side, TORCH[name][1], size)
  got = levels(run(get(name, size), image))
  assert np.abs(got - want).mean() < 0.02
  assert preprocessing_factory.unresized(name, size, size) == (side, side)
  square = golden.photo(0, side, side)
  np.testing.assert_allclose(
    levels(run(get(name, size), square)),
    as_torchvision(square, side, TORCH[name][1], size),
    atol=1e-3,
  )


@pytest.mark.parametrize('name', ['torchvision', 'timm_bicubic', 'caffe'])
def test_a_batch_of_known_size(run, name):
  """Made by products of matrices; a level apart where it rounds."""
  fn = preprocessing_factory.get_preprocessing(name, False)
  for height, width in (97, 131), (224, 224), (300, 224), (256, 256):
    images = np.stack([golden.photo(i, height, width) for i in range(2)])
    with tf.Graph().as_default(), tf.Session() as session:
      batch = tf.placeholder(tf.uint8, [None, height, width, 3])
      prepared = fn(batch, 224, 224)
      assert prepared.shape.as_list() == [None, 224, 224, 3]
      got = session.run(prepared, {batch: images})
    want = np.stack([run(get(name), image) for image in images])
    level = (want.max() - want.min()) / 255
    assert np.abs(got - want).max() < 2.5 * level
    assert (np.abs(got - want) > level / 100).mean() < 4e-3


@pytest.mark.parametrize(
  'name,module', [('caffe', 'resnet'), ('keras_v2', 'resnet_v2')]
)
def test_keras(run, name, module):
  import keras

  source = getattr(keras.applications, module).preprocess_input
  image = as_torchvision(photos()[0], *TORCH['torchvision'])
  want = source(image.astype(np.float32))
  got = run(get(name), image)
  assert got.dtype == np.float32
  np.testing.assert_array_equal(got, want)
  # An image of a known size, a file, and the normalization of masks' images.
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'png')
  with tf.Graph().as_default(), tf.Session() as session:
    fn = preprocessing_factory.get_preprocessing(name, False)
    known, encoded, own = session.run(
      [
        fn(tf.constant(image), 224, 224),
        fn(Encoded(tf.constant(file.getvalue())), 224, 224),
        dense.normalized(tf.constant(image), normalization=name),
      ]
    )
  for each in known, encoded, own:
    np.testing.assert_array_equal(each, want)
  # Of every level, for all 256 are not in the photograph.
  ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
  np.testing.assert_array_equal(
    run(get(name, 16), ramp), source(ramp.astype(np.float32))
  )


@pytest.mark.parametrize('name', ['caffe', 'keras_v2'])
def test_an_image_of_another_size_is_resized(run, name):
  image = photos()[0]
  want = run(get(name), as_torchvision(image, *TORCH['torchvision']))
  got = run(get(name), image)
  assert np.abs(got - want).mean() < 0.02
  assert np.abs(got - want).max() < 1.01


@pytest.mark.parametrize('name', sorted(imagenet.SOURCES))
@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (3, 500), (500, 3), (1, 10000)])
def test_odd_sizes_keep_their_colour(run, name, is_training, size):
  recipe = get(name, 64, is_training)
  image = np.full((*size, 3), (10, 20, 30), np.uint8)
  pixel = np.full((64, 64, 3), (10, 20, 30), np.uint8)
  want = run(
    lambda image, _: dense.normalized(image, normalization=name), pixel
  )
  np.testing.assert_allclose(run(recipe, image), want, atol=2e-3)


def test_the_normalizations(run):
  """Of RGB, by hand; BGR is Caffe's alone."""
  pixel = np.full((2, 2, 3), (10, 20, 250), np.uint8)
  torch = (np.array([10, 20, 250]) / 255 - MEAN) / DEVIATION
  for name, want in {
    **dict.fromkeys(TORCH, torch),
    'caffe': (250 - 103.939, 20 - 116.779, 10 - 123.68),
    'keras_v2': np.array([10, 20, 250]) / 127.5 - 1,
  }.items():
    for fn in (
      get(name, 2),
      lambda image, _, name=name: dense.normalized(image, normalization=name),
    ):
      np.testing.assert_allclose(run(fn, pixel)[0, 0], want, atol=1e-4)


@pytest.mark.parametrize(
  'name,is_training',
  [('caffe', False), ('keras_v2', False), ('torchvision', True)],
)
def test_grey_images(run, name, is_training):
  grey = golden.photo(0, 60, 80)[..., :1]
  repeated = np.repeat(grey, 3, 2)
  got = run(get(name, 32, is_training), grey)
  np.testing.assert_array_equal(got, run(get(name, 32, is_training), repeated))
  one = run(get(name, 32, is_training, grey=True), grey)
  assert one.shape == (32, 32, 1)
  # As the mean of the channels has it.
  shares = np.array(vgg_preprocessing.LUMA) * (
    DEVIATION if name in TORCH else np.ones(3)
  )
  if name == 'caffe':
    got = got[..., ::-1]
  want = (got * shares).sum(-1, keepdims=True) / shares.sum()
  np.testing.assert_allclose(one, want, atol=0.02)


@pytest.mark.parametrize('name', ['torchvision', 'timm_bicubic'])
def test_training_crops_a_window(run, name):
  """It is cut, and resized as Pillow does it."""
  image, size = photos()[1], 160
  recipe = get(name, size, True, flip=False)

  def window(image, seed):
    return imagenet.sample_window(tf.shape(image), seed)

  for i in range(3):
    y, x, height, width = run(window, image, (4, i))
    part = Image.fromarray(image[y : y + height, x : x + width])
    want = part.resize((size, size), TORCH[name][1])
    got = levels(run(recipe, image, (4, i)))
    difference = np.abs(got - np.asarray(want))
    assert difference.mean() < 0.5 and difference.max() < 2.5


def test_windows(run):
  image = np.zeros((300, 400, 1), np.uint8)

  def window(image, seed):
    return imagenet.sample_window(tf.shape(image), seed)

  y, x, height, width = np.array(
    [run(window, image, (5, i)) for i in range(300)]
  ).T
  assert (y >= 0).all() and (x >= 0).all()
  assert (y + height <= 300).all() and (x + width <= 400).all()
  share, ratio = height * width / 300 / 400, width / height
  assert 0.07 < share.min() < 0.12 and share.max() > 0.9
  assert 0.74 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.35


def test_half_of_the_images_are_mirrored(run):
  image = np.arange(0, 256, 4, np.uint8)[None, :, None] * np.ones(
    (64, 1, 3), np.uint8
  )
  for flip, low, high in (True, 30, 70), (False, 100, 100):
    recipe = get('torchvision', 16, True, flip=flip)
    ends = [run(recipe, image, (9, i))[0, [0, -1], 0] for i in range(100)]
    assert low <= sum(first < last for first, last in ends) <= high


def test_bad_options():
  image = np.zeros((9, 9, 3), np.uint8)
  for options, words in (
    ({'normalization': 'tourch'}, "'tourch'. Did you mean 'torch'"),
    ({'interpolation': 'nearest'}, 'Valid: bicubic, bilinear'),
    ({'crop_share': 1.5}, 'crop_share is 1.5; .* at most 1'),
    ({'crop_share': 0}, 'crop_share is 0; .* above 0'),
  ):
    with pytest.raises(ValueError, match=words):
      imagenet.preprocess_image(image, 8, 8, **options)


def test_a_source_is_a_recipe_and_a_normalization_of_masks():
  for name in imagenet.SOURCES:
    module, options = preprocessing_factory.PREPROCESSING[name]
    assert module is imagenet and options is imagenet.SOURCES[name]
    assert name in dense.NORMALIZATIONS
