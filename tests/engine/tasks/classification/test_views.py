"""Crops, mirror images and sizes, against slices of the prepared image."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.scripts import EvalConfig
from engine.tasks.classification import views
from preprocessing import preprocessing_factory
from tests import golden


def config(name='vgg', size=224, **flags):
  return EvalConfig(
    preprocessing_name=name, eval_image_size=size, use_grayscale=False, **flags
  )


def prepare(given, image):
  """What the preprocessing makes of an image, evaluated."""
  with tf.Graph().as_default(), tf.Session() as session:
    fn = views.preprocessing(given, views.plan(given))
    size = given.eval_image_size
    return session.run(fn(tf.constant(image), size, size))


def recipe(name, image, size, **options):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(
      preprocessing_factory.get_preprocessing(name, False)(
        tf.constant(image), size, size, **options
      )
    )


def test_one_view():
  """As the recipe has it."""
  given = config()
  [plan] = views.plan(given)
  assert plan.crops == [views.Crop(0, 0, 224, False)]
  image = golden.photo(0, 300, 400)
  np.testing.assert_array_equal(
    prepare(given, image), recipe('vgg', image, 224)
  )


def test_views_are_a_product():
  for flags, count in (
    ({'flip': True}, 2),
    ({'ten_crop': True}, 10),
    ({'ten_crop': True, 'flip': True}, 10),
    ({'scales': '1,0.5,2', 'flip': True}, 6),
    ({'scales': '1,0.5,2', 'ten_crop': True}, 30),
  ):
    plans = views.plan(config(**flags))
    assert views.count(plans) == count
    sizes = [1, 0.5, 2] if 'scales' in flags else [1]
    assert [plan.crops[0].size for plan in plans] == [
      round(224 * scale) for scale in sizes
    ]
    for plan in plans:
      assert len(set(plan.crops)) == len(plan.crops)


def test_ten_crop_of_vgg():
  """Four corners and the centre of the centre of 256 pixels, and mirrored."""
  given = config(ten_crop=True)
  image = golden.photo(1, 300, 400)
  [plan], [prepared] = views.plan(given), prepare(given, image)
  whole = recipe('vgg', image, 256, resize_side_min=256)
  np.testing.assert_array_equal(prepared, whole)
  expected = []
  for y, x in ((0, 0), (0, 32), (32, 0), (32, 32), (16, 16)):
    crop = whole[y : y + 224, x : x + 224]
    expected += [crop, crop[:, ::-1]]
  for view, each in zip(plan.crops, expected, strict=True):
    np.testing.assert_array_equal(view.of(prepared[None])[0], each)
  # The centre is what one view sees.
  np.testing.assert_allclose(expected[8], recipe('vgg', image, 224), atol=1e-3)


@pytest.mark.parametrize(
  'name,size,side,options',
  [
    ('inception', 299, 342, {'central_fraction': 1.0}),
    ('torchvision', 56, 64, {'crop_share': 1.0}),
    ('caffe', 56, 64, {'crop_share': 1.0}),
    ('cifar', 32, 37, {}),
    ('digits', 32, 37, {}),
  ],
)
def test_ten_crop_of_others(name, size, side, options):
  given = config(name, size, ten_crop=True)
  image = golden.photo(2, 90, 120)
  [plan], [prepared] = views.plan(given), prepare(given, image)
  np.testing.assert_array_equal(prepared, recipe(name, image, side, **options))
  rest = side - size
  assert [(view.y, view.x) for view in plan.crops[::2]] == [
    (0, 0),
    (0, rest),
    (rest, 0),
    (rest, rest),
    (rest // 2, rest // 2),
  ]


def test_scales():
  """The whole image grows and shrinks, not what is seen of it."""
  image = golden.photo(3, 300, 400)
  for found, size, side in zip(
    prepare(config(scales='0.5,1.25'), image),
    (112, 280),
    (128, 320),
    strict=True,
  ):
    np.testing.assert_array_equal(
      found, recipe('vgg', image, size, resize_side_min=side)
    )
  for name in 'inception', 'timm_bicubic':
    [found] = prepare(config(name, 100, scales='0.64'), image)
    np.testing.assert_array_equal(found, recipe(name, image, 64))


def test_average():
  """Of probabilities, whatever is added to the logits."""
  random = np.random.RandomState(0)
  logits = random.normal(0, 3, (3, 20, 5)).astype(np.float32)
  shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  shifted = [logits[0], logits[1] + 1000, logits[2] - 1000]
  found = views.average(shifted)
  assert found.dtype == np.float32
  np.testing.assert_allclose(np.exp(found), shares.mean(0), atol=1e-4)
  far = np.array([[1e4, 0.0]], np.float32)
  np.testing.assert_allclose(views.average([far, far]), [[0, -1e4]])
