"""Masks of any size, against plain computations of the same network."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.scripts import EvalConfig
from engine.model.build import build_dense
from engine.tasks.segmentation import dense_model
from engine.tasks.segmentation.dense_model import DenseModel, ScaledView
from metrics import segmentation
from tests import builders

CLASSES, ONCE = 4, ScaledView()


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  builders.register_tiny_networks(monkeypatch.setitem)


def _config(**options):
  return EvalConfig(
    **{
      'model_name': 'resnet_v1_small',
      'task': 'segmentation',
      'decoder': 'fcn',
      'output_stride': 8,
      'use_grayscale': False,
      **options,
    }
  )


@pytest.fixture
def opened(graph):
  """opened(views, **options): predict(images, labels) and plain logits."""

  def build(views=(ONCE,), ignore_label=255, **options):
    config = _config(**options)
    dense = DenseModel(config, CLASSES, list(views), ignore_label)
    images = tf.placeholder(tf.float32, [None, None, None, 3])
    logits, _ = build_dense(config, images, CLASSES, reuse=True)
    session = tf.Session()
    session.run(tf.global_variables_initializer())

    def plainly(fed):
      found = session.run(logits, {images: fed})
      return session.run(segmentation.resize_logits(found, *fed.shape[1:3]))

    build.session = session
    return lambda *fed: dense.predict(session, *fed), plainly

  return build


def _images(height, width, count=2):
  return (
    np.random.RandomState(height)
    .uniform(-1, 1, (count, height, width, 3))
    .astype(np.float32)
  )


def _shares(logits):
  shares = np.exp(logits - logits.max(-1, keepdims=True))
  return shares / shares.sum(-1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize('size', [(33, 41), (1, 1), (30, 35), (8, 17)])
@pytest.mark.parametrize('decoder', ['fcn', 'deeplabv3plus'])
def test_any_size(opened, size, decoder):
  """As an image that is padded to a multiple of the stride plus one."""
  predict, plainly = opened(decoder=decoder, decoder_depth=8)
  images = _images(*size)
  down, right = [-(side - 1) % 8 for side in size]
  want = plainly(np.pad(images, [(0, 0), (0, down), (0, right), (0, 0)]))[
    :, : size[0], : size[1]
  ]
  found = predict(images)
  assert found.losses is found.confidences is None
  assert found.classes.dtype == np.int32
  np.testing.assert_array_equal(found.classes, want.argmax(-1))


def test_images_do_not_depend_on_their_neighbours(opened):
  predict, _ = opened()
  images = _images(25, 30, 3)
  labels = np.random.RandomState(0).randint(0, CLASSES, (3, 25, 30))
  together = predict(images, labels)
  for i in range(3):
    alone = predict(images[i : i + 1], labels[i : i + 1])
    np.testing.assert_array_equal(alone.classes[0], together.classes[i])
    np.testing.assert_allclose(alone.losses[0], together.losses[i], rtol=1e-5)


@pytest.mark.parametrize('ignore_label', [255, 0, -1])
def test_losses(opened, ignore_label):
  predict, plainly = opened(ignore_label=ignore_label)
  images = _images(25, 25)
  labels = np.random.RandomState(0).randint(0, CLASSES, (2, 25, 25))
  if ignore_label == 255:
    labels[0, :10] = 255
    labels[1] = 255  # nothing is left
  logits = plainly(images)
  want = []
  for one, label in zip(_shares(logits), labels, strict=True):
    counts = label != ignore_label
    shares = np.take_along_axis(one, np.where(counts, label, 0)[..., None], -1)[
      ..., 0
    ]
    want.append(-np.log(shares[counts]).mean() if counts.any() else 0.0)
  found = predict(images, labels)
  np.testing.assert_allclose(found.losses, want, rtol=1e-4)
  np.testing.assert_allclose(
    found.confidences, _shares(logits).max(-1), rtol=1e-4
  )


def test_logits_that_are_not_finite(opened):
  predict, _ = opened(ignore_label=3)
  (bias,) = tf.trainable_variables('resnet_v1_small/logits/biases')
  bias.load(np.full(CLASSES, np.nan), opened.session)
  labels = np.zeros((2, 9, 9), int)
  labels[1] = 3
  losses = predict(_images(9, 9), labels).losses
  assert np.isnan(losses[0]) and losses[1] == 0


def test_mirrored(opened):
  predict, plainly = opened([ScaledView(), ScaledView(mirrored=True)])
  images = _images(25, 33)
  mean = (
    _shares(plainly(images)) + _shares(plainly(images[:, :, ::-1]))[:, :, ::-1]
  ) / 2
  labels = np.ones((2, 25, 33), int)
  found = predict(images, labels)
  np.testing.assert_array_equal(found.classes, mean.argmax(-1))
  np.testing.assert_allclose(
    found.losses, -np.log(mean[..., 1]).mean((1, 2)), rtol=1e-4
  )
  np.testing.assert_allclose(found.confidences, mean.max(-1), rtol=1e-4)


def _resize(images, height, width):
  """Bilinear, the corners on the corners."""
  for axis, length in ((1, height), (2, width)):
    at = np.linspace(0, images.shape[axis] - 1, length)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, images.shape[axis] - 1)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
    images = (
      images.take(low, axis) * (1 - share) + images.take(high, axis) * share
    )
  return images


def test_scales(opened):
  predict, plainly = opened([ScaledView(1.0), ScaledView(2.0)])
  images = _images(17, 25)
  large = _resize(images, 34, 50)
  padded = np.pad(large, [(0, 0), (0, 7), (0, 7), (0, 0)])
  mean = (
    _shares(plainly(images))
    + _resize(_shares(plainly(padded))[:, :34, :50], 17, 25)
  ) / 2
  found = predict(images, np.ones((2, 17, 25), int))
  np.testing.assert_allclose(
    found.losses, -np.log(mean[..., 1]).mean((1, 2)), rtol=1e-4
  )
  np.testing.assert_allclose(found.confidences, mean.max(-1), rtol=1e-4)


def test_windows(opened):
  predict, plainly = opened(eval_crop_size='25,33')
  images = _images(40, 33)
  total, count = np.zeros((2, 40, 33, CLASSES)), np.zeros((40, 1, 1))
  for y in (0, 15):
    total[:, y : y + 25] += _shares(plainly(images[:, y : y + 25]))
    count[y : y + 25] += 1
  found = predict(images, np.ones((2, 40, 33), int))
  mean = total / count
  np.testing.assert_array_equal(found.classes, mean.argmax(-1))
  np.testing.assert_allclose(
    found.losses, -np.log(mean[..., 1]).mean((1, 2)), rtol=1e-4
  )
  np.testing.assert_allclose(found.confidences, mean.max(-1), rtol=1e-4)


@pytest.mark.parametrize('length', [1, 5, 60, 61, 100, 101, 1000])
@pytest.mark.parametrize('window', [1, 2, 33, 60])
def test_starts_cover_with_an_overlap(length, window):
  found = dense_model.starts(length, window)
  assert found[0] == 0
  if length <= window:
    assert found == [0]
    return
  assert found[-1] + window == length
  steps = np.diff(found)
  assert (steps > 0).all() and steps.max() <= max(1, np.ceil(window * 2 / 3))


def test_views():
  assert dense_model.views(None, False) == [ScaledView(1, False)]
  assert dense_model.views((0.5, 1), True) == [
    ScaledView(0.5, False),
    ScaledView(0.5, True),
    ScaledView(1, False),
    ScaledView(1, True),
  ]
